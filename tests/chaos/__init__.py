"""Chaos tests: processes are killed while real events stream; afterwards nothing is lost and nothing is counted twice."""
