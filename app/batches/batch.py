"""What a batch is: its order, its state and its progress. Pure.

A batch computes one thing for many students. Its students are split into chunks, and tasks compute a chunk at a time.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from app.clock import Day
from app.identifiers import Identifier
from app.mastery.evidence import Fraction
from app.mastery.formula import Components, Weights

MAX_STUDENTS = 10_000  # listed in a request: 1 MB with components
# Students per chunk. At 0.1 ms each, another task waits 25 ms for a worker process, and the round trips of a chunk cost little.
CHUNK_STUDENTS = 250


class Priority(StrEnum):
    """How urgent a batch is; each priority has a queue."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class BatchStatus(StrEnum):
    """The state of a batch. All but the first two are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTLY_FAILED = "partly_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self not in {BatchStatus.QUEUED, BatchStatus.RUNNING}


class CallbackState(StrEnum):
    """Whether the end of a batch was announced at its ``callback_url``. All but the first are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"


class Kind(StrEnum):
    """What a batch can compute; ``batch_kinds.py`` says how."""

    MASTERY = "mastery"
    PREDICTION = "prediction"


class GivenComponents(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Components from which a student's mastery is computed instead of from the facts; each 0..1, None: no evidence."""

    completion: Fraction | None = None
    quiz: Fraction | None = None
    quality: Fraction | None = None
    consistency: Fraction | None = None


class ListedStudent(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A student as listed in a request."""

    student_id: Identifier
    components: GivenComponents | None = None


class Item(Struct, frozen=True, array_like=True, gc=False):
    """A student of a batch, and the components to use instead of the student's facts.

    A student who was erased leaves an item without an id: the others keep their positions.
    """

    student_id: str
    components: Components | None = None

    @property
    def is_erased(self) -> bool:
        return not self.student_id


class BatchOrder(Struct, frozen=True, kw_only=True):
    """What is to be computed, for whom, and who asked.

    Attributes:
        kind: what to compute.
        day: the day for which it is computed.
        weights: of the four components; of predictions, the default ones.
        threshold: predictions below it need an intervention, 0..1.
        priority: how urgent it is.
        cohort_id: compute for the students of this cohort, as of the moment when a task resolves it.
        all: compute for all students of the tenant, likewise. Without both, the students were listed.
        owner: the identity of the caller.
        actor: the caller, signed for the audit trail of the tasks.
        callback_url: where to announce the end of the batch; "" for nowhere.
    """

    kind: Kind = Kind.MASTERY
    day: Day
    weights: Weights
    threshold: float = 0.5
    priority: Priority = Priority.NORMAL
    cohort_id: str | None = None
    all: bool = False
    owner: str
    actor: Sequence[str] = ()
    callback_url: str = ""


class BatchKey(NamedTuple):
    """A batch of a tenant."""

    tenant: str
    batch_id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.batch_id}"

    @classmethod
    def parse(cls, text: str) -> "BatchKey":
        """The key that ``str`` wrote."""
        tenant, _, batch_id = text.partition("/")
        return cls(tenant, batch_id)


class Rejection(Struct, frozen=True, gc=False):
    """A listed student who is not part of the batch: the position in the list, from 0, and why."""

    index: int
    reason: str


class Summary(Struct, frozen=True, kw_only=True):
    """Statistics of the scores of a batch. ``standard_deviation`` is that of the population; ``levels`` has counts."""

    mean: float
    median: float
    standard_deviation: float
    lower_quartile: float
    upper_quartile: float
    levels: dict[str, int]


class Summarized(NamedTuple):
    """A summary and what it was computed from.

    Attributes:
        summary: None if there are too few results.
        basis: the version of the students' decisions about ``cohort_statistics``.
        erased: how many students of the batch were erased before.
    """

    summary: Summary | None
    basis: str
    erased: int


class Batch(Struct, frozen=True, kw_only=True):
    """A batch and its state. Moments are UTC.

    ``total`` is None until a task has resolved the students, ``callback`` if nothing is to be announced. Students who were
    erased count in ``total`` and ``erased`` only. ``summary_basis`` is the version of the students'
    decisions on which the summary is based, empty without one.
    """

    batch_id: str
    order: BatchOrder
    status: BatchStatus
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    total: int | None = None
    succeeded: int = 0
    failed: int = 0
    erased: int = 0
    reason: str = ""
    summary: Summary | None = None
    summary_basis: str = ""
    callback: CallbackState | None = None

    @property
    def done(self) -> int:
        """The number of students that need no computing any more: they succeeded, failed, or were erased."""
        return self.succeeded + self.failed + self.erased


class Progress(NamedTuple):
    """The share that is done (0..1, None if unknown), students per second, and the estimated seconds left."""

    share: float | None
    rate: float | None
    seconds_left: float | None


def progress(batch: Batch, now: datetime) -> Progress:
    """How far a batch is, and how fast. The rate is the mean since its start; without it, nothing is estimated."""
    share = None if batch.total is None else 1.0 if batch.total == 0 else batch.done / batch.total
    if batch.started is None:
        return Progress(share, None, None)
    seconds = ((batch.finished or now) - batch.started).total_seconds()
    if seconds <= 0 or not batch.done:
        return Progress(share, None, None)
    rate = batch.done / seconds
    left = None if batch.total is None or batch.finished is not None else (batch.total - batch.done) / rate
    return Progress(share, rate, left)


def outcome(succeeded: int, failed: int) -> BatchStatus:
    """The final status of a batch whose students are all computed."""
    if not failed:
        return BatchStatus.SUCCEEDED
    return BatchStatus.PARTLY_FAILED if succeeded else BatchStatus.FAILED


def moment(milliseconds: int) -> datetime:
    """A stored time, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
