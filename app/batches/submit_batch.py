"""Submits a batch: checks the listed students, and stores the batch for tasks to compute."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

import msgspec

from app.batches.batch import BatchOrder, Item, Kind, ListedStudent, Priority, Rejection
from app.batches.batch_kinds import NO_EVIDENCE
from app.batches.batch_store import BatchKey, BatchStore
from app.batches.receiver import URL_RULE, is_refused_host, place
from app.batches.webhook_secrets import WebhookSecrets
from app.clock import day_number
from app.config.batch_settings import Network
from app.errors import AccessDenied, InvalidFields, InvalidInput
from app.identifiers import Identifier
from app.mastery.formula import Components, Weights
from app.mastery.query_mastery import retained_day
from app.mastery.stores import MasteryStores
from app.security.access import Action, Principal, require_cohort_access, require_student_access, require_tenant_access

Listed: TypeAlias = Identifier | ListedStudent
LISTED_ALREADY = "is listed already, at "  # followed by the position of the first, from 0


class BatchRequest(NamedTuple):
    """What a caller asks for.

    Exactly one of ``students`` (decoded JSON: ids or objects), ``cohort_id`` and ``all`` says for whom. ``on`` is a day that is
    retained, by default today. ``body`` identifies the request: the same id with another body is a conflict.
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


class NoValidStudent(InvalidFields):
    """No listed student is valid."""


def submit_batch(
    request: BatchRequest,
    caller: Principal,
    actor: Sequence[str],
    *,
    stores: MasteryStores,
    batches: BatchStore,
    now: datetime,
) -> bool:
    """Store a batch. It is not enqueued yet. ``actor`` is the caller, signed for the tasks.

    Students of a cohort and of a tenant are found by a task, so this takes the same time for any number of them.
    Raises AccessDenied if the caller may not see the cohort or the tenant, BatchTaken, OverBatchQuota, InvalidInput about the
    day, and NoValidStudent.

    Returns:
        Whether the batch is new; False if the same request stored it before.
    """
    today = day_number(now)
    day = today if request.on is None else retained_day(request.on, today, stores.facts.retention_days, "as_of")
    items, rejected = _selected(request, caller, stores)
    order = BatchOrder(
        kind=request.kind,
        day=day,
        weights=request.weights,
        priority=request.priority,
        cohort_id=request.cohort_id,
        all=request.all,
        owner=caller.identity,
        actor=list(actor),
        callback_url=request.callback_url,
    )
    print_ = blake2b(caller.identity.encode() + b"\0" + request.body, digest_size=16).digest()
    return batches.create(BatchKey(caller.tenant, request.batch_id), order, print_, now, items=items, rejected=rejected)


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
    items, rejected = check_students(request.students, caller, stores)
    if not items:
        raise NoValidStudent(*(InvalidInput(f"students.{each.index}", each.reason) for each in rejected))
    return items, rejected


def check_students(students: Sequence[Any], caller: Principal, stores: MasteryStores) -> tuple[list[Item], list[Rejection]]:
    """Check each listed student: its form, that it is listed once, and that the caller may see it.

    A student without facts is rejected too, unless its components are given. A teacher gets the same reason for a student who
    does not exist and for one of another class.

    Returns:
        The valid ones, and the rejected ones, in the order of the list.
    """
    rejected: list[Rejection] = []
    first: dict[str, int] = {}
    valid: list[tuple[int, Item]] = []
    for index, each in enumerate(_converted(students)):
        if isinstance(each, Rejection):
            rejected.append(Rejection(index, each.reason))
            continue
        item = Item(each) if isinstance(each, str) else Item(each.student_id, _components(each))
        if (earlier := first.setdefault(item.student_id, index)) != index:
            rejected.append(Rejection(index, f"{LISTED_ALREADY}{earlier}"))
            continue
        valid.append((index, item))
    cohorts = stores.facts.cohorts_of(caller.tenant, [item.student_id for _, item in valid])
    items = []
    for index, item in valid:
        reason = _refusal(item, caller, cohorts)
        if reason is None:
            items.append(item)
        else:
            rejected.append(Rejection(index, reason))
    return items, sorted(rejected, key=lambda each: each.index)


def _converted(students: Sequence[Any]) -> Sequence[str | ListedStudent | Rejection]:
    """The students as types, at once if all are valid; an invalid one becomes a rejection."""
    try:
        return msgspec.convert(students, list[Listed])
    except msgspec.ValidationError:
        return [_one(each) for each in students]


def _one(student: Any) -> str | ListedStudent | Rejection:
    try:
        return msgspec.convert(student, Listed)  # type: ignore[no-any-return]  # a union is not a type for mypy
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        field = path.strip(".`")
        return Rejection(0, f"{field}: {reason}" if field else reason)


def _components(listed: ListedStudent) -> Components | None:
    given = listed.components
    return None if given is None else Components(given.completion, given.quiz, given.quality, given.consistency)


def _refusal(item: Item, caller: Principal, cohorts: Mapping[str, str | None]) -> str | None:
    """Why the student may not be part of the caller's batch; None if it may."""
    try:
        require_student_access(caller, Action.CREATE_BATCH, item.student_id, lambda: cohorts.get(item.student_id))
    except AccessDenied as error:
        return str(error)
    is_known = item.student_id in cohorts or item.components is not None
    return None if is_known else NO_EVIDENCE
