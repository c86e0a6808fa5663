"""``python -m benchmarks [--quick] [--only NAME]``: measure and print one table. Missed targets are not failures."""

import os
from collections.abc import Sequence
from typing import Protocol

import click
from rich.console import Console

from benchmarks import (
    audit,
    backlog,
    batches,
    compare,
    erasure,
    history,
    latency,
    memory,
    pipeline_scale,
    predictions,
    query,
    rankings,
    refresh,
    scale,
    throughput,
)
from benchmarks.table import Row, print_table

LOG_WIDTH = 130  # columns if the output is not a terminal: the table needs more than 80


class Measure(Protocol):
    """The interface of each benchmark."""

    def __call__(self, *, quick: bool) -> list[Row]: ...


MEASURES: dict[str, Measure] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "query": query.measure,
    "predictions": predictions.measure,
    "history": history.measure,
    "compare": compare.measure,
    "audit": audit.measure,
    "memory": memory.measure,
    "rankings": rankings.measure,
    "scale": scale.measure,
    "pipeline-scale": pipeline_scale.measure,
    "batches": batches.measure,
    "erasure": erasure.measure,
    "refresh": refresh.measure,
    "backlog": backlog.measure,
}


@click.command()
@click.option("--quick", is_flag=True, help="A short run, under a minute: a smoke test rather than a measurement.")
@click.option("--only", multiple=True, type=click.Choice(list(MEASURES)), help="Measure only this; may be repeated.")
def main(*, quick: bool, only: Sequence[str]) -> None:
    """Measure the engine against baselines in the same run, everything on this machine."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=LOG_WIDTH)
    rows: list[Row] = []
    for name in only or MEASURES:
        with console.status(f"Measuring: {name} …"):
            rows += MEASURES[name](quick=quick)
    title = f"Mastery Engine, everything on this machine's {os.cpu_count()} cores" + (" (quick run)" if quick else "")
    print_table(rows, title=title, console=console)


if __name__ == "__main__":
    main()
