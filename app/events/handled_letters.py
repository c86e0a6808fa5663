"""Marks handled dead letters in Redis, since Kafka can neither change nor remove a single record."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import islice
from typing import NamedTuple, cast

import redis

from app.storage.keys import Keys

# Marks that no command has read for a year belong to a deleted topic, such as that of an earlier embedded broker.
KEPT_SECONDS = 365 * 86_400
BATCH = 1000  # marks read, written or deleted per command: a millisecond of Redis


class Handled(StrEnum):
    """How a dead letter was handled."""

    REPLAYED = "replayed"
    PURGED = "purged"


class Place(NamedTuple):
    """The position of a dead letter in its topic; written ``3:17``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class HandledLetters:
    """The marks, by log. Raises DependencyUnavailable when Redis does not answer.

    A log is a topic identified by its id, as formatted by ``consumers.kafka.topic_ids.log_name``: offsets are valid only there.
    """

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def adopt(self, previous: str, log: str) -> None:
        """Move the marks that an earlier version stored under another name of the log, unless the log has marks."""
        if previous != log and self._redis.exists(self._keys.handled_letters(previous)):
            self._redis.renamenx(self._keys.handled_letters(previous), self._keys.handled_letters(log))

    def read(self, log: str, oldest: Mapping[int, int]) -> dict[Place, Handled]:
        """The marks of a log. Deletes marks before the ``oldest`` remaining offset of their partition."""
        marks: dict[Place, Handled] = {}
        obsolete: list[bytes] = []
        self._redis.expire(self._keys.handled_letters(log), KEPT_SECONDS)
        for field, how in self._redis.hscan_iter(self._keys.handled_letters(log), count=BATCH):
            place = Place(*map(int, field.split(b":")))
            if place.offset < oldest.get(place.partition, 0):
                obsolete.append(field)
            else:
                marks[place] = Handled(cast("bytes", how).decode())
        for start in range(0, len(obsolete), BATCH):
            self._redis.hdel(self._keys.handled_letters(log), *obsolete[start : start + BATCH])
        return marks

    def mark(self, log: str, places: Iterable[Place], how: Handled) -> None:
        """Mark dead letters as handled. Idempotent."""
        left = iter(places)
        while batch := list(islice(left, BATCH)):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hset(self._keys.handled_letters(log), mapping={str(place): how.value for place in batch})
            pipeline.expire(self._keys.handled_letters(log), KEPT_SECONDS)
            pipeline.execute()
