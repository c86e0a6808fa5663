"""The dead letters that are on ``mastery.dlq`` at one moment.

What arrives later is left for the next time, so nothing that a replay brings back is read, and replayed again, by the same run.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing

from confluent_kafka import Message

from app.config.settings import Settings
from app.errors import NotFound
from app.events.handled_letters import Place
from app.events.positions import NO_ID
from consumers.dead_letters.record import StoredDeadLetter, read_letter
from consumers.kafka.clients import headers_of, place
from consumers.kafka.record_reader import READ_SECONDS, RecordReader
from consumers.kafka.topic_ids import TopicIds, log_name


class DeadLetterTopic:
    """The topic as it was when this was made. Raises DependencyUnavailable when Kafka does not answer.

    ``log`` says which letters a place is about, as HandledLetters wants it, and ``previous_log`` how it was called before
    topics were known by their ids; ``bounds`` says what each partition holds.
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
        """How many records there are, at most: a broker that removes some from the middle keeps counting them."""
        return sum(bound.high - bound.low for bound in self.bounds.values())

    def oldest(self) -> dict[int, int]:
        """The first offset that each partition still has."""
        return {partition: bound.low for partition, bound in self.bounds.items()}

    def letters(self) -> Iterator[StoredDeadLetter]:
        """All of them, readable or not."""
        return map(_stored, self._reader.records(self.name, self.bounds))

    def letter(self, wanted: Place) -> StoredDeadLetter:
        """The letter at a place. Raises NotFound."""
        message = self._reader.record(self.name, *wanted)
        if message is None:
            raise NotFound(f"no dead letter at {wanted}: it never was there, or is not kept any more")
        return _stored(message)


def _stored(message: Message) -> StoredDeadLetter:
    _, partition, offset = place(message)
    headers: dict[str, bytes | None] = {name: value.encode() for name, value in headers_of(message).items()}
    return read_letter(Place(partition, offset), _bytes(message.key()), _bytes(message.value()), headers)


def _bytes(text: str | bytes | None) -> bytes | None:
    """What the client hands over is bytes, though its types allow for text."""
    return text.encode() if isinstance(text, str) else text
