"""Celery tasks, one file per area: a few lines each, which call one use case of the engine."""
