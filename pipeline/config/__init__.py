"""What configures a run: models files, Kafka, EventGate, the command line."""
