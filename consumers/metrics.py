"""The bridge's Prometheus metrics. Labels have low cardinality: stages, reasons, partitions; never ids."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from time import monotonic

from prometheus_client import Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector

from app.bootstrap import Engine
from app.clock import day_number
from app.errors import DependencyUnavailable
from app.events.dead_letter import ErrorType
from app.health.memory import memory_of
from app.predictions.forecast_accuracy import accuracies, added
from app.predictions.forecast_errors import ForecastErrors
from consumers.kafka.lag import Lag
from tasks.backlog import read_backlog
from tasks.queues import QUEUES
from tasks.transport import BROADCASTS

RECORDS = Counter("mastery_bridge_records", "Records read from the events topic, repeated reads included")
REJECTED = Counter("mastery_bridge_rejected", "Records read that become dead letters: no valid events, or beyond a quota")
CHUNK_RECORDS = Histogram(
    "mastery_bridge_chunk_records", "Valid records in a chunk", buckets=(1, 5, 10, 50, 100, 200, 300, 400, 500, 1_000, 10_000)
)
STAGE_SECONDS = Histogram(
    "mastery_bridge_stage_seconds",
    "Time spent in each stage of the bridge",
    ["stage"],  # read | sort | accept | enqueue | commit
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
)
PAUSES = Counter("mastery_bridge_pauses", "How often reading was paused", ["reason"])  # backlog | dependency | poison
HALTED = Gauge("mastery_bridge_halted", "1 while too many invalid records (poison) hold the bridge")
DELIVERED = Counter("mastery_bridge_delivered", "Messages delivered to Kafka", ["topic"])  # results | dlq

ACCURACY: Mapping[str, tuple[str, Callable[[ForecastErrors], float]]] = {
    "mastery_forecasts_scored": ("Forecasts whose day is over and whose errors still count", lambda errors: errors.number),
    "mastery_forecast_mae": ("Mean absolute error of the mastery that they predicted", lambda errors: errors.mae),
    "mastery_forecast_within_010": ("The share of them within 0.10 of what came", lambda errors: errors.within_010),
    "mastery_forecast_interval_coverage": (
        "The share of outcomes inside the interval",
        lambda errors: errors.interval_coverage,
    ),
}


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Observe the time spent in the context as one run of a stage."""
    began = monotonic()
    try:
        yield
    finally:
        STAGE_SECONDS.labels(stage).observe(monotonic() - began)


class EngineCollector(Collector):
    """Exact totals over all bridges and workers, read from Redis and Kafka at each scrape.

    Every bridge reports the same values: do not sum them over bridges.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lag = Lag(engine)

    def collect(self) -> Iterable[Metric]:
        """The counters and the lag; none of them while Redis is unavailable, no lag while Kafka is."""
        yield from self._counters()
        yield from self._memory()
        yield from self._accuracy()
        yield from self._queues()
        try:
            by_partition = self._lag.by_partition()
        except DependencyUnavailable:
            return
        lag = GaugeMetricFamily(
            "mastery_lag_records", "Records of a partition that are not taken over yet", labels=["partition"]
        )
        for partition, records in by_partition.items():
            lag.add_metric([str(partition)], records)
        yield lag

    def _accuracy(self) -> Iterator[Metric]:
        try:
            tenants, today = self._engine.mastery.tenants.all(), day_number(self._engine.clock())
            found = added(chain.from_iterable(self._engine.accuracy.of_tenant(tenant, today).items() for tenant in tenants))
        except DependencyUnavailable:
            return
        for name, (told, value) in ACCURACY.items():
            metric = GaugeMetricFamily(name, told, labels=["model"])
            for model, accuracy in accuracies(found).items():
                metric.add_metric([model], value(accuracy.errors))
            yield metric

    def _queues(self) -> Iterator[Metric]:
        try:
            backlog = read_backlog(self._engine.clock())
        except DependencyUnavailable:
            return
        tasks = GaugeMetricFamily("mastery_queue_tasks", "Tasks that wait in a queue", labels=["queue"])
        age = GaugeMetricFamily(
            "mastery_queue_oldest_age_seconds",
            "How long the task to be taken next has waited; 0 if none waits",
            labels=["queue"],
        )
        for queue, waiting in backlog.queues.items():
            tasks.add_metric([queue], waiting.tasks)
            age.add_metric([queue], waiting.oldest_age)
        yield tasks
        yield age
        yield GaugeMetricFamily(
            "mastery_tasks_unacknowledged", "Tasks that workers have reserved and not yet finished", value=backlog.reserved
        )

    def _memory(self) -> Iterator[Metric]:
        try:
            memory = memory_of(self._engine.redis)
        except DependencyUnavailable:
            return
        is_nearly_full = memory.share >= self._engine.settings.redis_warning_share
        yield GaugeMetricFamily("mastery_redis_used_bytes", "Memory that Redis uses", value=memory.used)
        yield GaugeMetricFamily("mastery_redis_limit_bytes", "Memory that Redis may use", value=memory.limit)
        yield GaugeMetricFamily("mastery_redis_nearly_full", "1 while Redis is close to that limit", value=is_nearly_full)

    def _counters(self) -> Iterator[Metric]:
        try:
            counts = self._engine.ledger.counts()
            malformed = self._engine.malformed_messages.counts()
            loss = self._engine.losses.known()
            removed = self._engine.removal_counts.read()
            tenants = self._engine.mastery.tenants.all()
            totals = [self._engine.event_totals.of(tenant) for tenant in tenants]
            erasures = self._engine.erasures.running(tenants)
        except DependencyUnavailable:
            return
        yield CounterMetricFamily("mastery_records_accepted", "Records taken over, each once", value=counts.records)
        events = CounterMetricFamily("mastery_events", "How events ended", labels=["outcome"])
        for outcome in ("applied", "duplicates", "expired", "erased"):
            events.add_metric([outcome], sum(getattr(each, outcome) for each in totals))
        yield events
        letters = CounterMetricFamily("mastery_dead_letters", "Dead letters", labels=["error_type"])
        for error_type in ErrorType:  # also without letters: Prometheus does not see the increase with which a series begins
            letters.add_metric([error_type.value], counts.dead_letters.get(error_type, 0))
        yield letters
        messages = CounterMetricFamily(
            "mastery_malformed_messages", "Malformed messages that were taken from a queue", labels=["queue"]
        )
        for queue in (*QUEUES, BROADCASTS):
            messages.add_metric([queue], malformed.get(queue, 0))
        yield messages
        removals = CounterMetricFamily("mastery_removed", "What was removed at the end of its retention", labels=["kind"])
        for what, count in removed.items():
            removals.add_metric([what.value], count)
        yield removals
        yield GaugeMetricFamily("mastery_erasures_running", "Erasures that are accepted and not done", value=erasures)
        yield GaugeMetricFamily("mastery_chunks_in_flight", "Chunks taken over and not yet recorded", value=counts.in_flight)
        missing = 0 if loss.is_acknowledged else loss.records
        yield GaugeMetricFamily("mastery_lost_records", "Events that may be missing, until acknowledged", value=missing)
        is_lost = loss.state_lost_at is not None and not loss.is_acknowledged
        yield GaugeMetricFamily("mastery_state_lost", "1 after Redis lost its state, until acknowledged", value=int(is_lost))


def serve_metrics(engine: Engine, port: int) -> None:
    """Serve ``/metrics`` on a port, in a background thread, until the process ends."""
    REGISTRY.register(EngineCollector(engine))
    start_http_server(port, addr=engine.settings.http_host)
