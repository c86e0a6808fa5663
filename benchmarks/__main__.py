"""``python -m benchmarks [--quick] [--only NAME]``: measure, and print one table. Fails only when something broke."""

import os
from collections.abc import Sequence
from typing import Protocol

import click
from rich.console import Console

from benchmarks import audit, backlog, latency, memory, pipeline_scale, query, scale, throughput
from benchmarks.table import Row, print_table

LOG_WIDTH = 130  # where there is no terminal: a table broken to 80 columns reads badly


class Measure(Protocol):
    """What each of the modules offers."""

    def __call__(self, *, quick: bool) -> list[Row]: ...


MEASURES: dict[str, Measure] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "query": query.measure,
    "audit": audit.measure,
    "memory": memory.measure,
    "scale": scale.measure,
    "pipeline-scale": pipeline_scale.measure,
    "backlog": backlog.measure,
}


@click.command()
@click.option("--quick", is_flag=True, help="A short run, under a minute: a sign of life more than a measurement.")
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
