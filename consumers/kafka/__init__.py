"""Kafka access: clients, topics and their ids, readers, lag, paced producing. Independent of the bridge."""
