"""Formats batches for operators: a table, how a batch ended, and rejected lines."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from app.batches.batch import Batch, BatchStatus, Rejection, progress
from app.batches.submit_batch import LISTED_ALREADY
from app.clock import day_date

UNKNOWN = "-"


def table(batches: Iterable[Batch]) -> Table:
    """Batches for a terminal."""
    view = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    view.add_column("batch", no_wrap=True)
    view.add_column("created (UTC)", no_wrap=True)
    for heading in ("status", "priority", "of", "as of"):
        view.add_column(heading, no_wrap=True)
    for heading in ("students", "done", "failed"):
        view.add_column(heading, justify="right")
    for each in batches:
        order = each.order
        whose = "all" if order.all else f"cohort {order.cohort_id}" if order.cohort_id else "listed"
        cells = [each.batch_id, f"{each.created:%Y-%m-%d %H:%M:%S}", _words(each.status), order.priority.value, whose]
        cells += [day_date(order.day).isoformat(), _count(each.total), f"{each.done:,}", f"{each.failed:,}"]
        view.add_row(*map(Text, cells))
    return view


def ending(batch: Batch, now: datetime) -> Iterator[str]:
    """How a batch ended, line by line."""
    because = f": {batch.reason}" if batch.reason else ""
    yield f"batch {batch.batch_id} {_words(batch.status)}{because}"
    if batch.total is not None:
        left = f", {batch.total - batch.done:,} not computed" if batch.total > batch.done else ""
        erased = f", {batch.erased:,} erased" if batch.erased else ""
        yield f"students: {batch.total:,}; {batch.succeeded:,} succeeded, {batch.failed:,} failed{erased}{left}"
    if batch.started and batch.finished:
        rate = progress(batch, now).rate
        pace = "" if rate is None else f", {rate:,.0f} students/s"
        yield f"time: {(batch.finished - batch.started).total_seconds():,.1f} s{pace}"
    if found := batch.summary:
        yield (
            f"mastery: mean {found.mean:.3f}, median {found.median:.3f}, standard deviation {found.standard_deviation:.3f}, "
            f"quartiles {found.lower_quartile:.3f} and {found.upper_quartile:.3f}"
        )
        yield "levels: " + ", ".join(f"{count:,} {level}" for level, count in found.levels.items())


def still_runs(batch: Batch) -> str:
    """That a batch has not ended, and how far it is."""
    done = f"{batch.done:,} of {_count(batch.total)} students are done"
    return f"the batch still runs: {done}; `mastery batch watch` waits until it ends"


def rejected_lines(rejected: Iterable[Rejection], lines: Sequence[int]) -> Iterator[str]:
    """The rejected students by their lines in the file; ``lines`` has the line of each student of the list."""
    for each in rejected:
        reason = each.reason
        if reason.startswith(LISTED_ALREADY):
            earlier = int(reason.removeprefix(LISTED_ALREADY))
            reason = f"{LISTED_ALREADY}line {lines[earlier]}"
        yield f"line {lines[each.index]}: {reason}"


def _words(status: BatchStatus) -> str:
    return status.value.replace("_", " ")


def _count(total: int | None) -> str:
    return UNKNOWN if total is None else f"{total:,}"
