"""The bridge: turns records of the events topic into chunks and dead letters."""
