"""The bridge from Kafka to Celery, and the topics it reads and writes."""
