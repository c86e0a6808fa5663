"""Entries are kept under concurrent writers and crashes, on every server."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import cast

import msgspec
import pytest

from app.audit import writer
from app.audit.chain import Head
from app.audit.entry import OPERATORS
from app.audit.trim_trail import trim_trail
from app.bootstrap import Engine, bootstrap
from app.config.settings import load_settings
from app.errors import DependencyUnavailable
from cli.stack.ports import claim_port
from tests.chaos.valkey import Fsync, Valkey
from tests.conftest import NOW
from tests.contracts.audit_trails import another, fill, found, query, records, stream, verify
from tests.stack import wait_for

# Another process of the engine, which writes to a trail as fast as it can.
WRITE = """
import sys
from datetime import UTC, datetime
from app.audit.entry import Actor, Channel, entry
from app.bootstrap import bootstrap
engine = bootstrap()
for number in range(int(sys.argv[1])):
    actor = Actor("service", sys.argv[2])
    engine.audit.append("t", entry(datetime.now(UTC), Channel.API, actor, "mastery.query", correlation_id=str(number)))
"""


class TestAppending:
    """Each entry is added once, in an unbroken chain."""

    def test_an_entry_can_be_read_with_redis_own_tools(self, engine: Engine) -> None:
        """An entry is JSON in a stream, with its seal and the previous one."""
        head = fill(engine, 2)
        stored = records(engine)
        assert [set(fields) for fields in stored] == [{b"entry", b"previous", b"mac"}] * 2
        assert stored[0][b"entry"].startswith(b'{"sequence":1,"at":"2026-10-28T12:00:00.000Z","channel":"api","role":"admin"')
        assert stored[1][b"previous"] == stored[0][b"mac"]
        assert head == Head(2, stored[1][b"mac"])
        assert (verify(engine).entries, found(engine)) == (2, [])

    def test_threads_and_processes_write_one_unbroken_trail(self, engine: Engine) -> None:
        """Eight threads on two AuditTrails and two more processes write, while the trail is verified repeatedly."""
        trails = [engine.audit, another(engine)]
        trails[0].append("t", query())
        environment = {
            **os.environ,
            "MASTERY_REDIS_URL": engine.settings.redis_url,
            "MASTERY_KEY_PREFIX": engine.settings.key_prefix,
        }
        processes = [
            subprocess.Popen([sys.executable, "-c", WRITE, "200", f"p-{number}"], env=environment) for number in range(2)
        ]

        def write(number: int) -> None:
            for each in range(200):
                trails[number % 2].append("t", query(each, who=f"thread-{number}"))

        with ThreadPoolExecutor(8) as pool:
            writing = [pool.submit(write, number) for number in range(8)]
            while any(process.poll() is None for process in processes) or not all(each.done() for each in writing):
                assert found(engine) == []
        for each in writing:
            each.result()
        assert [process.returncode for process in processes] == [0, 0]
        verdict = verify(engine)
        assert (verdict.entries, verdict.findings, verdict.head and verdict.head.sequence) == (2001, [], 2001)
        chain = engine.audit.chain("t")
        opened = [chain.open(fields) for _, fields in engine.audit.oldest_first("t")]
        written = [(each.entry.who, each.entry.correlation_id) for each in opened if each]
        assert len(set(written)) == 2001
        mine = [correlation for who, correlation in written if who == "thread-3"]
        assert mine == [f"c-{number}" for number in range(200)]  # each thread's entries in its order

    def test_whoever_has_the_turn_is_waited_for_and_not_for_ever(self, engine: Engine) -> None:
        """A process that lost too often gets the turn; if it dies, the others continue a moment later."""
        engine.redis.set(f"{stream(engine)}-turn", "another", px=100)
        began = time.monotonic()
        fill(engine, 1)
        assert 0.09 < time.monotonic() - began < 5
        assert found(engine) == []

    def test_a_writer_that_loses_gets_its_turn(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """It requests the turn with a failed attempt, and releases it with a successful one."""
        monkeypatch.setattr(writer, "PATIENCE", 0)
        late = another(engine)
        fill(engine, 1)
        with engine.redis.monitor() as seen:  # type: ignore[no-untyped-call]
            late.append("t", query())
            turn = f"{stream(engine)}-turn"
            commands = iter(lambda: str(seen.next_command()["command"]), "")
            begun = next(each for each in commands if each.startswith("SET") and turn in each)
            assert begun.endswith(f"PX {writer.TURN_MILLISECONDS}")
            assert next(each for each in commands if each.startswith("DEL")) == f"DEL {turn}"

    def test_equal_entries_of_two_processes_are_two_entries(self, engine: Engine) -> None:
        """They are identical, but neither is taken for the other."""
        trails = [engine.audit, another(engine)]
        for each in trails:
            each.append("t", query())
        assert verify(engine).entries == 2

    def test_threads_share_round_trips(self, engine: Engine) -> None:
        """While one thread writes, the others queue entries for the next round trip, also for several tenants."""
        engine.audit.append("t", query())
        began = commands(engine)
        with engine.audit._writer._writing:
            threads = [
                Thread(target=engine.audit.append, args=(trail, query(number))) for number in range(10) for trail in ("t", "u")
            ]
            for thread in threads:
                thread.start()
            wait_for(lambda: len(engine.audit._writer._waiting) == len(threads), 10)
        for thread in threads:
            thread.join()
        assert commands(engine) - began <= 3  # one for each tenant; u's may have started anew
        assert (verify(engine).entries, verify(engine, "u").entries) == (11, 10)

    def test_tenants_do_not_mix(self, engine: Engine) -> None:
        """Each tenant has a trail, and the operators have one."""
        for trail in ("t", "u", OPERATORS):
            fill(engine, 2, trail)
        assert engine.audit.trails() == [OPERATORS, "t", "u"]
        assert {verify(engine, trail).entries for trail in ("t", "u", OPERATORS)} == {2}
        assert engine.audit.pseudonym("t", "s") != engine.audit.pseudonym("u", "s")

    def test_no_entries_are_none(self, engine: Engine) -> None:
        """Nothing is written."""
        engine.audit.append("t")
        assert engine.audit.trails() == []

    def test_a_server_that_forgot_the_scripts_learns_them_again(self, engine: Engine) -> None:
        """This happens after a restart."""
        fill(engine, 1)
        engine.redis.script_flush()
        fill(engine, 1)
        engine.redis.script_flush()
        trim_trail("t", NOW + timedelta(days=1), trails=engine.audit, now=NOW)
        assert found(engine) == []

    def test_many_trails_are_not_all_remembered(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """The memory of a process is bounded; it reads a forgotten head again."""
        monkeypatch.setattr(writer, "MAX_HEADS", 3)
        for _round in range(2):
            for number in range(8):
                engine.audit.append(f"t-{number}", query())
        assert len(engine.audit._writer._heads) <= 3
        assert [verify(engine, f"t-{number}")[1:] for number in range(8)] == [
            (2, engine.audit.ends(f"t-{number}").head, []) for number in range(8)
        ]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda engine: engine.redis.set(stream(engine), "x"),
            lambda engine: engine.redis.set(f"{stream(engine)}-head", "x"),
            lambda engine: engine.redis.hset(f"{stream(engine)}-head", "mac", "x"),
            lambda engine: engine.redis.hset(f"{stream(engine)}-head", "sequence", "x"),
            lambda engine: engine.redis.hdel(f"{stream(engine)}-head", "mac"),
            lambda engine: engine.redis.set(f"{engine.settings.key_prefix}:audited", "x"),
        ],
    )
    def test_what_cannot_be_stored_is_an_error(self, engine: Engine, damage: Callable[[Engine], object]) -> None:
        """Any failure to store an entry raises an error."""
        fill(engine, 1)
        damage(engine)
        with pytest.raises(DependencyUnavailable, match="audit trail cannot be written"):
            another(engine).append("t", query())

    def test_a_trail_that_always_ends_elsewhere_is_given_up(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        """It raises an error after a number of attempts; the next append succeeds."""
        stale = another(engine)
        stale.append("t", query())
        fill(engine, 1)
        monkeypatch.setattr(writer, "ATTEMPTS", 1)
        with pytest.raises(DependencyUnavailable):
            stale.append("t", query())
        stale.append("t", query())
        assert verify(engine).entries == 3

    def test_whoever_waits_hears_of_a_failure_of_the_one_who_writes(self) -> None:
        """No thread takes an entry for stored if it is not."""
        broken = bootstrap(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"}))

        def append() -> bool:
            try:
                broken.audit.append("t", query())
            except DependencyUnavailable:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(append) for _ in range(16)]
        assert [each.result() for each in waiting] == [False] * 16

    def test_a_mistake_of_one_is_not_taken_for_success_by_another(self, engine: Engine) -> None:
        """Its entry was to be stored in the same round trip."""
        wrong = msgspec.structs.replace(query(), details={"x": object()})
        with ThreadPoolExecutor(2) as pool:
            with engine.audit._writer._writing:
                both = [pool.submit(engine.audit.append, "t", each) for each in (wrong, query())]
                wait_for(lambda: len(engine.audit._writer._waiting) == 2, 10)
            errors = {type(each.exception()) for each in both}
        assert errors == {TypeError, DependencyUnavailable}
        fill(engine, 1)
        assert verify(engine).entries == 1


def commands(engine: Engine) -> int:
    """How many script calls the server got."""
    stats = cast("dict[str, dict[str, int]]", engine.redis.info("commandstats"))
    return stats["cmdstat_evalsha"]["calls"]


@contextmanager
def crashing_valkey(folder: Path) -> Iterator[Valkey]:
    """A Valkey that does not sync to disk by itself."""
    logs = folder / "logs"
    logs.mkdir()
    server = Valkey(folder / "valkey", Fsync.EVERYSEC, logs)
    server.start()
    try:
        server.wait_until_loaded()
        yield server
    finally:
        server.put_away()


@pytest.mark.parametrize("share", [0.3, 0.77, 1.0])
def test_a_crash_that_takes_the_newest_entries_back_is_no_tampering(tmp_path: Path, share: float) -> None:
    """Stream and head are truncated together, at any byte of the file; writers find the new end, and continue there."""
    with crashing_valkey(tmp_path) as server:
        engine = bootstrap(load_settings({"MASTERY_REDIS_URL": server.url}), clock=lambda: NOW)
        fill(engine, 50)
        for _crash in range(3):
            safe = server.lag_behind()
            for number in range(40):
                engine.audit.append("t", query(number))
            before = engine.audit.ends("t").head
            server.kill()
            server.lose(safe, share)
            server.start()
            server.wait_until_loaded()
            after = engine.audit.ends("t").head
            assert before is not None
            assert after is not None
            assert after.sequence < before.sequence
            assert found(engine) == []
            engine.audit.append("t", query())
            assert found(engine) == []
            assert len(found(engine, expected=before)) == 1  # which only an exported head can show
        engine.redis.close()


def test_a_trail_that_was_taken_back_wholly_begins_anew(engine: Engine) -> None:
    """Its name in the list of trails is added again, although this process had added it before."""
    fill(engine, 3)
    engine.redis.delete(stream(engine), f"{stream(engine)}-head", f"{engine.settings.key_prefix}:audited")
    fill(engine, 2)
    assert engine.audit.trails() == [OPERATORS, "t"]  # where that is reported
    assert (verify(engine).entries, found(engine)) == (2, [])


def test_without_redis_every_call_says_so() -> None:
    """It raises the engine's own error."""
    away = bootstrap(load_settings({"MASTERY_REDIS_URL": f"redis://127.0.0.1:{claim_port()}/0"})).audit
    calls: list[Callable[[], object]] = [
        lambda: away.append("t", query()),
        away.trails,
        lambda: away.ends("t"),
        lambda: list(away.oldest_first("t")),
        lambda: away.newest_first("t", "", 1),
        lambda: away.trim("t", Head(), Head(), "1-0"),
        lambda: away.last_summary("t"),
        lambda: away.keep_summary("t", ""),
    ]
    for call in calls:
        with pytest.raises(DependencyUnavailable):
            call()
