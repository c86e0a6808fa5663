"""Submits a batch: checks the listed students, and stores the batch for tasks to compute."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

import msgspec

from app.batches.batch import BatchKey, BatchOrder, BatchStatus, Item, Kind, ListedStudent, Priority, Rejection
from app.batches.batch_errors import ErasedMeanwhile
from app.batches.batch_kinds import NO_EVIDENCE
from app.batches.batch_store import BatchStore
from app.batches.receiver import URL_RULE, is_refused_host, place
from app.batches.webhook_secrets import WebhookSecrets
from app.clock import Day, day_number
from app.config.batch_settings import Network
from app.errors import InvalidFields, InvalidInput
from app.identifiers import IDENTIFIER_RULE, Identifier, is_identifier
from app.mastery.formula import DEFAULT_WEIGHTS, Components, Weights
from app.mastery.query_mastery import retained_day
from app.mastery.stores import MasteryStores
from app.security.access import (
    UNSEEN_STUDENT,
    Action,
    Principal,
    cohorts_in_reach,
    require_cohort_access,
    require_tenant_access,
)

Listed: TypeAlias = Identifier | ListedStudent
# How often the listed students are checked, if others are erased from the tenant meanwhile: each time takes 50 ms at most.
MAX_CHECKS = 5
COMPONENTS_GIVEN = "components: cannot be given for predictions, which need the facts"
LISTED_ALREADY = "is listed already, at "  # followed by the position of the first, from 0


class BatchRequest(NamedTuple):
    """What a caller asks for.

    Exactly one of ``students`` (decoded JSON: ids or objects), ``cohort_id`` and ``all`` says for whom. ``on`` is a day that is
    retained, by default today. Predictions below ``threshold`` need an intervention. ``body`` identifies the request: the same
    id with another body is a conflict.
    """

    batch_id: str
    body: bytes
    weights: Weights
    students: Sequence[Any] | None = None
    cohort_id: str | None = None
    all: bool = False
    kind: Kind = Kind.MASTERY
    priority: Priority = Priority.NORMAL
    on: date | None = None
    callback_url: str = ""
    threshold: float = 0.5


class NoValidStudent(InvalidFields):
    """No listed student is valid."""


class Submitted(NamedTuple):
    """The stored batch: whether it is new, its students (None: a task has to find them), and who is not part of it."""

    is_new: bool
    total: int | None
    rejected: Sequence[Rejection]
    status: BatchStatus


def submit_batch(
    request: BatchRequest,
    caller: Principal,
    actor: Sequence[str],
    *,
    stores: MasteryStores,
    batches: BatchStore,
    now: datetime,
) -> Submitted:
    """Store a batch. It is not enqueued yet. ``actor`` is the caller, signed for the tasks.

    Students of a cohort and of a tenant are found by a task, so this takes the same time for any number of them. A request that
    stored its batch before is not checked again, since students and days may have changed.
    Raises AccessDenied if the caller may not see the cohort or the tenant, BatchTaken, OverBatchQuota, TooManyBatches,
    InvalidInput about the day or weights, and NoValidStudent.

    Returns:
        The batch of the request.

    Raises:
        ErasedMeanwhile: Students of the tenant were erased each time that the listed ones were checked.
    """
    key = BatchKey(caller.tenant, request.batch_id)
    print_ = blake2b(caller.identity.encode() + b"\0" + request.body, digest_size=16).digest()
    if batches.exists(key, print_):
        return stored_batch(key, batches)
    today = day_number(now)
    day = today if request.on is None else retained_day(request.on, today, stores.facts.retention_days, "as_of")
    order = _order(request, caller, actor, day)
    for _ in range(MAX_CHECKS):
        erasures = batches.erasures(key.tenant)
        items, rejected = _selected(request, caller, stores)
        with suppress(ErasedMeanwhile):  # a listed student may have been erased after the check
            is_new = batches.create(key, order, print_, now, items=items, rejected=rejected, erasures=erasures)
            total = None if items is None else len(items)
            new = Submitted(is_new=True, total=total, rejected=rejected, status=BatchStatus.QUEUED)
            return new if is_new else stored_batch(key, batches)
    raise ErasedMeanwhile


def _order(request: BatchRequest, caller: Principal, actor: Sequence[str], day: Day) -> BatchOrder:
    if request.kind is not Kind.MASTERY and request.weights != DEFAULT_WEIGHTS:
        raise InvalidInput("weights", "can be given for mastery only")
    return BatchOrder(
        kind=request.kind,
        day=day,
        weights=request.weights,
        threshold=request.threshold,
        priority=request.priority,
        cohort_id=request.cohort_id,
        all=request.all,
        owner=caller.identity,
        actor=list(actor),
        callback_url=request.callback_url,
    )


def stored_batch(key: BatchKey, batches: BatchStore) -> Submitted:
    """A batch that was stored before. Raises NotFound."""
    batch = batches.read(key)
    return Submitted(is_new=False, total=batch.total, rejected=batches.rejected(key), status=batch.status)


def check_callback(url: str, tenant: str, *, secrets: WebhookSecrets, private_networks: Sequence[Network]) -> None:
    """Check that the end of a batch can be announced at a URL of the right form. A name is resolved only when it ends.

    Raises:
        InvalidInput: The host is an address that is refused, or nothing would sign the message.
    """
    to = place(url)
    if to is None or is_refused_host(to.host, private_networks):
        raise InvalidInput("callback_url", "must be at a public address" if to else URL_RULE)
    if not secrets.of(tenant):
        command = f"mastery webhook-secret create --tenant {tenant}"
        raise InvalidInput("callback_url", f"needs a secret that signs the message: an operator creates it with `{command}`")


def _selected(request: BatchRequest, caller: Principal, stores: MasteryStores) -> tuple[list[Item] | None, list[Rejection]]:
    """The listed students and the rejected ones; None if a task has to find the students."""
    if request.students is None:
        if request.all:
            require_tenant_access(caller, Action.CREATE_BATCH)
        else:
            require_cohort_access(caller, Action.CREATE_BATCH, str(request.cohort_id))
        return None, []
    items, rejected = check_students(request.students, caller, stores, request.kind)
    if not items:
        raise NoValidStudent(*(InvalidInput(f"students.{each.index}", each.reason) for each in rejected))
    return items, rejected


def check_students(
    students: Sequence[Any], caller: Principal, stores: MasteryStores, kind: Kind = Kind.MASTERY
) -> tuple[list[Item], list[Rejection]]:
    """Check each listed student: its form, that it is listed once, and that the caller may see it.

    A student without facts is rejected too, unless its components are given. A teacher gets the same reason for a student who
    does not exist and for one of another class.

    Returns:
        The valid ones, and the rejected ones, in the order of the list.
    """
    rejected: list[Rejection] = []
    valid: dict[int, Item] = {}
    for index, each in enumerate(_converted(students)):
        if isinstance(each, Rejection):
            rejected.append(Rejection(index, each.reason))
        else:
            valid[index] = Item(each) if isinstance(each, str) else Item(each.student_id, _components(each))
    cohorts = stores.facts.cohorts_of(caller.tenant, list({item.student_id for item in valid.values()}))
    may_see = cohorts_in_reach(caller, Action.CREATE_BATCH)
    accepted: dict[str, int] = {}
    items = []
    for index, item in valid.items():
        student_id = item.student_id
        if not may_see(cohorts.get(student_id)):
            rejected.append(Rejection(index, UNSEEN_STUDENT))
        elif item.components is not None and kind is not Kind.MASTERY:
            rejected.append(Rejection(index, COMPONENTS_GIVEN))
        elif item.components is None and student_id not in cohorts:
            rejected.append(Rejection(index, NO_EVIDENCE))
        elif (earlier := accepted.setdefault(student_id, index)) != index:
            rejected.append(Rejection(index, f"{LISTED_ALREADY}{earlier}"))
        else:
            items.append(item)
    return items, sorted(rejected, key=lambda each: each.index)


def _converted(students: Sequence[Any]) -> Sequence[str | ListedStudent | Rejection]:
    """The students as types, at once if all are valid; an invalid one becomes a rejection."""
    try:
        return msgspec.convert(students, list[Listed])
    except msgspec.ValidationError:
        return [_one(each) for each in students]


def _one(student: Any) -> str | ListedStudent | Rejection:
    if isinstance(student, str):
        return student if is_identifier(student) else Rejection(0, IDENTIFIER_RULE)
    if not isinstance(student, dict):
        return Rejection(0, "must be an id, or an object with student_id")
    try:
        return msgspec.convert(student, ListedStudent)
    except msgspec.ValidationError as error:
        return Rejection(0, _reason(str(error)))


def _reason(error: str) -> str:
    """Why a student is invalid, without anything that the caller wrote: it would be stored."""
    if error.startswith("Object contains unknown field"):
        return "has an unknown field"
    reason, _, path = error.partition(" - at `$.")
    if "regex" in reason:
        reason = IDENTIFIER_RULE
    return f"{path.rstrip('`')}: {reason}" if path else reason


def _components(listed: ListedStudent) -> Components | None:
    given = listed.components
    return None if given is None else Components(given.completion, given.quiz, given.quality, given.consistency)
