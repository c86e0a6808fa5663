"""The settings of the topics in Kafka: names, partitions, retention."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from app.config.field_types import Text


@dataclass(frozen=True, kw_only=True)
class TopicSettings:
    """The part of ``app/config/settings.py`` about the topics, as ``mastery topics create`` creates them."""

    events_topic: Text = "mastery.events"
    dlq_topic: Text = "mastery.dlq"
    results_topic: Text = "mastery.results"
    erasures_topic: Text = "mastery.erasures"

    # The topics that `mastery topics create` creates. The number of partitions limits the number of active bridges.
    kafka_partitions: Annotated[int, Meta(ge=1, le=10_000)] = 12
    kafka_replication: Annotated[int, Meta(ge=1, le=15)] = 1  # 3 in production
    events_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 7  # the longest Redis outage, or age of a restored backup
    results_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 7
    dlq_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30  # the time to investigate failures
    erasures_retention_days: Annotated[int, Meta(ge=1, le=3650)] = 365  # the oldest backup of Redis that may be restored
