"""Dead letters to ``mastery.dlq``: delivered, and known to be, before anything is committed."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from app.errors import DependencyUnavailable
from app.events.dead_letter import DeadLetter

FLUSH_SECONDS = 35.0  # above the producer's delivery timeout, after which every message has its report


# tenant_id/student_id are 101 bytes; a longer key is no such, and with the letter might not fit into a message.
MAX_KEY_BYTES = 200


class Rejected(NamedTuple):
    """A record that failed for good, with its place in Kafka and its dead letter."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    letter: DeadLetter


class DeadLetterQueue:
    """The producer of the dead letter topic."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def send(self, rejected: Sequence[Rejected]) -> None:
        """Deliver the dead letters; all of them have arrived when this returns.

        Raises DependencyUnavailable when one did not: some may have arrived, and all may be sent again.
        """
        errors: list[KafkaError] = []

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                errors.append(error)

        try:
            for each in rejected:
                self._producer.produce(
                    self._topic,
                    value=msgspec.json.encode(each.letter),
                    key=each.key[:MAX_KEY_BYTES] if each.key else each.key,
                    headers=_headers(each),
                    on_delivery=report,
                )
                self._producer.poll(0)
        except (BufferError, KafkaException) as error:
            raise DependencyUnavailable("kafka") from error
        if self._producer.flush(FLUSH_SECONDS) or errors:
            raise DependencyUnavailable("kafka") from (KafkaException(errors[0]) if errors else None)


def _headers(rejected: Rejected) -> list[tuple[str, str | bytes | None]]:
    return [
        ("dlq.topic", rejected.topic),
        ("dlq.partition", str(rejected.partition)),
        ("dlq.offset", str(rejected.offset)),
        ("dlq.error_type", rejected.letter.error_type.value),
        ("dlq.replay_count", "0"),
    ]
