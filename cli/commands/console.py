"""The console that commands print tables and progress bars to."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200  # columns, if the output is not a terminal


def output_console() -> Console:
    """A console on standard output, wide enough for tables if that is a pipe or a file."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def print_plainly(console: Console, text: str) -> None:
    """Print a line as it is: not wrapped, without markup and colours."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def table_of_figures(names: tuple[str, ...], figures: tuple[str, ...], title: str | None = None) -> Table:
    """A table without rows: columns of names, which are not wrapped, and columns of figures, to the right."""
    view = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in names:
        view.add_column(heading, no_wrap=True)
    for heading in figures:
        view.add_column(heading, justify="right")
    return view
