"""Every key in Redis: its name, its content, and whether that is personal data. No other module builds keys, but the parts that
this one imports.

The hash tag of a tenant's keys is its name: all are on one shard, so a script may use several. Hash tags of keys without a
tenant begin with a dot, which no tenant's name contains. A test compares docs/architecture.md with this module.
"""

from inspect import signature

from app.storage.analytics_keys import AnalyticsKeys
from app.storage.audit_keys import AuditKeys
from app.storage.dead_letter_keys import DeadLetterKeys
from app.storage.key_kinds import CATALOGUE, PLACEHOLDERS, KeyKind, kind
from app.storage.operation_keys import OperationKeys
from app.storage.prediction_keys import PredictionKeys
from app.storage.ranking_keys import RankingKeys


class Keys(AnalyticsKeys, AuditKeys, DeadLetterKeys, OperationKeys, PredictionKeys, RankingKeys):
    """The keys of one engine; the prefix separates engines that share a Redis."""

    def tenant(self, tenant: str) -> str:
        """The prefix of all keys of a tenant."""
        return f"{self._prefix}:{{{tenant}}}:"

    @kind("set", "every tenant that ever sent an event, or erased a student")
    def tenants(self) -> str:
        return f"{self._prefix}:tenants"

    # Mastery

    @kind("hash", "facts by day, the window, cohort, score: described at the head of `merge_evidence.lua`", personal=True)
    def student(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:student:{student_id}"

    @kind("string", "10 bytes per event: which events were counted, and on which day the mark expires", personal=True)
    def marks(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:marks:{student_id}"

    @kind("zset", "student → day of the score: used by the hourly refresh", personal=True)
    def students(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:students"

    @kind("set", "the tenant's cohorts")
    def cohorts(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:cohorts"

    @kind("hash", "erased students: pseudonym → until when their events are refused; kept for the retention", personal=True)
    def erased(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:erased"

    @kind("stream", "changes of scores to be published, and erasures to be announced", personal=True)
    def changes(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:changes"

    @kind("zset", "the older part of `changes`, which an erasure has moved here to edit it", personal=True)
    def older_changes(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:older-changes"

    # Events

    @kind("hash", "events applied, duplicates, expired")
    def totals(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:totals"

    @kind("string", "bitmap: which parts of a chunk in flight were counted in the totals")
    def counted_chunk(self, tenant: str, chunk_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:chunk:{chunk_id}"

    @kind("hash", "chunks in flight", personal=True)
    def chunks(self) -> str:
        return f"{self._prefix}:{{.events}}:chunks"

    @kind("zset", "last activity of each chunk in flight")
    def due(self) -> str:
        return f"{self._prefix}:{{.events}}:due"

    @kind("set", "which chunks in flight are in the bulk lane")
    def bulk(self) -> str:
        return f"{self._prefix}:{{.events}}:bulk"

    @kind("hash", "which tasks worked on a chunk in flight")
    def attempts(self) -> str:
        return f"{self._prefix}:{{.events}}:attempts"

    @kind("hash", "records accepted, chunks, dead letters by error type")
    def counters(self) -> str:
        return f"{self._prefix}:{{.events}}:counters"

    @kind(
        "hash",
        "next offset to accept for each partition; the topic's id; up to which offset an operator lets invalid records pass",
    )
    def positions(self, source: str) -> str:
        return f"{self._prefix}:{{.events}}:positions:{source}"

    @kind("hash", "[losses of state or events](lost-state.md), and whether an operator acknowledged them")
    def loss(self) -> str:
        return f"{self._prefix}:{{.events}}:loss"

    @kind(
        "hash",
        "for each tenant with a quota, events produced in that minute over Kafka and over HTTP, and how many of "
        "the latter were read; kept for an hour",
    )
    def event_minute(self, minute: int) -> str:
        return f"{self._prefix}:{{.events}}:minute:{minute}"

    @kind("set", "names of the bridges")
    def bridges(self) -> str:
        return f"{self._prefix}:{{.events}}:bridges"

    @kind("string", "heartbeat of a bridge; expires after ten seconds")
    def bridge(self, name: str) -> str:
        return f"{self._prefix}:{{.events}}:bridges:{name}"

    @kind("string", "lease: which bridge relays; expires after eight seconds")
    def relay(self) -> str:
        return f"{self._prefix}:{{.events}}:relay"

    # Batches

    @kind(
        "hash", "a batch: described at the head of `create_batch.lua`; kept for `MASTERY_BATCH_RETENTION_HOURS`", personal=True
    )
    def batch(self, tenant: str, batch_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch:{batch_id}"

    @kind("hash", "chunks of a batch to be computed", personal=True)
    def batch_chunks(self, tenant: str, batch_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch-chunks:{batch_id}"

    @kind("zset", "when each of these chunks may be taken")
    def batch_due(self, tenant: str, batch_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch-due:{batch_id}"

    @kind("hash", "results of a batch, by chunk", personal=True)
    def batch_results(self, tenant: str, batch_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch-results:{batch_id}"

    @kind("zset", "a caller's batches → their numbers", personal=True)
    def batches(self, tenant: str, owner: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batches:{owner}"

    @kind("string", "number of the tenant's latest batch")
    def batch_number(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch-number"

    @kind("string", "the rejected students of a batch", personal=True)
    def batch_rejected(self, tenant: str, batch_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch-rejected:{batch_id}"

    @kind(
        "hash",
        "for the quotas: students in the tenant's stored batches, and batches that run; how often students were erased "
        "from them",
    )
    def batch_usage(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:batch-usage"

    @kind("zset", "last activity of each batch that runs")
    def batches_running(self) -> str:
        return f"{self._prefix}:{{.batches}}:running"

    @kind("zset", "every stored batch → when it was created or ended")
    def batches_stored(self) -> str:
        return f"{self._prefix}:{{.batches}}:stored"

    # Callbacks of batches

    @kind("zset", "when each callback of an ended batch is to be attempted")
    def callbacks(self) -> str:
        return f"{self._prefix}:{{.batches}}:callbacks"

    @kind("zset", "tenants whose callback is being sent → end of the lease")
    def callback_tenants(self) -> str:
        return f"{self._prefix}:{{.batches}}:callback-tenants"

    @kind("string", "the secret that signs the tenant's callbacks")
    def webhook_secret(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:webhook-secret"

    @kind("string", "the secret before a rotation, which signs them too; kept for the overlap")
    def webhook_secret_previous(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:webhook-secret-previous"

    # Privacy

    @kind(
        "hash",
        "an erasure: described at the head of `accept_erasure.lua`; its receipt is kept as long as the audit trail",
        personal=True,
    )
    def erasure(self, tenant: str, pseudonym: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:erasure:{pseudonym}"

    @kind("zset", "erasures that run: pseudonym → last attempt", personal=True)
    def erasures(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:erasures"

    @kind("zset", "tenants with erasures that run → last activity")
    def erasing(self) -> str:
        return f"{self._prefix}:{{.privacy}}:erasing"

    # Requests

    @kind("string", "the response to a request with an `Idempotency-Key`; kept for a day", personal=True)
    def idempotency(self, tenant: str, key_hash: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:idempotency:{key_hash}"

    @kind("hash", "memory of such responses, by the 24th of a day in which they were stored")
    def idempotency_bytes(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:idempotency-bytes"

    @kind("string", "who asked for a task, and about whom; kept for an hour", personal=True)
    def task(self, tenant: str, task_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:task:{task_id}"

    @kind("set", "ids of the tasks about a student; kept for an hour", personal=True)
    def tasks_about(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:tasks-about:{student_id}"

    @kind("list", "times of a caller's latest requests; kept for the limit's period", personal=True)
    def rate(self, tenant: str, caller: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:rate:{caller}"

    @kind("string", "a revoked token; kept until it would have expired", personal=True)
    def revoked_token(self, tenant: str, token_hash: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:revoked-token:{token_hash}"

    @kind(
        "string",
        "the time before which all tokens of a subject are revoked; kept until they would have expired",
        personal=True,
    )
    def revoked_subject(self, tenant: str, subject: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:revoked-subject:{subject}"

    # Consent

    @kind(
        "string",
        "a student's decisions about consent; kept while the student has data, or for the retention after the last decision",
        personal=True,
    )
    def consent(self, tenant: str, student_id: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:consent:{student_id}"

    @kind("string", "how often a decision about `cohort_statistics` was stored: a summary of other decisions is outdated")
    def consent_revision(self, tenant: str) -> str:
        return f"{self._prefix}:{{{tenant}}}:consent-revision"

    @classmethod
    def patterns(cls, prefix: str) -> dict[str, KeyKind]:
        """Each kind of key by its pattern, such as ``mastery:{t}:student:<id>``."""
        keys = cls(prefix)
        return {
            make(**{parameter: PLACEHOLDERS[parameter] for parameter in signature(make).parameters}): of_kind
            for name, of_kind in CATALOGUE.items()
            for make in (getattr(keys, name),)
        }

    def ranking_names(self, tenant: str, rule: str = "") -> str:
        """What ``rankings.lua`` builds keys from. ``rule`` is needed to count students: see ``rule_of``."""
        prefixes = (
            self.ranking(tenant, ""),
            self.at_risk(tenant, ""),
            self.metric_ranking(tenant, "", "").removesuffix(":"),
            self.metric_sums(tenant, ""),
            self.published(tenant, ""),
            self.consent(tenant, ""),
        )
        return " ".join((*prefixes, rule))

    def celery(self) -> str:
        """The prefix of Celery's keys: its queues, and the results of tasks, which may be personal data."""
        return f"{self._prefix}:celery:"
