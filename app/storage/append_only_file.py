"""Redis's append-only file: it has deleted data until it is rewritten."""

import redis

from app.errors import DependencyUnavailable


def rewrite_append_only_file(client: redis.Redis) -> bool:
    """Let the server rewrite its append-only file in the background, if it has one that has grown since it was last rewritten.

    The server does so by itself only when the file has doubled, which on a small system may take longer than any retention.
    Raises DependencyUnavailable when Redis does not answer, or does not permit it.

    Returns:
        Whether a rewrite was started.

    Raises:
        DependencyUnavailable: The server has no such command, as some managed ones.
    """
    info = client.info("persistence")
    if not info.get("aof_enabled") or info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"):
        return False
    if info.get("aof_current_size") == info.get("aof_base_size"):
        return False
    try:
        client.bgrewriteaof()
    except redis.ResponseError as error:
        raise DependencyUnavailable("redis", "cannot rewrite its append-only file: see MASTERY_REDIS_REWRITE") from error
    return True
