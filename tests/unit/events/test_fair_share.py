"""Which tenants send more than their share."""

from app.events import fair_share
from app.events.fair_share import FairShare


def test_a_tenant_within_its_rate_never_exceeds_it() -> None:
    """100 events a second, in ten reads per second, for a minute."""
    share = FairShare(100)
    assert not any(share.exceeded_by({"calm": 10}, now=tenth / 10) for tenth in range(600))


def test_a_second_of_events_may_come_at_once() -> None:
    """After that, more events are within the share only as time passes."""
    share = FairShare(100)
    assert share.exceeded_by({"t": 100}, now=0) == set()
    assert share.exceeded_by({"t": 50}, now=0.5) == set()
    assert share.exceeded_by({"t": 1}, now=0.5) == {"t"}


def test_a_flood_exceeds_it_from_the_first_read_that_is_above() -> None:
    """All of the tenant's events of that read exceed it; other tenants' do not."""
    share = FairShare(1000)
    found = [share.exceeded_by({"flood": 499, "calm": 1}, now=read / 40) for read in range(40)]
    assert found[:2] == [set(), set()]
    assert set(map(frozenset, found[3:])) == {frozenset({"flood"})}


def test_a_flood_that_is_over_is_forgotten_after_a_second() -> None:
    """The size of the flood does not matter."""
    share = FairShare(100)
    for _ in range(50):
        share.exceeded_by({"t": 1_000_000}, now=0)
    assert share.exceeded_by({"t": 1}, now=0.9) == {"t"}
    assert share.exceeded_by({"t": 1}, now=1.2) == set()


def test_names_that_nobody_has_twice_take_no_memory_without_end() -> None:
    """A tenant that is forgotten starts with a full share."""
    share = FairShare(1)
    for number in range(2 * fair_share.MAX_TENANTS):
        share.exceeded_by({f"t-{number}": 1}, now=0)
    assert len(share._used) == fair_share.MAX_TENANTS


def test_names_that_nobody_has_twice_free_nobody_who_sends_on() -> None:
    """A producer cannot get out of the bulk lane by making others, or itself, forgotten."""
    share = FairShare(1)
    assert share.exceeded_by({"busy": 2}, now=0) == {"busy"}
    for number in range(fair_share.MAX_TENANTS // 2):
        share.exceeded_by({f"a-{number}": 1}, now=0)
    assert share.exceeded_by({"busy": 1}, now=0) == {"busy"}
    for number in range(fair_share.MAX_TENANTS // 2 + 10):
        share.exceeded_by({f"b-{number}": 1}, now=0)
    assert share.exceeded_by({"busy": 1}, now=0) == {"busy"}
