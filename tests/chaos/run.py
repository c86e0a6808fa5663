"""One run: records stream while faults happen; the final state must not show them. A failure reports the whole run."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import islice
from random import Random
from types import TracebackType

import redis

from app.errors import DependencyUnavailable
from consumers.kafka.lag import Lag
from tests.chaos.cluster import Cluster
from tests.chaos.faults import Fault
from tests.chaos.records import Expectation, Expected, SentRecord, Student, tally
from tests.chaos.stream import Stream
from tests.chaos.verdict import counted, letters, records_in, unfinished, wrong_scores, wrong_students

SETTLE_SECONDS = 120.0  # tasks prefetched by a killed worker are found again after a minute
LOOK_SECONDS = 0.1
# If an earlier fault stalls the stream, the next one comes after a random time: before or after the recovery. The longest
# recovery is that of a bridge's partitions, which the group reassigns ten seconds after the bridge was killed.
PATIENCE_SECONDS = 14.0
SHOWN = 5


class Run:
    """A stream and its faults. The seed determines which faults happen when and where, as far as processes allow."""

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
        self._cluster = cluster
        self._records = records
        self._faults = faults
        self._seed = seed
        self._rng = Random(seed)
        self._stream = Stream(cluster.engine, records, rate)
        self._lag = Lag(cluster.engine)
        self._began = time.monotonic()
        self._tell = tell
        self._log: list[str] = []

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None) -> None:
        """Stop the stream. Adds the run's report to any error."""
        self._stream.stop()
        self._lag.close()
        if error is not None:
            error.add_note(self.story())

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

    def check_students(self, expected: Mapping[Student, Expected], as_of: date) -> None:
        """Every student's mastery, and the score stored for rankings, equals the reference's."""
        assert list(islice(wrong_students(self._cluster.engine, expected, as_of), SHOWN)) == []
        assert list(islice(wrong_scores(self._cluster.engine, expected), SHOWN)) == []

    def story(self) -> str:
        """The run so far: seed, faults with their times, counters, and the ends of the logs."""
        return "\n".join(
            (
                f"repeat with CHAOS_SEED={self._seed} CHAOS_FAULTS={len(self._faults)}",
                *self._log,
                f"now {self._situation()}",
                f"due {tally(self._records)}",
                f"logs in {self._cluster.logs}",
                *(f"--- {part.name}\n{part.tail()}" for part in self._cluster.parts()),
            )
        )

    def _strike(self) -> None:
        moments = sorted(self._rng.randrange(len(self._records)) for _ in self._faults)
        self._stream.allow(moments[0])
        for fault, moment, limit in zip(self._faults, moments, [*moments[1:], len(self._records)], strict=True):
            deadline = time.monotonic() + self._rng.uniform(0, PATIENCE_SECONDS)
            while self._stream.produced < moment and time.monotonic() < deadline:
                self._supervise()
                time.sleep(LOOK_SECONDS)
            self._stream.allow(limit)  # it continues during the fault, up to the time of the next one
            self._note(f"{fault.__name__} …")
            self._note(f"… {fault(self._cluster, self._rng)}")

    def _supervise(self) -> None:
        if told := self._cluster.supervise():
            self._note(told)

    def _note(self, what: str) -> None:
        line = f"{time.monotonic() - self._began:6.1f} s, {self._stream.produced:6} records: {what}"
        self._log.append(line)
        self._tell(line)

    def _settle(self) -> None:
        self._wait(lambda: self._stream.is_delivered, "every record is delivered")
        self._wait(lambda: self._lag.records() == 0, "the bridge has taken every record")
        self._wait(lambda: counted(self._cluster.engine).records >= len(self._records), "every record is counted")
        self._wait(lambda: unfinished(self._cluster.engine) == 0, "every chunk is done")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SETTLE_SECONDS
        while not self._holds(condition):
            assert time.monotonic() < deadline, f"not within {SETTLE_SECONDS} s: {what}"
            assert not self._stream.errors, self._stream.errors[:SHOWN]
            self._supervise()
            time.sleep(LOOK_SECONDS)
        self._note(what)

    @staticmethod
    def _holds(condition: Callable[[], bool]) -> bool:
        try:
            return condition()
        except DependencyUnavailable:
            return False  # a server that has just restarted does not respond yet

    def _situation(self) -> str:
        try:
            told = f"{counted(self._cluster.engine)}, {unfinished(self._cluster.engine)} unfinished"
        except (DependencyUnavailable, redis.RedisError) as error:
            told = f"the counters cannot be read: {error}"
        return f"{self._stream.produced} produced, {len(self._stream.places)} delivered, {told}"
