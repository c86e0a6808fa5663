"""``mastery dlq``: look into the dead letters, replay those whose cause is gone, and purge the rest."""

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
from cli.commands.dlq_output import Newest, everything, printable, table
from cli.commands.exit_codes import NO_SUCH_TENANT
from cli.commands.operator_audit import write_dead_letter_entry, write_dead_letters_entry, write_entry
from cli.stack.running_stack import settings_of_running_stack
from consumers.dead_letters.purge import delete_beginnings, plan_purge
from consumers.dead_letters.reader import DeadLetterTopic
from consumers.dead_letters.record import LetterFilter, StoredDeadLetter, parse_moment, parse_place
from consumers.dead_letters.replay import Replay, ReplayOutcome, Sources
from consumers.kafka.clients import producer
from consumers.kafka.paced_producer import LagLimiter
from consumers.kafka.record_reader import RecordReader

SHOWN = 50  # letters: about a screen
PIPE_WIDTH = 200  # columns, where no terminal says how many there are
PROGRESS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Session:
    """What every command works with: the letters there are now, and what was done with which."""

    engine: Engine
    topic: DeadLetterTopic
    marks: HandledLetters
    handled: Mapping[Place, Handled]
    tenants: set[str | None] = field(default_factory=set)  # those of the letters that were read

    def letters(self) -> Iterator[StoredDeadLetter]:
        """All that there are now."""
        for letter in self.topic.letters():
            self.tenants.add(letter.tenant)
            yield letter

    @property
    def settings(self) -> Settings:
        """What the environment and the running stack say."""
        return self.engine.settings

    def mark(self, places: Sequence[Place], how: Handled) -> None:
        """Remember what is done now."""
        self.marks.mark(self.topic.log, places, how)


@contextmanager
def _session() -> Iterator[Session]:
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis), DeadLetterTopic(engine.settings) as topic:
        marks = HandledLetters(engine.redis, engine.settings.key_prefix)
        marks.adopt(topic.previous_log, topic.log)
        yield Session(engine, topic, marks, marks.read(topic.log, topic.oldest()))


def _filters(command: Command) -> Command:
    """The options that say which letters are meant."""
    for option in (
        click.option("--until", metavar="WHEN", help="Only what failed before then."),
        click.option("--since", metavar="WHEN", help="Only what failed then or later: 2h or 3d ago, or ISO 8601 (UTC)."),
        click.option("--tenant", help="Only events of this tenant."),
        click.option("--reason", type=click.Choice([each.value for each in ErrorType]), help="Only this type of error."),
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """Look into the dead letters, replay or purge them. A letter's place is PARTITION:OFFSET, as `list` shows it."""


@dlq.command("list")
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="At most so many, newest first.")
@click.option("--all", "with_handled", is_flag=True, help="Also those that were replayed or purged.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line, to pipe into other tools.")
def list_letters(*, limit: int, with_handled: bool, as_json: bool, **which: str | None) -> None:
    """List dead letters, the newest first.

    Students are not named; `show` names them.
    """
    newest = Newest(limit)
    with _session() as session:
        meant = _meant(session, **which)
        for letter in filter(meant.matches, session.letters()):
            handled = session.handled.get(letter.place)
            if with_handled or handled is None:
                newest.add(letter, handled)
        rows = newest.rows()
        write_dead_letters_entry(session.engine, SystemAction.LIST_LETTERS, (row.tenant for row in rows))
        _exit_if_unknown(session, which["tenant"])
    if as_json:
        for each in rows:
            click.echo(msgspec.json.encode(each))
    elif rows:
        _console().print(table(rows, handled=with_handled))
    shown = f"; the newest {len(rows):,} are shown, --limit shows more" if newest.count > len(rows) else ""
    click.echo(f"{_letters(newest.count)}{shown}", err=as_json)


@dlq.command()
@click.argument("place")
def show(place: str) -> None:
    """Show everything about one letter.

    The one at PLACE; personal data is included.
    """
    wanted = parse_place(place)
    with _session() as session:
        letter = session.topic.letter(wanted)
        write_dead_letter_entry(session.engine, SystemAction.SHOW_LETTER, letter)
        click.echo(everything(letter, session.handled.get(wanted)))


@dlq.command()
@click.argument("places", nargs=-1)
@_filters
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.option("--rate", type=click.IntRange(min=1), help="At most so many letters a second.")
@click.option(
    "--max-replays",
    type=click.IntRange(min=1),
    default=3,  # what came back three times has a reason that did not go away
    show_default=True,
    help="Skip what was replayed so often and came back.",
)
def replay(places: tuple[str, ...], *, dry_run: bool, rate: int | None, max_replays: int, **which: str | None) -> None:
    """Send the events of dead letters again.

    Of those at PLACES, or else of all; the options choose among them. A letter is replayed once, so the same command goes on
    after an interruption. What fails again becomes a new letter.
    """
    console, would_go = _console(), Newest(SHOWN)
    sent: list[str | None] = []  # the tenants of the letters that were
    with (
        _session() as session,
        closing(RecordReader(session.settings)) as reader,
        closing(LagLimiter(session.engine)) as limiter,
    ):
        run = Replay(
            session.settings.events_topic,
            producer=None if dry_run else producer(session.settings),
            sources=Sources(reader, session.settings.events_topic),
            handled=session.handled,
            arrived=partial(_add_all, would_go) if dry_run else partial(_mark_replayed, session, sent),
            refused=partial(_say_refused, console),
            max_replays=max_replays,
            rate=rate,
            hold_back=limiter.hold_back,
        )
        meant = _meant(session, **which)
        letters = [session.topic.letter(each) for each in _parsed(places)] if places else session.letters()
        total = len(places) or len(session.topic)
        write_entry(session.engine, SystemAction.REPLAY_LETTERS, details={"state": "begun", "dry_run": dry_run})
        try:
            _run(run, meant, letters, total, console)
        finally:
            if sent:
                write_dead_letters_entry(session.engine, SystemAction.REPLAY_LETTERS, sent, {"state": "ended"})
            if would_go.count:
                write_dead_letters_entry(session.engine, SystemAction.LIST_LETTERS, (row.tenant for row in would_go.rows()))
                console.print(table(would_go.rows(), handled=False))
            _say(console, _summary(run.counts, dry_run=dry_run))
        _exit_if_unknown(session, None if places else which["tenant"])
    sys.exit(1 if run.counts[ReplayOutcome.REFUSED] else 0)


def _run(run: Replay, meant: LetterFilter, letters: Iterable[StoredDeadLetter], total: int, console: Console) -> None:
    """Replay what is meant, with a progress bar; say so if it ends early."""
    with ExitStack() as stopped_early:
        stopped_early.callback(_say, console, "Stopped early; the same command goes on from here.")
        with Progress(*PROGRESS, console=console) as progress:
            run.run(filter(meant.matches, progress.track(letters, total=total, description="dead letters read")))
        stopped_early.pop_all()


@dlq.command()
@click.argument("places", nargs=-1)
@_filters
@click.option("--dry-run", is_flag=True, help="Only say what would be purged.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(places: tuple[str, ...], *, dry_run: bool, yes: bool, **which: str | None) -> None:
    """Give dead letters up for good.

    Those at PLACES, or else all; the options choose among them. They are not listed or replayed any more. Kafka deletes only
    from a partition's beginning on: letters behind one that stays are hidden until it goes too.
    """
    wanted = _parsed(places)
    with _session() as session:
        for place in wanted:
            session.topic.letter(place)  # which raises NotFound before anything is purged
        meant = _meant(session, **which)._replace(places=frozenset(wanted))
        tenants: dict[Place, str | None] = {}
        plan = plan_purge(_noting(tenants, session.letters()), session.topic.bounds, session.handled, meant)
        _exit_if_unknown(session, which["tenant"])
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
    """Say so if nothing is known of the tenant that was asked for, and none of the letters that were read is its."""
    if tenant is not None and tenant not in session.tenants and tenant not in session.engine.mastery.tenants.all():
        click.echo(f"{printable(tenant)}: there is no such tenant", err=True)
        sys.exit(NO_SUCH_TENANT)


def _meant(session: Session, *, reason: str | None, tenant: str | None, since: str | None, until: str | None) -> LetterFilter:
    now = session.engine.clock()
    return LetterFilter(
        reason=ErrorType(reason) if reason else None,
        tenant=tenant,
        since=parse_moment("--since", since, now) if since else None,
        until=parse_moment("--until", until, now) if until else None,
    )


def _parsed(places: Sequence[str]) -> list[Place]:
    """Each place once."""
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


def _say_refused(console: Console, letter: StoredDeadLetter, reason: str) -> None:
    _say(console, f"{letter.place} cannot be replayed: {printable(reason)}")


def _summary(counts: Counter[ReplayOutcome], *, dry_run: bool) -> str:
    first = f"{_letters(counts[ReplayOutcome.REPLAYED])} {'would be replayed' if dry_run else 'replayed'}"
    return ", ".join(
        [first, *(f"{counts[outcome]:,} {outcome.value}" for outcome in ReplayOutcome if outcome is not ReplayOutcome.REPLAYED)]
    )


def _letters(count: int) -> str:
    return f"{count:,} dead letter{'' if count == 1 else 's'}"


def _say(console: Console, words: str) -> None:
    console.print(words, soft_wrap=True, markup=False, highlight=False)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)
