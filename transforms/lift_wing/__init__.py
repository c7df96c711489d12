"""The client of Lift Wing: limits, breakers, what an answer means. Without Beam."""
