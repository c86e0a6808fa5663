"""Times of tasks: retries, redelivery, time limits, intervals; ``celeryconfig.py`` and ``EngineTask`` use them."""

from datetime import timedelta

# After this time a dead worker's tasks are redelivered. A chunk takes 20 ms, the longest task a few seconds.
VISIBILITY_TIMEOUT_SECONDS = 60
# How often lost tasks of chunks and batches are searched for; the delay after an outage until they are found.
SWEEP_EVERY_SECONDS = 2.0
# How often recorded events are summarized in the audit trail: for a busy tenant 288 entries a day, 0.1 MB.
SUMMARIZE_EVERY_SECONDS = 300.0
# How often batches that are no longer kept are removed: 0.1 ms if there are none.
EXPIRE_BATCHES_EVERY_SECONDS = 300.0
# How often callbacks that are due are looked for: 0.1 ms if there are none.
ANNOUNCE_EVERY_SECONDS = 2.0
# Soft time limit of interactive and maintenance tasks; below the visibility timeout, so that a task never runs twice at once.
# A chunk's task has none, since all its calls have timeouts.
TASK_SECONDS = 30
# A training takes a minute or two; one that takes longer than this is ended, and begins again the next day.
TRAINING_SECONDS = 600
# What is left then to end, before its process is killed. Together less than its lease, app/predictions/training_lease.py.
ENDING_SECONDS = 60
# Must be below the visibility timeout: a task with a longer delay would be redelivered repeatedly (celery#5935).
MAX_RETRY_SECONDS = 20
# The header with the delay of a task in seconds.
PAUSE = "pause"
# The header with the time at which a task was published: Unix time in seconds, by the sender's clock.
PUBLISHED = "published_at"
# How long the result of a task can be fetched after a 202.
RESULTS_KEPT = timedelta(hours=1)
