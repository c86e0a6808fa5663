"""The engine's results, read where the API reads them, and compared with the expected ones."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from confluent_kafka import Consumer, Message, TopicPartition

from app.bootstrap import Engine
from app.config.settings import Settings
from app.events.event_totals import Totals
from app.mastery.query_mastery import query_mastery
from app.mastery.rankings import Metric
from tests.chaos.records import Expected, Student, Tally
from tests.chaos.stream import Place

TOLERANCE = 1e-6
KAFKA_SECONDS = 10.0


def counted(engine: Engine) -> Tally:
    """The engine's counters of outcomes."""
    every = [engine.event_totals.of(tenant) for tenant in engine.mastery.tenants.all()]
    totals = Totals(*(sum(counts) for counts in zip(*every, strict=True))) if every else Totals()
    return Tally(totals, sum(engine.ledger.counts().dead_letters.values()))


def unfinished(engine: Engine) -> int:
    """The number of unrecorded chunks, plus 1 if dead letters are not delivered yet."""
    return engine.ledger.in_flight() + (engine.ledger.waiting_letters(1) != [])


def wrong_students(engine: Engine, expected: Mapping[Student, Expected], as_of: date) -> Iterator[str]:
    """Every difference between students' components, score or cohort and the reference."""
    now = datetime.now(UTC)
    for (tenant, student), of_reference in expected.items():
        told = query_mastery(tenant, student, stores=engine.mastery, now=now, on=as_of)
        if told.cohort_id != of_reference.cohort:
            yield f"{tenant}/{student}: cohort {told.cohort_id}, not {of_reference.cohort}"
        if abs(told.score - of_reference.mastery) > TOLERANCE:
            yield f"{tenant}/{student}: mastery {told.score}, not {of_reference.mastery}"
        for name, value in of_reference.components.items():
            if not _equal(told.components[name], value):
                yield f"{tenant}/{student}: {name} {told.components[name]}, not {value}"


def wrong_scores(engine: Engine, expected: Sequence[Mapping[Student, Expected]]) -> Iterator[str]:
    """Every difference between the scores stored for rankings and the reference on one of these days."""
    ranked = {
        (tenant, student, cohort): score
        for tenant in engine.mastery.tenants.all()
        for cohort in engine.mastery.scores.cohorts(tenant)
        for student, score in engine.mastery.scores.ranking(tenant, cohort)
    }
    wanted: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
    for of_day in expected:
        for (tenant, student), of_reference in of_day.items():
            wanted[tenant, student, of_reference.cohort].append(of_reference.mastery)
    for who in wanted.keys() | ranked.keys():
        if not any(_equal(ranked.get(who), score) for score in wanted[who]):
            yield f"{'/'.join(who)}: ranked by {ranked.get(who)}, not {wanted[who]}"


def wrong_statistics(engine: Engine) -> Iterator[str]:
    """Every difference between what statistics are made of and the scores; all students allow them."""
    for tenant in engine.mastery.tenants.all():
        for cohort in engine.mastery.scores.cohorts(tenant):
            values = {metric: engine.mastery.rankings.values(tenant, cohort, metric) for metric in Metric}
            scores = [round(score * 1_000_000) for _student, score in engine.mastery.scores.ranking(tenant, cohort)]
            if values[Metric.MASTERY] != scores:
                yield f"{tenant}/{cohort}: counted are {values[Metric.MASTERY]}, not {scores}"
            for metric, read in engine.mastery.rankings.read(tenant, cohort, list(Metric)).by_metric.items():
                if (read.total, read.squares) != (sum(values[metric]), sum(value * value for value in values[metric])):
                    yield f"{tenant}/{cohort}: the sums of {metric} are {read.total} and {read.squares}"


def letters(settings: Settings) -> list[Place]:
    """The source of every dead letter on the topic, from its headers."""
    with _reader(settings) as consumer:
        return [_source(message) for message in _read_all(consumer, settings.dlq_topic)]


def records_in(settings: Settings) -> int:
    """The number of records in the events topic."""
    with _reader(settings) as consumer:
        return sum(high for _, high in _watermarks(consumer, settings.events_topic).values())


def _reader(settings: Settings) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": "chaos-verdict",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
        }
    )


def _watermarks(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    partitions = consumer.list_topics(topic, timeout=KAFKA_SECONDS).topics[topic].partitions
    return {each: consumer.get_watermark_offsets(TopicPartition(topic, each), timeout=KAFKA_SECONDS) for each in partitions}


def _read_all(consumer: Consumer, topic: str) -> Iterator[Message]:
    watermarks = _watermarks(consumer, topic)
    consumer.assign([TopicPartition(topic, partition, low) for partition, (low, _) in watermarks.items()])
    left = sum(high - low for low, high in watermarks.values())
    while left:
        message = consumer.poll(KAFKA_SECONDS)
        assert message is not None, f"{left} records of {topic} cannot be read"
        assert message.error() is None, message.error()
        left -= 1
        yield message


def _source(message: Message) -> Place:
    headers = dict(message.headers() or [])
    return Place(int(headers["dlq.partition"] or -1), int(headers["dlq.offset"] or -1))


def _equal(told: float | None, value: float | None) -> bool:
    if told is None or value is None:
        return told is value
    return abs(told - value) <= TOLERANCE
