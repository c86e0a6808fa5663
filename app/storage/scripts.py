"""Loads Lua scripts from files and runs them in batches."""

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.commands.core import Script

from app.storage.redis_client import raise_if_transient

T = TypeVar("T")
# Students per script call: enough to make the call overhead small, few enough (about 1 ms) not to block other queries.
STUDENTS_PER_CALL = 50
_COMMAND = re.compile(r"redis\.call\('([A-Z]+)'")


RANKINGS = Path(__file__).with_name("rankings.lua")  # for the scripts that change who is in a ranking


def load_script(client: redis.Redis, path: Path, *, including: Path | None = None, **constants: int) -> Script:
    """Load a Lua script from a file, after the functions of an included file. The constants become local variables.

    The script first checks that its user may run all of its commands: the server rejects single commands without rolling back,
    so a partial run would leave some writes, and a retry would repeat them.

    Returns:
        The script, to be run on the client's server.
    """
    script = path.read_text()
    functions = f"{including.read_text()}\n" if including else ""
    values = "".join(f"local {name} = {value} " for name, value in constants.items())
    names = ", ".join(f"'{name}'" for name in sorted(set(_COMMAND.findall(functions + script))))
    check = (
        f"for _, name in ipairs({{{names}}}) do if not redis.acl_check_cmd(name, KEYS[1]) then "
        "return redis.error_reply('NOPERM this user may not run ' .. name) end end "
    )
    shebang, body = script.split("\n", 1) if script.startswith("#!") else ("", script)
    return client.register_script(
        f"{shebang}\n{check}{functions}{values}{body}" if shebang else check + functions + values + body
    )


def run_script(client: redis.Redis, script: Script, calls: list[tuple[list[str], list[Any]]]) -> list[Any]:
    """Call a script once for each (keys, arguments), in one round trip.

    A restarted server does not know the script. Then it is loaded, and only the rejected calls are repeated. Raises
    DependencyUnavailable if a call failed with a transient error, else the first error among the replies.

    Returns:
        The replies, in the order of the calls.
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
    """Split items into lists of ``size``, one per script call; the last may be shorter."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
