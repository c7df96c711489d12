"""The command `watch`: what a stream does, on a page, while it happens; read from its topics and, if a
JobManager is named, from its gauges."""
