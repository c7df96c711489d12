"""What is said to whoever sits at a terminal or reads a log."""
