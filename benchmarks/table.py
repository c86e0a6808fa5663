"""The table of results."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Row(NamedTuple):
    """One result. ``met`` is None if there is no target."""

    what: str
    measured: str
    target: str = "–"
    met: bool | None = None
    baseline: str = "–"
    ratio: str = "–"


_VERDICTS = {True: "[green]yes[/green]", False: "[red]no[/red]", None: "–"}


def print_table(rows: Sequence[Row], *, title: str, console: Console) -> None:
    """Print the rows."""
    table = Table(title=title, show_lines=True)
    table.add_column("what")
    for name in ("measured", "baseline"):
        table.add_column(name, justify="right")
    for name in ("ratio", "target", "met"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.what, row.measured, row.baseline, row.ratio, row.target, _VERDICTS[row.met])
    console.print(table)
