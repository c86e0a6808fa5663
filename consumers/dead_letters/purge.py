"""Purges dead letters: hides them, and deletes them from Kafka where possible.

Kafka can only delete the beginning of a partition. So purged dead letters are marked, which hides them, and each partition is
deleted up to its first dead letter that was neither replayed nor purged. The topic's retention deletes the rest.
"""

from collections.abc import Container, Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from app.config.settings import Settings
from app.errors import DependencyUnavailable
from app.events.handled_letters import Place
from consumers.dead_letters.stored_letter import LetterFilter, StoredDeadLetter
from consumers.kafka.clients import connection
from consumers.kafka.record_reader import Bounds

DELETE_SECONDS = 30.0  # timeout; a partition's leader waits for its replicas


class PurgePlan(NamedTuple):
    """The dead letters to mark, and by partition the offset before which all records may be deleted."""

    places: list[Place]
    ends: dict[int, int]

    def deleted(self) -> int:
        """How many of the dead letters Kafka can delete; the others are only hidden."""
        return sum(place.offset < self.ends.get(place.partition, 0) for place in self.places)


def plan_purge(
    letters: Iterable[StoredDeadLetter], bounds: Mapping[int, Bounds], handled: Container[Place], selected: LetterFilter
) -> PurgePlan:
    """Plan the purge of the dead letters that match ``selected``. ``letters`` are all within the bounds."""
    places: list[Place] = []
    ends = {partition: bound.high for partition, bound in bounds.items()}
    for letter in letters:
        place = letter.place
        if place in handled:
            continue
        if selected.matches(letter):
            places.append(place)
        else:
            ends[place.partition] = min(ends[place.partition], place.offset)
    return PurgePlan(sorted(places), {partition: end for partition, end in ends.items() if end > bounds[partition].low})


def delete_beginnings(settings: Settings, ends: Mapping[int, int]) -> bool:
    """Delete the records before these offsets.

    Returns:
        Whether the broker supports this; the embedded one does not.

    Raises:
        DependencyUnavailable: Kafka did not delete all of them; it may have deleted some.
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
