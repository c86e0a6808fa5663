"""``mastery bridge``: shows the bridges' state, resumes halted bridges, and acknowledges losses."""

from contextlib import closing
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.table import Table

from app.audit.entry import SystemAction
from app.bootstrap import bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from app.events.bridge_heartbeats import BridgeState
from cli.commands.operator_audit import write_entry
from cli.stack.running_stack import settings_of_running_stack
from consumers.kafka.lag import Lag


@click.group()
def bridge() -> None:
    """The bridge from Kafka to the workers."""


@bridge.command()
def status() -> None:
    """Show every live bridge, and the chunks in flight."""
    engine = bootstrap(settings_of_running_stack(load_settings()))
    heartbeats, counts = engine.bridges.heartbeats(), engine.ledger.counts()
    if not heartbeats:
        raise DependencyUnavailable("no bridge", "has sent a heartbeat")
    table = Table("bridge", "state", "records", "rejected", "last heartbeat")
    for name, heartbeat in sorted(heartbeats.items()):
        at = datetime.fromtimestamp(heartbeat.at, UTC).isoformat(timespec="seconds")
        table.add_row(name, heartbeat.state, f"{heartbeat.records:,}", f"{heartbeat.rejected:,}", at)
    Console().print(table)
    letters = sum(counts.dead_letters.values())
    print(f"records accepted: {counts.records:,}; dead letters: {letters:,}; chunks in flight: {counts.in_flight:,}")
    loss = engine.losses.known()
    if not loss.is_acknowledged:
        print(f"lost: {loss}")


@bridge.command()
def resume() -> None:
    """Resume bridges halted by too many invalid records: those records go to the dead letters.

    This applies to all invalid records now in the topic, on every partition. Later invalid records can halt the bridges again.
    """
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        halted = [name for name, heartbeat in engine.bridges.heartbeats().items() if heartbeat.state is BridgeState.HALTED]
        write_entry(engine, SystemAction.RESUME_BRIDGES, details={"halted": len(halted)})
        if halted:
            with closing(Lag(engine)) as lag:
                engine.positions.admit(*lag.ends())
    print(f"halted bridges told to resume: {len(halted)}" if halted else "no bridge is halted")


@bridge.command("acknowledge-loss")
def acknowledge_loss() -> None:
    """Confirm that you know of the events that the engine has lost, and have restored what you can.

    Until then, /ready, `mastery doctor` and the metrics report the loss.
    """
    engine = bootstrap(settings_of_running_stack(load_settings()))
    with closing(engine.redis):
        loss = engine.losses.known()
        if loss.is_acknowledged:
            print("there is no unacknowledged loss")
            return
        write_entry(engine, SystemAction.ACKNOWLEDGE_LOSS, details={"records": loss.records})
        engine.losses.acknowledge(loss)
    print(f"acknowledged: {loss}")
