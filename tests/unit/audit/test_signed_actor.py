"""What a worker believes of who asked: only what has a proof, and only for the order that it was given for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.chain import derive_keys
from app.audit.entry import Actor
from app.audit.signed_actor import ActorSigner, SignedActor

ORDER = ["riverside", "mastery.calculate", "s-1", [0.4, 0.3, 0.2, 0.1]]
TEACHER = Actor("teacher", "t-kim")


@pytest.fixture
def signer() -> ActorSigner:
    return ActorSigner(derive_keys("a key of the trail").mandates)


def test_it_survives_a_journey_as_json(signer: ActorSigner) -> None:
    """As a task's arguments do."""
    signed = signer.sign(ORDER, TEACHER, "c-1")
    order, told = json.loads(json.dumps([ORDER, signed]))
    assert signer.verify(order, told) == signed
    assert (signed.actor, signed.correlation_id) == (TEACHER, "c-1")


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_it_is_good_for_no_other_order(signer: ActorSigner, place: int) -> None:
    """Another tenant, action, student or weights."""
    other = [*ORDER[:place], "other", *ORDER[place + 1 :]]
    assert signer.verify(other, signer.sign(ORDER, TEACHER, "c-1")) is None


@pytest.mark.parametrize("changed", [{"role": "admin"}, {"who": "t-lee"}, {"correlation_id": "c-2"}, {"proof": "0" * 64}])
def test_it_is_good_for_nobody_else(signer: ActorSigner, changed: dict[str, str]) -> None:
    assert signer.verify(ORDER, signer.sign(ORDER, TEACHER, "c-1")._replace(**changed)) is None


def test_another_key_proves_nothing(signer: ActorSigner) -> None:
    other = ActorSigner(derive_keys("another key").mandates)
    assert signer.verify(ORDER, other.sign(ORDER, TEACHER, "c-1")) is None


def test_the_former_key_proves_as_well(signer: ActorSigner) -> None:
    """A task may wait in its queue while processes are restarted with another key; given is by the current one only."""
    key = derive_keys("a key of the trail").mandates
    both = ActorSigner(b"new", key)
    asked = signer.sign(ORDER, TEACHER, "c-1")
    assert both.verify(ORDER, asked) == asked
    assert signer.verify(ORDER, both.sign(ORDER, TEACHER, "c-1")) is None


def test_words_do_not_run_into_each_other(signer: ActorSigner) -> None:
    """What moves a letter from one part to the next is another actor."""
    role, who, correlation_id, proof = signer.sign(ORDER, Actor("admin", "x"), "c")
    assert signer.verify(ORDER, SignedActor(role + who, "", correlation_id, proof)) is None


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=8).map(lambda value: [value]))
def test_what_is_none(forged: list[object]) -> None:
    """Whatever stands in a task is no signed actor, and no error."""
    assert ActorSigner(b"key").verify(ORDER, forged) is None
    assert ActorSigner(b"key").verify(ORDER, ["admin", "x", "c", *map(str, forged)]) is None
