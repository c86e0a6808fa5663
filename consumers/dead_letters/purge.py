"""Dead letters out of sight, and out of Kafka where it can be.

Kafka deletes from a partition's beginning on, and nothing else. So purged letters are marked, which hides them, and of each
partition the longest beginning is deleted in which every letter was replayed or purged. The rest goes by the topic's retention.
"""

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.handled_letters import Place
from consumers.dead_letters.record import LetterFilter, StoredDeadLetter
from consumers.kafka.clients import connection
from consumers.kafka.record_reader import Bounds

DELETE_SECONDS = 30.0  # a partition's leader waits for its replicas


class PurgePlan(NamedTuple):
    """The letters to mark, and how far each partition that can be shortened may be deleted: up to this offset, without it."""

    places: list[Place]
    ends: dict[int, int]

    def deleted(self) -> int:
        """How many of the letters Kafka deletes, if it can; the others are only hidden."""
        return sum(place.offset < self.ends.get(place.partition, 0) for place in self.places)


def plan_purge(
    letters: Iterable[StoredDeadLetter], bounds: Mapping[int, Bounds], handled: Container[Place], meant: LetterFilter
) -> PurgePlan:
    """What purging the letters that are meant comes to. ``letters`` are all that are within the bounds."""
    places: list[Place] = []
    ends = {partition: bound.high for partition, bound in bounds.items()}
    for letter in letters:
        place = letter.place
        if place in handled:
            continue
        if meant.matches(letter):
            places.append(place)
        else:
            ends[place.partition] = min(ends[place.partition], place.offset)
    return PurgePlan(sorted(places), {partition: end for partition, end in ends.items() if end > bounds[partition].low})


def delete_beginnings(settings: Settings, ends: Mapping[int, int]) -> bool:
    """Delete the records before these offsets. False if the broker cannot delete any, as the embedded one.

    Raises DependencyUnavailable, with Kafka's words, when it can and did not; some may be deleted then.
    """
    admin = AdminClient(connection(settings))
    partitions = [TopicPartition(settings.dlq_topic, partition, end) for partition, end in ends.items()]
    try:
        for result in admin.delete_records(partitions, request_timeout=DELETE_SECONDS).values() if partitions else ():
            result.result()
    except KafkaException as error:
        if error.args[0].code() == KafkaError._UNSUPPORTED_FEATURE:
            return False
        raise DependencyUnavailable("kafka", f"did not delete: {error.args[0].str()}") from error
    return True
