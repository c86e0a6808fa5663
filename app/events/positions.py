"""How far each topic was taken over. A topic is known by its id, not by its name: one that was made anew is another one.

Positions are fields of one hash for each cluster, group and name, and so is the id of the topic that they are of. Whoever takes
records over says which topic it means, and is refused when the hash is about another (``accept_chunk.lua``).
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

NO_ID: TopicId = ""  # brokers before Kafka 2.8, and the embedded one, give topics none
_TOPIC_ID, _BEGUN, _ADMITTED = b"topic-id", b"begun", "admitted:"


class Beginning(StrEnum):
    """How it came that a topic is read from its beginning."""

    FIRST = "first"  # nobody read it before
    LOST = "lost"  # it was read before, but Redis lost all that it knew
    ANEW = "anew"  # the topic of this name is another than before


class Progress(NamedTuple):
    """What is known of a topic: its id, how it was begun (None: not noted), and of each partition the next offset to be taken.

    Invalid records below the offsets in ``admitted`` become dead letters, however many they are: an operator said so.
    """

    topic_id: TopicId = NO_ID
    begun: Beginning | None = None
    offsets: Mapping[Partition, Offset] = {}
    admitted: Mapping[Partition, Offset] = {}

    @property
    def is_known(self) -> bool:
        """Whether anything is noted of the topic."""
        return self.begun is not None or bool(self.offsets)

    def is_of(self, topic_id: TopicId) -> bool:
        """Whether this is about the topic with this id. What the version before noted, or a broker without ids, fits any."""
        return self.topic_id in {NO_ID, topic_id}


class Start(NamedTuple):
    """Where a partition is read from: the position that was found (None: none), the one to be set, and how much is missing.

    ``lost`` records between the two were never taken, or what they told is gone, and Kafka has them no longer.
    """

    partition: Partition
    found: Offset | None
    position: Offset
    lost: int = 0


class Positions:
    """Progress by source (see ``consumers.kafka.clients.source_name``).

    Raises DependencyUnavailable when Redis does not answer.
    """

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)
        self._begin = load_script(client, Path(__file__).parent / "begin_topic.lua")

    def of(self, source: str) -> Progress:
        """What is known of a source."""
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
        """Note which topic a source is and where its partitions are read from, and in the same step what is lost thereby.

        ``previous`` is the id that was noted before; what was noted of another topic than this is forgotten. With ``is_loss``
        the whole state was lost. False, and nothing is noted, where another bridge was faster: look again.
        """
        arguments: list[str | int] = [topic_id, previous, begun.value, int(is_loss)]
        for each in starts:
            arguments += [each.partition, "" if each.found is None else each.found, each.position, each.lost]
        keys = [self._keys.positions(source), self._keys.loss()]
        return bool(self._begin(keys, arguments))

    def admit(self, source: str, ends: Mapping[Partition, Offset]) -> None:
        """Let invalid records below these offsets become dead letters, however many there are."""
        if ends:
            fields: dict[Any, Any] = {f"{_ADMITTED}{partition}": end for partition, end in ends.items()}
            self._redis.hset(self._keys.positions(source), mapping=fields)
