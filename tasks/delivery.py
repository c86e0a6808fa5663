"""How tasks are delivered: the queues by name, and how long things may take. ``celeryconfig.py`` tells Celery."""

from datetime import timedelta

# A worker takes from each queue in turn, so a caller waits for one task of another queue, not for the backlog; and events of
# tenants that send little for one chunk of those that send much.
EVENTS = "events"
EVENTS_BULK = "events-bulk"
INTERACTIVE = "interactive"
MAINTENANCE = "maintenance"
QUEUES = (EVENTS, EVENTS_BULK, INTERACTIVE, MAINTENANCE)

# How long a dead worker's tasks stay away. A chunk takes 20 ms, the longest task a few seconds.
VISIBILITY_TIMEOUT_SECONDS = 60
# How often lost tasks of chunks are looked for: so long after an outage, what was lost in it is found.
SWEEP_EVERY_SECONDS = 2.0
# How often the audit trail is told what the workers recorded: 288 entries a day of a tenant that is always busy, 0.1 MB.
SUMMARIZE_EVERY_SECONDS = 300.0
# The soft limit of tasks that somebody waits for: below the visibility timeout, so that none runs twice at once. A chunk's
# task has none: what it waits for has timeouts of its own.
TASK_SECONDS = 30
# A delay above the visibility timeout would be delivered again and again (celery#5935).
MAX_RETRY_SECONDS = 20
# The header that says how many seconds are to pass before a task is run.
PAUSE = "pause"
# Whoever was handed a 202 has this long to ask for the answer.
RESULTS_KEPT = timedelta(hours=1)
