"""The queues of tasks."""

# A worker serves the queues in turn. So a caller waits for one task of another queue, not for its backlog, and events of
# tenants with low rates wait for one chunk of the bulk lane.
EVENTS = "events"
EVENTS_BULK = "events-bulk"
INTERACTIVE = "interactive"
MAINTENANCE = "maintenance"
QUEUES = (EVENTS, EVENTS_BULK, INTERACTIVE, MAINTENANCE)
