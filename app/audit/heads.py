"""Where trails end, as lines to be kept elsewhere than in Redis: ``2026-10-28T12:00:00.000Z riverside 1234:<hex>``.

Whoever can write to Redis can set back a trail with its head, and nothing there betrays it: a head that was kept does.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime

from app.audit.chain import MAX_SEQUENCE_DIGITS, Head
from app.audit.entry import OPERATORS, timestamp
from app.audit.trail import AuditTrail
from app.errors import InvalidInput
from app.identifiers import is_identifier

_HEAD = rf"[0-9]{{1,{MAX_SEQUENCE_DIGITS}}}:[0-9a-f]{{64}}"
_LINE = re.compile(rf"\S+ (\S+) ({_HEAD})")


def heads_as_lines(*, trails: AuditTrail, now: datetime) -> Iterator[str]:
    """A line for each trail that has a sound head. Raises DependencyUnavailable.

    Not of names that the engine would not give: whoever can write to Redis could put whole lines into one.
    """
    for trail in trails.trails():
        head = trails.ends(trail).head
        if head and head.sequence and (trail == OPERATORS or is_identifier(trail)):
            yield f"{timestamp(now)} {trail} {head}\n"


def read_lines(lines: Iterable[str]) -> dict[str, set[Head]]:
    """The heads that each trail had. Raises InvalidInput for a line that is none."""
    found: dict[str, set[Head]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise InvalidInput(f"line {number}", "is not as in 2026-10-28T12:00:00.000Z riverside 1234:9ae2…")
        found.setdefault(match[1], set()).add(parse_head_text(match[2]))
    return found


def parse_head_text(text: str) -> Head:
    """The head in a text like ``1234:<hex>``. Raises ValueError."""
    if not re.fullmatch(_HEAD, text):
        raise ValueError("no head")
    sequence, _, mac = text.partition(":")
    return Head(int(sequence), bytes.fromhex(mac))
