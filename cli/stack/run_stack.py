"""Runs the whole stack under one supervisor: API, worker, beat, bridge and Flower, with embedded or configured servers.

The servers start first and stop last, so that the programs can finish their work.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from app.config.settings import PREFIX, Settings, unknown_settings
from app.config.url_settings import host_to_call, in_url
from app.storage.private_files import PRIVATE
from cli.stack.data_folder import data_folder, sole_user_of
from cli.stack.embedded import READY_SECONDS, SUPERVISED, command
from cli.stack.guard import SERVER
from cli.stack.ports import claim_port, claim_port_of
from cli.stack.program import Program
from cli.stack.readiness_watch import watch_readiness
from cli.stack.roles import ROLES, role_command
from cli.stack.running_stack import FILE_NAME, RunningStack
from cli.stack.supervisor import Stopped, Supervisor

STARTED_SECONDS = READY_SECONDS + 10.0  # the longest that a server takes to print its address
LOST_WITH_KAFKA = "the embedded broker keeps nothing beyond its process, so the stack ends; what was recorded stays"


def run_stack(settings: Settings, *, until_input_ends: bool = False) -> int:
    """Run the stack until it is stopped.

    Propagates SettingsError when a port is taken, or the data folder is unusable or in use; ProcessFailed when a process does
    not start, or ends repeatedly.

    Returns:
        The exit code, 0.
    """
    os.umask(PRIVATE)
    folder = data_folder(settings)
    with ExitStack() as exits:
        lock = exits.enter_context(sole_user_of(folder))
        log = exits.enter_context((folder / "logs" / "servers.log").open("ab"))
        ports = _ports(settings)
        supervisor = exits.enter_context(Supervisor(folder / FILE_NAME, kept_open=(lock.fileno(),), log=log))
        if until_input_ends:
            Thread(target=_await_end_of_input, args=(supervisor,), daemon=True).start()
        try:
            stack = _describe(
                settings,
                ports,
                **{
                    server.name: supervisor.start_server(server._replace(errors=log), STARTED_SECONDS)
                    for server in _servers(settings, folder)
                },
            )
            for program in _programs(settings, stack):
                supervisor.start(program)
            stack.write(folder)
            exits.enter_context(watch_readiness(stack, supervisor.say))
            supervisor.run()
        except Stopped as reason:
            supervisor.say(f"{reason}: stopping")
    return 0


def _ports(settings: Settings) -> dict[str, int]:
    http_host, flower_host = ("MASTERY_HTTP_HOST", settings.http_host), ("MASTERY_FLOWER_HOST", settings.flower_host)
    return {
        "http": claim_port_of(*http_host, "MASTERY_HTTP_PORT", settings.http_port),
        "flower": claim_port_of(*flower_host, "MASTERY_FLOWER_PORT", settings.flower_port),
        "metrics": claim_port_of(*http_host, "MASTERY_BRIDGE_METRICS_PORT", settings.bridge_metrics_port),
    }


def _servers(settings: Settings, folder: Path) -> Iterator[Program]:
    """The embedded servers, in place of those that the settings do not configure."""
    if not settings.redis_url:
        # On a fixed port, so that its clients find it after a restart.
        yield Program("valkey", command(SUPERVISED, "valkey", str(folder / "valkey"), str(claim_port())), kind=SERVER)
    if not settings.kafka_bootstrap:
        topics = (settings.events_topic, settings.dlq_topic, settings.results_topic, settings.erasures_topic)
        yield Program("kafka", command(SUPERVISED, "kafka", *topics), kind=SERVER, irreplaceable=LOST_WITH_KAFKA)


def _describe(settings: Settings, ports: dict[str, int], *, valkey: str = "", kafka: str = "") -> RunningStack:
    """The addresses of all parts, given those of the embedded servers."""
    http_host, flower_host = (in_url(host_to_call(host)) for host in (settings.http_host, settings.flower_host))
    redis_url = settings.redis_url or valkey
    return RunningStack(
        pid=os.getpid(),
        http_url=f"{'https' if settings.http_cert_file else 'http'}://{http_host}:{ports['http']}",
        http_cert_file=str(Path(settings.http_cert_file).resolve()) if settings.http_cert_file else "",
        flower_url=f"http://{flower_host}:{ports['flower']}",
        redis_url=redis_url,
        broker_url=settings.broker_url or redis_url,
        kafka_bootstrap=settings.kafka_bootstrap or kafka,
        bridge_metrics_url=f"http://{http_host}:{ports['metrics']}/metrics",
    )


def _programs(settings: Settings, stack: RunningStack) -> Iterator[Program]:
    environment = _environment(stack, settings)
    for role in ROLES:
        yield Program(role, role_command(role, settings), environment)


def _environment(stack: RunningStack, settings: Settings) -> dict[str, str]:
    """The environment of the processes: this one's, with the ports and the addresses of embedded servers.

    Misspelt settings are removed; each process would report them again.

    Returns:
        Values by variable.
    """
    inherited = dict(os.environ)  # noqa: TID251 - passed on
    for name in unknown_settings(inherited):
        del inherited[name]
    embedded = {
        f"{PREFIX}REDIS_URL": "" if settings.redis_url else stack.redis_url,
        f"{PREFIX}KAFKA_BOOTSTRAP": "" if settings.kafka_bootstrap else stack.kafka_bootstrap,
    }
    return {
        **inherited,
        **{name: place for name, place in embedded.items() if place},
        f"{PREFIX}HTTP_PORT": str(urlsplit(stack.http_url).port),
        f"{PREFIX}FLOWER_PORT": str(urlsplit(stack.flower_url).port),
        f"{PREFIX}BRIDGE_METRICS_PORT": str(urlsplit(stack.bridge_metrics_url).port),
        "PYTHONUNBUFFERED": "1",
    }


def _await_end_of_input(supervisor: Supervisor) -> None:
    """Stop the stack when standard input ends, as when the parent process ends. Runs in a thread."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    supervisor.stop("the end of standard input")
