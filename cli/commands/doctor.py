"""``mastery doctor``: shows the settings and pings every dependency."""

import logging
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.bootstrap import bootstrap
from app.clock import system_clock
from app.config.redacted import redacted, without_credentials
from app.config.settings import Settings
from app.health.readiness import Ping, check_readiness, ping_bridge, ping_redis, ping_state
from app.logs import escaped
from cli.stack.running_stack import RunningStack
from consumers.kafka import clients as kafka
from tasks.broker import broker_settings
from tasks.celery import app as celery
from tasks.health import ping_beat, ping_broker, ping_worker

CHECK_SECONDS = 5.0
# The meaning of an empty value, where it is not just "not set".
UNSET = {
    "MASTERY_REDIS_URL": "embedded by `mastery up`",
    "MASTERY_BROKER_URL": "as MASTERY_REDIS_URL",
    "MASTERY_KAFKA_BOOTSTRAP": "embedded by `mastery up`",
    "MASTERY_BRIDGE_HEARTBEAT_FILE": "bridge.heartbeat in the data folder",
}


def run(settings: Settings, stack: RunningStack | None, *, console: Console) -> int:
    """Print the settings, the addresses of the running stack and the pings. Returns 0 when every dependency is fine, else 1."""
    console.print(_settings_table(settings))
    if stack is not None:
        console.print(_places_table(stack))
    if not (settings.redis_url and settings.kafka_bootstrap):
        place = escaped(str(settings.data_path))
        console.print(f"No stack runs on {place}, and no Redis or Kafka is set: nothing to ping.", soft_wrap=True, markup=False)
        return 1
    logging.disable()  # the failures are printed below, one line each
    readiness = check_readiness(_pings(settings), system_clock())
    for name, state in readiness.dependencies.items():
        line = Text(
            f"{'✗' if state.problem else '✓'} {name}: {state.problem or 'ok'}", style="red" if state.problem else "green"
        )
        console.print(line, soft_wrap=True)
    return 1 if readiness.problems else 0


def _settings_table(settings: Settings) -> Table:
    table = Table(title="Settings", box=SIMPLE_HEAD)
    table.add_column("variable", no_wrap=True)
    table.add_column("value", overflow="fold")
    for name, value in redacted(settings).items():
        unset = Text(UNSET.get(name, "not set"), style="dim")
        table.add_row(name, Text(escaped(value)) if value else unset)  # not markup: a path may have brackets
    return table


def _places_table(stack: RunningStack) -> Table:
    table = Table(title="The running stack", box=SIMPLE_HEAD)
    table.add_column("part", no_wrap=True)
    table.add_column("where", overflow="fold")
    places = {
        "API": stack.http_url,
        "docs": f"{stack.http_url}/docs",
        "Flower": stack.flower_url,
        "metrics of the bridge": stack.bridge_metrics_url,
        "Redis": without_credentials(stack.redis_url),
        "Celery's broker": without_credentials(stack.broker_url),
        "Kafka": stack.kafka_bootstrap,
        "process of `mastery up`": str(stack.pid),
    }
    for part, where in places.items():
        table.add_row(part, Text(where))
    return table


def _pings(settings: Settings) -> Mapping[str, Ping]:
    celery.conf.update(broker_settings(settings))
    engine = bootstrap(settings)
    return {
        "redis": lambda: ping_redis(engine.redis, settings.key_prefix),
        "broker": ping_broker,
        "kafka": lambda: kafka.ping(settings, CHECK_SECONDS),
        "worker": ping_worker,
        "beat": lambda: ping_beat(engine.sweeps),
        "bridge": lambda: ping_bridge(engine.bridges),
        "state": lambda: ping_state(engine.losses),
    }
