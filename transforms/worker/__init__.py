"""What every step has of the worker process it runs in."""
