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


@pytest.mark.parametrize("server", ["valkey", "kafka"])
def test_it_ends_with_its_parent_though_others_inherited_the_pipe(server: str, tmp_path: Path) -> None:
    """Its standard input does not end then; it notices that its parent has ended."""
    arguments = (str(tmp_path / "valkey"), "0") if server == "valkey" else ("some-topic",)
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *command(server, *arguments)], stdout=subprocess.PIPE, text=True)
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
