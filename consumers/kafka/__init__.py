"""Kafka itself: clients, topics and their ids, readers, lag, paced producing. Knows nothing of the bridge."""
