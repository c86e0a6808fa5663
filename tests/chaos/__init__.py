"""Chaos tests: processes die while real events stream or a batch runs; then nothing is lost and nothing is counted twice."""
