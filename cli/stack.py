"""The whole stack under one supervisor (honcho): API, worker, beat, bridge and Flower, on embedded servers or the named ones.

The servers are started first and stopped last, so that the others can finish what they have in hand.
"""

import fcntl
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import honcho.manager
from honcho.manager import SIGNALS, Manager

from app.errors import SettingsError
from app.settings import PREFIX, Settings
from cli.embedded import embedded
from cli.ports import claim_port
from cli.running_stack import FILE_NAME, RunningStack
from tasks.delivery import EVENTS, INTERACTIVE, MAINTENANCE

STOP_SECONDS = 15  # for a request or a chunk in hand to be finished, before what still runs is killed
STOPPED_BY_SIGNAL = frozenset(each["rc"] for each in SIGNALS.values())


def run_stack(settings: Settings) -> int:
    """Run the stack until a signal or until one of its processes ends; returns the exit code, 0 after a signal.

    Raises SettingsError when a port is taken, or the data folder cannot be used or is in use.
    """
    folder = data_folder(settings)
    with ExitStack() as exits:
        exits.enter_context(_sole_user_of(folder))
        stack = exits.enter_context(_servers(settings, folder))
        manager = Manager()
        for name, command in _processes(settings).items():
            manager.add_process(name, f"exec {command}", env=_environment(stack, settings))
        stack.write(folder)
        exits.callback((folder / FILE_NAME).unlink, missing_ok=True)
        honcho.manager.KILL_WAIT = STOP_SECONDS
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # the terminal was closed
        manager.loop()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt what is being put away
    code: int = manager.returncode or 0
    return 0 if code in STOPPED_BY_SIGNAL else code or 1


def data_folder(settings: Settings) -> Path:
    """The data folder, made if it was missing. Raises SettingsError when it cannot be written."""
    folder = settings.data_path
    try:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"MASTERY_DATA_DIR: {folder} cannot be used: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise SettingsError(f"MASTERY_DATA_DIR: {folder} cannot be written")
    return folder


@contextmanager
def _sole_user_of(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets it go however this process ends."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SettingsError(f"MASTERY_DATA_DIR: a stack already runs on {folder}") from error
        yield


@contextmanager
def _servers(settings: Settings, folder: Path) -> Iterator[RunningStack]:
    """The servers that the settings name, or embedded ones, and ports for the rest."""
    http_port = _port("MASTERY_HTTP_PORT", settings.http_host, settings.http_port)
    flower_port = _port("MASTERY_FLOWER_PORT", settings.flower_host, settings.flower_port)
    metrics_port = _port("MASTERY_BRIDGE_METRICS_PORT", settings.http_host, settings.bridge_metrics_port)
    with ExitStack() as exits:
        log = exits.enter_context((folder / "logs" / "servers.log").open("ab"))
        redis_url = settings.redis_url or exits.enter_context(embedded("valkey", str(folder / "valkey"), "0", log=log))
        kafka = settings.kafka_bootstrap or exits.enter_context(
            embedded("kafka", settings.events_topic, settings.dlq_topic, settings.results_topic, log=log)
        )
        yield RunningStack(
            pid=os.getpid(),
            http_url=f"{'https' if settings.http_cert_file else 'http'}://{settings.http_host}:{http_port}",
            http_cert_file=str(Path(settings.http_cert_file).resolve()) if settings.http_cert_file else "",
            flower_url=f"http://{settings.flower_host}:{flower_port}",
            redis_url=redis_url,
            broker_url=settings.broker_url or redis_url,
            kafka_bootstrap=kafka,
            bridge_metrics_url=f"http://{settings.http_host}:{metrics_port}/metrics",
        )


def _processes(settings: Settings) -> dict[str, str]:
    python = shlex.quote(sys.executable)
    celery = f"{python} -m celery --app tasks.celery"
    return {
        "api": f"{python} -m gunicorn --config python:api.server",
        "worker": f"{celery} worker --concurrency {settings.worker_concurrency} --queues {EVENTS},{INTERACTIVE},{MAINTENANCE}",
        "beat": f"{celery} beat",
        "bridge": f"{python} -m consumers",
        "flower": f"{celery} flower --conf={shlex.quote(_flower_settings())}",
    }


def _flower_settings() -> str:
    """Where ``flowerconfig.py`` is: without it Flower would ask nobody for a password."""
    spec = find_spec("flowerconfig")
    if spec is None or spec.origin is None:
        raise AssertionError("flowerconfig.py is a part of the engine")
    return spec.origin


def _environment(stack: RunningStack, settings: Settings) -> dict[str, str]:
    """What the parts are to know besides: the places of embedded servers. Those that settings name stay where they stand."""
    embedded = {
        f"{PREFIX}REDIS_URL": "" if settings.redis_url else stack.redis_url,
        f"{PREFIX}KAFKA_BOOTSTRAP": "" if settings.kafka_bootstrap else stack.kafka_bootstrap,
    }
    return {
        **os.environ,  # noqa: TID251 - passed on, not read
        **{name: place for name, place in embedded.items() if place},
        f"{PREFIX}HTTP_PORT": stack.http_url.rpartition(":")[2],
        f"{PREFIX}FLOWER_PORT": str(urlsplit(stack.flower_url).port),
        f"{PREFIX}BRIDGE_METRICS_PORT": str(urlsplit(stack.bridge_metrics_url).port),
        "PYTHONUNBUFFERED": "1",
    }


def _port(variable: str, host: str, wanted: int) -> int:
    """The wanted port, or a free one for 0. Raises SettingsError when it is taken."""
    try:
        return claim_port(host, wanted)
    except OSError as error:
        raise SettingsError(f"{variable}: cannot listen on {host}:{wanted}: {error.strerror}; choose another") from error
