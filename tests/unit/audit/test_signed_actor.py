"""A worker trusts a signed actor only with a valid signature, and only for the task it was made for."""

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
    """It is sent as JSON in a task's arguments."""
    signed = signer.sign(ORDER, TEACHER, "c-1")
    order, told = json.loads(json.dumps([ORDER, signed]))
    assert signer.verify(order, told) == signed
    assert (signed.actor, signed.correlation_id) == (TEACHER, "c-1")


@pytest.mark.parametrize("place", range(len(ORDER)))
def test_it_is_good_for_no_other_order(signer: ActorSigner, place: int) -> None:
    """It is invalid for another tenant, action, student or weights."""
    other = [*ORDER[:place], "other", *ORDER[place + 1 :]]
    assert signer.verify(other, signer.sign(ORDER, TEACHER, "c-1")) is None


@pytest.mark.parametrize("changed", [{"role": "admin"}, {"who": "t-lee"}, {"correlation_id": "c-2"}, {"proof": "0" * 64}])
def test_it_is_good_for_nobody_else(signer: ActorSigner, changed: dict[str, str]) -> None:
    assert signer.verify(ORDER, signer.sign(ORDER, TEACHER, "c-1")._replace(**changed)) is None


def test_another_key_proves_nothing(signer: ActorSigner) -> None:
    other = ActorSigner(derive_keys("another key").mandates)
    assert signer.verify(ORDER, other.sign(ORDER, TEACHER, "c-1")) is None


def test_the_former_key_proves_as_well(signer: ActorSigner) -> None:
    """A task may wait while processes restart with another key; only the current key signs."""
    key = derive_keys("a key of the trail").mandates
    both = ActorSigner(b"new", key)
    asked = signer.sign(ORDER, TEACHER, "c-1")
    assert both.verify(ORDER, asked) == asked
    assert signer.verify(ORDER, both.sign(ORDER, TEACHER, "c-1")) is None


def test_words_do_not_run_into_each_other(signer: ActorSigner) -> None:
    """Moving a letter from one field to the next makes another actor."""
    role, who, correlation_id, proof = signer.sign(ORDER, Actor("admin", "x"), "c")
    assert signer.verify(ORDER, SignedActor(role + who, "", correlation_id, proof)) is None


@given(st.recursive(st.none() | st.integers() | st.text() | st.floats(), st.lists, max_leaves=8).map(lambda value: [value]))
def test_what_is_none(forged: list[object]) -> None:
    """Other values in a task are not a signed actor, and not an error."""
    assert ActorSigner(b"key").verify(ORDER, forged) is None
    assert ActorSigner(b"key").verify(ORDER, ["admin", "x", "c", *map(str, forged)]) is None
