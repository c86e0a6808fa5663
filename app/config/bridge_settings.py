"""The settings of the bridge (chunks, backpressure, invalid records, metrics), and their checks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from app.config.field_types import Port, Seconds, Text


@dataclass(frozen=True, kw_only=True)
class BridgeSettings:
    """The part of ``app/config/settings.py`` about the bridge, which hands events to the workers in chunks."""

    # Kafka bridge. With 500 events per task, the task overhead of 1 ms is 2 µs per event; larger chunks only add latency.
    kafka_group: Text = "mastery-bridge"
    chunk_events: Annotated[int, Meta(ge=1, le=10_000)] = 500
    chunk_wait_seconds: Annotated[float, Meta(gt=0, le=10)] = 0.05  # the longest an event waits for its chunk to fill
    # Kafka's session timeout: after it, a dead bridge's partitions are reassigned.
    kafka_session_seconds: Annotated[float, Meta(ge=1, le=300)] = 10.0
    # A chunk without activity for this long has lost its task. Longer than a retry's delay, and than 200 chunks take.
    chunk_overdue_seconds: Seconds = 30.0
    # Chunks accepted and not yet recorded: above the high mark the bridge pauses until the low mark is reached. 200 chunks are
    # 5 MB of Redis and six seconds of work: enough to keep the workers busy, few enough to keep the latency of new events low.
    chunks_high_mark: Annotated[int, Meta(ge=1, le=100_000)] = 200
    chunks_low_mark: Annotated[int, Meta(ge=0, le=100_000)] = 150
    # A tenant's events above this rate per bridge go to the bulk lane, which serves its tenants in turn. A worker records
    # about 10,000 a second, so ten tenants may reach this rate before anybody waits.
    tenant_events_per_second: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    # The marks of the bulk lane. 1,000 chunks are 25 MB: half a million events of one tenant, without delay for the others.
    bulk_chunks_high_mark: Annotated[int, Meta(ge=1, le=100_000)] = 1_000
    bulk_chunks_low_mark: Annotated[int, Meta(ge=0, le=100_000)] = 900
    # A larger share of invalid recent records means a bad deploy, not bad data: the bridge stops. 1: never.
    poison_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    poison_records: Annotated[int, Meta(ge=1, le=1_000_000)] = 200  # the latest records that it is of; fewer never halt it
    bridge_metrics_port: Port = 0  # 0: not served, except by `mastery up`, which picks a free port
    bridge_heartbeat_file: str = ""  # touched while the bridge polls; empty: bridge.heartbeat in the data folder


def bridge_contradictions(settings: BridgeSettings) -> Iterator[str]:
    """Marks in the wrong order, one line each."""
    if settings.chunks_low_mark > settings.chunks_high_mark:
        yield "MASTERY_CHUNKS_LOW_MARK: is above MASTERY_CHUNKS_HIGH_MARK"
    if settings.bulk_chunks_low_mark > settings.bulk_chunks_high_mark:
        yield "MASTERY_BULK_CHUNKS_LOW_MARK: is above MASTERY_BULK_CHUNKS_HIGH_MARK"
