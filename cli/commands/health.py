"""``mastery health``: whether one process on this machine is alive, for the probes of Kubernetes and Compose.

It checks the process itself; ``/ready`` and ``mastery doctor`` check all dependencies.
"""

import os
import socket
import time

import click

from app.config.settings import load_settings
from app.config.url_settings import host_to_call, in_url
from app.logs import escaped
from cli.stack.running_stack import find_running_stack, settings_of_running_stack, why_not_well
from consumers.bridge.heartbeat import heartbeat_file
from tasks.broker import broker_settings
from tasks.celery import app as celery
from tasks.health import ping_node

# The bridge touches its file once a second, also while it waits for Redis or Kafka. A step may take long on a busy machine.
SILENT_SECONDS = 30.0


@click.group()
def health() -> None:
    """Check that one process on this machine is alive: exit code 0, else 1 and the reason.

    Worker and beat answer through the broker, so this fails while it is down.
    """


@health.command()
def api() -> None:
    """The API answers at /health."""
    settings = load_settings()
    stack = find_running_stack(settings.data_path)
    scheme = "https" if settings.http_cert_file else "http"
    url = stack.http_url if stack else f"{scheme}://{in_url(host_to_call(settings.http_host))}:{settings.http_port}"
    problem = why_not_well(f"{url}/health", stack.http_cert_file if stack else settings.http_cert_file)
    if problem is not None:
        raise click.ClickException(problem)
    click.echo("the API answers")


@health.command()
@click.option("--node", help="The worker's node name. [default: celery@ and this machine's host name]")
def worker(*, node: str | None) -> None:
    """The worker on this machine answers a ping."""
    _ping(node or f"celery@{socket.gethostname()}")


@health.command()
@click.option("--node", help="Beat's node name. [default: celerybeat@ and this machine's host name]")
def beat(*, node: str | None) -> None:
    """Beat on this machine answers a ping, which it does while it ticks."""
    _ping(node or f"celerybeat@{socket.gethostname()}")


@health.command()
def bridge() -> None:
    """The bridge on this data folder touches its heartbeat file."""
    file = heartbeat_file(load_settings())
    try:
        age = time.time() - file.stat().st_mtime
    except OSError as error:
        raise click.ClickException(
            f"the bridge's heartbeat file {escaped(str(file))}: {os.strerror(error.errno or 0)}"
        ) from error
    if age > SILENT_SECONDS:
        raise click.ClickException(f"the bridge has not touched its heartbeat file for {age:.0f} s")
    click.echo("the bridge touches its heartbeat file")


def _ping(node: str) -> None:
    settings = load_settings()
    if not settings.broker:
        settings = settings_of_running_stack(settings)
    celery.conf.update(broker_settings(settings))
    ping_node(node)
    click.echo(f"{node} answers")
