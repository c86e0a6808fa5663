"""How often a process collects garbage."""

import gc

from app.garbage_collection import OBJECTS_BETWEEN_COLLECTIONS, collect_rarely


def test_the_young_generation_is_looked_at_less_often_and_the_others_as_before() -> None:
    before = gc.get_threshold()
    try:
        collect_rarely()
        assert gc.get_threshold() == (OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
