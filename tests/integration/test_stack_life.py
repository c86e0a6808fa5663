"""A whole stack with unusual folders, addresses and failures: processes, files and messages."""

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import packages_distributions
from pathlib import Path
from uuid import uuid4

import psutil
import pytest
import requests

from app.events.event_totals import Totals
from app.health.readiness import CACHED_SECONDS
from tests.learning_events import activity
from tests.stack import Stack, wait_for

SECONDS = 60.0
# Characters in a path that are special to a shell, a configuration file, a template or a terminal; also a newline.
ODD_NAME = "-d My Projects #1 50% é'\"$HOME `x` [red] {a,b} *;\\n\n = end"
VERY_LONG = "long" * 50  # longer than the 108 characters allowed for a socket's path


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def processes_of(stack: Stack) -> list[psutil.Process]:
    """Its supervisor and all descendants."""
    return [psutil.Process(stack.process.pid), *psutil.Process(stack.process.pid).children(recursive=True)]


def part(stack: Stack, word: str) -> psutil.Process:
    """The topmost process with this word in its command line."""
    return next(each for each in psutil.Process(stack.process.pid).children() if word in each.cmdline())


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with an unusual path and a misspelt setting, on IPv6 if available, in a folder that is readable by all."""
    folder = tmp_path_factory.mktemp("odd") / ODD_NAME / VERY_LONG
    (folder / "logs").mkdir(parents=True)
    (folder / "stack.json").touch(0o644)
    folder.chmod(0o755)
    host = "::1" if has_ipv6() else "127.0.0.1"
    with Stack(folder, MASTERY_HTTP_HOST=host, MASTERY_FLOWER_HOST=host, MASTERY_HTP_HOST="::1") as running:
        yield running


class TestOddPlaces:
    """Several tests of one stack."""

    def test_it_works_and_says_where(self, odd: Stack) -> None:
        """Its last line is useful: each URL in it responds."""
        wait_for(lambda: "up | ready: " in odd.log(), SECONDS)
        line = next(line for line in odd.log().splitlines() if line.startswith("    up | ready: "))
        places = dict(zip(*[iter(line.partition("ready: ")[2].split())] * 2, strict=True))
        assert list(places) == ["API", "docs", "Flower", "metrics"]
        assert [requests.get(url, timeout=10).status_code for url in places.values()] == [200, 200, 401, 200]
        assert ("[::1]" in places["API"]) == has_ipv6()

    def test_events_go_all_the_way(self, odd: Stack, tmp_path: Path) -> None:
        """Replay finds the stack by its folder, and the events are recorded."""
        tenant = uuid4().hex
        file = tmp_path / ODD_NAME
        yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
        file.write_text(json.dumps(activity(tenant_id=tenant, timestamp=yesterday)))
        odd.mastery("replay", str(file.resolve()))
        assert odd.engine.event_totals.of(tenant) == Totals(applied=1)

    def test_doctor_shows_where_everything_is(self, odd: Stack) -> None:
        """And that everything responds, whatever the folder's name."""
        said = odd.mastery("doctor").stdout.replace("\n", "").replace(" ", "")
        running = odd.running
        for where in (running.http_url, running.flower_url, running.bridge_metrics_url, running.kafka_bootstrap):
            assert where in said
        assert "✓bridge:ok" in said
        assert "[red]" in said

    def test_nobody_else_reads_its_files(self, odd: Stack) -> None:
        """Old and new files and folders are made private: group and others have no access."""
        open_to_others = [path for path in (odd.folder, *odd.folder.rglob("*")) if path.stat().st_mode & 0o077]
        assert open_to_others == []
        names = {path.name for path in odd.folder.iterdir()}
        assert {"lock", "stack.json", "logs", "valkey", "bridge.heartbeat"} <= names

    def test_a_misspelt_setting_is_told_once(self, odd: Stack) -> None:
        """By the stack as a whole, with a suggestion; and by each command, but not in its regular output."""
        complaint = "MASTERY_HTP_HOST is not a setting and is ignored; did you mean MASTERY_HTTP_HOST?"
        assert odd.log().count("MASTERY_HTP_HOST") == 1
        assert complaint in odd.log()
        token = odd.mastery("token", "--role", "admin", "--tenant", "t")
        assert (token.stdout.count("\n"), token.stderr) == (1, f"{complaint}\n")

    def test_what_the_demo_prints_can_be_pasted(self, odd: Stack) -> None:
        """The query works for any host; here without its token."""
        url = f"{odd.running.http_url}/health"
        said = subprocess.run(["sh", "-c", f"curl -s {shlex.quote(url)}"], capture_output=True, check=True, timeout=SECONDS)
        assert json.loads(said.stdout)["success"] is True


def test_a_folder_with_what_is_not_the_engines_is_left_open(tmp_path: Path) -> None:
    """For example somebody's home: the engine's files there are private, the folder's mode stays."""
    (tmp_path / "theirs").touch()
    tmp_path.chmod(0o755)
    taken = Stack(tmp_path, MASTERY_FLOWER_HOST="192.0.2.1", MASTERY_FLOWER_PASSWORD="x")  # not started
    assert "MASTERY_FLOWER_HOST: 192.0.2.1 is not an address of this machine" in taken.mastery("up", check=False).stderr
    assert tmp_path.stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o700


class TestFate:
    """What happens if a part of a stack is killed."""

    def test_parts_are_started_again_and_the_broker_ends_it(self, tmp_path: Path) -> None:
        """Bridge, worker and Valkey restart with all data; the embedded Kafka has lost its data, so the stack ends."""
        with Stack(tmp_path / "data") as stack:
            stack.engine.redis.set("kept", "yes")
            for word in ("consumers", "worker", "valkey"):
                killed = part(stack, word)
                killed.kill()
                wait_for(lambda killed=killed: not killed.is_running(), SECONDS)  # type: ignore[misc]
                time.sleep(CACHED_SECONDS)  # else /ready may tell what it found before
                wait_for(stack.running.is_ready, SECONDS)
            for name in ("bridge", "worker", "valkey"):
                assert f"{name} was ended by SIGKILL; it is started again in 0.5 s" in stack.log()
            assert stack.engine.redis.get("kept") == b"yes"
            part(stack, "kafka").kill()
            assert stack.process.wait(SECONDS) == 1
            assert "Error: kafka was ended by SIGKILL: the embedded broker keeps nothing beyond its process" in stack.log()

    def test_killed_it_leaves_nothing_and_starts_again(self, tmp_path: Path) -> None:
        """SIGKILL to the supervisor also ends gunicorn's workers, Celery's children and Valkey; a new start waits for that."""
        folder = tmp_path / "data"
        with Stack(folder) as stack:
            stack.engine.redis.set("kept", "yes")
            everything = processes_of(stack)
            assert len(everything) > 12
            stack.process.kill()
            stack.process.wait(SECONDS)
            told = stack.mastery("down").stdout  # it may find that everything has ended by itself already
            assert told in {"Stopped.\n", f"No stack runs on {folder}.\n"}
            assert psutil.wait_procs(everything, timeout=5)[1] == []
            assert not (folder / "stack.json").exists()
        with Stack(folder) as again:
            assert again.engine.redis.get("kept") == b"yes"

    def test_down_ends_it(self, tmp_path: Path) -> None:
        """Also a suspended one. It returns when no process is left, and succeeds if none is running."""
        with Stack(tmp_path / "data") as stack:
            everything = processes_of(stack)
            stack.process.send_signal(signal.SIGSTOP)
            assert stack.mastery("down").stdout == "Stopped.\n"
            assert stack.process.wait(SECONDS) == 0
            assert psutil.wait_procs(everything, timeout=5)[1] == []
            assert stack.mastery("down").stdout == f"No stack runs on {tmp_path / 'data'}.\n"

    def test_one_line_when_redis_goes_and_one_when_it_is_back(self, tmp_path: Path) -> None:
        """From the stack as a whole, however long the outage lasts."""
        with Stack(tmp_path / "data") as stack:
            wait_for(lambda: "up | ready: " in stack.log(), SECONDS)
            valkey = next(each for each in processes_of(stack) if "valkey-server" in each.name())
            valkey.suspend()
            wait_for(lambda: "up | not ready: " in stack.log(), SECONDS)
            valkey.resume()
            wait_for(lambda: "up | ready again" in stack.log(), SECONDS)
            own = [line for line in stack.log().splitlines() if line.startswith("    up | ")]
            assert len(own) == 3
            assert "redis" in own[1]


def test_modules_of_the_users_folder_are_not_the_engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files named like modules of the engine, of Python or of a library, installed or not, are not run."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    # Python, Celery and gunicorn import these if they find them.
    optional = {"django", "eventlet", "gevent", "setproctitle", "sitecustomize", "usercustomize"}
    for name in {*packages_distributions(), *sys.stdlib_module_names, *optional}:
        (theirs / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} '); raise SystemExit(7)")
    (tmp_path / "link").symlink_to(theirs)
    monkeypatch.chdir(tmp_path / "link")
    stack = Stack(tmp_path / "data", PWD=str(tmp_path / "link"))
    stack.command = (str(Path(sys.executable).with_name("mastery")),)
    with stack:
        said = stack.mastery("doctor", check=False)
        assert said.returncode == 0, said.stdout + said.stderr
        assert "✓ worker" in said.stdout
        assert "started again" not in stack.log()
    assert not (tmp_path / "ran").exists()


class TestLifeOfAStack:
    """Start, stop, start again."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "data"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_everything_and_the_data_stays(
        self, folder: Path, events_file: Path, number: signal.Signals
    ) -> None:
        """Exit code 0, no process left, and the next start on the folder continues with the data."""
        with Stack(folder) as first:
            first.mastery("replay", str(events_file))
            (tenant,) = first.engine.mastery.tenants.all()
            everything = [psutil.Process(first.process.pid), *psutil.Process(first.process.pid).children(recursive=True)]
            assert len(everything) > 8
            first.process.send_signal(number)
            assert first.process.wait(SECONDS) == 0
            _gone, alive = psutil.wait_procs(everything, timeout=5)
            assert alive == []
            assert not (folder / "stack.json").exists()
        with Stack(folder) as second:
            assert second.engine.event_totals.of(tenant) == Totals(applied=2, duplicates=1, expired=1)
            second.mastery("replay", str(events_file))
            assert second.engine.event_totals.of(tenant) == Totals(applied=2, duplicates=4, expired=2)

    def test_two_stacks_side_by_side(self, stack: Stack, folder: Path, events_file: Path) -> None:
        """Each has its own data and ports."""
        with Stack(folder) as other:
            other.mastery("replay", str(events_file))
            (tenant,) = other.engine.mastery.tenants.all()
            assert tenant not in stack.engine.mastery.tenants.all()
