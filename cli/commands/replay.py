"""``mastery replay``: feeds events to a running stack with a progress bar, and prints the outcome."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.audit.entry import SystemAction
from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings
from app.errors import InvalidInput
from app.events.event_timestamp import MAX_CLOCK_SKEW
from cli.commands.event_files import EventFile, Survey, event_file, records, survey
from cli.commands.operator_audit import write_entry
from consumers.kafka.paced_producer import count_recorded, produce_paced, wait_for_progress


class EventReplay(NamedTuple):
    """The outcome of a run: numbers of events, and the time from the first event produced to the last recorded.

    Attributes:
        events: produced.
        applied: their evidence was merged.
        duplicates: recorded before.
        expired: older than the retention.
        erased: refused, since their students were erased later.
        dead_lettered: not valid, or not recorded for another reason.
        seconds: of the run.
    """

    events: int
    applied: int
    duplicates: int
    expired: int
    erased: int
    dead_lettered: int
    seconds: float


def run(settings: Settings, path: Path, *, rate: int | None, shift_to_now: bool, console: Console) -> int:
    """Feed a file and print the outcome.

    Propagates InvalidInput for a file that cannot be read, or would halt the bridge.

    Returns:
        The exit code: 0 if an event was applied or is a duplicate, else 1.
    """
    engine = bootstrap(settings)
    with event_file(path) as file:
        found = check(file, settings, engine.clock(), console)
        shift = shift_to_yesterday(found, engine.clock()) if shift_to_now else timedelta()
        outcome = stream(engine, records(file, shift), total=found.events, rate=rate, console=console)
    console.print(
        f"{outcome.events:,} events: {outcome.applied:,} applied, {outcome.duplicates:,} duplicates, "
        f"{outcome.expired:,} expired, {outcome.erased:,} refused (their students were erased), "
        f"{outcome.dead_lettered:,} dead-lettered, in {outcome.seconds:.1f} s",
        soft_wrap=True,
    )
    if outcome.applied or outcome.duplicates:
        return 0
    console.print(_why_nothing(outcome, settings), soft_wrap=True)
    return 1


def _why_nothing(outcome: EventReplay, settings: Settings) -> str:
    """What to do if no event was applied."""
    if outcome.erased:  # to move them to now would bring evidence back that was erased
        return "No event was applied."
    return (
        f"No event was applied. Events count for {settings.retention_days} days and may be at most "
        f"{MAX_CLOCK_SKEW.seconds // 60} minutes in the future: "
        "`--shift-to-now` moves old events to now; `mastery dlq list` shows the reasons of dead letters."
    )


def check(file: EventFile, settings: Settings, now: datetime, console: Console) -> Survey:
    """Read the file once, and print what is wrong. Raises InvalidInput if it cannot be read or would halt the bridge."""
    found = survey(file, now)
    if not found.invalid:
        return found
    share = found.invalid / found.events
    problems = "\n  ".join((f"{found.invalid:,} of {found.events:,} lines are not valid events.", *found.reasons))
    if share > settings.poison_share and found.events >= settings.poison_records:
        limit = f"At more than {settings.poison_share:.0%} (MASTERY_POISON_SHARE) the bridge would halt for every tenant."
        raise InvalidInput(file.name, f"{problems}\n  {limit}")
    console.print(escape(f"{problems}\nThey go to the dead letters."), soft_wrap=True)
    return found


def shift_to_yesterday(found: Survey, now: datetime) -> timedelta:
    """The shift, in whole days, that moves the file's newest day to yesterday."""
    return now.date() - timedelta(days=1) - found.newest


def stream(
    engine: Engine, events: Iterable[tuple[bytes | None, bytes]], *, total: int, rate: int | None, console: Console
) -> EventReplay:
    """Feed records and wait until all are recorded. Raises DependencyUnavailable when there is no more progress."""
    write_entry(engine, SystemAction.REPLAY_EVENTS, details={"events": total})
    before, recorded_before, began = _counts(engine), count_recorded(engine), monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        produced = progress.add_task("events produced", total=total)
        done = progress.add_task("events recorded", total=total)

        def show(count: int) -> None:
            progress.advance(produced, count)
            progress.update(done, completed=min(count_recorded(engine) - recorded_before, total))

        count = produce_paced(engine, events, rate=rate, sent=show)
        wait_for_progress(
            lambda: count_recorded(engine) - recorded_before >= count,
            lambda: count_recorded(engine),
            "the worker or the bridge",
            "stopped before every event was recorded; see their logs",
            engine.bridges.require_not_halted,
        )
        progress.update(done, completed=count)
    applied, duplicates, expired, erased, dead_lettered = (new - old for new, old in zip(_counts(engine), before, strict=True))
    return EventReplay(count, applied, duplicates, expired, erased, dead_lettered, monotonic() - began)


def _counts(engine: Engine) -> tuple[int, int, int, int, int]:
    """Events of all tenants so far by result, in the order of ``EventReplay``."""
    totals = [engine.event_totals.of(tenant) for tenant in engine.mastery.tenants.all()]
    return (
        sum(each.applied for each in totals),
        sum(each.duplicates for each in totals),
        sum(each.expired for each in totals),
        sum(each.erased for each in totals),
        sum(engine.ledger.counts().dead_letters.values()),
    )
