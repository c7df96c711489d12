"""Flink under control: servers, jobs, snapshots, state."""
