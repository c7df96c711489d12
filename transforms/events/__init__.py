"""What comes in and goes out, as plain mappings. Without Beam."""
