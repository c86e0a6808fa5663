"""Mostly invalid records mean a broken producer; a few invalid ones are normal."""

from app.events.poison_guard import PoisonGuard


def test_few_records_are_not_judged() -> None:
    """A first invalid record does not trip the guard."""
    guard = PoisonGuard(share=0.5, records=200)
    for _ in range(199):
        assert not guard.trips(1, 1)
        guard.took(1, 1)
    assert guard.trips(1, 1)


def test_more_than_the_share_trips() -> None:
    """Exactly the share does not trip it."""
    assert not PoisonGuard(0.5, 200).trips(200, 100)
    assert PoisonGuard(0.5, 200).trips(200, 101)


def test_a_share_of_one_never_trips() -> None:
    """This setting disables the guard."""
    assert not PoisonGuard(1, 200).trips(1_000, 1_000)


def test_only_the_latest_records_count() -> None:
    """Many earlier valid records do not hide poison, and poison that is over is forgotten."""
    guard = PoisonGuard(0.5, 200)
    guard.took(10_000, 0)
    assert guard.trips(200, 200)
    guard.took(200, 200)
    assert not guard.trips(200, 0)


def test_what_is_read_again_counts_once() -> None:
    """Records that were not accepted are read again, and must not count twice."""
    guard = PoisonGuard(0.5, 200)
    assert not any(guard.trips(150, 150) for _ in range(5))
    guard.took(150, 150)
    assert guard.trips(50, 50)


def test_a_read_without_an_invalid_record_is_taken() -> None:
    """Nothing of such a read would be dead-lettered, so it is accepted even if the window is full enough to judge."""
    guard = PoisonGuard(0.5, 200)
    guard.took(150, 150)
    assert not guard.trips(50, 0)


def test_what_an_operator_has_seen_is_not_counted_again() -> None:
    """The window restarts; later records are judged as usual."""
    guard = PoisonGuard(0.5, 200)
    guard.took(199, 199)
    guard.forget()
    assert not guard.trips(199, 199)
    assert guard.trips(200, 200)


def test_reads_without_records_leave_nothing() -> None:
    """The end of a partition is reported without records, any number of times."""
    guard = PoisonGuard(0.5, 200)
    for _ in range(1_000):
        guard.took(0, 0)
    assert not guard._reads
