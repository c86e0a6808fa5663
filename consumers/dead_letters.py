"""Dead letters to ``mastery.dlq``, each delivered once: what may have arrived before a crash is looked up there."""

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from app.errors import DependencyUnavailable
from app.events.dead_letter import LETTER_ID
from app.events.ledger import Offset, Partition, WaitingLetter
from app.settings import Settings
from consumers.kafka import Content, deliver, headers_of, reader

ANSWER_SECONDS = 10.0
READ_MESSAGES = 500


class DeadLetterQueue:
    """The dead letter topic, written to by one process at a time."""

    def __init__(self, producer: Producer, settings: Settings) -> None:
        self._producer = producer
        self._settings = settings
        self._topic = settings.dlq_topic

    def send(self, waiting: Sequence[WaitingLetter]) -> dict[Partition, Offset]:
        """Deliver the letters; all of them have arrived when this returns. Returns where their partitions end now.

        Raises DependencyUnavailable when one did not arrive, or is not known to have: see ``arrived``.
        """
        ends: dict[Partition, Offset] = {}

        def arrived(message: Message) -> None:
            partition, offset = message.partition(), message.offset()
            if partition is not None and offset is not None:
                ends[partition] = max(offset + 1, ends.get(partition, 0))

        messages: list[Content] = [
            (each.letter.key, each.letter.value, [*each.letter.headers, (LETTER_ID, each.letter_id)]) for each in waiting
        ]
        deliver(self._producer, self._topic, messages, arrived)
        return ends

    def arrived(self, since: Mapping[Partition, Offset]) -> set[str]:
        """The ids of the letters in the topic, from the given offsets on, or from the beginning where none is given.

        Raises DependencyUnavailable when the broker does not answer.
        """
        consumer = reader(self._settings)
        try:
            return self._read(consumer, since)
        except KafkaException as error:
            raise DependencyUnavailable("kafka") from error
        finally:
            consumer.close()

    def _read(self, consumer: Consumer, since: Mapping[Partition, Offset]) -> set[str]:
        partitions = consumer.list_topics(self._topic, timeout=ANSWER_SECONDS).topics[self._topic].partitions
        unread: dict[Partition, Offset] = {}
        for partition in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=ANSWER_SECONDS)
            begin = since.get(partition, low)
            begin = begin if low <= begin <= high else low  # the topic was made anew
            if begin < high:
                unread[partition] = high
                consumer.incremental_assign([TopicPartition(self._topic, partition, begin)])
        found: set[str] = set()
        while unread:
            messages = consumer.consume(READ_MESSAGES, ANSWER_SECONDS)
            if not messages:
                raise DependencyUnavailable("kafka", "does not give its dead letters")
            for message in messages:
                if error := message.error():
                    raise KafkaException(error)
                found.add(headers_of(message).get(LETTER_ID, ""))
                partition, offset = message.partition(), message.offset()
                if partition in unread and offset is not None and offset + 1 >= unread[partition]:
                    del unread[partition]
        return found
