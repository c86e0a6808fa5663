"""The heads of trails as lines for storage outside Redis: ``2026-10-28T12:00:00.000Z riverside 1234:<hex>``.

An attacker with write access to Redis can restore an older trail together with its head. Only an exported head reveals that.
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
    """Format a line for each trail with a valid head and name. Raises DependencyUnavailable.

    Yields:
        Lines. Names that the engine would not assign are skipped, since a forged name could contain whole lines.
    """
    for trail in trails.trails():
        head = trails.ends(trail).head
        if head and head.sequence and (trail == OPERATORS or is_identifier(trail)):
            yield f"{timestamp(now)} {trail} {head}\n"


def read_lines(lines: Iterable[str]) -> dict[str, set[Head]]:
    """Parse exported lines to the heads of each trail. Raises InvalidInput for a malformed line."""
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
    """Parse a head such as ``1234:<hex>``. Raises ValueError."""
    if not re.fullmatch(_HEAD, text):
        raise ValueError("no head")
    sequence, _, mac = text.partition(":")
    return Head(int(sequence), bytes.fromhex(mac))
