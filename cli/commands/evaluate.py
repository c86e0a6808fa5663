"""``mastery evaluate``: how good forecasts would have been on an event file, by a rolling-origin back-test."""

from collections.abc import Callable, Iterator, Sized
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from app.config.settings import load_settings
from app.errors import InvalidInput
from app.events.event import decode_event
from app.events.event_evidence import observe
from app.mastery.evidence import Observation
from app.predictions.back_test import back_test, back_test_steps
from app.predictions.back_test_risk import back_test_risk, risk_steps
from app.predictions.event_history import event_histories
from app.predictions.features import HORIZON_DAYS
from cli.commands.console import output_console, print_plainly
from cli.commands.evaluate_report import report, tables
from cli.commands.evaluate_risk import risk_reports, risk_tables
from cli.commands.event_files import END_OF_TIME, EventFile, event_file, read_lines

EVENTS_FILE = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path)


def _in_a_folder(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """The path of a file to write. Raises BadParameter if its folder does not exist."""
    if path is not None and not path.parent.is_dir():
        raise click.BadParameter(f"the folder {path.parent} does not exist")
    return path


@click.command()
@click.argument("events", type=EVENTS_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--plot", type=click.Path(path_type=Path), callback=_in_a_folder, help="Draw the results: PLOT.png and PLOT.svg.")
def evaluate(events: Path, *, as_json: bool, plot: Path | None) -> None:
    """Back-test forecasts on EVENTS (NDJSON, gzipped or not; - is standard input), without a running stack.

    Each cohort is forecast 7 days ahead, from every day, by models that have not seen it. Who is at risk within 14 days is
    estimated 30 and 60 days after a cohort's first day.
    """
    _require_libraries()
    console = Console(stderr=True)
    with event_file(events) as file:
        progress = _Progress(console)
        with progress.shown:
            histories = event_histories(observed_events(file, progress.say))
            _require(histories, file, "has no valid event; an event file has an event a line, see docs/events.md")
            progress.begin("cohorts forecast", back_test_steps(len(histories)))
            results = back_test(histories, load_settings().retention_days, progress.advance)
            _require(results, file, f"spans too few days: a forecast is checked {HORIZON_DAYS} days later")
            progress.begin("risk of cohorts estimated", risk_steps(len(histories)))
            at_risk = back_test_risk(histories, load_settings().retention_days, progress.advance)
    found = report(results, risk_reports(at_risk))
    if plot is not None:
        from cli.commands.evaluate_plot import draw  # noqa: PLC0415 - matplotlib: only who draws needs it, and it loads for a second

        for path in draw(found, plot):
            console.print(f"wrote {path}", soft_wrap=True)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
        return
    for table in (*tables(found), *risk_tables(found.risk)):
        output_console().print(table)


def _require_libraries() -> None:
    """Raise ClickException if those of the extra ``training`` are not installed."""
    if missing := [name for name in ("sklearn", "matplotlib") if find_spec(name) is None]:
        raise click.ClickException(f"{', '.join(missing)} is not installed; install mastery-engine[training]")


def _require(found: Sized, file: EventFile, otherwise: str) -> None:
    """Raise InvalidInput if nothing was found in a file."""
    if not found:
        raise InvalidInput(file.name, otherwise)


class _Progress:
    """A progress bar for one phase after another."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self.shown = Progress(*columns, console=console)
        self._task = self.shown.add_task("events read", total=None)

    def begin(self, description: str, total: int) -> None:
        """Begin the next phase, of ``total`` steps."""
        self.shown.update(self._task, total=1, completed=1)
        self._task = self.shown.add_task(description, total=total)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        print_plainly(self.shown.console, text)

    def advance(self) -> None:
        """One more step is done."""
        self.shown.advance(self._task)


def observed_events(file: EventFile, say: Callable[[str], None]) -> Iterator[tuple[str, str, Observation]]:
    """Tenant, student and observation of each valid event; says at the end how many lines are not valid."""
    invalid, first = 0, ""
    for number, text in read_lines(file):
        try:
            event, moment = decode_event(text, END_OF_TIME)
        except InvalidInput as error:
            invalid, first = invalid + 1, first or f"line {number}: {error}"
            continue
        yield event.tenant_id, event.student_id, observe(event, moment)
    if invalid:
        say(f"lines that are not valid events and do not count: {invalid:,}; the first: {first}")
