"""``mastery batch``: computes mastery for many students, and shows how far that is."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar
from uuid import uuid4

import click
import msgspec

from app.batches.batch import Batch, BatchKey, BatchOrder, BatchStatus, Kind, Priority, Rejection
from app.batches.batch_kinds import Row
from app.batches.batch_results import all_results
from app.batches.result_lines import csv_lines, json_array, ndjson_lines
from app.batches.submit_batch import BatchRequest, NoValidStudent, submit_batch
from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import NotFound
from app.mastery.formula import DEFAULT_WEIGHTS, Weights
from app.roles import Role
from app.security.access import Action, Principal
from cli.commands.batch_options import IdentifierType, StudentList, WeightsType, read_students
from cli.commands.batch_output import rejected_lines, still_runs, table
from cli.commands.batch_watch import watch_batch
from cli.commands.console import output_console
from cli.commands.exit_codes import INTERRUPTED, NO_SUCH_TENANT
from cli.commands.operator_audit import sign_operator, write_entry
from cli.stack.running_stack import settings_of_running_stack
from tasks.batches import start
from tasks.broker import broker_settings
from tasks.celery import app as celery

SHOWN = 50  # batches: about a screen
FORMATS: Mapping[str, Callable[[BatchOrder, Iterable[list[Row]]], Iterator[bytes]]] = {
    "ndjson": ndjson_lines,
    "json": json_array,
    "csv": csv_lines,
}
FAILED = "failed"
FOR_OWNER = 0o600  # of a new file: results are personal data
NOBODY = StudentList([], [])

Command = TypeVar("Command", bound=Callable[..., Any])


class Session(NamedTuple):
    """An engine, and the operator as a caller: an admin of the tenant, to whom the batches of all operators belong."""

    engine: Engine
    caller: Principal

    def is_known(self) -> bool:
        """Whether the tenant has ever sent an event."""
        return self.caller.tenant in self.engine.mastery.tenants.all()

    def note(self, action: Action, students: Iterable[str] = (), **details: str | int | bool) -> None:
        """Write an entry to the tenant's audit trail, before anything is shown or changed."""
        write_entry(self.engine, action, trail=self.caller.tenant, students=students, details=details)


@contextmanager
def _session(tenant: str) -> Iterator[Session]:
    """The engine of the settings. Exits if there is no such batch and no such tenant."""
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        session = Session(engine, Principal("operator", Role.ADMIN, tenant))
        try:
            yield session
        except NotFound:
            _exit_if_unknown(session)
            raise


def _exit_if_unknown(session: Session) -> None:
    if not session.is_known():
        click.echo(f"{session.caller.tenant}: there is no such tenant", err=True)
        sys.exit(NO_SUCH_TENANT)


_tenant = click.option("--tenant", type=IdentifierType(), required=True, help="The tenant of the students.")
_batch_id = click.argument("batch_id", metavar="ID", type=IdentifierType())


@click.group()
def batch() -> None:
    """Compute mastery for many students at once."""


def _whose(command: Command) -> Command:
    """Add the options that say for whom a batch is computed."""
    for option in (
        click.option("--all", "everyone", is_flag=True, help="All students of the tenant."),
        click.option("--cohort", type=IdentifierType(), help="The students of this cohort."),
        click.option(
            "--students",
            type=click.File("rb"),
            help="One id per line, or one JSON object as in the API's requests; - is standard input.",
        ),
    ):
        command = option(command)
    return command


@batch.command()
@_tenant
@_whose
@click.option("--compute", type=click.Choice([each.value for each in Kind]), default=Kind.MASTERY.value, show_default=True)
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="An earlier day that is retained.  [default: today]")
@click.option("--weights", type=WeightsType(), default=DEFAULT_WEIGHTS, help="For example completion=0.5,quiz=0.2.")
@click.option(
    "--priority", type=click.Choice([each.value for each in Priority]), default=Priority.NORMAL.value, show_default=True
)
@click.option("--batch-id", type=IdentifierType(), help="Its id. The same command with it submits nothing twice.")
@click.option("--watch", "and_watch", is_flag=True, help="Watch it until it ends, as `watch` does.")
def submit(*, tenant: str, batch_id: str | None, and_watch: bool, students: BinaryIO | None, **asked: Any) -> None:
    """Submit a batch, for the students of a file, of a cohort or of the whole tenant. Prints its id.

    Students that cannot be part of it are reported with their lines, and the others are computed. Exit code 1 if no student is
    left, 3 if there is no such tenant.
    """
    _require_one(students is not None, asked["cohort"] is not None, asked["everyone"])
    listed = NOBODY if students is None else read_students(students)
    wanted = _request(batch_id or str(uuid4()), listed.students or None, **asked)
    with _session(tenant) as session:
        _exit_if_unknown(session)
        session.note(Action.CREATE_BATCH, batch_id=wanted.batch_id)
        _submit(session, wanted, listed)
        if and_watch:
            _watch(session, wanted.batch_id)


def _request(
    batch_id: str,
    students: list[Any] | None,
    *,
    cohort: str | None,
    everyone: bool,
    compute: str,
    as_of: datetime | None,
    weights: Weights,
    priority: str,
) -> BatchRequest:
    """What the options ask for."""
    on = as_of and as_of.date()
    body = msgspec.json.encode([students, cohort, everyone, compute, on, weights, priority], order="deterministic")
    return BatchRequest(
        batch_id, body, weights, students, cohort, everyone, kind=Kind(compute), priority=Priority(priority), on=on
    )


def _require_one(*given: bool) -> None:
    """Raise UsageError unless one of the options that say for whom is given."""
    if sum(given) != 1:
        raise click.UsageError("give one of --students, --cohort and --all")


def _submit(session: Session, wanted: BatchRequest, listed: StudentList) -> None:
    """Store the batch, send its tasks, and print its id and what was rejected."""
    engine, key = session.engine, BatchKey(session.caller.tenant, wanted.batch_id)
    wanted = wanted._replace(threshold=engine.settings.intervention_threshold)
    signed = sign_operator(engine, [key.tenant, Action.CREATE_BATCH, key.batch_id])
    try:
        stored = submit_batch(wanted, session.caller, signed, stores=engine.mastery, batches=engine.batches, now=engine.clock())
    except NoValidStudent as error:
        rejected = [Rejection(int(each.field.removeprefix("students.")), each.reason) for each in error.errors]
        raise click.ClickException("\n  ".join(["no student is valid:", *rejected_lines(rejected, listed.lines)])) from error
    if stored.is_new:
        celery.conf.update(broker_settings(engine.settings))
        start(key, wanted.priority, stored.total)
    else:
        click.echo("It was submitted before, and is not submitted again.", err=True)
    if stored.rejected:
        click.echo(f"{len(stored.rejected):,} of {len(listed.lines):,} students were rejected:", err=True)
        for line in rejected_lines(stored.rejected, listed.lines):
            click.echo(f"  {line}", err=True)
    click.echo(key.batch_id)


@batch.command()
@_batch_id
@_tenant
def watch(batch_id: str, tenant: str) -> None:
    """Show the progress of the batch ID until it ends, then a summary. Ctrl-C ends the watching, not the batch.

    The exit code says how it ended: 0 succeeded, 4 partly failed, 5 failed, 6 cancelled, 7 expired. 130 after Ctrl-C.
    """
    with _session(tenant) as session:
        session.engine.batches.read(BatchKey(tenant, batch_id))
        session.note(Action.READ_BATCH, batch_id=batch_id)
        _watch(session, batch_id)


def _watch(session: Session, batch_id: str) -> None:
    tenant = session.caller.tenant
    try:
        sys.exit(watch_batch(session.engine, BatchKey(tenant, batch_id), output_console()))
    except KeyboardInterrupt:
        again = f"mastery batch watch {batch_id} --tenant {tenant}"
        click.echo(f"No longer watched; the batch goes on. To watch it again: {again}", err=True)
        sys.exit(INTERRUPTED)


@batch.command()
@_batch_id
@_tenant
@click.option("--format", "form", type=click.Choice(list(FORMATS)), default="ndjson", show_default=True)
@click.option("--only", type=click.Choice([FAILED]), help="Only the students without a result.")
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="[default: standard output]")
def results(batch_id: str, tenant: str, *, form: str, only: str | None, output: Path | None) -> None:
    """Write the results of the batch ID, which must have ended. A new file is readable by its owner only."""
    with _session(tenant) as session:
        engine = session.engine
        found = engine.batches.read(BatchKey(tenant, batch_id))
        if not found.status.is_final:
            raise click.ClickException(still_runs(found))
        session.note(Action.READ_BATCH_RESULTS, batch_id=batch_id)
        parts = all_results(
            found,
            session.caller,
            batches=engine.batches,
            facts=engine.mastery.facts,
            consents=engine.consents,
            only_failed=only == FAILED,
        )
        lines = FORMATS[form](found.order, _noted(session, found, parts))
        with _opened(output) as target:
            for line in lines:
                target.write(line)
            target.flush()


def _noted(session: Session, found: Batch, parts: Iterable[list[Row]]) -> Iterator[list[Row]]:
    """The parts, each after an audit entry about its students."""
    for rows in parts:
        session.note(Action.READ_BATCH_RESULTS, [row.student_id for row in rows], batch_id=found.batch_id)
        yield rows


@contextmanager
def _opened(output: Path | None) -> Iterator[BinaryIO]:
    """The file, or standard output. Raises FileError if the file cannot be written."""
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        with os.fdopen(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FOR_OWNER), "wb") as file:
            yield file
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error


@batch.command()
@_batch_id
@_tenant
def cancel(batch_id: str, tenant: str) -> None:
    """Cancel what the batch ID has not computed yet; the results that it has stay. Exit code 1 if it has ended already."""
    with _session(tenant) as session:
        engine, key = session.engine, BatchKey(tenant, batch_id)
        engine.batches.read(key)
        session.note(Action.CANCEL_BATCH, batch_id=batch_id)
        engine.batches.end(key, BatchStatus.CANCELLED, reason="it was cancelled")
        found = engine.batches.read(key)
    if found.status is not BatchStatus.CANCELLED:
        raise click.ClickException(f"the batch has ended already: {found.status.value.replace('_', ' ')}")
    click.echo(f"cancelled: {found.succeeded + found.failed:,} students were computed, and their results stay")


@batch.command("list")
@_tenant
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True, help="Show at most this many.")
def list_batches(tenant: str, limit: int) -> None:
    """List the batches that operators submitted, the newest first. Exit code 3 if there is no such tenant."""
    with _session(tenant) as session:
        found, following = session.engine.batches.of_owner(tenant, session.caller.identity, before=None, limit=limit)
        if not found:
            _exit_if_unknown(session)
        session.note(Action.LIST_BATCHES)
    if found:
        output_console().print(table(found))
    more = "; there are more, --limit shows them" if following is not None else ""
    click.echo(f"{len(found):,} batch{'' if len(found) == 1 else 'es'}{more}")
