"""Dead letters to ``mastery.dlq``, each delivered once: what arrived already is looked up there first."""

from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Message, Producer

from app.config.settings import Settings
from app.events.dead_letter import LETTER_ID
from app.events.ledger import WaitingLetter
from app.events.positions import Offset, Partition
from consumers.kafka.clients import Content, deliver, headers_of
from consumers.kafka.record_reader import Bounds, RecordReader
from consumers.kafka.topic_ids import TopicIds, log_name

# Letters that are read in a tenth of a second or less.
ASK_EVERY = 5_000


class DeadLetterQueue:
    """The dead letter topic, written to by one process at a time. Raises DependencyUnavailable when Kafka does not answer."""

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._reader = RecordReader(settings)
        self._ids = TopicIds(settings)
        self._topic = settings.dlq_topic

    def log(self) -> str:
        """Which topic it is now: what is known of its offsets holds for no other of the same name."""
        return log_name(self._reader.cluster_id(), self._topic, self._ids.of(self._topic))

    def send(self, waiting: Sequence[WaitingLetter]) -> dict[Partition, Offset]:
        """Deliver the letters; all of them have arrived when this returns. Returns where their partitions end now.

        When one did not arrive, or is not known to have, this fails: see ``arrived``.
        """
        ends: dict[Partition, Offset] = {}

        def has_arrived(message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                ends[partition] = max(offset + 1, ends.get(partition, 0))

        messages: list[Content] = [(each.letter.key, each.letter.value, [*each.letter.headers]) for each in waiting]
        deliver(self._producer, self._topic, messages, has_arrived)
        return ends

    def arrived(self, since: Mapping[Partition, Offset], still: Callable[[], bool]) -> set[str] | None:
        """The ids of the letters in the topic, from the given offsets on, or from the beginning where none is given.

        That may take long: ``still`` is asked again and again whether to go on. None if not.
        """
        unread = {}
        for partition, (low, high) in self._reader.bounds(self._topic).items():
            begin = since.get(partition, low)
            unread[partition] = Bounds(begin if low <= begin <= high else low, high)
        found: set[str] = set()
        for number, message in enumerate(self._reader.records(self._topic, unread)):
            if number % ASK_EVERY == 0 and not still():
                return None
            found.add(headers_of(message).get(LETTER_ID, ""))
        return found if still() else None

    def close(self) -> None:
        """Let the connection go."""
        self._reader.close()
