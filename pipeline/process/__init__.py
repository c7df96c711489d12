"""Processes and signals, folders and disks."""
