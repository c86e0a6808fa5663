"""The engine: pure rules, use cases and the Redis state they live in. Knows nothing of HTTP, Celery or Kafka."""
