"""Reads the results of a batch, as far as the caller may see them now: by page, or all of them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey, Kind
from app.batches.batch_kinds import KINDS, NO_CONSENT, Row
from app.batches.batch_store import BatchStore
from app.consent.consent_store import ConsentStore
from app.errors import NotFound
from app.mastery.fact_store import FactStore
from app.roles import Role
from app.security.access import Action, Principal, cohorts_in_reach

# Chunks that one page looks at: 10,000 students. Few of them may have failed, if only those are asked for.
CHUNKS_PER_PAGE = 40
# Chunks that are read at once, when all results are: half a megabyte.
CHUNKS_PER_READ = 4


class ResultPage(NamedTuple):
    """Rows in the order of the batch, and the position from which the next page continues; None at the end.

    A page may have few rows or none although another one follows.
    """

    rows: list[Row]
    next: int | None


def result_page(
    batch: Batch,
    caller: Principal,
    *,
    batches: BatchStore,
    facts: FactStore,
    consents: ConsentStore,
    start: int = 0,
    limit: int,
    only_failed: bool = False,
) -> ResultPage:
    """Up to ``limit`` results from the position ``start``.

    The page of a batch that runs ends before the first chunk that is not computed; it can be asked for again from there.

    Returns:
        The page.
    """
    key, total = BatchKey(caller.tenant, batch.batch_id), batch.total or 0
    found: list[Row] = []
    position = start
    if batch.total is None and not batch.status.is_final:
        return ResultPage(found, position)
    for _ in range(CHUNKS_PER_PAGE):
        if position >= total:
            return ResultPage(found, None)
        number, offset = divmod(position, CHUNK_STUDENTS)
        rows = batches.rows(key, [number])[0]
        if rows is None and not batch.status.is_final:
            return ResultPage(found, position)
        chosen = [(at, row) for at, row in enumerate(rows or ()) if at >= offset and _is_asked(row, only_failed=only_failed)]
        seen = visible([row for _, row in chosen], caller, facts)
        now = _permitted(batch.order.kind, caller.tenant, [row for _, row in chosen if row.student_id in seen], consents)
        shown = list(zip([at for at, row in chosen if row.student_id in seen], now, strict=True))
        room = limit - len(found)
        found += [row for _, row in shown[:room]]
        if len(shown) > room:
            return ResultPage(found, number * CHUNK_STUDENTS + shown[room][0])
        position = (number + 1) * CHUNK_STUDENTS
    return ResultPage(found, position if position < total else None)


def all_results(
    batch: Batch,
    caller: Principal,
    *,
    batches: BatchStore,
    facts: FactStore,
    consents: ConsentStore,
    only_failed: bool = False,
) -> Iterator[list[Row]]:
    """All results of a batch that has ended, some at a time, in its order.

    Yields:
        Rows that the caller may see.

    Raises:
        NotFound: The batch was removed meanwhile, so that the results are incomplete.
    """
    key = BatchKey(caller.tenant, batch.batch_id)
    numbers = range(-(-(batch.total or 0) // CHUNK_STUDENTS))
    for first in numbers[::CHUNKS_PER_READ]:
        chunks = batches.rows(key, numbers[first : first + CHUNKS_PER_READ])
        rows = [row for chunk in chunks for row in chunk or () if _is_asked(row, only_failed=only_failed)]
        seen = visible(rows, caller, facts)
        if shown := [row for row in rows if row.student_id in seen]:
            yield _permitted(batch.order.kind, key.tenant, shown, consents)
    if batches.read(key).created != batch.created:
        raise NotFound("the batch was removed while its results were read")


def sees_every_result(batch: Batch, caller: Principal, *, batches: BatchStore, facts: FactStore) -> bool:
    """Whether the caller may see now the results of all students who succeeded.

    Returns:
        False if the summary of the batch and the results that the caller sees would tell those that the caller does not see.
    """
    key = BatchKey(caller.tenant, batch.batch_id)
    numbers = range(-(-(batch.total or 0) // CHUNK_STUDENTS))
    for first in () if caller.role is Role.ADMIN else numbers[::CHUNKS_PER_READ]:
        chunks = batches.rows(key, numbers[first : first + CHUNKS_PER_READ])
        succeeded = [row for chunk in chunks for row in chunk or () if not row.error]
        if len(visible(succeeded, caller, facts)) < len(succeeded):
            return False
    return True


def _permitted(kind: Kind, tenant: str, rows: list[Row], consents: ConsentStore) -> list[Row]:
    """The rows, without the results of students who do not allow the use of their data any more."""
    purpose = KINDS[kind].purpose
    if purpose is None:
        return rows
    allowed = consents.allowing(tenant, [row.student_id for row in rows], purpose)
    return [row if row.error or row.student_id in allowed else Row(row.student_id, NO_CONSENT) for row in rows]


def _is_asked(row: Row, *, only_failed: bool) -> bool:
    """Whether a caller asked for this row; for the place of an erased student nobody does."""
    return not row.is_erased and (bool(row.error) or not only_failed)


def visible(rows: Sequence[Row], caller: Principal, facts: FactStore) -> set[str]:
    """Which rows the caller may see now.

    A teacher no longer sees a student who left the teacher's cohorts; a failed one who has no facts any more is seen, since the
    row has nothing but the id that the teacher gave.

    Returns:
        The ids of their students.
    """
    may_see = cohorts_in_reach(caller, Action.READ_BATCH_RESULTS)
    cohorts = facts.cohorts_of(caller.tenant, [row.student_id for row in rows]) if caller.role is not Role.ADMIN else {}
    return {
        row.student_id for row in rows if may_see(cohorts.get(row.student_id)) or (row.error and row.student_id not in cohorts)
    }
