"""Runs a whole stack, or only a Valkey, in a temporary folder within a context."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from cli.stack.embedded import embedded
from tests.stack import Stack

PROJECT = Path(__file__).resolve().parents[1]


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
