"""``mastery audit``: whether anybody changed the audit trail."""

import re
import sys
from contextlib import closing

import click

from app.audit.chain import MAX_SEQUENCE_DIGITS, Head
from app.audit.entry import Deed
from app.audit.verify_trail import Verdict, verify_trail
from app.bootstrap import bootstrap
from app.errors import DependencyUnavailable
from app.settings import load_settings
from cli.audit_notes import note
from cli.letters_view import printable
from cli.running_stack import settings_of_running_stack

_HEAD = re.compile(rf"([0-9]{{1,{MAX_SEQUENCE_DIGITS}}}):([0-9a-f]{{64}})")


class HeadText(click.ParamType[Head]):
    """A head as `verify` prints it."""

    name = "SEQUENCE:MAC"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        found = _HEAD.fullmatch(str(value))
        if not found:
            self.fail("must be a head as verify prints it: a number, a colon, 64 hexadecimal digits", param, ctx)
        return Head(int(found[1]), bytes.fromhex(found[2]))


@click.group()
def audit() -> None:
    """The audit trail: who did what to whose data."""


@audit.command()
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant's trail; may be repeated. [default: all trails]")
@click.option(
    "--expect", "expected", type=HeadText(), help="With one --tenant: a head that was noted earlier must still be there."
)
def verify(tenants: tuple[str, ...], expected: Head | None) -> None:
    """Find entries that were altered, removed, moved or put in.

    Exit code 1 if there is any. Keep the heads somewhere else: with `--expect`, a trail that was set back as a whole is found.
    """
    if expected and len(tenants) != 1:
        raise click.UsageError("--expect needs one --tenant")
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        verdicts = [
            verify_trail(name, trails=engine.audit, expected=[expected] if expected else [])
            for name in tenants or engine.audit.trails()
        ]
        failures = sum(len(verdict.findings) for verdict in verdicts)
        try:  # afterwards, since an entry would make a trail that is gone begin anew
            note(engine, Deed.VERIFY_AUDIT, details={"trails": len(verdicts), "findings": failures})
        except DependencyUnavailable as error:
            click.echo(f"This run leaves no entry: {error}.", err=True)
            failures += 1
    for verdict in verdicts:
        _tell(verdict)
    if not verdicts:
        click.echo("there is no trail yet")
    sys.exit(1 if failures else 0)


def _tell(verdict: Verdict) -> None:
    name = printable(verdict.trail)
    if not verdict.findings:
        click.echo(f"{name}: {verdict.entries:,} entries, intact; head {verdict.head}")
        return
    click.echo(f"{name}: {verdict.entries:,} entries, NOT intact:")
    for finding in verdict.findings:
        click.echo(f"  {finding}")
