"""How events are written: each topic by itself, what is not taken waits in state."""
