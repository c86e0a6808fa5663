"""What operators do leaves an entry in the audit trail, before anything is shown or changed."""

import os
import pwd
from collections import Counter
from collections.abc import Iterable
from functools import cache
from uuid import uuid4

import msgspec

from app.audit.entry import OPERATOR, OPERATORS, Actor, Channel, Details, SystemAction, entry
from app.bootstrap import Engine
from app.identifiers import Identifier
from consumers.dead_letters.record import StoredDeadLetter


class _Event(msgspec.Struct):
    student_id: Identifier


_event = msgspec.json.Decoder(_Event)


def write_entry(
    engine: Engine,
    action: SystemAction,
    *,
    trail: str = OPERATORS,
    students: Iterable[str] = (),
    details: Details | None = None,
) -> None:
    """Write an entry about what is done next, into a tenant's trail or else the operators'.

    Raises DependencyUnavailable when it cannot be written: then it must not be done.
    """
    whose = [engine.audit.pseudonym(trail, student_id) for student_id in students]
    actor = Actor(OPERATOR, operator())
    made = entry(engine.clock(), Channel.COMMAND, actor, action, whose=whose, correlation_id=_run_id(), details=details)
    engine.audit.append(trail, made)


def write_dead_letters_entry(
    engine: Engine, action: SystemAction, tenants: Iterable[str | None], details: Details | None = None
) -> None:
    """An entry for each tenant with the number of its letters; those of no tenant that the engine knows count for nobody's."""
    known = set(engine.mastery.tenants.all())
    counts = Counter(tenant if tenant in known else None for tenant in tenants) or {None: 0}
    for tenant, letters in counts.items():
        write_entry(engine, action, trail=tenant or OPERATORS, details={"letters": letters, **(details or {})})


def write_dead_letter_entry(engine: Engine, action: SystemAction, letter: StoredDeadLetter) -> None:
    """An entry about one letter, with the student that it names."""
    tenant = letter.tenant if letter.tenant in engine.mastery.tenants.all() else None
    students = _students(letter) if tenant else ()
    write_entry(engine, action, trail=tenant or OPERATORS, students=students, details={"place": str(letter.place)})


def operator() -> str:
    """Who runs this process, as the operating system knows it: a variable of the environment can be set by anybody."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may have numbers without names
        return str(os.getuid())


@cache
def _run_id() -> str:
    """Ties the entries of one command together."""
    return str(uuid4())


def _students(letter: StoredDeadLetter) -> list[str]:
    if letter.body is None:
        return []
    try:
        return [_event.decode(letter.body.original_payload).student_id]
    except (msgspec.DecodeError, RecursionError):  # no event, or one without a student
        return []
