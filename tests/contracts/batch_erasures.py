"""What tests of erasures from batches use: students, batches that the test computes, and all that a server has."""

from collections.abc import Callable, Sequence
from typing import cast

from app.batches.batch import Batch, BatchKey, BatchOrder, Item
from app.batches.batch_kinds import Row
from app.batches.run_batch import Step
from app.bootstrap import Engine
from app.mastery.evidence import QUIZ
from app.mastery.formula import DEFAULT_WEIGHTS
from tests.batch_tasks import run_task, run_tasks, stored_results
from tests.conftest import NOW
from tests.contracts.conftest import TODAY, merge, observation

KEY = BatchKey("t", "b-1")
ORDER = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner="admin:a-1")


def record(engine: Engine, *students: str) -> list[Item]:
    """Store evidence of students in the cohort c-1, different for each."""
    for number, student in enumerate(students):
        merge(engine, observation(number, TODAY, QUIZ, number % 10, 10), student=student)
    return [Item(student) for student in students]


def create(engine: Engine, items: Sequence[Item] | None, key: BatchKey = KEY, order: BatchOrder = ORDER) -> None:
    engine.batches.create(key, order, b"print", NOW, items=items)


def run(engine: Engine, meanwhile: Callable[[], None] = lambda: None, task: str = "task", key: BatchKey = KEY) -> Step:
    """One task; ``meanwhile`` happens after it has computed, and before it stores."""
    return run_task(engine, key, task, audit=lambda *_: meanwhile())


def finish(engine: Engine, key: BatchKey = KEY) -> Batch:
    return run_tasks(engine, key)


def results(engine: Engine, key: BatchKey = KEY) -> list[Row]:
    return stored_results(engine, key)


def forget_facts(engine: Engine, *students: str, tenant: str = "t") -> None:
    """Erase the facts of students and their membership, as an erasure does before it erases from batches."""
    seconds, fraction = engine.redis.time()
    engine.mastery.facts.erase(tenant, dict.fromkeys(students, seconds * 1_000_000 + fraction))
    engine.redis.delete(f"{engine.settings.key_prefix}:{{{tenant}}}:changes")  # of the outbox


def erase(engine: Engine, *students: str, tenant: str = "t") -> int:
    """Erase students from batches until that is done. Returns how many places were erased."""
    forget_facts(engine, *students, tenant=tenant)
    count = 0
    for _ in range(100):
        erased = engine.batch_erasure.erase(tenant, students)
        count += erased.count
        if erased.is_done:
            return count
    raise AssertionError("the erasure is not done after a hundred calls")


def everything(engine: Engine) -> bytes:
    """All keys of the engine with all that they have."""
    server = engine.redis
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": server.get,
        b"hash": server.hgetall,
        b"list": lambda key: server.lrange(key, 0, -1),
        b"set": server.smembers,
        b"zset": lambda key: server.zrange(key, 0, -1, withscores=True),
        b"stream": server.xrange,
    }
    keys = list(server.scan_iter(f"{engine.settings.key_prefix}:*"))
    return b"\n".join(key + repr(read[cast("bytes", server.type(key))](key)).encode() for key in keys)
