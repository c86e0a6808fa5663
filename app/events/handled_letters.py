"""Which dead letters were dealt with. Kafka can neither change nor remove a single record, so that is remembered in Redis."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from itertools import islice
from typing import NamedTuple, cast

import redis

from app.storage.keys import Keys

# Marks that no command has looked at for a year are of a topic that is gone, as an embedded broker's is at each restart.
KEPT_SECONDS = 365 * 86_400
BATCH = 1000  # marks read, written or dropped by one command: a millisecond of Redis


class Handled(StrEnum):
    """What was done with a letter."""

    REPLAYED = "replayed"
    PURGED = "purged"


class Place(NamedTuple):
    """Where a letter is in the dead letter topic; written ``3:17``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class HandledLetters:
    """The marks, by the log that the letters are in. Raises DependencyUnavailable when Redis does not answer.

    A log is a topic by its id, as ``consumers.kafka.topic_ids.log_name`` writes it: an offset means nothing elsewhere.
    """

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def adopt(self, previous: str, log: str) -> None:
        """Take the marks over that a version before kept under another name of the log, unless there are some already."""
        if previous != log and self._redis.exists(self._keys.handled_letters(previous)):
            self._redis.renamenx(self._keys.handled_letters(previous), self._keys.handled_letters(log))

    def read(self, log: str, oldest: Mapping[int, int]) -> dict[Place, Handled]:
        """The marks of a log. Those before the oldest offset that its partition still has are dropped for good."""
        marks: dict[Place, Handled] = {}
        gone: list[bytes] = []
        self._redis.expire(self._keys.handled_letters(log), KEPT_SECONDS)
        for field, how in self._redis.hscan_iter(self._keys.handled_letters(log), count=BATCH):
            place = Place(*map(int, field.split(b":")))
            if place.offset < oldest.get(place.partition, 0):
                gone.append(field)
            else:
                marks[place] = Handled(cast("bytes", how).decode())
        for start in range(0, len(gone), BATCH):
            self._redis.hdel(self._keys.handled_letters(log), *gone[start : start + BATCH])
        return marks

    def mark(self, log: str, places: Iterable[Place], how: Handled) -> None:
        """Remember what was done with some letters. Doing so twice changes nothing."""
        left = iter(places)
        while batch := list(islice(left, BATCH)):
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.hset(self._keys.handled_letters(log), mapping={str(place): how.value for place in batch})
            pipeline.expire(self._keys.handled_letters(log), KEPT_SECONDS)
            pipeline.execute()
