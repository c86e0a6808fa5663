"""The register of personal data: everything that the engine holds of students, in one table.

Erasure and export follow it. docs/privacy.md is compared with it, and so are the keys and topics of a filled system: a new
store cannot be forgotten.
"""

from collections.abc import Mapping
from typing import NamedTuple


class PersonalData(NamedTuple):
    """A kind of data about students.

    Attributes:
        holds: what it is.
        purpose: what it is for.
        ground: on which of the grounds of article 6 (1) of the GDPR its processing can rest.
        kept: how long.
        erasure: what an erasure does with it.
        export: what an export has of it.
        keys: where it is in Redis: the names of methods of ``Keys``.
        topics: where it is in Kafka: the names of settings.
        kinds: the kinds of data of an export that have it; without any, ``export`` says why.
    """

    holds: str
    purpose: str
    ground: str
    kept: str
    erasure: str
    export: str
    keys: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()


_TEACHING = "e or b: the school's task, or the contract with the student"
_SECURITY = "f: security of the service"
_DUTY = "c: to show that the law is kept"
_RETENTION = "`MASTERY_RETENTION_DAYS`"
_ONLY_PSEUDONYMS = "stays: it has only the pseudonym"
_TRANSIENT = "nothing: it is recorded or sent within moments"

REGISTER: Mapping[str, PersonalData] = {
    "facts": PersonalData(
        "sums of the evidence by day, marks of counted events, cohort, score, place in the ranking",
        "to compute mastery",
        _TEACHING,
        f"{_RETENTION} from the day of the evidence",
        "deleted in the request itself",
        "all of it; of the marks, their number; no place in the ranking, which is computed from others' scores",
        ("student", "marks", "students", "ranking", "metric_ranking"),
        kinds=("standing", "days"),
    ),
    "events in flight": PersonalData(
        "accepted events that are not recorded yet",
        "to record each event exactly once",
        _TEACHING,
        "milliseconds; longer while workers are down",
        "waits until they are recorded or refused",
        _TRANSIENT,
        ("chunks",),
    ),
    "results of tasks": PersonalData(
        "who asked for a calculation and about whom, its arguments in Celery's queues, its result",
        "to answer requests that take longer",
        _TEACHING,
        "an hour",
        "waits until the tasks have ended, and deletes their results",
        "nothing: a result is computed from the facts, which are exported",
        ("task", "tasks_about", "celery"),
    ),
    "batches": PersonalData(
        "students of a batch, components given for them, their results, and who asked",
        "to compute mastery of many students",
        _TEACHING,
        "`MASTERY_BATCH_RETENTION_HOURS` after the end",
        "replaces the student's place by an anonymous one, in running batches too, and computes summaries anew",
        "the student's results; of whoever asked, the role",
        ("batch", "batch_chunks", "batch_results", "batches", "batch_rejected"),
        kinds=("batch_results",),
    ),
    "forecasts": PersonalData(
        "a student's forecast of today, and that one is being computed",
        "to answer repeated requests without computing it again",
        f"{_TEACHING}; as far as the student allows `predictions`",
        "`MASTERY_FORECAST_CACHE_SECONDS`",
        "deleted; one that is being computed is not stored",
        "nothing: a forecast is computed from the facts, which are exported",
        ("forecast", "forecast_claim"),
    ),
    "students at risk": PersonalData(
        "by cohort, the probability that a student is low or inactive in two weeks",
        "to show whom to help first",
        f"{_TEACHING}; as far as the student allows `predictions`",
        "`MASTERY_FORECAST_CACHE_SECONDS`",
        "deleted with the facts, in the request itself; a list that is being computed does not get the student",
        "nothing: a probability is computed from the facts, which are exported",
        ("at_risk",),
    ),
    "recorded forecasts": PersonalData(
        "what was forecast of a student for a day",
        "to see how far forecasts are off",
        f"{_TEACHING}; as far as the student allows `predictions`",
        "until the day is over and scored, a week after the forecast; three days longer while workers are down",
        "deleted; scored ones are sums without students, which stay",
        "all of it",
        ("recorded_forecasts",),
        kinds=("recorded_forecasts",),
    ),
    "consent": PersonalData(
        "decisions on purposes, when and by whom",
        "to keep to the student's decisions, and to prove them",
        _DUTY,
        f"while there are facts; {_RETENTION} after the last decision without",
        "deleted",
        "all of it; of whoever decided, the role",
        ("consent",),
        kinds=("consent",),
    ),
    "outbox": PersonalData(
        "changes of scores that are not published yet; erasures to be announced",
        "to tell other services",
        _TEACHING,
        "milliseconds; longer while Kafka is away",
        "deleted; the announcement `student.erased` has the id until it is delivered",
        _TRANSIENT,
        ("changes", "older_changes"),
    ),
    "published changes": PersonalData(
        "changes of scores, and `student.erased`; the values name the student",
        "to tell other services",
        _TEACHING,
        "the retention of the topic",
        "stays until the topic's retention ends; keys have only the pseudonym",
        "nothing: readers have it",
        topics=("results_topic",),
    ),
    "events of the platform": PersonalData(
        "the events as their producers sent them, and those of `POST /mastery/ingest`; keys and values name the student",
        "to rebuild the state after a loss of Redis",
        _TEACHING,
        "the retention of the topic",
        "stays until the topic's retention ends; never counted again",
        "nothing: it belongs to the platform, and the facts have what was counted",
        topics=("events_topic",),
    ),
    "dead letters": PersonalData(
        "failed events, encrypted with a key of the student; their Kafka keys have the pseudonym",
        "to find out why an event failed, and to repeat it",
        _TEACHING,
        f"the retention of the topic; keys {_RETENTION} after their last use",
        "the key is deleted, so nobody can read them; those without a readable student stay until the key of their day expires",
        "nothing: the platform has sent them; finding them takes reading the whole topic, as `mastery dlq list` does",
        ("letters", "letter_key"),
        ("dlq_topic",),
    ),
    "malformed messages": PersonalData(
        "the beginnings of messages in Celery's queues that cannot be read",
        "to find out who sent them",
        _SECURITY,
        "a week; the newest hundred",
        "those that name the student are deleted",
        "nothing: they cannot be read",
        ("malformed",),
    ),
    "stored answers": PersonalData(
        "the answer to a request with an `Idempotency-Key`, without student ids, under a hash of the caller",
        "to answer a repeated request",
        _TEACHING,
        "a day",
        "nothing to erase: no answer has a student's data, and students send no such requests",
        "nothing: they have no student's data",
        ("idempotency",),
    ),
    "rate limits": PersonalData(
        "times of a caller's latest requests, under the pseudonym",
        "to protect the service",
        _SECURITY,
        "the limit's period, by default a minute, and an hour for exports",
        _ONLY_PSEUDONYMS,
        "nothing: they are times only",
        ("rate",),
    ),
    "revocations": PersonalData(
        "revoked tokens by hash, and subjects by pseudonym",
        "to refuse stolen tokens",
        _SECURITY,
        "until the tokens have expired",
        f"{_ONLY_PSEUDONYMS}, and old tokens must stay revoked",
        "nothing: they are hashes only",
        ("revoked_token", "revoked_subject"),
    ),
    "erasures": PersonalData(
        "erasures that run, with the id; receipts of those that are done, and until when events are refused, by pseudonym",
        "to finish an erasure, to prove it, and to keep what was erased from coming back",
        _DUTY,
        f"receipts `MASTERY_AUDIT_RETENTION_DAYS`; refusals {_RETENTION}, in Kafka the retention of the topic",
        f"{_ONLY_PSEUDONYMS} once it is done",
        "nothing: `GET /student/{id}/erasure` answers an admin",
        ("erasure", "erasures", "erased"),
        ("erasures_topic",),
    ),
    "audit trail": PersonalData(
        "who did what to whose data, with pseudonyms of students",
        "to answer for every access",
        _DUTY,
        "`MASTERY_AUDIT_RETENTION_DAYS`",
        _ONLY_PSEUDONYMS,
        "nothing: `GET /audit?student_id=` answers an admin",
        ("audit",),
    ),
}
