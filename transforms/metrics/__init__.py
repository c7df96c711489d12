"""What steps tell of their work, beside Beam's own metrics."""
