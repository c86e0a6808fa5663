"""``mastery audit``: verifies that the audit trail was not tampered with."""

import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

import click

from app.audit.chain import Head
from app.audit.entry import SystemAction
from app.audit.heads import parse_head_text, read_lines
from app.audit.verify_trail import TrailVerdict, verify_trail
from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable, InvalidInput
from app.events.losses import Loss
from cli.commands.dlq_output import printable
from cli.commands.exit_codes import FAILED, NO_SUCH_TENANT
from cli.commands.operator_audit import write_entry
from cli.stack.running_stack import settings_of_running_stack


class Expectation(click.ParamType[dict[str, set[Head]]]):
    """A head as `verify` prints it, or a file of exported heads. Converted to heads by trail; "" is the trail of --tenant."""

    name = "HEAD|FILE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, set[Head]]:
        with suppress(ValueError):
            return {"": {parse_head_text(str(value))}}
        try:
            with Path(str(value)).open(encoding="ascii") as lines:
                return read_lines(lines)
        except (OSError, ValueError, InvalidInput) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.fail(f"must be a head as verify prints it, or a file of exported heads: {value}: {reason}", param, ctx)


@click.group()
def audit() -> None:
    """The audit trail: who did what to whose data."""


@audit.command()
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant's trail; may be repeated. [default: all trails]")
@click.option(
    "--expect",
    "expected",
    type=Expectation(),
    help="Heads noted earlier, which must still be in the trail: a file of exported heads, or one head with one --tenant.",
)
def verify(tenants: tuple[str, ...], expected: dict[str, set[Head]] | None) -> None:
    """Find entries that were altered, removed, moved or inserted.

    Exit code 1 if there are any, 3 if there is no such trail. Keep the heads elsewhere: `--expect` then also finds a trail that
    was reset as a whole.
    """
    noted = _by_trail(expected or {}, tenants)
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        loss = engine.losses.known()
        known = engine.audit.trails()
        unknown = [name for name in tenants if name not in known and name not in noted]
        names = [name for name in tenants or sorted({*known, *noted}) if name not in unknown]
        verdicts = [verify_trail(name, trails=engine.audit, expected=noted.get(name, ())) for name in names]
        failures = sum(len(verdict.findings) for verdict in verdicts)
        try:  # after the verification, since the entry would start a deleted trail again
            write_entry(engine, SystemAction.VERIFY_AUDIT, details={"trails": len(verdicts), "findings": failures})
        except DependencyUnavailable as error:
            click.echo(f"This run has no audit entry: {error}.", err=True)
            failures += 1
    for verdict in verdicts:
        _print(verdict)
    failures += _print_loss(loss)
    for name in unknown:
        click.echo(f"{printable(name)}: there is no such trail", err=True)
    if not (verdicts or unknown):
        click.echo("there is no trail yet")
    sys.exit(FAILED if failures else NO_SUCH_TENANT if unknown else 0)


def _by_trail(expected: dict[str, set[Head]], tenants: Sequence[str]) -> dict[str, set[Head]]:
    """The expected heads by trail. Raises UsageError for a single head without a single --tenant."""
    if "" not in expected:
        return expected
    if len(tenants) != 1:
        raise click.UsageError("--expect with a head needs one --tenant")
    return {tenants[0]: expected[""]}


def _print_loss(loss: Loss) -> int:
    """Print that Redis lost the trails, which the new ones do not show. Returns 1 until an operator has acknowledged it."""
    if loss.state_lost_at is None:
        return 0
    click.echo(
        f"Redis lost its state, detected at {loss.state_lost_at:%Y-%m-%d %H:%M:%S} UTC: every trail started again then. "
        "Earlier entries are gone; compare with heads that you keep elsewhere (--expect)."
    )
    if not loss.is_acknowledged:
        click.echo("To acknowledge this: mastery bridge acknowledge-loss")
    return int(not loss.is_acknowledged)


def _print(verdict: TrailVerdict) -> None:
    name = printable(verdict.trail)
    if not verdict.findings:
        click.echo(f"{name}: {verdict.entries:,} entries, intact; head {verdict.head}")
        return
    click.echo(f"{name}: {verdict.entries:,} entries, NOT intact:")
    for finding in verdict.findings:
        click.echo(f"  {finding}")
