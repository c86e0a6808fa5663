"""How tasks are delivered: the queues by name, and how long things may take. ``celeryconfig.py`` tells Celery."""

from datetime import timedelta

# A worker takes from each queue in turn, so a caller waits for at most one chunk, not for the backlog.
EVENTS = "events"
INTERACTIVE = "interactive"
MAINTENANCE = "maintenance"

# How long a dead worker's tasks stay away. A chunk takes 20 ms, the longest task a few seconds.
VISIBILITY_TIMEOUT_SECONDS = 60
# Below the visibility timeout, so that a task does not run twice at once.
TASK_SECONDS = 30
# A delay above the visibility timeout would be delivered again and again (celery#5935).
MAX_RETRY_SECONDS = 20
# Whoever was handed a 202 has this long to ask for the answer.
RESULTS_KEPT = timedelta(hours=1)
