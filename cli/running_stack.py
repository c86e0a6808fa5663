"""What a running stack says of itself in its data folder, so that other commands find it."""

import os
from pathlib import Path

import msgspec

from app.errors import DependencyUnavailable
from app.settings import Settings

FILE_NAME = "stack.json"


class RunningStack(msgspec.Struct, frozen=True):
    """Where a stack's parts are."""

    pid: int
    http_url: str
    flower_url: str
    redis_url: str
    broker_url: str
    kafka_bootstrap: str
    bridge_metrics_url: str

    def write(self, folder: Path) -> None:
        """Say so in the data folder, at once for whoever reads meanwhile."""
        draft = folder / f"{FILE_NAME}.draft"
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(folder / FILE_NAME)


def find_running_stack(folder: Path) -> RunningStack | None:
    """The stack that runs on a data folder, or None."""
    try:
        stack = msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=RunningStack)
        os.kill(stack.pid, 0)  # signals nothing, and fails for a process that is gone without a farewell
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stack


def settings_of_running_stack(settings: Settings, *, required: bool = True) -> Settings:
    """The settings, with the places of the stack that runs on their data folder where they name none.

    Raises DependencyUnavailable where neither says where Redis and Kafka are, if that is required.
    """
    if settings.redis_url and settings.kafka_bootstrap:
        return settings
    stack = find_running_stack(settings.data_path)
    if stack is None:
        if required:
            raise DependencyUnavailable("no stack", f"runs on {settings.data_path}; start one with `mastery up`")
        return settings
    return msgspec.structs.replace(
        settings,
        redis_url=settings.redis_url or stack.redis_url,
        broker_url=settings.broker_url or stack.broker_url,
        kafka_bootstrap=settings.kafka_bootstrap or stack.kafka_bootstrap,
    )
