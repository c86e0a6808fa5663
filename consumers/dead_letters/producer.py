"""Delivers dead letters to ``mastery.dlq``, each once; ``arrived`` finds those that the topic already has."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Message, Producer

from app.config.settings import Settings
from app.events.dead_letter import LETTER_ID
from app.events.ledger import WaitingLetter
from app.events.positions import Offset, Partition
from consumers.kafka.clients import headers_of
from consumers.kafka.delivery import Content, deliver
from consumers.kafka.record_reader import Bounds, RecordReader
from consumers.kafka.topic_ids import TopicIds, log_name

CHECK_EVERY = 5_000  # dead letters, read in a tenth of a second or less


class DeadLetterQueue:
    """Writes the dead letter topic, in one process at a time. Raises DependencyUnavailable when Kafka does not answer."""

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._reader = RecordReader(settings)
        self._ids = TopicIds(settings)
        self._topic = settings.dlq_topic

    def log(self) -> str:
        """The key for the topic's offsets; a recreated topic has another one."""
        return log_name(self._reader.cluster_id(), self._topic, self._ids.of(self._topic))

    def send(self, waiting: Sequence[WaitingLetter]) -> dict[Partition, Offset]:
        """Deliver dead letters.

        Propagates DependencyUnavailable when the delivery of one is not confirmed; ``arrived`` then tells which were delivered.

        Returns:
            The new end offset of each partition written to.
        """
        ends: dict[Partition, Offset] = {}

        def advance(message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                ends[partition] = max(offset + 1, ends.get(partition, 0))

        messages: list[Content] = [(each.letter.key, each.letter.value, [*each.letter.headers]) for each in waiting]
        deliver(self._producer, self._topic, messages, advance)
        return ends

    def arrived(self, since: Mapping[Partition, Offset], still: Callable[[], bool]) -> set[str] | None:
        """The ids of the dead letters in the topic.

        Args:
            since: the offset to read each partition from; its beginning by default.
            still: whether to go on; called repeatedly, as reading may take long.

        Returns:
            The ids, or None if ``still`` returned false.
        """
        unread = {}
        for partition, (low, high) in self._reader.bounds(self._topic).items():
            begin = since.get(partition, low)
            unread[partition] = Bounds(begin if low <= begin <= high else low, high)
        found: set[str] = set()
        for number, message in enumerate(self._reader.records(self._topic, unread)):
            if number % CHECK_EVERY == 0 and not still():
                return None
            found.add(headers_of(message).get(LETTER_ID, ""))
        return found if still() else None

    def close(self) -> None:
        """Close the connection."""
        self._reader.close()
