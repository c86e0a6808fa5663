"""When most of what comes is invalid, the producer is broken, not the data: a pure judgement over the latest records."""

from collections import deque


class PoisonGuard:
    """Watches the share of invalid records among the latest ones, at least ``records`` of them, and trips above ``share``.

    Which records count is for the caller to say: not those that an operator has sent again, or has let pass.
    """

    def __init__(self, share: float, records: int) -> None:
        self._share = share
        self._records = records
        self._reads: deque[tuple[int, int]] = deque()
        self._read = self._invalid = 0

    def trips(self, read: int, invalid: int) -> bool:
        """Whether a read of so many records, so many of them invalid, makes poison of the latest ones. It changes nothing.

        One that has no invalid record may be taken, whatever was before it.
        """
        latest, latest_invalid = self._read + read, self._invalid + invalid
        for gone, invalid_gone in self._reads:
            if latest - gone < self._records:
                break
            latest -= gone
            latest_invalid -= invalid_gone
        return invalid > 0 and latest >= self._records and latest_invalid > self._share * latest

    def took(self, read: int, invalid: int) -> None:
        """Such a read was taken: it is among the latest from now on. What is read again without being taken counts once."""
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
        """Begin anew: what an operator has seen is not counted again."""
        self._reads.clear()
        self._read = self._invalid = 0
