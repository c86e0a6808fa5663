"""Embedded servers without a supervisor end with the process that started them."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cli.stack.embedded import command

SECONDS = 30.0
# Starts the server given as arguments, and a process that inherits the pipe to it: the pipe stays open when this one is gone.
PARENT = """
import subprocess, sys, time
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
other = subprocess.Popen(["sleep", "1000"], pass_fds=[server.stdin.fileno()])
address = server.stdout.readline().strip()
print(server.pid, other.pid, address, flush=True)
time.sleep(1000)
"""


# A server whose parent ends before it begins to wait for that.
SLOW = """
import os, time
from cli.stack.lifetime import wait_until_stopped
parent = os.getppid()
print("slow:1", flush=True)
while os.getppid() == parent:
    time.sleep(0.01)
wait_until_stopped()
"""


@pytest.mark.parametrize("server", ["valkey", "kafka", "slow"])
def test_it_ends_with_its_parent_though_others_inherited_the_pipe(server: str, tmp_path: Path) -> None:
    """Its standard input does not end then; it notices that its parent has ended, also if that happens while it starts."""
    commands = {
        "valkey": command("valkey", str(tmp_path / "valkey"), "0"),
        "kafka": command("kafka", "some-topic"),
        "slow": [sys.executable, "-c", SLOW],
    }
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *commands[server]], stdout=subprocess.PIPE, text=True)
    with parent:
        assert parent.stdout is not None
        pid, other, address = parent.stdout.readline().split()
        started = psutil.Process(int(pid))
        family = [started, *started.children(recursive=True)]
        try:
            assert ":" in address
            parent.kill()
            assert psutil.wait_procs(family, timeout=SECONDS)[1] == []
            assert psutil.Process(int(other)).is_running()
        finally:
            for each in (*family, psutil.Process(int(other))):
                if each.is_running():
                    each.kill()
