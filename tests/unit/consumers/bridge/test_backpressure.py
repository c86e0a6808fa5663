"""Backpressure: when the bridge pauses and resumes, by high marks, low marks and a full relay."""

import dataclasses

import pytest

from app.config.settings import load_settings
from app.events.ledger import Depths
from consumers.bridge.backpressure import Backpressure

SETTINGS = dataclasses.replace(
    load_settings({}), chunks_high_mark=20, chunks_low_mark=15, bulk_chunks_high_mark=8, bulk_chunks_low_mark=4
)


@pytest.mark.parametrize(
    ("depths", "must_hold", "may_go_on"),
    [
        (Depths(0, 0), False, True),
        (Depths(15, 4), False, True),
        (Depths(16, 0), False, False),  # between the marks nothing changes
        (Depths(0, 5), False, False),
        (Depths(19, 7), False, False),
        (Depths(20, 0), True, False),
        (Depths(0, 8), True, False),
    ],
)
def test_each_lane_has_its_marks(depths: Depths, must_hold: bool, may_go_on: bool) -> None:
    backpressure = Backpressure(SETTINGS, lambda: False)
    assert (backpressure.must_hold(depths), backpressure.may_go_on(depths)) == (must_hold, may_go_on)


def test_a_full_relay_holds_the_bridge_however_short_the_lanes_are() -> None:
    backpressure = Backpressure(SETTINGS, lambda: True)
    assert backpressure.must_hold(Depths(0, 0))
    assert not backpressure.may_go_on(Depths(0, 0))
