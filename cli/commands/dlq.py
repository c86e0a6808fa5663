"""``mastery dlq``: lists, replays and purges dead letters."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.audit.entry import SystemAction
from app.bootstrap import Engine, bootstrap
from app.config.settings import Settings, load_settings
from app.events.dead_letter import ErrorType
from app.events.handled_letters import Handled, HandledLetters, Place
from cli.commands.console import output_console, print_plainly
from cli.commands.dlq_output import Newest, everything, printable, table
from cli.commands.exit_codes import NO_SUCH_TENANT
from cli.commands.operator_audit import write_dead_letter_entry, write_dead_letters_entry, write_entry
from cli.stack.running_stack import settings_of_running_stack
from consumers.dead_letters.open_letters import open_letters
from consumers.dead_letters.purge import delete_beginnings, plan_purge
from consumers.dead_letters.reader import DeadLetterTopic
from consumers.dead_letters.replay import Replay, ReplayOutcome, Sources
from consumers.dead_letters.stored_letter import LetterFilter, StoredDeadLetter, parse_moment, parse_place
from consumers.kafka.clients import producer
from consumers.kafka.paced_producer import LagLimiter
from consumers.kafka.record_reader import RecordReader

SHOWN = 50  # dead letters: about a screen
PROGRESS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """The state of a command: a snapshot of the dead letters, and which of them are handled."""

    engine: Engine
    topic: DeadLetterTopic
    marks: HandledLetters
    handled: Mapping[Place, Handled]
    tenants: set[str | None] = field(default_factory=set)  # of the dead letters read so far

    def letters(self) -> Iterator[StoredDeadLetter]:
        """All dead letters of the snapshot."""
        for letter in self.topic.letters():
            self.tenants.add(letter.tenant)
            yield letter

    @property
    def settings(self) -> Settings:
        """The settings, completed by the running stack."""
        return self.engine.settings

    def mark(self, places: Sequence[Place], how: Handled) -> None:
        """Mark dead letters as handled."""
        self.marks.mark(self.topic.log, places, how)


@contextmanager
def _session() -> Iterator[Session]:
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis), DeadLetterTopic(engine.settings) as topic:
        marks = HandledLetters(engine.redis, engine.settings.key_prefix)
        marks.adopt(topic.previous_log, topic.log)
        yield Session(engine, topic, marks, marks.read(topic.log, topic.oldest()))


def _filters(command: Command) -> Command:
    """Add the options that select dead letters."""
    for option in (
        click.option("--until", metavar="WHEN", help="Only events that failed before then."),
        click.option("--since", metavar="WHEN", help="Only events that failed then or later: 2h or 3d ago, or ISO 8601 (UTC)."),
        click.option("--tenant", help="Only events of this tenant."),
        click.option("--reason", type=click.Choice([each.value for each in ErrorType]), help="Only this type of error."),
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """List, replay or purge dead letters. A dead letter's place is PARTITION:OFFSET, as `list` shows it."""


@dlq.command("list")
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="Show at most this many.")
@click.option("--all", "with_handled", is_flag=True, help="Include replayed and purged dead letters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def list_letters(*, limit: int, with_handled: bool, as_json: bool, **filters: str | None) -> None:
    """List dead letters, the newest first.

    Students are not named; `show` names them.
    """
    newest = Newest(limit)
    with _session() as session:
        selected = _filter(session, **filters)
        for letter in filter(selected.matches, session.letters()):
            handled = session.handled.get(letter.place)
            if with_handled or handled is None:
                newest.add(letter, handled)
        rows = newest.rows(session.engine.letter_keys)
        write_dead_letters_entry(session.engine, SystemAction.LIST_LETTERS, (row.tenant for row in rows))
        _exit_if_unknown(session, filters["tenant"])
    if as_json:
        for each in rows:
            click.echo(msgspec.json.encode(each))
    elif rows:
        output_console().print(table(rows, handled=with_handled))
    shown = f"; the newest {len(rows):,} are shown, --limit shows more" if newest.count > len(rows) else ""
    click.echo(f"{_letters(newest.count)}{shown}", err=as_json)


@dlq.command()
@click.argument("place")
def show(place: str) -> None:
    """Show everything about the dead letter at PLACE, including personal data."""
    wanted = parse_place(place)
    with _session() as session:
        (letter,) = open_letters([session.topic.letter(wanted)], session.engine.letter_keys)
        write_dead_letter_entry(session.engine, SystemAction.SHOW_LETTER, letter)
        click.echo(everything(letter, session.handled.get(wanted)))


@dlq.command()
@click.argument("places", nargs=-1)
@_filters
@click.option("--dry-run", is_flag=True, help="Only show what would be sent.")
@click.option("--rate", type=click.IntRange(min=1), help="Maximum dead letters per second.")
@click.option(
    "--max-replays",
    type=click.IntRange(min=1),
    default=3,  # an event that failed again three times will fail once more
    show_default=True,
    help="Skip events that were replayed this often and failed again.",
)
def replay(places: tuple[str, ...], *, dry_run: bool, rate: int | None, max_replays: int, **filters: str | None) -> None:
    """Send the events of dead letters again.

    Replays the dead letters at PLACES, by default all; the options select among them. A dead letter is replayed only once, so
    the same command continues after an interruption. An event that fails again becomes a new dead letter.
    """
    console, would_send = output_console(), Newest(SHOWN)
    sent: list[str | None] = []  # the tenants of the dead letters sent
    with (
        _session() as session,
        closing(RecordReader(session.settings)) as reader,
        closing(LagLimiter(session.engine)) as limiter,
    ):
        run = Replay(
            session.settings.events_topic,
            producer=None if dry_run else producer(session.settings),
            sources=Sources(reader, session.settings.events_topic),
            keys=session.engine.letter_keys,
            handled=session.handled,
            arrived=partial(_add_all, would_send) if dry_run else partial(_mark_replayed, session, sent),
            refused=partial(_print_refused, console),
            max_replays=max_replays,
            rate=rate,
            hold_back=limiter.hold_back,
        )
        selected = _filter(session, **filters)
        letters = [session.topic.letter(each) for each in _parsed(places)] if places else session.letters()
        total = len(places) or len(session.topic)
        write_entry(session.engine, SystemAction.REPLAY_LETTERS, details={"state": "begun", "dry_run": dry_run})
        try:
            _run(run, selected, letters, total, console)
        finally:
            if sent:
                write_dead_letters_entry(session.engine, SystemAction.REPLAY_LETTERS, sent, {"state": "ended"})
            if would_send.count:
                write_dead_letters_entry(session.engine, SystemAction.LIST_LETTERS, (row.tenant for row in would_send.rows()))
                console.print(table(would_send.rows(), handled=False))
            print_plainly(console, _summary(run.counts, dry_run=dry_run))
        _exit_if_unknown(session, None if places else filters["tenant"])
    sys.exit(1 if run.counts[ReplayOutcome.REFUSED] else 0)


def _run(run: Replay, selected: LetterFilter, letters: Iterable[StoredDeadLetter], total: int, console: Console) -> None:
    """Replay the selected dead letters with a progress bar. Prints a note if it stops early."""
    with ExitStack() as stopped_early:
        stopped_early.callback(print_plainly, console, "Stopped early; the same command goes on from here.")
        with Progress(*PROGRESS, console=console) as progress:
            run.run(filter(selected.matches, progress.track(letters, total=total, description="dead letters read")))
        stopped_early.pop_all()


@dlq.command()
@click.argument("places", nargs=-1)
@_filters
@click.option("--dry-run", is_flag=True, help="Only show what would be purged.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def purge(places: tuple[str, ...], *, dry_run: bool, yes: bool, **filters: str | None) -> None:
    """Remove dead letters, so that they are no longer listed or replayed.

    Purges the dead letters at PLACES, by default all; the options select among them. Kafka can only delete the beginning of a
    partition: dead letters after one that stays are hidden until it is purged too.

    Hidden is not erased: Kafka keeps hidden dead letters until the topic's retention ends. To erase a student, use
    `mastery erase`: it deletes the key that decrypts the student's dead letters.
    """
    wanted = _parsed(places)
    with _session() as session:
        for place in wanted:
            session.topic.letter(place)  # raises NotFound before anything is purged
        selected = _filter(session, **filters)._replace(places=frozenset(wanted))
        tenants: dict[Place, str | None] = {}
        plan = plan_purge(_noting(tenants, session.letters()), session.topic.bounds, session.handled, selected)
        _exit_if_unknown(session, filters["tenant"])
        split = f"{plan.deleted():,} deleted from Kafka, {len(plan.places) - plan.deleted():,} hidden"
        if dry_run:
            click.echo(f"{_letters(len(plan.places))} would be purged: {split} (all hidden where the broker cannot delete)")
            return
        if plan.places and not yes:
            click.confirm(f"Purge {_letters(len(plan.places))}? They cannot be replayed afterwards.", abort=True)
        write_dead_letters_entry(session.engine, SystemAction.PURGE_LETTERS, (tenants[place] for place in plan.places))
        session.mark(plan.places, Handled.PURGED)
        if not delete_beginnings(session.settings, plan.ends):
            split = "all hidden, none deleted, since this broker cannot delete records"
        click.echo(f"{_letters(len(plan.places))} purged: {split}")


def _exit_if_unknown(session: Session, tenant: str | None) -> None:
    """Exit if the tenant of ``--tenant`` has neither data nor dead letters."""
    if tenant is not None and tenant not in session.tenants and tenant not in session.engine.mastery.tenants.all():
        click.echo(f"{printable(tenant)}: there is no such tenant", err=True)
        sys.exit(NO_SUCH_TENANT)


def _filter(session: Session, *, reason: str | None, tenant: str | None, since: str | None, until: str | None) -> LetterFilter:
    now = session.engine.clock()
    return LetterFilter(
        reason=ErrorType(reason) if reason else None,
        tenant=tenant,
        since=parse_moment("--since", since, now) if since else None,
        until=parse_moment("--until", until, now) if until else None,
    )


def _parsed(places: Sequence[str]) -> list[Place]:
    """The places without duplicates."""
    return list(dict.fromkeys(map(parse_place, places)))


def _add_all(newest: Newest, letters: Sequence[StoredDeadLetter]) -> None:
    for letter in letters:
        newest.add(letter)


def _noting(tenants: dict[Place, str | None], letters: Iterable[StoredDeadLetter]) -> Iterator[StoredDeadLetter]:
    for letter in letters:
        tenants[letter.place] = letter.tenant
        yield letter


def _mark_replayed(session: Session, tenants: list[str | None], letters: Sequence[StoredDeadLetter]) -> None:
    tenants += (letter.tenant for letter in letters)
    session.mark([letter.place for letter in letters], Handled.REPLAYED)


def _print_refused(console: Console, letter: StoredDeadLetter, reason: str) -> None:
    print_plainly(console, f"{letter.place} cannot be replayed: {printable(reason)}")


def _summary(counts: Counter[ReplayOutcome], *, dry_run: bool) -> str:
    first = f"{_letters(counts[ReplayOutcome.REPLAYED])} {'would be replayed' if dry_run else 'replayed'}"
    return ", ".join(
        [first, *(f"{counts[outcome]:,} {outcome.value}" for outcome in ReplayOutcome if outcome is not ReplayOutcome.REPLAYED)]
    )


def _letters(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"
