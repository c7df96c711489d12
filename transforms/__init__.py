"""The five steps, and what they share."""
