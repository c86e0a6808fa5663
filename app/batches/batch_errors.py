"""Why a batch cannot be stored."""

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
