"""``mastery model``: the learned models of a tenant: which there are, how they were tested, and which one answers."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.audit.entry import AuditOutcome, Details, SystemAction
from app.bootstrap import Engine, bootstrap
from app.clock import day_number
from app.config.settings import load_settings
from app.errors import NotFound
from app.predictions.forecast_errors import BASE
from app.predictions.observe_peers import observe_peers
from app.predictions.stored_model import ModelSummary, ModelUnusable, require_usable
from app.predictions.train_tenant_model import train_tenant_model
from cli.commands.batch_options import IdentifierType
from cli.commands.console import output_console
from cli.commands.model_output import ending, latest_training, report, risk_tables, tests_table, versions_table
from cli.commands.operator_audit import write_entry
from cli.stack.running_stack import settings_of_running_stack

COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())


@click.group()
def model() -> None:
    """The learned models of a tenant, from which its forecasts come.

    Workers train one a day. What it has learned answers in cohorts where it is clearly better than the base model. Training
    uses the facts of students who consent to predictions only.
    """


_tenant = click.option("--tenant", type=IdentifierType(), required=True)
_version = click.argument("version", type=IdentifierType())
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@model.command("list")
@_tenant
@_json
def list_models(tenant: str, *, as_json: bool) -> None:
    """List the models of a tenant, the newest first."""
    with _engine(tenant) as engine:
        found, promoted = engine.learning.models.summaries(tenant), engine.learning.models.promoted(tenant)
        latest = engine.learning.models.latest_attempt(tenant)
    if as_json:
        _print_json([report(each, promoted) for each in found.values() if each is not None])
        return
    if found:
        output_console().print(versions_table(found, promoted))
    click.echo(latest_training(latest))


@model.command()
@click.argument("version", type=IdentifierType(), required=False)
@_tenant
@_json
def show(tenant: str, version: str | None, *, as_json: bool) -> None:
    """Show how the model VERSION was made, and its back-tests. Without VERSION, those of the model that answers."""
    with _engine(tenant) as engine:
        promoted = engine.learning.models.promoted(tenant)
        if (wanted := version or promoted) is None:
            raise NotFound(f"no learned model answers for {tenant}; name one of `mastery model list`")
        found = engine.learning.models.summary(tenant, wanted)
    if as_json:
        _print_json(report(found, promoted))
        return
    _print_tested(found, promoted)


@model.command()
@_tenant
def train(tenant: str) -> None:
    """Train a model on what is stored, and test it on the latest weeks. It answers at once, where it is better."""
    if find_spec("sklearn") is None:
        raise click.ClickException("scikit-learn is not installed; install mastery-engine[training]")
    with _engine(tenant) as engine:
        write_entry(engine, SystemAction.TRAIN_MODEL, trail=tenant)
        found = _trained(engine, tenant)
        promoted = engine.learning.models.promoted(tenant)
    _print_tested(found, promoted)


def _trained(engine: Engine, tenant: str) -> ModelSummary:
    with Progress(*COLUMNS, console=Console(stderr=True)) as progress:
        bar = progress.add_task("training")

        def on_step(done: int, of: int) -> None:
            progress.update(bar, completed=done, total=of)

        return train_tenant_model(tenant, using=engine.training, now=engine.clock(), on_step=on_step)


@model.command()
@_version
@_tenant
def promote(version: str, tenant: str) -> None:
    """Let the model VERSION answer. The next training replaces it, unless MASTERY_TRAINING is off."""
    with _engine(tenant) as engine:
        models = engine.learning.models
        details: Details = {"from": models.promoted(tenant) or BASE, "to": version}
        with _noting_failure(engine, tenant, SystemAction.PROMOTE_MODEL, details):
            require_usable(models.summary(tenant, version))
            models.content(tenant, version)  # which must not be damaged
            write_entry(engine, SystemAction.PROMOTE_MODEL, trail=tenant, details=details)
            _observe_peers(engine, tenant)
            models.promote(tenant, version)
    click.echo(f"{version} answers now")


@model.command()
@_tenant
def rollback(tenant: str) -> None:
    """Let what answered before the present model answer again: an earlier model, or the base model.

    The next training may let a new model answer; MASTERY_TRAINING=off prevents it.
    """
    with _engine(tenant) as engine:
        models = engine.learning.models
        present = models.promoted(tenant)
        details: Details = {"from": present or BASE}
        with _noting_failure(engine, tenant, SystemAction.ROLL_BACK_MODEL, details):
            details["to"] = models.earlier(tenant) or BASE
            write_entry(engine, SystemAction.ROLL_BACK_MODEL, trail=tenant, details=details)
            _observe_peers(engine, tenant)
            now = models.roll_back(tenant, only_from=present or "")
    click.echo(f"{now or 'the base model'} answers now")


@model.command()
@_tenant
def forget(tenant: str) -> None:
    """Delete all models of a tenant, so that nothing is left of students who were erased or have withdrawn their consent.

    The base model answers until the next training, by a worker or by `mastery model train`.
    """
    with _engine(tenant) as engine:
        write_entry(engine, SystemAction.FORGET_MODELS, trail=tenant)
        engine.learning.peers.drop(tenant, engine.mastery.scores.cohorts(tenant))
        deleted = engine.learning.models.drop(tenant)
    click.echo(f"{deleted} deleted; the base model answers now")


@contextmanager
def _noting_failure(engine: Engine, tenant: str, action: SystemAction, details: Details) -> Iterator[None]:
    """If a model cannot answer, an entry says so: also after one that it would, if somebody was faster."""
    try:
        yield
    except NotFound:
        write_entry(engine, action, trail=tenant, details=details, outcome=AuditOutcome.NOT_FOUND)
        raise
    except ModelUnusable:
        write_entry(engine, action, trail=tenant, details=details, outcome=AuditOutcome.FAILED)
        raise


def _observe_peers(engine: Engine, tenant: str) -> None:
    """Observe what a model looks at before it answers: while none did, no worker has."""
    steps = observe_peers(
        tenant, sources=engine.training.sources, store=engine.learning.peers, today=day_number(engine.clock())
    )
    if students := sum(steps):
        write_entry(engine, SystemAction.OBSERVE_PEERS, trail=tenant, details={"students": students})


@contextmanager
def _engine(tenant: str) -> Iterator[Engine]:
    """The engine of the settings. Raises NotFound if it does not know the tenant."""
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        if tenant not in engine.mastery.tenants.all():
            raise NotFound(f"there is no such tenant: {tenant}")
        yield engine


def _print_tested(found: ModelSummary, promoted: str | None) -> None:
    """How a model was made, and its back-tests."""
    click.echo("\n".join(ending(found, promoted)))
    for table in (tests_table(found), *risk_tables(found)):
        output_console().print(table)


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())
