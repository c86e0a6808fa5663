"""Watches a batch until it ends, with a progress bar."""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.batches.batch import Batch, BatchKey, BatchStatus, progress
from app.batches.summarize_batch import with_current_summary
from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from cli.commands.batch_output import ending
from cli.commands.console import print_plainly
from cli.commands.exit_codes import BATCH_CANCELLED, BATCH_EXPIRED, BATCH_FAILED, BATCH_PARTLY_FAILED

POLL_SECONDS = 0.2  # one round trip each time; more often would not look smoother
# A restart of Redis with a large append-only file takes a minute or two. After a longer outage, the command ends with an error.
PATIENCE_SECONDS = 300.0
COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("{task.fields[rate]}"),
    TimeElapsedColumn(),
    TextColumn("{task.fields[left]}"),
)
EXIT_CODES: Mapping[BatchStatus, int] = {
    BatchStatus.SUCCEEDED: 0,
    BatchStatus.PARTLY_FAILED: BATCH_PARTLY_FAILED,
    BatchStatus.FAILED: BATCH_FAILED,
    BatchStatus.CANCELLED: BATCH_CANCELLED,
    BatchStatus.EXPIRED: BATCH_EXPIRED,
}


def watch_batch(engine: Engine, key: BatchKey, console: Console) -> int:
    """Show the progress of a batch until it ends, then how it ended.

    Raises NotFound without such a batch, and DependencyUnavailable if Redis does not answer for ``PATIENCE_SECONDS``.

    Returns:
        The exit code that stands for how it ended.
    """
    batch = engine.batches.read(key)
    if not batch.status.is_final:
        batch = _show_progress(engine, key, console)
    batch = with_current_summary(key, batch, batches=engine.batches, consents=engine.consents)
    for line in ending(batch, engine.clock()):
        print_plainly(console, line)
    if batch.failed:
        print_plainly(console, f"To see why: mastery batch results {key.batch_id} --tenant {key.tenant} --only failed")
    return EXIT_CODES[batch.status]


def states(read: Callable[[], Batch], say: Callable[[str], None], patience: float = PATIENCE_SECONDS) -> Iterator[Batch]:
    """The state of a batch, again and again until it has ended.

    While Redis does not answer, this says so once and waits.

    Yields:
        The state, first at once.

    Raises:
        DependencyUnavailable: The outage lasted longer than ``patience`` seconds.
    """
    gone_since: float | None = None
    while True:
        try:
            batch = read()
        except DependencyUnavailable as error:
            if gone_since is None:
                gone_since = time.monotonic()
                say(f"{error}; waiting until it answers again")
            if time.monotonic() - gone_since > patience:
                raise
        else:
            if gone_since is not None:
                gone_since = None
                say("it answers again")
            yield batch
            if batch.status.is_final:
                return
        time.sleep(POLL_SECONDS)


def _show_progress(engine: Engine, key: BatchKey, console: Console) -> Batch:
    """Show a progress bar until the batch has ended. Returns its final state."""
    with Progress(*COLUMNS, console=console) as bar:
        task = bar.add_task(BatchStatus.QUEUED, total=None, rate="", left="")
        for batch in states(lambda: engine.batches.read(key), lambda text: print_plainly(console, text)):
            pace = progress(batch, engine.clock())
            bar.update(
                task,
                description=batch.status.value.replace("_", " "),
                completed=batch.done,
                total=batch.total,
                rate="" if pace.rate is None else f"{pace.rate:,.0f} students/s",
                left="" if pace.seconds_left is None else f"{timedelta(seconds=round(pace.seconds_left))} left",
            )
    return batch
