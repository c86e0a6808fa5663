"""``mastery``: runs, feeds and operates the engine."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from app.clock import system_clock
from app.config.settings import load_settings
from app.errors import EngineError
from app.roles import Role
from app.security.tokens import development_token
from cli.commands import doctor as doctor_command
from cli.commands import down as down_command
from cli.commands import replay as replay_command
from cli.commands import run as run_command
from cli.commands.audit import audit
from cli.commands.batch import batch
from cli.commands.bridge import bridge
from cli.commands.dlq import dlq
from cli.commands.erase import erase
from cli.commands.evaluate import evaluate
from cli.commands.health import health
from cli.commands.model import model
from cli.commands.topics import topics
from cli.commands.webhook_secret import webhook_secret
from cli.demo import run_demo as demo_command
from cli.stack.module import ignore_modules_of_current_folder
from cli.stack.roles import ROLES
from cli.stack.run_stack import run_stack
from cli.stack.running_stack import find_running_stack, settings_of_running_stack

EVENTS_FILE = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True, path_type=Path)


class EngineErrorsAreMessages(click.Group):
    """Shows an EngineError as a message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except EngineError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=EngineErrorsAreMessages, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mastery-engine")
def main() -> None:
    """The Mastery Engine: learning events in, each student's mastery out."""
    ignore_modules_of_current_folder()


@main.command()
@click.option("--until-input-ends", is_flag=True, help="Stop when standard input ends, so also with the parent process.")
def up(*, until_input_ends: bool) -> None:
    """Run the whole stack in this terminal until Ctrl-C."""
    sys.exit(run_stack(load_settings(), until_input_ends=until_input_ends))


@main.command()
@click.argument("role", type=click.Choice(ROLES))
def run(role: str) -> None:
    """Run one process of the engine: the API, a worker, beat, the bridge or Flower."""
    run_command.run(role)


@main.command()
def down() -> None:
    """Stop the stack that runs on the data folder, and wait until it has stopped."""
    down_command.run(load_settings().data_path)


@main.command()
@click.argument("events", required=False, type=EVENTS_FILE)
@click.option("--shift-to-now", is_flag=True, help="Move all events by whole days so that the newest falls on yesterday.")
@click.option("--exit", "leave", is_flag=True, help="Stop after the summary instead of waiting for Ctrl-C.")
def demo(events: Path | None, *, shift_to_now: bool, leave: bool) -> None:
    """Run the whole stack, stream EVENTS (or a simulated classroom) through it, and show a teacher's summary."""
    sys.exit(demo_command.run(load_settings(), events, shift_to_now=shift_to_now, leave=leave, console=Console()))


@main.command()
@click.argument("events", type=EVENTS_FILE)
@click.option("--rate", type=click.IntRange(min=1), help="Maximum events per second.")
@click.option("--shift-to-now", is_flag=True, help="Move all events by whole days so that the newest falls on yesterday.")
def replay(events: Path, *, rate: int | None, shift_to_now: bool) -> None:
    """Feed EVENTS (NDJSON, gzipped or not; - is standard input) to the running stack, and wait until they are applied."""
    settings = settings_of_running_stack(load_settings())
    sys.exit(replay_command.run(settings, events, rate=rate, shift_to_now=shift_to_now, console=Console()))


@main.command()
@click.option("--role", type=click.Choice([role.value for role in Role]), required=True)
@click.option("--tenant", required=True)
@click.option("--subject", help="The user's id. Required for a student: the student's id. [default for others: the role]")
@click.option("--cohorts", default="", help="A teacher's cohorts, separated by commas; without any, a teacher sees no cohort.")
def token(role: str, tenant: str, subject: str | None, cohorts: str) -> None:
    """Print a development token, and nothing else on standard output."""
    if role == Role.STUDENT and subject is None:
        raise click.UsageError("a student's token needs --subject, the student's id")
    named: Sequence[str] = [cohort for cohort in cohorts.split(",") if cohort]
    if role == Role.TEACHER and not named:
        click.echo("This teacher sees no cohort: name some with --cohorts.", err=True)
    click.echo(
        development_token(
            load_settings(), role=Role(role), tenant=tenant, subject=subject or role, cohorts=named, now=system_clock()
        )
    )


@main.command()
def doctor() -> None:
    """Show the settings, secrets redacted, and ping every dependency."""
    settings = load_settings()
    stack = find_running_stack(settings.data_path)
    sys.exit(doctor_command.run(settings_of_running_stack(settings, required=False), stack, console=Console()))


main.add_command(batch)
main.add_command(dlq)
main.add_command(audit)
main.add_command(bridge)
main.add_command(erase)
main.add_command(evaluate)
main.add_command(health)
main.add_command(model)
main.add_command(topics)
main.add_command(webhook_secret)


if __name__ == "__main__":
    main()
