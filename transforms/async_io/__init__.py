"""How a worker waits for Lift Wing: in state, or in the bundle."""
