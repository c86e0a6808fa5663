"""``mastery demo``: runs the whole stack, streams events through it, and prints a teacher's summary."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console

from app.bootstrap import Engine, bootstrap
from app.clock import system_clock
from app.config.settings import Settings
from app.errors import DependencyUnavailable, EngineError
from app.logs import escaped
from cli.commands import replay
from cli.commands.event_files import event_file, records
from cli.demo.classroom import DEMO_CLASSROOM, simulate, to_records
from cli.demo.summary import print_how_to_call, print_summary
from cli.stack.data_folder import data_folder
from cli.stack.module import python_command
from cli.stack.running_stack import RunningStack, find_running_stack, settings_of_running_stack

READY_SECONDS = 120.0
STOP_SECONDS = 60.0
POLL_SECONDS = 0.5


class StackFailed(EngineError):
    """The stack did not start or did not stay up; the message is its error or its last log line."""


def run(settings: Settings, events: Path | None, *, shift_to_now: bool, leave: bool, console: Console) -> int:
    """Run the demo until Ctrl-C; with ``leave``, until the summary.

    Propagates InvalidInput for a file that cannot be read.

    Returns:
        The exit code.

    Raises:
        StackFailed: the stack does not start, or stops unexpectedly.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _as_interrupt)
    with event_file(events) if events else nullcontext() as file:
        # Reject an invalid file before the stack is started.
        found = replay.check(file, settings, system_clock(), console) if file else None
        try:
            with _stack(settings, console) as (process, stack):
                engine = bootstrap(settings_of_running_stack(settings))
                if file and found:
                    shift = replay.shift_to_yesterday(found, engine.clock()) if shift_to_now else timedelta()
                    outcome = replay.stream(engine, records(file, shift), total=found.events, rate=None, console=console)
                else:
                    outcome = _stream_classroom(engine, console)
                print_summary(engine, outcome, console)
                if not leave:
                    print_how_to_call(engine, stack, console)
                    console.print("\nThe engine keeps running. [bold]Ctrl-C[/bold] stops it; the data stays.")
                    if process.wait():
                        raise StackFailed(_failure(settings))
                    console.print("The stack was stopped.")  # by `mastery down`
        except KeyboardInterrupt:
            console.print("Stopped.")
    return 0


def _stream_classroom(engine: Engine, console: Console) -> replay.EventReplay:
    console.print(
        f"A simulated classroom: {DEMO_CLASSROOM.students} students of {len(DEMO_CLASSROOM.cohorts)} tenants, "
        f"the {DEMO_CLASSROOM.days} days up to yesterday."
    )
    simulated = simulate(DEMO_CLASSROOM, engine.clock().date() - timedelta(days=1))
    return replay.stream(engine, to_records(simulated), total=len(simulated), rate=None, console=console)


@contextmanager
def _stack(settings: Settings, console: Console) -> Iterator[tuple[subprocess.Popen[bytes], RunningStack]]:
    """Run a stack in the background and wait until it is ready. It ends with this process, even after a crash."""
    with _log_path(settings).open("ab") as log:
        beginning = log.tell()
        # In its own session, so that Ctrl-C reaches only this process, which stops the stack.
        process = subprocess.Popen(  # noqa: S603 - our own command
            python_command("cli.main", "up", "--until-input-ends"),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        with console.status("Starting Valkey, Kafka, API, worker, beat, bridge and Flower …"):
            stack = _wait_until_ready(settings, process, beginning)
        console.print(
            f"The stack is up (API {stack.http_url}, Flower {stack.flower_url}); its log: {_shown(_log_path(settings))}",
            soft_wrap=True,
            markup=False,
        )
        yield process, stack
    finally:
        process.terminate()  # first, since printing may fail
        with console.status("Stopping …"):
            process.wait(STOP_SECONDS)


def _wait_until_ready(settings: Settings, process: subprocess.Popen[bytes], beginning: int) -> RunningStack:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StackFailed(_failure(settings, beginning))
        stack = find_running_stack(settings.data_path)
        if stack is not None and stack.pid == process.pid and stack.is_ready():
            return stack
        time.sleep(POLL_SECONDS)
    raise DependencyUnavailable(
        "the stack", f"did not become ready in {READY_SECONDS:.0f} s; see {_shown(_log_path(settings))}"
    )


def _failure(settings: Settings, beginning: int = 0) -> str:
    """The error in the stack's log, or else its last line, from the given byte on."""
    path = _log_path(settings)
    lines = path.read_bytes()[beginning:].decode(errors="replace").splitlines() or ["it logged nothing"]
    error = next((line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")), None)
    return error or f"the stack stopped: {lines[-1]}; see {_shown(path)}"


def _log_path(settings: Settings) -> Path:
    return data_folder(settings) / "logs" / "stack.log"


def _shown(path: Path) -> str:
    return escaped(str(path))


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
