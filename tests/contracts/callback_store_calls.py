"""The calls of the stores of callbacks and their secrets: a part of ``store_calls.py``."""

from app.batches.batch import BatchKey, BatchOrder, BatchStatus, CallbackState, Item
from app.bootstrap import Engine
from app.clock import day_number
from app.mastery.formula import DEFAULT_WEIGHTS
from tests.conftest import NOW
from tests.contracts.store_call import GROWS, READS, STUDENT, WRITES, Call

TODAY = day_number(NOW)


def callback_calls(engine: Engine) -> dict[str, Call]:
    batches, callbacks, secrets = engine.batches, engine.callbacks, engine.webhook_secrets
    order = BatchOrder(day=TODAY, weights=DEFAULT_WEIGHTS, owner=f"teacher:{STUDENT}", callback_url="https://lms.example/")
    for tenant in (f"t-{number}" for number in range(20)):
        batches.create(BatchKey(tenant, "called"), order, b"print", NOW, items=[Item(STUDENT)])
        batches.end(BatchKey(tenant, "called"), BatchStatus.CANCELLED)
    claims = [claim for _ in range(10) if (claim := callbacks.claim(60))]
    secrets.create("t")
    secrets.rotate("t", 60)
    new, revoked = iter(range(1_000)), [secrets.create(tenant) and tenant for tenant in map("u-{}".format, range(10))]
    return {
        "batches.end of one with a callback": Call(WRITES, lambda: batches.forget(BatchKey("t-0", "called"))),
        "callbacks.claim": Call(WRITES, lambda: callbacks.claim(60)),
        "callbacks.release": Call(WRITES, lambda: callbacks.release(claims.pop(), 60)),
        "callbacks.note": Call(WRITES, lambda: callbacks.note(BatchKey("t-1", "called"), CallbackState.DELIVERED)),
        "webhook_secrets.create": Call(GROWS, lambda: secrets.create(f"new-{next(new)}")),
        "webhook_secrets.rotate": Call(GROWS, lambda: secrets.rotate("t", 60)),
        "webhook_secrets.revoke": Call(WRITES, lambda: secrets.revoke(revoked.pop())),
        "webhook_secrets.of": Call(READS, lambda: secrets.of("t")),
    }
