"""Runs a Python module of the engine or of a library, without importing modules from the user's current folder.

That folder may have an ``app.py`` or a ``redis.py``. ``-P`` keeps Python from searching it. Celery and gunicorn put it in front
of ``sys.path`` themselves, without an option against it, so a path hook makes it appear empty.
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
    """The command line that runs a module this way."""
    return [sys.executable, "-P", "-m", "cli.stack.module", module, *arguments]


def ignore_modules_of_current_folder() -> None:
    """Import nothing from the current folder, unless it is already on ``sys.path``, for example by PYTHONPATH."""
    here, allowed = Path().stat(), frozenset(sys.path)

    def finder(path: str) -> _NothingThere:
        try:
            # Not by name: gunicorn uses PWD, which may be a symlink.
            is_here = path not in allowed and samestat(Path(path).stat(), here)
        except OSError:
            is_here = False
        if is_here:
            return _NothingThere()
        raise ImportError  # a path hook's way to decline a path

    sys.path_hooks.insert(0, finder)


def main(module: str, *arguments: str) -> None:
    """Run a module as ``python -m`` does."""
    ignore_modules_of_current_folder()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
