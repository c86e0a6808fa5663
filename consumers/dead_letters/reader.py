"""Reads a snapshot of the dead letters on ``mastery.dlq``.

Later dead letters are excluded. Otherwise a replay run could read the dead letters that it causes, and replay them again.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing

from confluent_kafka import Message

from app.config.settings import Settings
from app.errors import NotFound
from app.events.handled_letters import Place
from app.events.positions import NO_ID
from consumers.dead_letters.stored_letter import StoredDeadLetter, read_letter
from consumers.kafka.clients import headers_of, place
from consumers.kafka.record_reader import READ_SECONDS, RecordReader
from consumers.kafka.topic_ids import TopicIds, log_name


class DeadLetterTopic:
    """A snapshot of the topic when this was created. Raises DependencyUnavailable when Kafka does not answer.

    Attributes:
        log: the key of the topic's entries in HandledLetters.
        previous_log: the key that versions without topic ids used.
        bounds: the offsets of each partition.
    """

    def __init__(self, settings: Settings) -> None:
        self.name = settings.dlq_topic
        with ExitStack() as exits:
            self._reader = exits.enter_context(closing(RecordReader(settings)))
            cluster_id = self._reader.cluster_id()
            self.log = log_name(cluster_id, self.name, TopicIds(settings, READ_SECONDS).of(self.name))
            self.previous_log = log_name(cluster_id, self.name, NO_ID)
            self.bounds = self._reader.bounds(self.name)
            self._exits = exits.pop_all()

    def __enter__(self) -> "DeadLetterTopic":
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    def __len__(self) -> int:
        """The maximum number of records; offsets without a record count too."""
        return sum(bound.high - bound.low for bound in self.bounds.values())

    def oldest(self) -> dict[int, int]:
        """The first offset of each partition."""
        return {partition: bound.low for partition, bound in self.bounds.items()}

    def letters(self) -> Iterator[StoredDeadLetter]:
        """All dead letters, including unreadable ones."""
        return map(_stored, self._reader.records(self.name, self.bounds))

    def letter(self, wanted: Place) -> StoredDeadLetter:
        """The dead letter at a place. Raises NotFound."""
        message = self._reader.record(self.name, *wanted)
        if message is None:
            raise NotFound(f"no dead letter at {wanted}: it never existed, or was deleted")
        return _stored(message)


def _stored(message: Message) -> StoredDeadLetter:
    _, partition, offset = place(message)
    headers: dict[str, bytes | None] = {name: value.encode() for name, value in headers_of(message).items()}
    return read_letter(Place(partition, offset), _bytes(message.key()), _bytes(message.value()), headers)


def _bytes(text: str | bytes | None) -> bytes | None:
    """Narrow the type: confluent_kafka declares ``str | bytes`` but returns bytes."""
    return text.encode() if isinstance(text, str) else text
