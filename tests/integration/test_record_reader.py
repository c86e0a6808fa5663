"""Records of a topic are read without a consumer group."""

from contextlib import closing

from consumers.kafka.record_reader import RecordReader
from tests.integration.dead_letter_desk import Dlq


def test_an_abandoned_read_fetches_no_more(embedded_desk: Dlq) -> None:
    """The reader can then read again; a read may also be abandoned after the reader is closed."""
    topic = embedded_desk.settings.events_topic
    for _ in range(2):
        embedded_desk.produce(topic, b"value", None, {})
    with closing(RecordReader(embedded_desk.settings)) as reader:
        bounds = reader.bounds(topic)
        abandoned = reader.records(topic, bounds)
        next(abandoned)
        assert len(reader._consumer.assignment()) == 1
        del abandoned
        assert reader._consumer.assignment() == []
        assert len(list(reader.records(topic, bounds))) == 2
        left = reader.records(topic, bounds)
        next(left)
    del left
