"""The engine: pure rules, use cases and their Redis state. Independent of HTTP, Celery and Kafka."""
