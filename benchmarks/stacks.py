"""Runs a whole stack, or only a Valkey, in a temporary folder within a context."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from cli.stack.embedded import embedded
from tests.stack import Stack

PROJECT = Path(__file__).resolve().parents[1]
STOP_SECONDS = 30.0


@contextmanager
def fresh_stack() -> Iterator[Stack]:
    """An empty stack with the default settings, except for the rate limits."""
    with TemporaryDirectory(prefix="mastery-bench-") as folder, Stack(Path(folder) / "data") as stack:
        yield stack


@contextmanager
def fresh_engine() -> Iterator[Engine]:
    """An engine in this process, on a new embedded Valkey."""
    with TemporaryDirectory(prefix="mastery-bench-") as folder, embedded("valkey", folder, "0") as url:
        engine = bootstrap(load_settings({"MASTERY_REDIS_URL": url}))
        try:
            yield engine
        finally:
            engine.redis.close()


def stop(processes: Sequence["subprocess.Popen[Any]"]) -> None:
    """Stop processes at the same time, and close their pipes; kill what does not stop."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
