"""The catalogue of keys agrees with the documentation and with what is in Redis."""

import re
from pathlib import Path
from typing import cast

from app.bootstrap import Engine
from app.storage.key_kinds import CATALOGUE
from app.storage.keys import Keys
from tests.contracts.store_calls import store_calls

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
# What these calls do not leave behind.
ELSEWHERE = {
    "audit_turn",  # for milliseconds, while two processes write to a trail
    "bulk",
    "event_minute",
    "loss",  # after a loss
    "relay",  # while a bridge relays
}


def test_the_document_has_the_catalogue() -> None:
    """The table has each kind of key, its type, whether it is personal, and its content, in the catalogue's words and order."""
    rows = [
        f"| `{pattern}` | {kind.type} | {'yes' if kind.is_personal else ''} | {kind.holds} |"
        for pattern, kind in Keys.patterns("mastery").items()
    ]
    text = ARCHITECTURE.read_text()
    told = [line for line in text.split("\n") if line.startswith("| `mastery:") and "mastery:celery" not in line]
    assert told == rows


def test_every_key_of_a_system_is_in_the_catalogue(engine: Engine) -> None:
    """The calls of all stores create keys of every kind, with the right type, and no other keys."""
    for call in store_calls(engine).values():
        call.make()
    prefix = engine.settings.key_prefix
    kinds = {expression(pattern): (pattern, kind) for pattern, kind in Keys.patterns(prefix).items()}
    found: set[str] = set()
    for key in engine.redis.scan_iter(f"{prefix}:*"):
        if re.fullmatch(f"{prefix}:(held|given-up|new)", key.decode()):  # leases of the calls
            continue
        matching = [pattern for expression, (pattern, _) in kinds.items() if re.fullmatch(expression, key.decode())]
        assert len(matching) == 1, key
        found.add(matching[0])
        assert cast("bytes", engine.redis.type(key)).decode() == dict(kinds.values())[matching[0]].type
    elsewhere = {pattern for pattern, name in zip(Keys.patterns(prefix), CATALOGUE, strict=True) if name in ELSEWHERE}
    assert Keys.patterns(prefix).keys() - found <= elsewhere


def expression(pattern: str) -> str:
    """A pattern of the keys of a kind; a trail's name may begin with a dot."""
    escaped = re.escape(pattern).replace(r"\{t\}", r"\{[A-Za-z0-9_.-]+\}")
    return re.sub(r"(<[^>]+>[/:]?)+", "[^{}]+", escaped)
