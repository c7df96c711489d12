"""Transport: HTTP by libcurl, and server-sent events. Knows nothing of scores."""
