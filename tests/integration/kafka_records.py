"""The records on the events topic of a test."""

from contextlib import closing

from confluent_kafka import Message

from app.config.settings import Settings
from consumers.kafka.record_reader import RecordReader


def records_of(settings: Settings) -> list[Message]:
    """All records; those of one partition in order."""
    with closing(RecordReader(settings)) as reader:
        return list(reader.records(settings.events_topic, reader.bounds(settings.events_topic)))
