"""The bridge: records of the events topic become chunks and dead letters."""
