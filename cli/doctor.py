"""``mastery doctor``: what the settings are, and whether everything they name answers."""

import logging
import os
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.bootstrap import bootstrap
from app.health.readiness import OK, Ping, check_readiness, ping_bridge, ping_redis, ping_state
from app.settings import Settings, redacted, unknown_settings
from consumers import kafka
from tasks.broker import broker_settings
from tasks.celery import app as celery
from tasks.health import ping_beat, ping_broker, ping_worker

ANSWER_SECONDS = 5.0
# What an empty value means, where it is more than that nothing is set.
UNSET = {
    "MASTERY_REDIS_URL": "embedded by `mastery up`",
    "MASTERY_BROKER_URL": "as MASTERY_REDIS_URL",
    "MASTERY_KAFKA_BOOTSTRAP": "embedded by `mastery up`",
    "MASTERY_BRIDGE_HEARTBEAT_FILE": "bridge.heartbeat in the data folder",
}


def run(settings: Settings, *, console: Console) -> int:
    """Print settings and pings. Returns 0 when everything answers, else 1."""
    console.print(_settings_table(settings))
    for name in unknown_settings(os.environ):  # noqa: TID251 - looked at for names that no setting has
        console.print(f"[yellow]{name} is not a setting and is ignored[/yellow]")
    if not (settings.redis_url and settings.kafka_bootstrap):
        console.print(f"No stack runs on {settings.data_path}, and no Redis or Kafka is set: nothing to ping.", soft_wrap=True)
        return 1
    logging.disable()  # what is wrong is told below, in a line each
    readiness = check_readiness(_pings(settings))
    for name, state in readiness.dependencies.items():
        line = Text(f"{'✓' if state == OK else '✗'} {name}: {state}", style="green" if state == OK else "red")
        console.print(line, soft_wrap=True)
    return 0 if readiness.ready and not readiness.degraded else 1


def _settings_table(settings: Settings) -> Table:
    table = Table(title="Settings", box=SIMPLE_HEAD)
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in redacted(settings).items():
        table.add_row(name, value or f"[dim]{UNSET.get(name, 'not set')}[/dim]")
    return table


def _pings(settings: Settings) -> Mapping[str, Ping]:
    celery.conf.update(broker_settings(settings))
    engine = bootstrap(settings)
    return {
        "redis": lambda: ping_redis(engine.redis, settings.key_prefix),
        "broker": ping_broker,
        "kafka": lambda: kafka.ping(settings, ANSWER_SECONDS),
        "worker": ping_worker,
        "beat": lambda: ping_beat(engine.sweeps),
        "bridge": lambda: ping_bridge(engine.bridges),
        "state": lambda: ping_state(engine.losses),
    }
