"""Celery's settings, with reasons. docs/decisions/0004 describes how messages survive crashes."""

from celery.schedules import crontab
from kombu import Queue

from app.batches.batch import Priority
from app.config.settings import settings_or_exit
from tasks.broker import broker_settings
from tasks.queues import BATCH_QUEUES, EVENTS, INTERACTIVE, MAINTENANCE, QUEUES
from tasks.timing import (
    ANNOUNCE_EVERY_SECONDS,
    EXPIRE_BATCHES_EVERY_SECONDS,
    RESULTS_KEPT,
    SUMMARIZE_EVERY_SECONDS,
    SWEEP_EVERY_SECONDS,
    VISIBILITY_TIMEOUT_SECONDS,
)

_settings = settings_or_exit()

_broker = broker_settings(_settings)
broker_url = result_backend = _broker["broker_url"]
broker_use_ssl = redis_backend_use_ssl = _broker["broker_use_ssl"]
redis_socket_keepalive = _broker["redis_socket_keepalive"]

task_queues = [Queue(name) for name in QUEUES]
task_default_queue = INTERACTIVE
task_create_missing_queues = False  # a misspelt queue is an error, not a queue without consumers
task_routes = {
    "analytics.cohort_trend": {"queue": INTERACTIVE},
    "analytics.publish": {"queue": MAINTENANCE},
    "analytics.compare_cohorts": {"queue": INTERACTIVE},
    "audit.export_heads": {"queue": MAINTENANCE},
    "audit.summarize": {"queue": MAINTENANCE},
    "audit.trim": {"queue": MAINTENANCE},
    "batches.announce": {"queue": MAINTENANCE},
    "batches.expire": {"queue": MAINTENANCE},
    "batches.run": {"queue": BATCH_QUEUES[Priority.NORMAL]},  # or that of another priority, set by the sender
    "batches.sweep": {"queue": MAINTENANCE},
    "events.record": {"queue": EVENTS},  # or EVENTS_BULK, set by the sender
    "events.sweep": {"queue": MAINTENANCE},
    "mastery.calculate": {"queue": INTERACTIVE},
    "mastery.refresh": {"queue": MAINTENANCE},
    "predictions.at_risk": {"queue": INTERACTIVE},
    "predictions.next_week": {"queue": INTERACTIVE},
    "predictions.score": {"queue": MAINTENANCE},
    "predictions.trajectory": {"queue": INTERACTIVE},
    "predictions.observe": {"queue": MAINTENANCE},
    "predictions.train": {"queue": MAINTENANCE},
    "privacy.erase": {"queue": MAINTENANCE},
    "privacy.expire": {"queue": MAINTENANCE},
    "privacy.rewrite_files": {"queue": MAINTENANCE},
    "privacy.sweep": {"queue": MAINTENANCE},
}

# Delivery: a task is acknowledged after it ran, and returns to its queue if its process dies. All tasks are idempotent. A task
# that kills its process is redelivered forever (celery#9082), so record_chunk counts the deaths and splits the chunk.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1  # with more, busy workers would reserve tasks that idle ones could run, and callers would wait

_sockets = {
    "socket_timeout": 10.0,  # above the 1 s of a blocking pop
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
broker_transport_options = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    # Together they restore unacknowledged messages every 5 s; the defaults multiply to 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "queue_order_strategy": "tasks.queues:WeightedCycle",
    "global_keyprefix": f"{_settings.key_prefix}:celery:",
    "max_connections": _settings.redis_max_connections,
    **_sockets,
}
result_backend_transport_options = {"global_keyprefix": f"{_settings.key_prefix}:celery:", **_sockets}
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 2.0
redis_max_connections = _settings.redis_max_connections
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker survives an outage of any length
broker_channel_error_retry = True
# An HTTP caller gets the error of an outage within a second; the bridge retries by itself.
task_publish_retry_policy = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}

# Content: JSON only, no pickle. Messages contain the ids of chunks, not the chunks.
accept_content = ["json"]
result_accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"

# Results are stored for callers who got a 202; tasks with ignore_result store none.
result_expires = RESULTS_KEPT
task_store_errors_even_if_ignored = False

worker_consumer = "tasks.consumer:Consumer"
# The consumer resumes its messages after a reconnection and counts them. Reduced, one of two processes would idle afterwards.
worker_enable_prefetch_count_reduction = False

# After SIGTERM, running tasks finish and no new ones start; tasks that are killed return to their queue.
worker_hijack_root_logger = False
worker_redirect_stdouts = False

# Flower needs task events; at a few dozen tasks a second they cost next to nothing. They contain no arguments: tasks/celery.py.
worker_send_task_events = True
task_send_sent_event = True
event_queue_ttl = 60.0  # seconds; unread events expire

timezone = "UTC"
enable_utc = True
beat_scheduler = "tasks.beat:Scheduler"
# Beat answers pings while it ticks, at least once a second: `mastery health beat`. It does not tick while it waits for the
# broker, but without the broker no ping reaches it either.
beat_enable_remote_control = True
beat_remote_control_max_tick_age = 30.0
# Tasks do not expire, since the workers' clocks may differ. Beat sends none while one waits; see tasks/beat.py.
beat_schedule = {
    "sweep-chunks": {
        "task": "events.sweep",
        "schedule": SWEEP_EVERY_SECONDS,
    },
    "sweep-batches": {
        "task": "batches.sweep",
        "schedule": SWEEP_EVERY_SECONDS,
    },
    "sweep-erasures": {
        "task": "privacy.sweep",
        "schedule": SWEEP_EVERY_SECONDS,
    },
    "announce-batches": {
        "task": "batches.announce",
        "schedule": ANNOUNCE_EVERY_SECONDS,
    },
    # Often enough that a batch is kept at most a few minutes longer than its retention.
    "expire-batches": {
        "task": "batches.expire",
        "schedule": EXPIRE_BATCHES_EVERY_SECONDS,
    },
    # Before the refresh, which removes what leaves the retention window: yesterday's mastery is computed from it.
    "score-forecasts": {
        "task": "predictions.score",
        "schedule": crontab(minute=0),
    },
    # Mastery changes with the day even without events. The run after midnight does all the work; the hourly runs make up for a
    # missed one, and otherwise find nothing to do.
    "refresh-mastery": {
        "task": "mastery.refresh",
        "schedule": crontab(minute=1),
    },
    # After the refresh, so that all scores are of the day; the hourly runs make up for a missed one, and find new cohorts.
    "publish-statistics": {
        "task": "analytics.publish",
        "schedule": crontab(minute=4),
    },
    # After midnight, the first run observes all cohorts; the hourly runs find new ones, and make up for a missed one.
    "observe-peers": {
        "task": "predictions.observe",
        "schedule": crontab(minute=6),
    },
    # So something is kept for at most an hour longer than its retention.
    "remove-leftovers": {
        "task": "privacy.expire",
        "schedule": crontab(minute=11),
    },
    # The interval bounds how late recorded events appear in the audit trail; after a crash, the next summary includes them.
    "summarize-events": {
        "task": "audit.summarize",
        "schedule": SUMMARIZE_EVERY_SECONDS,
    },
    # Off-peak; the next run makes up for a missed one.
    "trim-audit-trails": {
        "task": "audit.trim",
        "schedule": crontab(hour=3, minute=31),
    },
}
if _settings.training == "on":
    # Every hour, since a training may have been lost; MASTERY_TRAINING_DAYS says how often each tenant's turn is.
    beat_schedule["train-models"] = {"task": "predictions.train", "schedule": crontab(minute=21)}
if _settings.redis_rewrite == "on":
    # Off-peak, since it reads all data in the background and writes it to disk.
    beat_schedule["rewrite-files"] = {"task": "privacy.rewrite_files", "schedule": crontab(hour=4, minute=1)}
if _settings.audit_heads_file:
    beat_schedule["export-audit-heads"] = {"task": "audit.export_heads", "schedule": _settings.audit_heads_seconds}
