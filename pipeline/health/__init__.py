"""How a stream is: what Flink, Kafka and the disk tell of it, and what that means in a sentence, for the log
of `stream` and the page of `watch`."""
