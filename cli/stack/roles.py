"""The engine's processes, and the command line of each: for ``mastery up``, and for ``mastery run`` in containers."""

from importlib.util import find_spec

from app.config.settings import Settings
from cli.stack.module import python_command
from tasks.queues import served_queues

ROLES = ("api", "worker", "beat", "bridge", "flower")  # in the order in which `mastery up` starts them


def role_command(role: str, settings: Settings) -> list[str]:
    """The command line that runs one of ``ROLES``."""
    celery = ("celery", "--app", "tasks.celery")
    concurrency, queues = str(settings.worker_concurrency), ",".join(served_queues(settings.worker_queues))
    modules = {
        "api": ("gunicorn", "--config", "python:api.server"),
        "worker": (*celery, "worker", "--concurrency", concurrency, "--queues", queues),
        "beat": (*celery, "beat"),
        "bridge": ("consumers",),
        "flower": (*celery, "flower", f"--conf={flower_settings()}"),
    }
    return python_command(*modules[role])


def flower_settings() -> str:
    """The path of ``flowerconfig.py``. Without it, Flower would not require a password."""
    spec = find_spec("flowerconfig")
    if spec is None or spec.origin is None:
        raise AssertionError("flowerconfig.py is part of the engine")
    return spec.origin
