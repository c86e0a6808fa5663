"""A whole stack, or one of its servers, in a temporary folder; everything ends with the context."""

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
    """A stack that knows no students, with the default settings, except that nobody asks too often."""
    with TemporaryDirectory(prefix="mastery-bench-") as folder, Stack(Path(folder) / "data") as stack:
        yield stack


@contextmanager
def fresh_engine() -> Iterator[Engine]:
    """The use cases alone, in this process, on an embedded Valkey of their own."""
    with TemporaryDirectory(prefix="mastery-bench-") as folder, embedded("valkey", folder, "0") as url:
        engine = bootstrap(load_settings({"MASTERY_REDIS_URL": url}))
        try:
            yield engine
        finally:
            engine.redis.close()
