"""``mastery erase``: erases students, or all students of a tenant."""

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TextIO, TypeAlias

import click

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import InvalidInput
from app.identifiers import is_identifier
from app.privacy.erase_students import request_erasures
from app.privacy.erasure import ErasureStatus
from app.pseudonyms import WHOLE_TENANT
from app.security.access import Action
from app.storage.scripts import slices
from cli.commands.batch_options import IdentifierType
from cli.commands.exit_codes import NO_SUCH_TENANT
from cli.commands.operator_audit import write_entry
from cli.stack.running_stack import settings_of_running_stack

STUDENTS_AT_ONCE = 500  # of a tenant: an audit entry has 3 KB then
POLL_SECONDS = 0.2
SHOWN_PLACES = 10  # fit in a line
RECEIPTS = "receipts: GET /audit?action=student.erased, or GET /student/{id}/erasure for one student"

# Where a student was given, such as "line 2", by tenant and then id or pseudonym; "" for all students of the tenant.
# Messages have the place instead of the student.
Places: TypeAlias = Mapping[str, Mapping[str, str]]


@click.command()
@click.argument("students", nargs=-1, metavar="[TENANT/STUDENT]...")
@click.option(
    "--file",
    "listed",
    type=click.File(encoding="utf-8-sig"),  # editors on Windows begin a file with a byte order mark
    help="Erase those in this file, one a line; - is standard input.",
)
@click.option("--tenant", type=IdentifierType(), help="Erase all students of this tenant.")
@click.option("--yes", is_flag=True, help="With --tenant or --file: do not ask.")
@click.option("--no-wait", is_flag=True, help="Do not wait until everything is erased.")
def erase(students: tuple[str, ...], listed: TextIO | None, tenant: str | None, *, yes: bool, no_wait: bool) -> None:
    """Erase students: TENANT/STUDENT, such as school/s-1.

    Nobody sees their results from the moment they are accepted; workers erase the rest. The audit trail has the receipts.
    Asks before it erases a tenant, and in a terminal also before it erases the students of a file. Exit code 3 if there is no
    such tenant; nothing is erased then.
    """
    _require_one_way(is_tenant=tenant is not None, are_students=bool(students), is_file=listed is not None, is_sure=yes)
    given = {} if tenant is not None else _by_tenant(_places(students, listed))
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        if tenant is not None:
            _require_tenants(engine, {tenant: "--tenant"})
            accepted: Places = {tenant: _whole_tenant(engine, tenant, is_sure=yes)}
        else:
            _require_tenants(engine, {name: next(iter(places.values())) for name, places in given.items()})
            if listed is not None and not yes and sys.stdin.isatty():
                click.confirm(f"Erase {_counted(given)}?", abort=True)
            accepted = _accept(engine, given)
        click.echo(f"accepted: {_counted(accepted)}")
        if not no_wait:
            click.echo(f"erased: {_counted(accepted)}{_told(_wait(engine, accepted))}")
        click.echo(RECEIPTS)


def _require_one_way(*, is_tenant: bool, are_students: bool, is_file: bool, is_sure: bool) -> None:
    if is_tenant == (are_students or is_file):
        raise click.UsageError("give students, --file, or --tenant alone")
    if is_sure and not (is_tenant or is_file):
        raise click.UsageError("--yes is for --tenant and --file")


def _places(students: Iterable[str], listed: TextIO | None) -> Iterator[tuple[str, str]]:
    """What was given, and where. Raises InvalidInput for a file that is not text."""
    for number, student in enumerate(students, 1):
        yield f"argument {number}", student
    try:
        for number, line in enumerate(listed or (), 1):
            if line.strip():
                yield f"line {number}", line.strip()
    except UnicodeDecodeError:
        raise InvalidInput("--file", "is not in UTF-8; nothing was erased") from None  # the cause has the content


def _by_tenant(given: Iterable[tuple[str, str]]) -> Places:
    """The students by tenant.

    Returns:
        Where each was given first.

    Raises:
        InvalidInput: something is not TENANT/STUDENT.
        UsageError: nothing is given.
    """
    found: dict[str, dict[str, str]] = {}
    for place, text in given:
        tenant, slash, student = text.partition("/")
        if not (slash and is_identifier(tenant) and is_identifier(student)):
            raise InvalidInput(place, "must be TENANT/STUDENT; nothing was erased")
        found.setdefault(tenant, {}).setdefault(student, place)
    if not found:
        raise click.UsageError("no student is given")
    return found


def _require_tenants(engine: Engine, places: Mapping[str, str]) -> None:
    """Exit if a tenant is not known; ``places`` has where each was given."""
    known = set(engine.mastery.tenants.all())
    for tenant, place in places.items():
        if tenant not in known:
            click.echo(f"Error: {place}: there is no such tenant: {tenant}; nothing was erased", err=True)
            sys.exit(NO_SUCH_TENANT)


def _whole_tenant(engine: Engine, tenant: str, *, is_sure: bool) -> Mapping[str, str]:
    count = sum(len(some) for some in engine.mastery.scores.students(tenant))
    if not is_sure:
        click.confirm(f"Erase all {count:,} students of {tenant}?", abort=True)
    write_entry(engine, Action.ERASE_STUDENT, trail=tenant, details={"all": True, "students": count})
    _request(engine, tenant, {WHOLE_TENANT: ""})
    return {WHOLE_TENANT: ""}


def _accept(engine: Engine, given: Places) -> Places:
    """Accept the erasures, some at a time, each after an audit entry. Returns where each was given."""
    accepted: dict[str, dict[str, str]] = {}
    for tenant, places in given.items():
        for some in slices(places, STUDENTS_AT_ONCE):
            write_entry(engine, Action.ERASE_STUDENT, trail=tenant, students=some)
            named = {engine.audit.pseudonym(tenant, student): student for student in some}
            _request(engine, tenant, named)
            accepted.setdefault(tenant, {}).update({pseudonym: places[student] for pseudonym, student in named.items()})
    return accepted


def _request(engine: Engine, tenant: str, named: Mapping[str, str]) -> None:
    """Accept erasures; a sweep sends their task within seconds."""
    request_erasures(
        tenant, named, facts=engine.mastery.facts, erasures=engine.erasures, announce=engine.outbox.announce_erased
    )


def _wait(engine: Engine, accepted: Places) -> list[str]:
    """Return when all are erased: where those were given of whom nothing was stored."""
    nothing = []
    for tenant, places in accepted.items():
        for pseudonym, place in places.items():
            while (found := engine.erasures.read(tenant, [pseudonym])).status is not ErasureStatus.DONE:
                time.sleep(POLL_SECONDS)
            if place and not found.erased:
                nothing.append(place)
    return nothing


def _told(nothing: Sequence[str]) -> str:
    """That nothing was stored of some: perhaps their ids are misspelt."""
    if not nothing:
        return ""
    shown = ", ".join(nothing[:SHOWN_PLACES]) + (", …" if len(nothing) > SHOWN_PLACES else "")
    return f"; nothing was stored of {len(nothing):,} of them ({shown})"


def _counted(places: Places) -> str:
    if any(WHOLE_TENANT in each for each in places.values()):
        return f"all students of {next(iter(places))}"
    count = sum(map(len, places.values()))
    return f"{count:,} student{'' if count == 1 else 's'}"
