"""`mastery down` ends the process that runs a stack on the folder, and no process that reuses its id or runs elsewhere."""

import fcntl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from app.errors import SettingsError
from cli.commands import down
from cli.stack.data_folder import LOCK, sole_user_of, user_of
from cli.stack.process_identity import ProcessIdentity, identity_of_this_process

HELD_SECONDS = "1"
LOOKS = 10_000


@pytest.fixture
def bystander() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that is not a stack."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def hold(folder: Path, held_by: ProcessIdentity) -> "subprocess.Popen[bytes]":
    """Hold the lock for a second, like the guard of a killed stack."""
    with (folder / LOCK).open("wb", buffering=0) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(msgspec.json.encode(held_by))
        return subprocess.Popen(["sleep", HELD_SECONDS], pass_fds=[lock.fileno()])


def test_it_is_known_who_uses_a_folder(tmp_path: Path) -> None:
    """The user of a folder is known while it runs, and not after."""
    with sole_user_of(tmp_path):
        used_by = user_of(tmp_path)
        assert used_by == identity_of_this_process()
        assert used_by.runs()
    assert user_of(tmp_path) is None
    assert (tmp_path / LOCK).read_text() == ""


def test_two_who_look_do_not_see_each_other(tmp_path: Path) -> None:
    """Two concurrent checks do not take each other for a stack, although a killed stack left its name."""
    (tmp_path / LOCK).write_bytes(msgspec.json.encode(identity_of_this_process()))
    with ThreadPoolExecutor(2) as threads:
        assert set(threads.map(user_of, [tmp_path] * LOOKS)) == {None}


def test_who_has_the_id_of_a_killed_stack_is_left_alone(
    tmp_path: Path, bystander: "subprocess.Popen[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    """The guard of the killed stack still runs and holds the lock; `down` waits for it."""
    here = identity_of_this_process()
    with hold(tmp_path, ProcessIdentity(bystander.pid, here.started + "0", here.place)):
        down.run(tmp_path)
    assert capsys.readouterr().out == "Stopped.\n"
    assert bystander.poll() is None


def test_a_stack_in_another_container_is_left_alone(tmp_path: Path, bystander: "subprocess.Popen[bytes]") -> None:
    """Its id means another process here. The message says where to stop the stack."""
    with (
        hold(tmp_path, ProcessIdentity(bystander.pid, identity_of_this_process().started, "another place")),
        pytest.raises(SettingsError, match="runs elsewhere, in another container or on another machine"),
    ):
        down.run(tmp_path)
    assert bystander.poll() is None


def test_a_lock_that_names_nobody_is_a_message(tmp_path: Path) -> None:
    """For example, a lock file of another version."""
    (tmp_path / LOCK).write_text("1234")
    with (tmp_path / LOCK).open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SettingsError, match="is locked by a process that it does not name"):
            user_of(tmp_path)
