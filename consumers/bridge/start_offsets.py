"""From which offset the bridge reads a partition it was assigned, and which records are missing. No I/O."""

from typing import NamedTuple

from app.events.positions import NO_ID, Beginning, Offset, Progress, TopicId
from consumers.kafka.record_reader import Bounds


class Found(NamedTuple):
    """What Kafka and Redis know about a topic."""

    topic_id: TopicId
    progress: Progress
    was_read: bool  # the group has committed offsets, or this bridge has read the topic
    has_state: bool  # Redis has positions, or has counted a record

    @property
    def begun(self) -> Beginning:
        """How reading the topic began, or begins now."""
        if not self.progress.is_known:
            return Beginning.LOST if self.was_read and not self.has_state else Beginning.FIRST
        if not self.progress.is_of(self.topic_id):
            return Beginning.ANEW
        return self.progress.begun or Beginning.FIRST  # earlier versions did not store it

    @property
    def is_news(self) -> bool:
        """Whether the topic's id is not stored yet."""
        return not self.progress.is_known or self.progress.topic_id != self.topic_id

    @property
    def is_identified(self) -> bool:
        """Whether the stored positions certainly belong to this topic."""
        return self.topic_id != NO_ID and self.progress.topic_id == self.topic_id

    def stored(self, partition: int) -> Offset | None:
        """The stored position of a partition of this topic."""
        return self.progress.offsets.get(partition) if self.progress.is_of(self.topic_id) else None


class Place(NamedTuple):
    """The position to read from. Records from ``missing`` up to it are no longer in Kafka (None: nothing is missing)."""

    position: Offset
    missing: Offset | None = None
    remark: str = ""


def place_of(found: Found, stored: Offset | None, bounds: Bounds, *, is_committed: bool) -> Place:
    """Where to read a partition from that holds ``bounds`` and whose stored position is ``stored``."""
    low, high = bounds
    beginning = Place(low, 0 if low else None)
    if stored is None:
        return Place(low) if found.begun is Beginning.FIRST else beginning
    if stored > high and found.is_identified:
        # Kafka may have rewritten any of the offsets below. Records it no longer has were taken already.
        return Place(low, remark=f"Kafka lost records: it ends at {high}, and was read up to {stored}; all of it is read again")
    if not found.is_identified and (stored > high or (stored > low and not is_committed)):
        # Without topic ids, this indicates a recreated topic: Kafka deletes a topic's committed offsets with the topic.
        return beginning._replace(remark=f"begins anew: its position {stored} is of a topic that is gone")
    if stored < low:
        return Place(low, stored)
    return Place(stored)
