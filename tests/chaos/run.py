"""One run: records stream while faults happen; the final state must not show them. A failure reports the whole run."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from types import TracebackType

import redis

from app.errors import DependencyUnavailable
from consumers.kafka.lag import Lag
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault
from tests.chaos.observed_run import LOOK_SECONDS, SHOWN, ObservedRun
from tests.chaos.records import Expectation, Expected, SentRecord, Student, tally
from tests.chaos.stream import Stream
from tests.chaos.verdict import counted, letters, records_in, unfinished, wrong_scores, wrong_statistics, wrong_students

# If an earlier fault stalls the stream, the next one comes after a random time: before or after the recovery. The longest
# recovery is that of a bridge's partitions, which the group reassigns ten seconds after the bridge was killed.
PATIENCE_SECONDS = 14.0


class Run(ObservedRun):
    """A stream and its faults."""

    def __init__(
        self,
        cluster: Cluster,
        records: Sequence[SentRecord],
        faults: Sequence[Fault],
        *,
        seed: int,
        rate: float,
        tell: Callable[[str], None],
    ) -> None:
        super().__init__(cluster, faults, seed=seed, tell=tell)
        self._records = records
        self._stream = Stream(cluster.engine, records, rate)
        self._lag = Lag(cluster.engine)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the stream. Adds the run's report to any error."""
        self._stream.stop()
        self._lag.close()
        super().__exit__(kind, error, trace)

    def conduct(self) -> None:
        """Send everything, apply each fault at a random time, and return when everything is recorded."""
        self._note(f"{len(self._records):,} records, {len(self._faults)} faults, seed {self._seed}")
        self._stream.start()
        self._strike()
        self._settle()

    def check_counters(self) -> None:
        """Each record has its expected outcome, once: in = applied + duplicates + expired + dead-lettered."""
        assert records_in(self._cluster.settings) == len(self._records)
        assert counted(self._cluster.engine) == tally(self._records)

    def check_dead_letters(self) -> None:
        """Each invalid record has one dead letter, and no other record has any."""
        sources = sorted(letters(self._cluster.settings))
        invalid = (index for index, record in enumerate(self._records) if record.fate is Expectation.DEAD_LETTER)
        assert sources == sorted(self._stream.places[index] for index in invalid)

    def check_students(self, expected: Mapping[date, Mapping[Student, Expected]]) -> None:
        """Every student's mastery, and the score stored for rankings, equals the reference's; statistics equal these scores.

        The latter is of the day of its calculation, which is one of the days of the run.
        """
        first_day = min(expected)
        assert list(islice(wrong_students(self._cluster.engine, expected[first_day], first_day), SHOWN)) == []
        assert list(islice(wrong_scores(self._cluster.engine, list(expected.values())), SHOWN)) == []
        assert list(islice(wrong_statistics(self._cluster.engine), SHOWN)) == []

    def _story(self) -> Iterator[str]:
        yield f"now {self._situation()}"
        yield f"due {tally(self._records)}"
        yield from super()._story()

    def _strike(self) -> None:
        moments = sorted(self._rng.randrange(len(self._records)) for _ in self._faults)
        self._stream.allow(moments[0])
        for fault, moment, limit in zip(self._faults, moments, [*moments[1:], len(self._records)], strict=True):
            deadline = time.monotonic() + self._rng.uniform(0, PATIENCE_SECONDS)
            while self._stream.produced < moment and time.monotonic() < deadline:
                self._supervise()
                time.sleep(LOOK_SECONDS)
            self._stream.allow(limit)  # it continues during the fault, up to the time of the next one
            self._apply(fault)

    def _supervise(self) -> None:
        assert not self._stream.errors, self._stream.errors[:SHOWN]
        super()._supervise()

    def _note(self, what: str) -> None:
        super()._note(f"{self._stream.produced:6} records: {what}")

    def _settle(self) -> None:
        self._wait(lambda: self._stream.is_delivered, "every record is delivered")
        self._wait(lambda: self._lag.records() == 0, "the bridge has taken every record")
        self._wait(lambda: counted(self._cluster.engine).records >= len(self._records), "every record is counted")
        self._wait(lambda: unfinished(self._cluster.engine) == 0, "every chunk is done")

    def _situation(self) -> str:
        try:
            told = f"{counted(self._cluster.engine)}, {unfinished(self._cluster.engine)} unfinished"
        except (DependencyUnavailable, redis.RedisError) as error:
            told = f"the counters cannot be read: {error}"
        return f"{self._stream.produced} produced, {len(self._stream.places)} delivered, {told}"
