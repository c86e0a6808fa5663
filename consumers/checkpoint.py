"""Which offsets may be committed: those of records that no crash can lose any more."""

import logging
from collections.abc import Mapping
from threading import Event as Flag

from app.errors import DependencyUnavailable
from app.events.ledger import Checkpoint, Ledger, Offset, Partition

POLL_SECONDS = 0.05  # between looks at whether the dead letters were delivered
DELIVERY_SECONDS = 2.0  # then the positions are read anew

_log = logging.getLogger(__name__)


class Checkpoints:
    """Finds out, in a thread of its own, how far the source may be committed.

    A position may be when Redis confirmed that it is on its disk, and with it the chunk that was stored in the same step, and
    when the dead letters of the records before it are delivered.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._moved, self._stopped = Flag(), Flag()
        self._source = ""
        self._safe: tuple[str, Mapping[Partition, Offset]] = "", {}

    def moved(self, source: str) -> None:
        """Records of the source were taken: there is something to find out."""
        self._source = source
        self._moved.set()

    def safe(self, source: str) -> Mapping[Partition, Offset]:
        """The positions that may be committed, as far as it is known now."""
        of, positions = self._safe
        return positions if of == source else {}

    def run(self) -> None:
        """Find out, again and again, until ``stop`` is called."""
        while not self._stopped.is_set():
            if not self._moved.wait(POLL_SECONDS):
                continue
            self._moved.clear()
            source = self._source
            try:
                is_found = self.refresh(source)
            except DependencyUnavailable as error:
                _log.info("%s; offsets are committed later", error)
                is_found = False
            if not is_found:
                self._moved.set()
                self._stopped.wait(POLL_SECONDS)

    def stop(self) -> None:
        """Find out no more."""
        self._stopped.set()

    def refresh(self, source: str) -> bool:
        """Find out now. False when that takes too long. Raises DependencyUnavailable."""
        positions = self.find(source)
        if positions is not None:
            self._safe = source, positions
        return positions is not None

    def find(self, source: str) -> Mapping[Partition, Offset] | None:
        """The positions of now, once they may be committed; None when that takes too long. Raises DependencyUnavailable."""
        checkpoint = self._ledger.checkpoint(source)
        if checkpoint is None or not self._letters_delivered(checkpoint):
            return None
        return checkpoint.positions

    def _letters_delivered(self, checkpoint: Checkpoint) -> bool:
        looks = round(DELIVERY_SECONDS / POLL_SECONDS)
        until = checkpoint.last_letter
        while until is not None and self._ledger.letters_wait(until):
            looks -= 1
            if looks < 0 or self._stopped.wait(POLL_SECONDS):
                return False
        return True
