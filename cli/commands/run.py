"""``mastery run``: one process of the engine, as containers run it."""

import os
import sys

from app.config.settings import load_settings
from app.storage.private_files import PRIVATE
from cli.stack.roles import role_command


def run(role: str) -> None:
    """Become the process of a role. It replaces this process, so that the container's signals reach it."""
    command = role_command(role, load_settings())
    os.umask(PRIVATE)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 - our own interpreter, without a shell
