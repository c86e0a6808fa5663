"""Health checks: readiness, memory, sweeps, malformed messages."""
