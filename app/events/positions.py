"""Positions: how far the records of each topic were accepted. Topics are identified by id, since a name may be recreated.

A hash per cluster, group and topic name holds the positions and the topic's id. ``accept_chunk.lua`` rejects records if the
caller's topic id is not the stored one.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

import redis

from app.storage.keys import Keys
from app.storage.scripts import load_script

Partition: TypeAlias = int
Offset: TypeAlias = int
TopicId: TypeAlias = str

NO_ID: TopicId = ""  # brokers before Kafka 2.8 and the embedded broker assign no topic ids
_TOPIC_ID, _BEGUN, _ADMITTED = b"topic-id", b"begun", "admitted:"


class Beginning(StrEnum):
    """Why a topic is read from its beginning."""

    FIRST = "first"  # it was never read before
    LOST = "lost"  # it was read before, but Redis lost its state
    ANEW = "anew"  # the topic was deleted and recreated


class Progress(NamedTuple):
    """The progress in a topic: its id, why it was begun (None: unknown), and the next offset to accept of each partition.

    Below the offsets in ``admitted``, an operator allowed any number of invalid records to become dead letters.
    """

    topic_id: TopicId = NO_ID
    begun: Beginning | None = None
    offsets: Mapping[Partition, Offset] = {}
    admitted: Mapping[Partition, Offset] = {}

    @property
    def is_known(self) -> bool:
        """Whether any progress is stored."""
        return self.begun is not None or bool(self.offsets)

    def is_of(self, topic_id: TopicId) -> bool:
        """Whether this is the progress of the topic with this id. Progress stored without an id matches any topic."""
        return self.topic_id in {NO_ID, topic_id}


class Start(NamedTuple):
    """The start of a partition: the stored position that was ``found`` (None: none), and the new ``position``.

    ``lost`` is the number of records that Kafka no longer has and that were never accepted, or whose evidence Redis lost.
    """

    partition: Partition
    found: Offset | None
    position: Offset
    lost: int = 0


class Positions:
    """Progress by source (``consumers.kafka.clients.source_name``). Raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._begin = load_script(client, Path(__file__).parent / "begin_topic.lua")

    def of(self, source: str) -> Progress:
        """The progress of a source."""
        fields = cast("dict[bytes, bytes]", self._redis.hgetall(self._keys.positions(source)))
        begun = fields.get(_BEGUN)
        admitted = _ADMITTED.encode()
        return Progress(
            fields.get(_TOPIC_ID, b"").decode(),
            Beginning(begun.decode()) if begun else None,
            {int(name): int(value) for name, value in fields.items() if name.isdigit()},
            {int(name.removeprefix(admitted)): int(value) for name, value in fields.items() if name.startswith(admitted)},
        )

    def begin(
        self, source: str, topic_id: TopicId, begun: Beginning, starts: Sequence[Start], *, previous: TopicId, is_loss: bool
    ) -> bool:
        """Store a source's topic id and start positions, and atomically the records lost thereby.

        ``previous`` is the stored topic id; progress of another topic is deleted. ``is_loss``: the whole state was lost.

        Returns:
            True if stored; False if another bridge was faster, so the progress must be read again.
        """
        arguments: list[str | int] = [topic_id, previous, begun.value, int(is_loss)]
        for each in starts:
            arguments += [each.partition, "" if each.found is None else each.found, each.position, each.lost]
        keys = [self._keys.positions(source), self._keys.loss()]
        return bool(self._begin(keys, arguments))

    def admit(self, source: str, ends: Mapping[Partition, Offset]) -> None:
        """Allow any number of invalid records below these offsets to become dead letters."""
        if ends:
            fields: dict[Any, Any] = {f"{_ADMITTED}{partition}": end for partition, end in ends.items()}
            self._redis.hset(self._keys.positions(source), mapping=fields)
