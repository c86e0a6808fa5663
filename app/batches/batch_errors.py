"""Why a batch, or something of it, cannot be stored."""

from app.errors import EngineError


class BatchTaken(EngineError):
    """The id belongs to a batch of another request."""

    def __str__(self) -> str:
        return "there is a batch with this id, of another request"


class OverBatchQuota(EngineError):
    """The tenant's stored batches have as many students as its quota allows."""

    def __init__(self, quota: int) -> None:
        super().__init__(quota)
        self.quota = quota

    def __str__(self) -> str:
        return f"the tenant's stored batches may have {self.quota:,} students; old ones are removed after a while"


class TooManyBatches(EngineError):
    """As many batches of the tenant run as its quota allows."""

    def __init__(self, quota: int) -> None:
        super().__init__(quota)
        self.quota = quota

    def __str__(self) -> str:
        return f"{self.quota:,} batches of the tenant may run at the same time; others are accepted when they have ended"


class ErasedMeanwhile(EngineError):
    """Students were erased from the tenant's batches after the caller had read what was to be stored: it must be read again."""

    def __str__(self) -> str:
        return "students of the tenant are being erased; try again"


def require_same(held: bytes, request: bytes) -> None:
    """Raise BatchTaken if a stored batch is of another request."""
    if held != request:
        raise BatchTaken


def require_room(quota: int, most: int, students: int, running: int) -> None:
    """Raise OverBatchQuota or TooManyBatches if so many students in stored batches, or so many batches that run, exceed it."""
    if students > quota:
        raise OverBatchQuota(quota)
    if running > most:
        raise TooManyBatches(most)


def require_stored(reply: int, quota: int, most: int = 0) -> None:
    """Raise what a script refused, because of something that happened since the caller looked."""
    match reply:
        case -1:
            raise BatchTaken
        case -2:
            raise OverBatchQuota(quota)
        case -3:
            raise TooManyBatches(most)
        case -4:
            raise ErasedMeanwhile
        case _:
            pass
