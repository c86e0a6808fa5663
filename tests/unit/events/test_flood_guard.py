"""Mostly invalid records are a broken producer; some invalid ones are life."""

from app.events.flood_guard import FloodGuard


def test_few_records_are_not_judged() -> None:
    """A first invalid record is no flood."""
    guard = FloodGuard(share=0.5, records=200)
    assert not any(guard.trips(1, 1) for _ in range(199))
    assert guard.trips(1, 1)


def test_more_than_the_share_trips() -> None:
    """Exactly the share does not."""
    assert not FloodGuard(0.5, 200).trips(200, 100)
    assert FloodGuard(0.5, 200).trips(200, 101)


def test_a_share_of_one_never_trips() -> None:
    """The setting that turns it off."""
    assert not FloodGuard(1, 200).trips(1_000, 1_000)


def test_only_the_latest_records_count() -> None:
    """A long good past does not hide a flood, and a flood that is over is forgotten."""
    guard = FloodGuard(0.5, 200)
    assert not guard.trips(10_000, 0)
    assert guard.trips(200, 200)
    assert not guard.trips(200, 0)


def test_disarmed_it_lets_the_flood_pass_and_is_armed_by_the_next_calm() -> None:
    """An operator's word holds for the flood it was about, not for the next one."""
    guard = FloodGuard(0.5, 200)
    assert guard.trips(500, 500)
    guard.disarm()
    assert not any(guard.trips(500, 500) for _ in range(5))
    assert not guard.trips(500, 0)
    assert guard.trips(500, 500)


def test_it_says_what_it_saw() -> None:
    """For the log line that an operator reads."""
    guard = FloodGuard(0.5, 200)
    guard.trips(300, 200)
    assert str(guard) == "200 of the latest 300 records are invalid"
