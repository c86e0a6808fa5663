"""The queues by name. A worker takes from each in turn, so a caller waits for at most one chunk, not for the backlog."""

EVENTS = "events"
INTERACTIVE = "interactive"
MAINTENANCE = "maintenance"
