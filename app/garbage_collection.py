"""How often a long-lived process runs the cyclic garbage collector."""

import gc

# Python's default of 700 new objects means several collections per chunk, although a chunk's objects form no cycles. That took
# 5 % of the CPU time of bridge and workers. 50,000 objects are a few chunks; cycles hold a few megabytes until then. Not for
# the API, where a cycle may hold a request body of 2 MB: under attack it used 390 MB instead of 200.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def collect_rarely() -> None:
    """Make this process collect cyclic garbage less often, and skip objects loaded so far. Called once, at process start."""
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
