"""Mostly invalid records are a broken producer; some invalid ones are life."""

from app.events.poison_guard import PoisonGuard


def test_few_records_are_not_judged() -> None:
    """A first invalid record is no poison."""
    guard = PoisonGuard(share=0.5, records=200)
    for _ in range(199):
        assert not guard.trips(1, 1)
        guard.took(1, 1)
    assert guard.trips(1, 1)


def test_more_than_the_share_trips() -> None:
    """Exactly the share does not."""
    assert not PoisonGuard(0.5, 200).trips(200, 100)
    assert PoisonGuard(0.5, 200).trips(200, 101)


def test_a_share_of_one_never_trips() -> None:
    """The setting that turns it off."""
    assert not PoisonGuard(1, 200).trips(1_000, 1_000)


def test_only_the_latest_records_count() -> None:
    """A long good past does not hide poison, and poison that is over is forgotten."""
    guard = PoisonGuard(0.5, 200)
    guard.took(10_000, 0)
    assert guard.trips(200, 200)
    guard.took(200, 200)
    assert not guard.trips(200, 0)


def test_what_is_read_again_counts_once() -> None:
    """Records that were not taken come again: judging them does not make them more."""
    guard = PoisonGuard(0.5, 200)
    assert not any(guard.trips(150, 150) for _ in range(5))
    guard.took(150, 150)
    assert guard.trips(50, 50)


def test_a_read_without_an_invalid_record_is_taken() -> None:
    """Though with it there are enough to judge: nothing of it would go to the dead letters."""
    guard = PoisonGuard(0.5, 200)
    guard.took(150, 150)
    assert not guard.trips(50, 0)


def test_what_an_operator_has_seen_is_not_counted_again() -> None:
    """It begins anew then; what comes afterwards is judged like anything else."""
    guard = PoisonGuard(0.5, 200)
    guard.took(199, 199)
    guard.forget()
    assert not guard.trips(199, 199)
    assert guard.trips(200, 200)


def test_reads_without_records_leave_nothing() -> None:
    """Ends of partitions come without any, as often as they like."""
    guard = PoisonGuard(0.5, 200)
    for _ in range(1_000):
        guard.took(0, 0)
    assert not guard._reads
