"""The bridge from Kafka to Celery, and the Kafka topics it reads and writes."""
