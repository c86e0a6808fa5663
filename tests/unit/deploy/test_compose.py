"""The compose file: valid, limited, without rights, with settings that the engine accepts. No container engine is needed."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.settings import PREFIX, VARIABLES, load_settings, unknown_settings
from cli.commands.health import health
from cli.stack.roles import ROLES
from tests.unit.deploy.container_files import COMPOSE, compose, engine_services, services, variables, with_defaults

SERVICES, ENGINE = services(), engine_services()
JOBS = {name for name, each in SERVICES.items() if each["restart"] == "no"}
WITHOUT_HEALTHCHECK = {*JOBS, "daprd"}  # a job ends; the sidecar's image has nothing that could check it
FOLDER = COMPOSE.parent


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that make_secrets.sh writes."""
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    subprocess.run([FOLDER / "make_secrets.sh", folder], check=True, timeout=60)
    return folder


def test_it_follows_the_compose_specification() -> None:
    """Checked against the official schema, which check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout


def test_every_role_has_a_service_that_runs_it() -> None:
    """The service has the role's name, and its health check is of this role."""
    assert {name: each["command"] for name, each in ENGINE.items() if name not in JOBS} == {role: [role] for role in ROLES}
    checked = {name: each["healthcheck"]["test"] for name, each in ENGINE.items() if name not in {*JOBS, "flower"}}
    assert checked == {role: ["CMD", "mastery", "health", role] for role in ROLES if role != "flower"}
    assert checked.keys() <= health.commands.keys()


def test_the_parts_are_all_there() -> None:
    """Servers, roles, the job that creates topics, and what shows metrics; Dapr only with its profile."""
    assert SERVICES.keys() == {"redis", "kafka", "topics", *ROLES, "prometheus", "grafana", "daprd"}
    assert {name for name, each in SERVICES.items() if "profiles" in each} == {"daprd"}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_limited_and_has_no_rights(name: str) -> None:
    """CPU, memory, processes, log size; a read-only root; no capabilities; an end that is waited for."""
    service = SERVICES[name]
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}
    assert (service["read_only"], service["cap_drop"], service["init"]) == (True, ["ALL"], True)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name in JOBS else "unless-stopped")
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert int(service["stop_grace_period"].removesuffix("s")) > 15  # the supervisor's grace period
    assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - WITHOUT_HEALTHCHECK))
def test_each_service_is_checked(name: str) -> None:
    """A check is bounded in time."""
    assert SERVICES[name]["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ENGINE.keys()))
def test_each_foreign_image_has_a_version(name: str) -> None:
    """A tag names a release, down to the patch."""
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z]+)?", SERVICES[name]["image"])


def test_services_wait_for_what_they_need() -> None:
    """Each role starts when the servers are healthy and the topics exist."""
    needed = {name: {to: how["condition"] for to, how in ENGINE[name]["depends_on"].items()} for name in ROLES}
    servers = dict.fromkeys(("redis", "kafka"), "service_healthy")
    assert needed == {role: {**servers, "topics": "service_completed_successfully"} for role in ROLES}


def test_what_it_refers_to_exists() -> None:
    """Networks, volumes, configs and secrets are declared, and used; config files are in the repository."""
    document = compose()
    for kind in ("networks", "volumes", "configs", "secrets"):
        assert {_source(each) for service in SERVICES.values() for each in service.get(kind, [])} == document[kind].keys()
    assert [each["file"] for each in document["configs"].values() if not (FOLDER / each["file"]).is_file()] == []


def test_ports_are_published_on_this_machine_only() -> None:
    """Unless the operator decides otherwise; Redis and Kafka never are."""
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert all(with_defaults(port).startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert published.keys() == {"api", "flower", "prometheus", "grafana", "daprd"}
    assert compose()["networks"]["servers"] == {"internal": True}
    assert (SERVICES["redis"]["networks"], SERVICES["kafka"]["networks"]) == (["servers"], ["servers"])


def test_the_engine_s_settings_exist() -> None:
    """In the services and in .env.example, which has the same variables and defaults as the compose file."""
    named = {name for each in ENGINE.values() for name in each["environment"]}
    assert unknown_settings(dict.fromkeys(named, "")) == []
    example = dict(line.split("=", 1) for line in (FOLDER / ".env.example").read_text().splitlines() if "=" in line)
    assert example == variables()
    assert {name for name in example if name.startswith(PREFIX)} <= VARIABLES.keys()


@pytest.mark.parametrize("name", ENGINE)
def test_each_process_accepts_its_settings(name: str, secrets: Path) -> None:
    """With the secrets of make_secrets.sh, in production. Each is in a file, none in the environment."""
    environment = {key: with_defaults(value) for key, value in ENGINE[name]["environment"].items()}
    mounted = {f"/run/secrets/{each}" for each in ENGINE[name]["secrets"]}
    assert {value for key, value in environment.items() if key.endswith("_FILE")} == mounted
    settings = load_settings({key: value.replace("/run/secrets", str(secrets)) for key, value in environment.items()})
    assert (settings.env, settings.kafka_bootstrap) == ("production", "kafka:9092")
    assert settings.redis_url == f"redis://:{(secrets / 'redis_password').read_text().strip()}@redis:6379/0"


def test_the_secrets_are_those_of_the_compose_file(secrets: Path) -> None:
    """Containers with other users can read them, and the folder keeps others out; a second run changes nothing."""
    declared = {Path(each["file"]).name for each in compose()["secrets"].values()}
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    assert before.keys() == declared
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o444}
    assert secrets.stat().st_mode & 0o777 == 0o700
    subprocess.run([FOLDER / "make_secrets.sh", secrets], check=True, timeout=60)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


def test_prometheus_reads_the_metrics_where_they_are_served() -> None:
    """The bridge's and Flower's, over a network that both are on. The API serves none yet: a target would always be down."""
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    targets = {each["job_name"]: each["static_configs"][0]["targets"] for each in jobs}
    environment = SERVICES["bridge"]["environment"]
    assert targets.keys() == {"bridge", "flower", "prometheus"}
    assert targets["bridge"] == [f"bridge:{environment['MASTERY_BRIDGE_METRICS_PORT']}"]
    assert targets["flower"] == [f"flower:{SERVICES['flower']['environment']['MASTERY_FLOWER_PORT']}"]
    for name in targets.keys() - {"prometheus"}:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"])


def _source(reference: Any) -> str:
    """What a service refers to, in one of the syntaxes: a name, name:path, or a mapping with a source."""
    return str(reference["source"]) if isinstance(reference, dict) else str(reference).partition(":")[0]


def test_prometheus_has_the_alerts() -> None:
    """Where its configuration looks for them."""
    rules = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["rule_files"]
    mounted = {each["target"]: each["source"] for each in SERVICES["prometheus"]["configs"]}
    assert [compose()["configs"][mounted[each]]["file"] for each in rules] == ["../deploy/prometheus/alerts.yaml"]
