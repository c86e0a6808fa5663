"""Celery's settings, each number with its reason. docs/decisions/0004 says how messages survive crashes."""

from celery.schedules import crontab
from kombu import Queue

from app.config.settings import settings_or_exit
from tasks.broker import broker_settings
from tasks.delivery import (
    EVENTS,
    INTERACTIVE,
    MAINTENANCE,
    QUEUES,
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
task_create_missing_queues = False  # a misspelt queue is an error, not a place where tasks wait for ever
task_routes = {
    "audit.export_heads": {"queue": MAINTENANCE},
    "audit.summarize": {"queue": MAINTENANCE},
    "audit.trim": {"queue": MAINTENANCE},
    "events.record": {"queue": EVENTS},  # or EVENTS_BULK, as whoever sends it says
    "events.sweep": {"queue": MAINTENANCE},
    "mastery.calculate": {"queue": INTERACTIVE},
    "mastery.refresh": {"queue": MAINTENANCE},
}

# Delivery: a task is acknowledged after it ran, and goes back to its queue when its process dies. All tasks are idempotent.
# A task that kills its process comes back for ever (celery#9082): record_chunk counts the deaths and takes the chunk apart.
task_acks_late = True
task_reject_on_worker_lost = True
worker_prefetch_multiplier = 1  # more would hide queued tasks from idle workers, and keep them from callers who wait

_sockets = {
    "socket_timeout": 10.0,  # above the 1 s of a blocking pop, below a caller's patience
    "socket_connect_timeout": 2.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
broker_transport_options = {
    "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
    # Both, so that a sweep happens every 5 s: the defaults multiply to 100 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "global_keyprefix": f"{_settings.key_prefix}:celery:",
    "max_connections": _settings.redis_max_connections,
    **_sockets,
}
result_backend_transport_options = {"global_keyprefix": f"{_settings.key_prefix}:celery:", **_sockets}
redis_socket_timeout = 5.0
redis_socket_connect_timeout = 2.0
redis_max_connections = _settings.redis_max_connections
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # a worker outlives an outage of any length
broker_channel_error_retry = True
# A caller hears within a second that the broker is away; the bridge, which can wait, tries again by itself.
task_publish_retry_policy = {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2, "interval_max": 0.5}

# Content: JSON. Chunks are not in the messages, which carry their ids. Nothing is pickled.
accept_content = ["json"]
result_accept_content = ["json"]
task_serializer = "json"
result_serializer = "json"

# Results are kept for whoever was handed a 202; tasks whose result nobody asks for keep none.
result_expires = RESULTS_KEPT
task_store_errors_even_if_ignored = False

worker_consumer = "tasks.consumer:Consumer"
# It takes up again what it had in hand, and counts that: reduced, one of two processes would idle after each lost connection.
worker_enable_prefetch_count_reduction = False

# SIGTERM lets running tasks finish and takes no new ones; what is killed before it ends goes back to its queue.
worker_hijack_root_logger = False
worker_redirect_stdouts = False

# Flower needs the events; at a few dozen tasks a second they cost next to nothing. They carry no arguments: see tasks/.
worker_send_task_events = True
task_send_sent_event = True
event_queue_ttl = 60.0  # of what nobody reads, a minute is kept

timezone = "UTC"
enable_utc = True
beat_scheduler = "tasks.beat:Scheduler"
# No task expires: whether it has would be asked of another machine's clock. None is sent while one waits; see tasks/beat.py.
beat_schedule = {
    "sweep-chunks": {
        "task": "events.sweep",
        "schedule": SWEEP_EVERY_SECONDS,
    },
    # Mastery changes with the day even when nothing happens. Every hour, because the run after midnight does all the work
    # and the others, which find nothing to do, make up for one that was missed.
    "refresh-mastery": {
        "task": "mastery.refresh",
        "schedule": crontab(minute=1),
    },
    # In the trail, what the workers recorded is at most so old; what they record until a crash is told afterwards.
    "summarize-events": {
        "task": "audit.summarize",
        "schedule": SUMMARIZE_EVERY_SECONDS,
    },
    # Off-peak; the next day makes up for a day that was missed.
    "trim-audit-trails": {
        "task": "audit.trim",
        "schedule": crontab(hour=3, minute=31),
    },
}
if _settings.audit_heads_file:
    beat_schedule["export-audit-heads"] = {"task": "audit.export_heads", "schedule": _settings.audit_heads_seconds}
