"""When most of what comes is invalid, the producer is broken, not the data: a pure judgement over the latest records."""

from collections import deque


class FloodGuard:
    """Watches the share of invalid records among the latest ones, at least ``records`` of them, and trips above ``share``.

    Once disarmed, it trips no more until the share has come down by itself: whoever said "go on" said so about the whole flood.
    """

    def __init__(self, share: float, records: int) -> None:
        self._share = share
        self._records = records
        self._reads: deque[tuple[int, int]] = deque()
        self._read = self._invalid = 0
        self._armed = True

    def trips(self, read: int, invalid: int) -> bool:
        """Whether a read of so many records, so many of them invalid, makes a flood of the latest ones."""
        self._reads.append((read, invalid))
        self._read += read
        self._invalid += invalid
        while self._read - self._reads[0][0] >= self._records:
            gone, invalid_gone = self._reads.popleft()
            self._read -= gone
            self._invalid -= invalid_gone
        flood = self._read >= self._records and self._invalid > self._share * self._read
        if not flood and self._read >= self._records:
            self._armed = True
        return flood and self._armed

    def disarm(self) -> None:
        """Let the flood pass."""
        self._armed = False

    def __str__(self) -> str:
        return f"{self._invalid} of the latest {self._read} records are invalid"
