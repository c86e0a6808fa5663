"""The store of learned models, on every server: which are kept, which one answers, and going back."""

from collections.abc import Callable

import pytest

from app.bootstrap import Engine
from app.clock import day_number
from app.errors import NotFound
from app.predictions.model_store import KEPT, Attempt, ModelStore
from app.predictions.peer_store import KEPT as PEERS_KEPT
from app.predictions.peer_store import Observed
from app.predictions.stored_model import ModelUnusable
from app.predictions.training_lease import TrainingRuns
from tests.conftest import NOW
from tests.contracts.conftest import keys
from tests.stored_models import CONTENT, summary

TODAY = day_number(NOW)


@pytest.fixture
def models(engine: Engine) -> ModelStore:
    return engine.learning.models


def put(models: ModelStore, *versions: str, tenant: str = "t") -> None:
    for version in versions:
        models.put(summary(version, tenant), CONTENT)


def test_a_model_is_found_again(models: ModelStore) -> None:
    """As it was; it does not answer until it is promoted, and other tenants do not have it."""
    put(models, "v-1")
    assert (models.summary("t", "v-1"), models.content("t", "v-1")) == (summary("v-1"), CONTENT)
    assert (models.promoted("t"), models.summaries("other")) == (None, {})
    models.promote("t", "v-1")
    assert (models.promoted("t"), models.promoted("other")) == ("v-1", None)


def test_the_latest_are_kept(engine: Engine, models: ModelStore) -> None:
    """And the one that answers; of the others nothing is left."""
    names = [f"v-{number:02}" for number in range(KEPT + 4)]
    put(models, *names[:2])
    models.promote("t", names[1])
    put(models, *names[2:])
    kept = [names[1], *names[-KEPT + 1 :]]
    assert list(models.summaries("t")) == kept[::-1]
    assert {key for key in keys(engine) if ":model:" in key} == {f"{{t}}:model:{version}" for version in kept}


def test_an_old_version_that_is_stored_late(models: ModelStore) -> None:
    """By a clock that was set back: it is kept until the next one comes."""
    put(models, *(f"v-{number:02}" for number in range(10, 10 + KEPT)), "v-00")
    assert "v-00" in models.summaries("t")
    assert len(models.summaries("t")) == KEPT


def test_going_back(models: ModelStore) -> None:
    """To what answered before, as announced, step by step, down to none; then there is nothing to go back from."""
    put(models, "v-1", "v-2", "v-3")
    for version in ("v-1", "v-2", "v-2", "v-1"):
        models.promote("t", version)
    assert [(models.earlier("t"), models.promoted("t"), models.roll_back("t")) for _ in range(3)] == [
        ("v-2", "v-1", "v-2"),
        ("v-1", "v-2", "v-1"),
        (None, "v-1", None),
    ]
    assert models.promoted("t") is None
    for call in (models.earlier, models.roll_back):
        with pytest.raises(NotFound, match="t has no model to go back from"):
            call("t")


def test_going_back_over_what_is_gone(engine: Engine, models: ModelStore) -> None:
    """A model that is not kept any more is left out; that none answered before is remembered too."""
    put(models, "v-1", "v-2", "v-3")
    for version in ("v-1", "v-2"):
        models.promote("t", version)
    models.retire("t")
    models.promote("t", "v-3")
    assert models.roll_back("t") is None
    engine.redis.hdel(f"{engine.settings.key_prefix}:{{t}}:models", "v-2")
    assert (models.earlier("t"), models.roll_back("t")) == ("v-1", "v-1")


def test_going_back_from_one_only(models: ModelStore) -> None:
    """Of two processes that find the same damage, one goes back, and not both."""
    put(models, "v-1", "v-2")
    models.promote("t", "v-1")
    models.promote("t", "v-2")
    assert models.roll_back("t", only_from="v-2") == "v-1"
    with pytest.raises(NotFound):
        models.roll_back("t", only_from="v-2")
    assert models.promoted("t") == "v-1"


def test_going_back_further_than_is_remembered(models: ModelStore) -> None:
    """Then none answers: a model that is damaged would be found damaged for ever."""
    put(models, "v-1", "v-2")
    for number in range(KEPT + 2):
        models.promote("t", f"v-{number % 2 + 1}")
    for _ in range(KEPT):
        models.roll_back("t")
    assert models.promoted("t") is not None
    assert models.roll_back("t") is None
    assert models.promoted("t") is None


def test_models_expire(engine: Engine, models: ModelStore) -> None:
    """With the facts that they were made of: then none of them answers, and none can be promoted or gone back to."""
    kept = engine.settings.retention_days * 86_400
    put(models, "v-1", "v-2")
    prefix = f"{engine.settings.key_prefix}:{{t}}"
    for key in (f"{prefix}:model:v-1", f"{prefix}:models"):
        assert kept - 60 < int(engine.redis.ttl(key)) <= kept
    for version in ("v-1", "v-2"):
        models.promote("t", version)
        engine.redis.delete(f"{prefix}:model:{version}")  # as when it expires
        assert models.promoted("t") is None
    with pytest.raises(NotFound, match="t has no model v-1"):
        models.promote("t", "v-1")
    put(models, "v-3", "v-4")
    assert list(models.summaries("t")) == ["v-4", "v-3"]
    for version in ("v-3", "v-4"):
        models.promote("t", version)
    engine.redis.delete(f"{prefix}:model:v-3")
    assert models.roll_back("t") is None


def test_what_an_erasure_has_ended(engine: Engine, models: ModelStore) -> None:
    """A training whose lease was lost stores nothing: neither a model nor who answers, how it ended, and what it observed."""
    put(models, "v-1", tenant="other")
    lease = models.lease("t")
    assert lease.hold(0)
    models.put(summary("v-1"), CONTENT, by=lease)
    models.promote("t", "v-1", by=lease)
    models.note_attempt("t", Attempt(TODAY, "promoted"), by=lease)
    engine.learning.peers.put("t", "c-1", Observed(TODAY, None), by=lease)
    engine.learning.peers.drop("t", ["c-1"])
    models.drop("t")
    stores: list[Callable[[], None]] = [
        lambda: models.put(summary("v-1"), CONTENT, by=lease),
        lambda: models.promote("t", "v-1", by=lease),
        lambda: models.retire("t", by=lease),
        lambda: models.note_attempt("t", Attempt(TODAY, "promoted"), by=lease),
        lambda: engine.learning.peers.put("t", "c-1", Observed(TODAY, None), by=lease),
    ]
    for store in stores:
        for is_next_held in (False, True):
            if is_next_held:
                assert models.lease("t").hold(0)
            with pytest.raises(TrainingRuns, match="the models of t were deleted"):
                store()
            engine.redis.delete(f"{engine.settings.key_prefix}:{{t}}:training")
    assert {key for key in keys(engine) if key.startswith("{t}:")} == set()


def test_when_the_next_training_is_due() -> None:
    """After a failure already the next day, and not the same day; a clock that was set back does not stop it."""
    ended, failed = Attempt(TODAY, "promoted"), Attempt(TODAY, "failed: ValueError", failed=True)
    assert [ended.is_due(TODAY + days, 7) for days in (-1, 0, 1, 6, 7)] == [True, False, False, False, True]
    assert [failed.is_due(TODAY + days, 7) for days in (-1, 0, 1)] == [True, False, True]


def test_how_far_one_can_go_back(engine: Engine, models: ModelStore) -> None:
    """As far as models are kept: what is remembered is bounded."""
    put(models, "v-1", "v-2")
    for number in range(100):
        models.promote("t", f"v-{number % 2 + 1}")
    before = engine.redis.hget(f"{engine.settings.key_prefix}:{{t}}:model-use", "before")
    assert isinstance(before, bytes)
    assert len(before.split()) == KEPT


def test_a_model_that_does_not_exist(models: ModelStore) -> None:
    """It cannot be promoted, and nothing changes."""
    put(models, "v-1")
    models.promote("t", "v-1")
    with pytest.raises(NotFound, match="t has no model v-2"):
        models.promote("t", "v-2")
    assert models.promoted("t") == "v-1"
    for read in (models.summary, models.content):
        with pytest.raises(NotFound, match="t has no model v-2"):
            read("t", "v-2")


def test_damaged_records(engine: Engine, models: ModelStore) -> None:
    """They are told from those that are missing, and do not hide the others."""
    put(models, "v-1", "v-2")
    prefix = f"{engine.settings.key_prefix}:{{t}}"
    engine.redis.hset(f"{prefix}:models", "v-1", "damaged")
    engine.redis.set(f"{prefix}:model:v-1", "damaged")
    assert models.summaries("t") == {"v-2": summary("v-2"), "v-1": None}
    for read in (models.summary, models.content):
        with pytest.raises(ModelUnusable):
            read("t", "v-1")


def test_the_latest_training(models: ModelStore) -> None:
    """Of each tenant."""
    assert models.latest_attempt("t") is None
    models.note_attempt("t", Attempt(TODAY, "too little"))
    models.note_attempt("t", Attempt(TODAY + 1, "failed: ValueError", failed=True))
    assert models.latest_attempt("t") == Attempt(TODAY + 1, "failed: ValueError", failed=True)
    models.note_attempt("t", Attempt(TODAY + 2, "promoted"))
    assert (models.latest_attempt("t"), models.latest_attempt("other")) == (Attempt(TODAY + 2, "promoted"), None)


def test_one_trains_at_a_time(engine: Engine, models: ModelStore) -> None:
    """One tenant's model; it expires if the process dies."""
    lease = models.lease("t")
    assert lease.hold(0)
    assert not models.lease("t").hold(0)
    assert models.lease("other").hold(0)
    assert 0 < int(engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:training")) <= 900
    lease.release()
    assert models.lease("t").hold(0)


def test_one_worker_trains_at_a_time(engine: Engine, models: ModelStore) -> None:
    """Of the whole deployment; an operator's command trains beside it, so it does not take this lease."""
    lease = models.deployment_lease()
    assert lease.hold(0)
    assert not models.deployment_lease().hold(0)
    assert models.lease("t").hold(0)
    assert 0 < int(engine.redis.ttl(f"{engine.settings.key_prefix}:{{.models}}:trainer")) <= 900
    lease.release()
    assert models.deployment_lease().hold(0)


def test_what_was_observed(engine: Engine) -> None:
    """By cohort, for three days; damaged records count as none."""
    peers = engine.learning.peers
    peers.put("t", "c-1", Observed(TODAY, None))
    engine.redis.set(f"{engine.settings.key_prefix}:{{t}}:peers:c-2", "damaged")
    assert peers.read("t", ["c-1", "c-2", "c-3"]) == [Observed(TODAY, None), None, None]
    assert (peers.read("t", []), peers.read("other", ["c-1"])) == ([], [None])
    assert 0 < int(engine.redis.ttl(f"{engine.settings.key_prefix}:{{t}}:peers:c-1")) <= PEERS_KEPT.total_seconds()


def test_a_tenant_is_forgotten(engine: Engine, models: ModelStore) -> None:
    """With the right to store the model that is being trained; others keep theirs."""
    put(models, "v-1", "v-2")
    put(models, "v-1", tenant="other")
    models.promote("t", "v-1")
    lease = models.lease("t")
    assert lease.hold(0)
    assert (models.drop("t"), models.drop("t")) == (2, 0)
    assert {key for key in keys(engine) if key.startswith("{t}:")} == set()
    assert (lease.prolong(900), list(models.summaries("other"))) == (False, ["v-1"])
