"""Writes audit entries for operators' commands, before anything is shown or changed."""

import os
import pwd
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from uuid import uuid4

import msgspec

from app.audit.entry import OPERATOR, OPERATORS, Actor, AuditOutcome, Channel, Details, SystemAction, entry
from app.audit.signed_actor import SignedActor
from app.bootstrap import Engine
from app.identifiers import Identifier
from app.security.access import Action
from consumers.dead_letters.stored_letter import StoredDeadLetter


class _Event(msgspec.Struct):
    student_id: Identifier


_event = msgspec.json.Decoder(_Event)


def write_entry(
    engine: Engine,
    action: SystemAction | Action,
    *,
    trail: str = OPERATORS,
    students: Iterable[str] = (),
    pseudonyms: Iterable[str] = (),
    details: Details | None = None,
    outcome: AuditOutcome = AuditOutcome.DONE,
) -> None:
    """Write an entry about an action before it is done, to a tenant's trail or by default the operators'.

    Where it is known that the action cannot be done, ``outcome`` says so.

    The students are given by their ids or pseudonyms. What callers of the API can do too is an ``Action``, so that a search of
    the trail finds both.

    Propagates DependencyUnavailable when the entry cannot be written. The caller must not do the action then.
    """
    whose = [*pseudonyms, *(engine.audit.pseudonym(trail, student_id) for student_id in students)]
    new_entry = entry(
        engine.clock(),
        Channel.COMMAND,
        _actor(),
        action,
        outcome=outcome,
        whose=whose,
        correlation_id=_run_id(),
        details=details,
    )
    engine.audit.append(trail, new_entry)


def write_dead_letters_entry(
    engine: Engine, action: SystemAction, tenants: Iterable[str | None], details: Details | None = None
) -> None:
    """Write an entry per tenant with its number of dead letters; those of unknown tenants go to the operators' trail."""
    known = set(engine.mastery.tenants.all())
    counts = Counter(tenant if tenant in known else None for tenant in tenants) or {None: 0}
    for tenant, letters in counts.items():
        write_entry(engine, action, trail=tenant or OPERATORS, details={"letters": letters, **(details or {})})


def write_dead_letter_entry(engine: Engine, action: SystemAction, letter: StoredDeadLetter) -> None:
    """Write an entry about one dead letter, with the student that it names."""
    tenant = letter.tenant if letter.tenant in engine.mastery.tenants.all() else None
    students = _students(letter) if tenant else ()
    pseudonyms = [letter.sealed.student] if tenant and letter.sealed and letter.sealed.student else ()
    details: Details = {"place": str(letter.place)}
    write_entry(engine, action, trail=tenant or OPERATORS, students=students, pseudonyms=pseudonyms, details=details)


def sign_operator(engine: Engine, order: Sequence[str]) -> SignedActor:
    """Sign the operator, for tasks that do what this command asks for; ``order`` is tenant, action and target."""
    return engine.audit.actor_signer.sign(order, _actor(), _run_id())


def operator() -> str:
    """The operating system's user of this process. Environment variables such as USER could be forged."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, a uid may have no name
        return str(os.getuid())


def _actor() -> Actor:
    return Actor(OPERATOR, operator())


@cache
def _run_id() -> str:
    """The correlation id of this command's entries."""
    return str(uuid4())


def _students(letter: StoredDeadLetter) -> list[str]:
    if letter.body is None or letter.sealed is not None:
        return []  # of an encrypted payload, the pseudonym is known
    try:
        return [_event.decode(letter.body.original_payload).student_id]
    except (msgspec.DecodeError, RecursionError):  # not an event, or without a student
        return []
