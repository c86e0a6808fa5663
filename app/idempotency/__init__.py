"""Idempotent requests: their keys and stored responses."""
