"""Where a partition is read from when the bridge takes it up, and what is missing there: a judgement without I/O."""

from typing import NamedTuple

from app.events.positions import NO_ID, Beginning, Offset, Progress, TopicId
from consumers.kafka.record_reader import Bounds


class Found(NamedTuple):
    """What is found of a topic: its id, what Redis knows of it, and whether there are signs that it was read before.

    ``was_read``: the group has committed offsets, or this very bridge has read it. ``has_state``: Redis knows of any record.
    """

    topic_id: TopicId
    progress: Progress
    was_read: bool
    has_state: bool

    @property
    def begun(self) -> Beginning:
        """How the topic was begun, or is now."""
        if not self.progress.is_known:
            return Beginning.LOST if self.was_read and not self.has_state else Beginning.FIRST
        if not self.progress.is_of(self.topic_id):
            return Beginning.ANEW
        return self.progress.begun or Beginning.FIRST  # what the version before noted: it did not say

    @property
    def is_news(self) -> bool:
        """Whether this is not noted yet."""
        return not self.progress.is_known or self.progress.topic_id != self.topic_id

    @property
    def is_identified(self) -> bool:
        """Whether it is certain that what is noted is about this topic."""
        return self.topic_id != NO_ID and self.progress.topic_id == self.topic_id

    def stored(self, partition: int) -> Offset | None:
        """The position that is noted of a partition of this topic."""
        return self.progress.offsets.get(partition) if self.progress.is_of(self.topic_id) else None


class Place(NamedTuple):
    """The position to read on from. Records from ``missing`` up to it are not in Kafka any more (None: nothing is missing)."""

    position: Offset
    missing: Offset | None = None
    remark: str = ""


def place_of(found: Found, stored: Offset | None, bounds: Bounds, *, is_committed: bool) -> Place:
    """Where a partition is read from, that holds ``bounds`` and for which ``stored`` is noted."""
    low, high = bounds
    beginning = Place(low, 0 if low else None)
    if stored is None:
        return Place(low) if found.begun is Beginning.FIRST else beginning
    if stored > high and found.is_identified:
        # Where the two part is not known. What is not there any more was taken.
        return Place(low, remark=f"Kafka lost records: it ends at {high}, and was read up to {stored}; all of it is read again")
    if not found.is_identified and (stored > high or (stored > low and not is_committed)):
        # Without ids this is how a topic that was made anew shows: Kafka deletes its committed offsets with the previous one.
        return beginning._replace(remark=f"begins anew: its position {stored} is of a topic that is gone")
    if stored < low:
        return Place(low, stored)
    return Place(stored)
