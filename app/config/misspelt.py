"""Warnings about unknown variables with the settings' prefix: misspelt, or of another version. They are ignored."""

import sys
from collections.abc import Collection, Iterable
from difflib import get_close_matches

_reported: set[str] = set()  # per process, since a process reads the settings in several places


def misspelt(names: Iterable[str], known: Collection[str], prefix: str) -> list[str]:
    """The unknown names that begin with the prefix, ignoring case."""
    return sorted(name for name in names if name.upper().startswith(prefix) and name not in known)


def complaint(name: str, known: Collection[str]) -> str:
    """The warning that a variable is ignored, with the most similar known name if there is one."""
    near = get_close_matches(name.upper(), known, n=1)
    return f"{name} is not a setting and is ignored" + (f"; did you mean {near[0]}?" if near else "")


def report_once(names: Iterable[str], known: Collection[str]) -> None:
    """Warn about each name on standard error, once per process."""
    for name in names:
        if name not in _reported:
            _reported.add(name)
            sys.stderr.write(f"{complaint(name, known)}\n")
