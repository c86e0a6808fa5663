"""Lua scripts: loaded from their files, run many at once."""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.commands.core import Script

from app.storage.redis_client import raise_if_transient

T = TypeVar("T")
# Students in one script call: long enough to make the call's own cost small, short enough (about 1 ms) that the server
# answers queries in between.
STUDENTS_PER_CALL = 50
_COMMAND = re.compile(r"redis\.call\('([A-Z]+)'")


def load_script(client: redis.Redis, path: Path, **constants: int) -> Script:
    """The Lua script in a file, to be run on the client's server. It knows the constants as local variables.

    It does nothing unless its user may run every command in it. A server refuses each by itself and takes nothing back: half of
    the writes would stay, and be repeated.
    """
    script = path.read_text()
    values = "".join(f"local {name} = {value} " for name, value in constants.items())
    names = ", ".join(f"'{name}'" for name in sorted(set(_COMMAND.findall(script))))
    check = (
        f"for _, name in ipairs({{{names}}}) do if not redis.acl_check_cmd(name, KEYS[1]) then "
        "return redis.error_reply('NOPERM this user may not run ' .. name) end end "
    )
    shebang, body = script.split("\n", 1) if script.startswith("#!") else ("", script)
    return client.register_script(f"{shebang}\n{check}{values}{body}" if shebang else check + values + body)


def run_script(client: redis.Redis, script: Script, calls: list[tuple[list[str], list[Any]]]) -> list[Any]:
    """The replies of one script called with each (keys, arguments), in one round trip.

    A server that was restarted does not know the script: it is loaded, and only the calls it refused are repeated.
    """
    replies: list[Any] = [redis.exceptions.NoScriptError()] * len(calls)
    for _attempt in range(2):
        refused = [i for i, reply in enumerate(replies) if isinstance(reply, redis.exceptions.NoScriptError)]
        if not refused:
            break
        pipeline = client.pipeline(transaction=False)
        if _attempt:
            pipeline.script_load(script.script)
        for i in refused:
            keys, arguments = calls[i]
            pipeline.evalsha(script.sha, len(keys), *keys, *arguments)
        for i, reply in zip(refused, pipeline.execute(raise_on_error=False)[_attempt:], strict=True):
            replies[i] = reply
    raise_if_transient(replies)
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def slices(items: Iterable[T], size: int) -> Iterable[list[T]]:
    """The items in lists of a size, for a script call each; the last may be shorter."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
