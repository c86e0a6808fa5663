"""Celery tasks, one file per area: each calls one use case of the engine."""
