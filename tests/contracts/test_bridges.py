"""Callers that wait for the bridges are stopped by the bridges' state, on every server."""

import pytest

from app.bootstrap import Engine
from app.errors import DependencyUnavailable
from app.events.bridge_heartbeats import BridgeState, Heartbeat
from consumers.kafka.paced_producer import wait_for_progress


def test_nobody_waits_for_a_halted_bridge(engine: Engine) -> None:
    """A producer gets an error at once, with the way to resume, not after two minutes without progress."""
    engine.bridges.report("one", Heartbeat(BridgeState.RUNNING, 0, 0))
    engine.bridges.require_not_halted()
    engine.bridges.report("other", Heartbeat(BridgeState.HALTED, 200, 150))
    with pytest.raises(DependencyUnavailable, match=r"bridge is halted: .* then `mastery bridge resume`"):
        wait_for_progress(lambda: False, lambda: 0, "the bridge", "takes no events", engine.bridges.require_not_halted)
