"""Detects a broken producer by the share of invalid records among the latest ones. Pure computation."""

from collections import deque


class PoisonGuard:
    """Trips if the share of invalid records among the latest ``records`` or more exceeds ``share``.

    The caller excludes records that an operator replayed or admitted.
    """

    def __init__(self, share: float, records: int) -> None:
        self._share = share
        self._records = records
        self._reads: deque[tuple[int, int]] = deque()
        self._read = self._invalid = 0

    def trips(self, read: int, invalid: int) -> bool:
        """Check a read of records, without counting it.

        Returns:
            Whether the share of invalid records would be too high. A read without invalid records never trips.
        """
        latest, latest_invalid = self._read + read, self._invalid + invalid
        for old_read, old_invalid in self._reads:
            if latest - old_read < self._records:
                break
            latest -= old_read
            latest_invalid -= old_invalid
        return invalid > 0 and latest >= self._records and latest_invalid > self._share * latest

    def took(self, read: int, invalid: int) -> None:
        """Count an accepted read. A read that is repeated before it is accepted counts once."""
        if not read:
            return
        self._reads.append((read, invalid))
        self._read += read
        self._invalid += invalid
        while self._read - self._reads[0][0] >= self._records:
            old_read, old_invalid = self._reads.popleft()
            self._read -= old_read
            self._invalid -= old_invalid

    def forget(self) -> None:
        """Reset, after an operator has examined the records."""
        self._reads.clear()
        self._read = self._invalid = 0
