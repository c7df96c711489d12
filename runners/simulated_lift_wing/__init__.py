"""A real HTTP server with the answers, errors and latencies of Lift Wing."""
