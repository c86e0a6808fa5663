"""A whole stack, or only its supervisor, for tests: in its own process and folder, on its own ports."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil
import requests

from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.roles import Role
from app.security.tokens import development_token
from cli.stack.ports import claim_port
from cli.stack.running_stack import RunningStack, find_running_stack

READY_SECONDS = 60.0
STOP_SECONDS = 30.0
# Tests and benchmarks call more often than any caller may: requests are counted, but the limits are never reached.
RAISED_LIMITS = {f"MASTERY_RATELIMIT_{area}": "1000000/minute" for area in ("MASTERY", "INGEST", "DEFAULT", "ANONYMOUS")}


class Stack:
    """A whole stack in a data folder: ``mastery up`` as a process, whose parts are reached over TCP."""

    command: tuple[str, ...] = (sys.executable, "-m", "cli.main")
    is_measured = True

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.environment = {
            **without_settings(measured=self.is_measured),
            "MASTERY_DATA_DIR": str(folder),
            "MASTERY_HTTP_PORT": str(claim_port()),
            **RAISED_LIMITS,
            "MASTERY_TRAINING": "off",  # it would begin at some minute, in the midst of a test
            **variables,
        }
        self.settings = load_settings(self.environment)

    def __enter__(self) -> "Stack":
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "up", "--until-input-ends"],  # if the tests are killed
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_for(lambda: self.process.poll() is not None or self._is_ready(), READY_SECONDS)
            assert self.process.poll() is None, self.log()
        except BaseException:
            self.stop()
            raise
        files = {f"{name}_FILE": "" for name in self._servers()}  # they have been read
        self.engine = bootstrap(load_settings({**self.environment, **self._servers(), **files}))
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.redis.close()
        self.stop()

    def stop(self) -> int:
        """Stop the stack like a service manager; returns its exit code."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
            if self.process.stdin:
                self.process.stdin.close()

    @property
    def running(self) -> RunningStack:
        """The stack's description of itself."""
        found = find_running_stack(self.folder)
        assert found is not None
        return found

    def log(self) -> str:
        """The stack's output."""
        return (self.folder.parent / f"{self.folder.name}.log").read_text()

    def mastery(self, *arguments: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a ``mastery`` command for this stack, as in another terminal; ``given`` is piped to it."""
        return subprocess.run(
            [*self.command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
            input=given,
            timeout=300,
        )

    def token(
        self, role: Role = Role.ADMIN, tenant: str = "demo", subject: str = "tester", cohorts: tuple[str, ...] = ()
    ) -> str:
        """A development token."""
        return development_token(
            self.settings, role=role, tenant=tenant, subject=subject, cohorts=cohorts, now=datetime.now(UTC)
        )

    def _is_ready(self) -> bool:
        found = find_running_stack(self.folder)
        try:
            return found is not None and requests.get(f"{found.http_url}/ready", timeout=5).ok
        except requests.RequestException:
            return False

    def _servers(self) -> dict[str, str]:
        return {
            "MASTERY_REDIS_URL": self.running.redis_url,
            "MASTERY_BROKER_URL": self.running.broker_url,
            "MASTERY_KAFKA_BOOTSTRAP": self.running.kafka_bootstrap,
        }


class UnmeasuredStack(Stack):
    """A stack without coverage, which doubles the work: for tests that send much through what other tests run too."""

    is_measured = False


def without_settings(*, measured: bool = True) -> dict[str, str]:
    """The environment of this process, without the engine's variables; not ``measured``: and without those of coverage."""
    left_out = ("MASTERY_",) if measured else ("MASTERY_", "COVERAGE_", "COV_CORE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Return as soon as the condition holds; fail the test if it does not within this many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


SCRIPT = """
import os
import sys
from pathlib import Path
from cli.stack.program import Program
from cli.stack.supervisor import Stopped, Supervisor

SETUP
folder, *commands = sys.argv[1:]
with Supervisor(Path(folder, "stack.json")) as supervisor:
    try:
        for number, command in enumerate(commands):
            supervisor.start(Program(f"p{number}", ["/bin/sh", "-c", command]))
        supervisor.run()
    except Stopped as told:
        supervisor.say(f"{told}: stopping")
"""
# Writes its process id, and has a child of its own, like a worker; both print nothing.
QUIET = "echo $$ >> pids; sh -c 'echo $$ >> pids; exec sleep 1000' & wait"


class Supervised:
    """A supervisor in its own folder, where its programs write their process ids to a file."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._pids = folder / "pids"
        self._family: set[psutil.Process] = set()

    def wait_until_it_runs(self, count: int) -> None:
        """Return when this many programs and children have started; their ids are then known."""
        wait_for(lambda: self._pids.exists() and len(self._pids.read_text().split()) >= count, READY_SECONDS)
        self._family.update(psutil.Process(self.process.pid).children(recursive=True))

    def guard(self) -> psutil.Process:
        """The guard process."""
        return next(each for each in psutil.Process(self.process.pid).children() if "cli.stack.guard" in each.cmdline())

    def assert_nothing_is_left(self) -> None:
        """Everything that was started has ended, or does soon."""
        assert self._family
        assert psutil.wait_procs(self._family, timeout=READY_SECONDS)[1] == []

    def put_away(self) -> None:
        """Kill what a failing test leaves."""
        self.process.kill()
        self.process.wait()
        for each in self._family:
            with suppress(psutil.NoSuchProcess):
                each.kill()


@contextmanager
def supervise(
    folder: Path,
    *commands: str,
    stdout: int | IO[bytes],
    before: str = "",
    setup: str = "",
    terminal: int | None = None,
) -> Iterator[Supervised]:
    """A supervisor of shell commands; ``before`` is shell code that runs first, ``setup`` is code in its own Python."""
    script = SCRIPT.replace("SETUP", setup)
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'{before} exec "$@"', "sh", sys.executable, "-c", script, str(folder), *commands],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=terminal if terminal is not None else subprocess.DEVNULL,
        stdout=stdout,
        stderr=stdout if stdout != subprocess.PIPE else subprocess.STDOUT,
        start_new_session=True,
    )
    supervised = Supervised(folder, process)
    try:
        yield supervised
    finally:
        supervised.put_away()
        if process.stdout:
            process.stdout.close()


def said(folder: Path) -> str:
    return (folder / "log").read_text()
