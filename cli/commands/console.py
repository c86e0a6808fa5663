"""The console that commands print tables and progress bars to."""

from rich.console import Console

PIPE_WIDTH = 200  # columns, if the output is not a terminal


def output_console() -> Console:
    """A console on standard output, wide enough for tables if that is a pipe or a file."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def print_plainly(console: Console, text: str) -> None:
    """Print a line as it is: not wrapped, without markup and colours."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)
