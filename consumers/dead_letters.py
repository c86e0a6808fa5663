"""Dead letters to ``mastery.dlq``, each delivered once: what arrived already is looked up there first."""

import time
from collections.abc import Collection, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition

from app.errors import DependencyUnavailable
from app.events.dead_letter import LETTER_ID
from app.events.ledger import Offset, Partition, WaitingLetter
from app.settings import Settings
from consumers.kafka import Content, deliver, headers_of, reader

ANSWER_SECONDS = 2.0  # of a broker that is asked
READ_SECONDS = 0.1  # that one read waits for more
READ_MESSAGES = 500


class DeadLetterQueue:
    """The dead letter topic, written to by one process at a time."""

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._reader = reader(settings, tell_ends=True)
        self._topic = settings.dlq_topic

    def send(self, waiting: Sequence[WaitingLetter]) -> dict[Partition, Offset]:
        """Deliver the letters; all of them have arrived when this returns. Returns where their partitions end now.

        Raises DependencyUnavailable when one did not arrive, or is not known to have: see ``arrived``.
        """
        ends: dict[Partition, Offset] = {}

        def has_arrived(message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                ends[partition] = max(offset + 1, ends.get(partition, 0))

        messages: list[Content] = [(each.letter.key, each.letter.value, [*each.letter.headers]) for each in waiting]
        deliver(self._producer, self._topic, messages, has_arrived)
        return ends

    def arrived(self, since: Mapping[Partition, Offset]) -> set[str]:
        """The ids of the letters in the topic, from the given offsets on, or from the beginning where none is given.

        Raises DependencyUnavailable when the broker does not answer.
        """
        try:
            unread = self._unread(since)
            return self._read(unread) if unread else set()
        except KafkaException as error:
            raise DependencyUnavailable("kafka") from error

    def close(self) -> None:
        """Let the connections go."""
        self._reader.close()

    def _unread(self, since: Mapping[Partition, Offset]) -> list[TopicPartition]:
        topic = self._reader.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic]
        if topic.error is not None and topic.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise KafkaException(topic.error)
        unread = []
        for partition in topic.partitions:
            low, high = self._reader.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=ANSWER_SECONDS)
            begin = since.get(partition, low)
            begin = begin if low <= begin <= high else low  # the topic was made anew
            if begin < high:
                unread.append(TopicPartition(self._topic, partition, begin))
        return unread

    def _read(self, unread: Collection[TopicPartition]) -> set[str]:
        left = {each.partition for each in unread}
        found: set[str] = set()
        last = time.monotonic()
        self._reader.assign(list(unread))
        try:
            while left:
                for message in self._reader.consume(READ_MESSAGES, READ_SECONDS):
                    last = time.monotonic()
                    _note(message, found, left)
                if time.monotonic() - last > ANSWER_SECONDS:
                    raise DependencyUnavailable("kafka", "does not give its dead letters")
        finally:
            self._reader.unassign()
        return found


def _note(message: Message, found: set[str], left: set[Partition]) -> None:
    """Note a letter's id, or that its partition is read to the end."""
    error, partition = message.error(), message.partition()
    if error is None:
        found.add(headers_of(message).get(LETTER_ID, ""))
    elif error.code() == KafkaError._PARTITION_EOF and partition is not None:
        left.discard(partition)
    else:
        raise KafkaException(error)
