"""What an export has of a student's results in stored batches."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import cast

import msgspec
import redis

from app.batches.batch import CHUNK_STUDENTS, Batch, BatchKey
from app.batches.batch_fields import decode_batch
from app.batches.batch_kinds import KINDS, Row
from app.batches.tenant_batches import batches_of_tenant
from app.errors import NotFound
from app.storage.exported import Exported, ExportedRow, utc_text
from app.storage.keys import Keys
from app.storage.scripts import slices

# Batches that are read in one round trip, and chunks of results: a megabyte.
BATCHES_PER_READ, CHUNKS_PER_READ = 100, 40

# Who asked is a role and no name, and a batch's id is left out, since callers choose it: an export names no other person.
COLUMNS = {
    "created_at": "when the batch was created, UTC",
    "compute": "what was computed",
    "asked_by": "the role of whoever asked",
    "components_given": "whether whoever asked gave the components, instead of computing them from the facts",
    "error": "why there is no result",
    "score": "the mastery, 0..1",
    "level": "its level",
    "coverage": "the weights of the components with evidence, 0..1",
    "completion": "the component, 0..1",
    "quiz": "the component, 0..1",
    "quality": "the component, 0..1",
    "consistency": "the component, 0..1",
    "cohort_id": "the student's cohort at that time",
    "trend": "the trend of the student's mastery",
    "predicted_score": "of a prediction: the mastery in seven days, 0..1",
    "lower": "of a prediction: the lower end of its interval, 0..1",
    "upper": "of a prediction: the upper end, 0..1",
    "confidence": "of a prediction: how far it can be trusted, 0..1",
    "current_score": "of a prediction: the mastery on the day it was made, 0..1",
    "slope_per_day": "of a prediction: the slope of the daily mastery",
    "intervention_needed": "of a prediction: whether it says that the student needs help",
    "reasons": "of a prediction: why",
    "days_of_history": "of a prediction: days since the first evidence",
    "stale": "of a prediction: whether there was no evidence for two weeks",
    "warnings": "of a prediction: what to know before relying on it",
    "model": "of a prediction: what made it",
    "model_version": "of a prediction: the version of that",
    "historical_average": "the mean mastery since the first evidence, 0..1",
    "date": "the day for which it was computed, or which was predicted, UTC",
}

_rows = msgspec.msgpack.Decoder(list[Row])


class BatchExport:
    """Exports results of batches. Reading rows raises DependencyUnavailable when Redis does not answer."""

    def __init__(self, client: redis.Redis, key_prefix: str) -> None:
        self._redis = client
        self._keys = Keys(key_prefix)

    def results(self, tenant: str, student_id: str) -> Exported:
        """The results of a student, also those that a running batch has so far.

        All results of the tenant are searched, some at a time; their number is bounded by ``MASTERY_QUOTA_BATCH_STUDENTS``.

        Returns:
            A row for each result, in the order of the batches' ids.
        """
        return Exported("A result in a stored batch.", COLUMNS, lambda: self._results(tenant, student_id))

    def _results(self, tenant: str, student_id: str) -> Iterator[ExportedRow]:
        packed_id = msgspec.msgpack.encode(student_id)
        for names in slices(sorted(batches_of_tenant(self._redis, self._keys, tenant)), BATCHES_PER_READ):
            for chunks in slices(_chunks(self._batches(names)), CHUNKS_PER_READ):
                for batch, packed in self._packed(tenant, chunks):
                    if packed_id in packed:  # decoding all chunks would take ten times as long
                        yield from (_exported(batch, row) for row in _rows.decode(packed) if row.student_id == student_id)

    def _batches(self, names: Sequence[BatchKey]) -> Iterator[Batch]:
        """Those that exist."""
        pipeline = self._redis.pipeline(transaction=False)
        for key in names:
            pipeline.hgetall(self._keys.batch(*key))
        for key, fields in zip(names, pipeline.execute(), strict=True):
            with suppress(NotFound):  # it was removed meanwhile, or is of another version
                yield decode_batch(key.batch_id, fields)

    def _packed(self, tenant: str, chunks: Sequence[tuple[Batch, int]]) -> Iterator[tuple[Batch, bytes]]:
        """The results of chunks that were computed."""
        pipeline = self._redis.pipeline(transaction=False)
        for batch, number in chunks:
            pipeline.hget(self._keys.batch_results(tenant, batch.batch_id), str(number))
        found = cast("list[bytes | None]", pipeline.execute())
        return ((batch, packed) for (batch, _), packed in zip(chunks, found, strict=True) if packed is not None)


def _chunks(batches: Iterator[Batch]) -> Iterator[tuple[Batch, int]]:
    for batch in batches:
        for number in range(-(-(batch.total or 0) // CHUNK_STUDENTS)):
            yield batch, number


def _exported(batch: Batch, row: Row) -> ExportedRow:
    kind = KINDS[batch.order.kind]
    result = dict(zip(kind.columns, kind.line(batch.order, row), strict=True))
    about_batch = {
        "created_at": utc_text(batch.created),
        "compute": batch.order.kind.value,
        "asked_by": batch.order.owner.partition(":")[0],
        "components_given": not row.error and not row.trend,
    }
    return cast("ExportedRow", {name: about_batch.get(name, result.get(name)) for name in COLUMNS})
