"""Learning events: their format, validation, ingestion, recording and dead letters."""
