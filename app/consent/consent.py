"""A student's decisions about what their data is used for. Pure. See docs/decisions/0024."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from app.purposes import Purpose

# Decisions that a record keeps, 80 bytes each. The oldest are dropped, but never the latest of a purpose.
MAX_HISTORY = 50

# Consenting students; statistics of fewer would tell much about each of them.
FEWEST_IN_STATISTICS = 5


class Author(NamedTuple):
    """Who decided: a role, and a name as in the audit trail (for a student, the pseudonym)."""

    role: str
    who: str


class Decision(Struct, frozen=True, array_like=True, gc=False):
    """One decision about a purpose.

    ``purpose`` is text, so that a decision about a purpose of a later version is kept. ``at`` is Unix time in milliseconds.
    """

    purpose: str
    given: bool
    at: int
    role: str
    who: str


class Consent(NamedTuple):
    """What a student has decided.

    Attributes:
        history: the decisions, oldest first; empty without a record.
        required: the purposes that need a recorded consent; the others are allowed until it is withdrawn.
        stored: the record as read from the store, to detect that it was changed meanwhile; empty without one.
    """

    history: Sequence[Decision] = ()
    required: frozenset[Purpose] = frozenset()
    stored: bytes = b""

    def latest(self, purpose: Purpose) -> Decision | None:
        """The decision that holds for a purpose; None if there was none."""
        return next((each for each in reversed(self.history) if each.purpose == purpose), None)

    def allows(self, purpose: Purpose) -> bool:
        """Whether the data may be used for a purpose."""
        decision = self.latest(purpose)
        return purpose not in self.required if decision is None else decision.given

    def changed(self, wanted: Mapping[Purpose, bool], by: Author, now: datetime) -> list[Decision]:
        """The new decisions: those of ``wanted`` that differ from the ones that hold."""
        at = round(now.timestamp() * 1000)
        latest = {purpose: self.latest(purpose) for purpose in wanted}
        return [
            Decision(purpose.value, given, at, *by)
            for purpose, given in wanted.items()
            if (before := latest[purpose]) is None or before.given != given
        ]


def bounded(history: Sequence[Decision]) -> list[Decision]:
    """The history without its oldest decisions beyond ``MAX_HISTORY``, except for the latest of each purpose."""
    surplus = len(history) - MAX_HISTORY
    latest = {decision.purpose: index for index, decision in enumerate(history)}
    kept = []
    for index, decision in enumerate(history):
        if surplus > 0 and index != latest[decision.purpose]:
            surplus -= 1
        else:
            kept.append(decision)
    return kept
