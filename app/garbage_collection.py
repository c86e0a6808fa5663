"""How often a process that handles many events looks for garbage that only cycles keep alive."""

import gc

# Python's default is every 700 new objects: several times for each chunk, of whose objects none is in a cycle. That took 5 % of
# the bridge's time and of a worker's. So many objects are a few chunks; what cycles hold until then is some megabytes.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_rarely() -> None:
    """Make this process look for cyclic garbage less often. Called once, at its start."""
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
