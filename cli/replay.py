"""Feed events to a running stack with a progress bar, and say what became of them."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.audit.entry import Deed
from app.bootstrap import Engine, bootstrap
from app.settings import Settings
from cli.audit_notes import note
from cli.event_files import records, survey
from consumers.feed import feed, recorded, until


class Outcome(NamedTuple):
    """What became of the events of a run, and how long it took, from the first produced to the last recorded."""

    events: int
    applied: int
    duplicates: int
    expired: int
    dead_lettered: int
    seconds: float


def run(settings: Settings, path: Path, *, rate: int | None, shift_to_now: bool, console: Console) -> Outcome:
    """Feed a file and print what became of it. Raises InvalidInput for a file that cannot be read."""
    engine = bootstrap(settings)
    found = survey(path)
    shift = timedelta()
    if shift_to_now and found.newest is not None:
        shift = engine.clock().date() - timedelta(days=1) - found.newest
    outcome = stream(engine, records(path, shift), total=found.events, rate=rate, console=console)
    console.print(
        f"{outcome.events:,} events: {outcome.applied:,} applied, {outcome.duplicates:,} duplicates, "
        f"{outcome.expired:,} expired, {outcome.dead_lettered:,} dead-lettered, in {outcome.seconds:.1f} s",
        soft_wrap=True,
    )
    return outcome


def stream(
    engine: Engine, events: Iterable[tuple[bytes | None, bytes]], *, total: int, rate: int | None, console: Console
) -> Outcome:
    """Feed records and wait until every one of them is recorded."""
    note(engine, Deed.REPLAY_EVENTS, details={"events": total})
    before, ended, began = _counts(engine), recorded(engine), monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        produced = progress.add_task("events produced", total=total)
        done = progress.add_task("events recorded", total=total)

        def show(count: int) -> None:
            progress.advance(produced, count)
            progress.update(done, completed=min(recorded(engine) - ended, total))

        count = feed(engine, events, rate=rate, sent=show)
        until(
            lambda: recorded(engine) - ended >= count,
            lambda: recorded(engine),
            "the worker or the bridge",
            "stopped before every event was recorded; their logs say why",
        )
        progress.update(done, completed=count)
    applied, duplicates, expired, dead_lettered = (new - old for new, old in zip(_counts(engine), before, strict=True))
    return Outcome(count, applied, duplicates, expired, dead_lettered, monotonic() - began)


def _counts(engine: Engine) -> tuple[int, int, int, int]:
    totals = [engine.mastery.totals(tenant) for tenant in engine.mastery.tenants()]
    return (
        sum(each.applied for each in totals),
        sum(each.duplicates for each in totals),
        sum(each.expired for each in totals),
        sum(engine.ledger.counts().dead_letters.values()),
    )
