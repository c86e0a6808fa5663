"""How often a long-lived process looks for garbage that only cycles keep alive."""

import gc

# Python's default is every 700 new objects: several times for each chunk, whose objects are in no cycle. That took 5 % of the
# bridge's time and of a worker's. So many objects are a few chunks; what cycles hold until then is some megabytes. Not for the
# API, where each cycle may hold a body of 2 MB that somebody sent: under attack it took 390 MB instead of 200.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_rarely() -> None:
    """Make this process look for cyclic garbage less often, and never among what it has loaded. Called once, at its start."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
