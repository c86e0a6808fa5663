"""``mastery webhook-secret``: the secrets that sign callbacks of batches."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from app.audit.entry import SystemAction
from app.batches.webhook_secrets import WebhookSecrets
from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.errors import NotFound
from app.identifiers import require_identifier
from cli.commands.operator_audit import write_entry
from cli.stack.running_stack import settings_of_running_stack

# A receiver is changed within working hours; a forgotten old secret does not stay for long.
OVERLAP_HOURS, MAX_OVERLAP_HOURS = 24, 30 * 24


@click.group()
def webhook_secret() -> None:
    """The secrets that sign the callbacks of a tenant's batches.

    A secret is printed once, alone on standard output, and cannot be shown again.
    """


_tenant = click.option("--tenant", required=True)


@webhook_secret.command()
@_tenant
def create(tenant: str) -> None:
    """Create the secret of a tenant that has none; callback_url is accepted from then on."""
    with _secrets(tenant, SystemAction.CREATE_WEBHOOK_KEY) as secrets:
        click.echo(secrets.create(tenant))


@webhook_secret.command()
@_tenant
@click.option(
    "--overlap",
    type=click.IntRange(0, MAX_OVERLAP_HOURS),
    default=OVERLAP_HOURS,
    show_default=True,
    metavar="HOURS",
    help="For so long, messages have a signature by the old secret too.",
)
def rotate(tenant: str, overlap: int) -> None:
    """Replace the secret of a tenant."""
    with _secrets(tenant, SystemAction.ROTATE_WEBHOOK_KEY) as secrets:
        click.echo(secrets.rotate(tenant, overlap * 3600))


@webhook_secret.command()
@_tenant
def revoke(tenant: str) -> None:
    """Delete the secret of a tenant. Callbacks wait, for up to a day, until it has a new one."""
    with _secrets(tenant, SystemAction.REVOKE_WEBHOOK_KEY) as secrets:
        secrets.revoke(tenant)
    click.echo("revoked")


@contextmanager
def _secrets(tenant: str, action: SystemAction) -> Iterator[WebhookSecrets]:
    """The secrets, after an entry in the tenant's audit trail. Raises NotFound if there is none to change."""
    require_identifier("--tenant", tenant)
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        if action is not SystemAction.CREATE_WEBHOOK_KEY and not engine.webhook_secrets.of(tenant):
            raise NotFound(f"{tenant} has no webhook secret")
        write_entry(engine, action, trail=tenant)
        yield engine.webhook_secrets
