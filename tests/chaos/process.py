"""A process of the engine that a test can kill and restart, without the others noticing."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

# A worker finishes its task, which takes milliseconds; a bridge may wait ten seconds to leave the group.
STOP_SECONDS = 40.0
KILL_SECONDS = 10.0
TAIL_BYTES = 3_000


class Part:
    """One process, in its own session: its death affects no other. Its output goes to a log that outlives it."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], logs: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._log = logs / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._children: set[psutil.Process] = set()

    def start(self) -> None:
        """Start it without waiting until it is ready."""
        assert self._process is None, f"{self.name} runs already"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_started(self) -> bool:
        """Whether it was started, and neither killed nor stopped since; it may have exited by itself."""
        return self._process is not None

    def exit_code(self) -> int | None:
        """Its exit code if it exited by itself, which no process should."""
        return self._process.poll() if self._process else None

    def children(self) -> list[psutil.Process]:
        """Its living child processes."""
        try:
            found = psutil.Process(self._running().pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []  # it has just exited
        self._children.update(found)
        return found

    def kill(self) -> None:
        """SIGKILL to the process alone. Its children have to notice it."""
        process = self._running()
        self.children()
        process.kill()
        process.wait(KILL_SECONDS)
        self._process = None

    def terminate(self) -> None:
        """SIGTERM: it begins to shut down."""
        self.children()
        self._running().terminate()

    def wait(self) -> None:
        """Return when it has exited after ``terminate``."""
        process = self._running()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not stop within {STOP_SECONDS} s of SIGTERM\n{self.tail()}") from None
        self._process = None

    def put_away(self) -> None:
        """Kill it and every process it ever forked, whatever their state."""
        if self._process:
            if self._process.poll() is None:
                self.children()
            self._process.kill()
            self._process.wait(KILL_SECONDS)
            self._process = None
        for child in self._children:
            try:
                child.kill()  # psutil recognizes a reused id by its creation time, and does not signal it
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(self._children, timeout=KILL_SECONDS)

    def tail(self) -> str:
        """The end of its output."""
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"{self.name} does not run"
        return self._process
