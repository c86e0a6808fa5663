"""Variables that begin like a setting and are none: misspelt, or of another version. They are ignored, and that is told."""

import sys
from collections.abc import Collection, Iterable
from difflib import get_close_matches

_told: set[str] = set()  # of this process; settings are read in several places of one


def misspelt(names: Iterable[str], known: Collection[str], prefix: str) -> list[str]:
    """Those of the names that begin with the prefix, however it is written, and are not known."""
    return sorted(name for name in names if name.upper().startswith(prefix) and name not in known)


def complaint(name: str, known: Collection[str]) -> str:
    """That it is ignored, and which known name is nearest, if one is near."""
    near = get_close_matches(name.upper(), known, n=1)
    return f"{name} is not a setting and is ignored" + (f"; did you mean {near[0]}?" if near else "")


def tell_once(names: Iterable[str], known: Collection[str]) -> None:
    """Complain of each on standard error, a line, the first time in this process."""
    for name in names:
        if name not in _told:
            _told.add(name)
            sys.stderr.write(f"{complaint(name, known)}\n")
