"""Which model scores what, and how it is asked. Without Beam."""
