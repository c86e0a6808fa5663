"""``mastery erase``: erases students, or all students of a tenant."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import TextIO

import click

from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import InvalidInput
from app.identifiers import is_identifier, require_identifier
from app.privacy.erase_students import request_erasures
from app.privacy.erasure import ErasureStatus
from app.pseudonyms import WHOLE_TENANT
from app.security.access import Action
from app.storage.scripts import slices
from cli.commands.operator_audit import write_entry
from cli.stack.running_stack import settings_of_running_stack

STUDENTS_AT_ONCE = 500  # of a tenant: an audit entry has 3 KB then
POLL_SECONDS = 0.2


@click.command()
@click.argument("students", nargs=-1, metavar="[TENANT/STUDENT]...")
@click.option(
    "--file", "listed", type=click.File(encoding="utf-8"), help="Erase those in this file, one a line; - is standard input."
)
@click.option("--tenant", help="Erase all students of this tenant.")
@click.option("--yes", is_flag=True, help="With --tenant: do not ask.")
@click.option("--no-wait", is_flag=True, help="Do not wait until everything is erased.")
def erase(students: tuple[str, ...], listed: TextIO | None, tenant: str | None, *, yes: bool, no_wait: bool) -> None:
    """Erase students: TENANT/STUDENT, such as school/s-1.

    Nobody sees their results from the moment they are accepted; workers erase the rest. The audit trail has the receipts.
    """
    _require_one_way(is_tenant=tenant is not None, are_students=bool(students) or listed is not None)
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        if tenant is not None:
            accepted: Mapping[str, Mapping[str, str]] = {
                require_identifier("--tenant", tenant): _whole_tenant(engine, tenant, is_sure=yes)
            }
        else:
            accepted = _accept(engine, _by_tenant([*enumerate(students, 1), *enumerate(listed or (), 1)]))
        click.echo(f"accepted: {_counted(accepted)}")
        if not no_wait:
            _wait(engine, accepted)
            click.echo(f"erased: {_counted(accepted)}")


def _require_one_way(*, is_tenant: bool, are_students: bool) -> None:
    if is_tenant == are_students:
        raise click.UsageError("give students, --file, or --tenant alone")


def _by_tenant(lines: Iterable[tuple[int, str]]) -> dict[str, list[str]]:
    """The students by tenant. Raises InvalidInput, before anything is erased, for a line that is not TENANT/STUDENT."""
    found: dict[str, dict[str, None]] = {}
    for number, line in lines:
        if not line.strip():
            continue
        tenant, slash, student = line.strip().partition("/")
        if not (slash and is_identifier(tenant) and is_identifier(student)):
            raise InvalidInput(f"line {number}", "must be TENANT/STUDENT; nothing was erased")
        found.setdefault(tenant, {})[student] = None
    return {tenant: list(students) for tenant, students in found.items()}


def _whole_tenant(engine: Engine, tenant: str, *, is_sure: bool) -> Mapping[str, str]:
    count = sum(len(some) for some in engine.mastery.scores.students(tenant))
    if not is_sure:
        click.confirm(f"Erase all {count:,} students of {tenant}?", abort=True)
    write_entry(engine, Action.ERASE_STUDENT, trail=tenant, details={"all": True, "students": count})
    return _request(engine, tenant, {WHOLE_TENANT: ""})


def _accept(engine: Engine, by_tenant: Mapping[str, list[str]]) -> dict[str, dict[str, str]]:
    """Accept the erasures, some at a time, each after an audit entry. Returns pseudonyms and ids by tenant."""
    accepted: dict[str, dict[str, str]] = {}
    for tenant, students in by_tenant.items():
        for some in slices(students, STUDENTS_AT_ONCE):
            write_entry(engine, Action.ERASE_STUDENT, trail=tenant, students=some)
            named = {engine.audit.pseudonym(tenant, student): student for student in some}
            accepted.setdefault(tenant, {}).update(_request(engine, tenant, named))
    return accepted


def _request(engine: Engine, tenant: str, named: dict[str, str]) -> dict[str, str]:
    """Accept erasures; a sweep sends their task within seconds."""
    request_erasures(tenant, named, facts=engine.mastery.facts, erasures=engine.erasures)
    return named


def _wait(engine: Engine, accepted: Mapping[str, Mapping[str, str]]) -> None:
    """Return when all are erased."""
    for tenant, named in accepted.items():
        for pseudonym in named:
            while engine.erasures.read(tenant, [pseudonym]).status is not ErasureStatus.DONE:
                time.sleep(POLL_SECONDS)


def _counted(accepted: Mapping[str, Mapping[str, str]]) -> str:
    if any(WHOLE_TENANT in named for named in accepted.values()):
        return f"all students of {next(iter(accepted))}"
    count = sum(map(len, accepted.values()))
    return f"{count:,} student{'' if count == 1 else 's'}"
