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
        for gone, invalid_gone in self._reads:
            if latest - gone < self._records:
                break
            latest -= gone
            latest_invalid -= invalid_gone
        return invalid > 0 and latest >= self._records and latest_invalid > self._share * latest

    def took(self, read: int, invalid: int) -> None:
        """Count an accepted read. A read that is repeated before it is accepted counts once."""
        if not read:
            return
        self._reads.append((read, invalid))
        self._read += read
        self._invalid += invalid
        while self._read - self._reads[0][0] >= self._records:
            gone, invalid_gone = self._reads.popleft()
            self._read -= gone
            self._invalid -= invalid_gone

    def forget(self) -> None:
        """Reset, after an operator has examined the records."""
        self._reads.clear()
        self._read = self._invalid = 0
