"""The README's tables of settings."""

import re
from pathlib import Path

from app.config.settings import VARIABLES

README = Path(__file__).parents[3] / "README.md"


def expanded(first: str, short: str) -> str:
    """The variable that ``_LOW_MARK`` stands for beside ``MASTERY_CHUNKS_HIGH_MARK``; ``short`` itself if there is none."""
    parts = first.split("_")
    begins = ("_".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return next((begin + short for begin in begins if begin + short in VARIABLES), short)


def test_they_have_every_setting_once() -> None:
    """Operators find each setting there, and nothing that does not exist."""
    found: list[str] = []
    for row in re.findall(r"^\| (`MASTERY_[^|]*) \|", README.read_text(), re.MULTILINE):
        first, *others = re.findall(r"`([A-Z_]+)`", row)
        found += [first, *(expanded(first, each) if each.startswith("_") else each for each in others)]
    assert sorted(found) == sorted(VARIABLES)
