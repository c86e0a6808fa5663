"""Starts a Python module of the engine or of a library, without the modules of the folder that the user happens to be in.

A folder may have an ``app.py`` or a ``redis.py`` of its own. ``-P`` keeps Python from looking there. Celery and gunicorn put
the current folder in front of ``sys.path`` themselves, and have no option against it: for them nothing is found there.
"""

import runpy
import sys
from importlib.machinery import ModuleSpec
from os.path import samestat
from pathlib import Path
from types import ModuleType


class _NothingThere:
    """Finds no module in a folder."""

    def find_spec(self, _name: str, _target: ModuleType | None = None) -> ModuleSpec | None:
        return None


def python_command(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module so."""
    return [sys.executable, "-P", "-m", "cli.stack.module", module, *arguments]


def ignore_modules_of_current_folder() -> None:
    """Have this process import nothing from the current folder, unless it is on ``sys.path`` already, by PYTHONPATH say."""
    here, asked_for = Path().stat(), frozenset(sys.path)

    def finder(path: str) -> _NothingThere:
        try:
            is_here = path not in asked_for and samestat(Path(path).stat(), here)  # gunicorn takes its name from PWD
        except OSError:
            is_here = False
        if is_here:
            return _NothingThere()
        raise ImportError  # how a path hook says that the path is another one's

    sys.path_hooks.insert(0, finder)


def main(module: str, *arguments: str) -> None:
    """Run a module as ``python -m`` does."""
    ignore_modules_of_current_folder()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
