"""The life of pods on Kubernetes: probes, how long they may take to end, and how many there are."""

import importlib
import re
from pathlib import Path

import click
import pytest

from app.config.settings import load_settings
from cli.main import main
from consumers import metrics, relay
from consumers.bridge import commits
from tasks.timing import MAX_RETRY_SECONDS, TASK_SECONDS
from tests.manifests import (
    OVERLAYS,
    Manifest,
    component_of,
    container_of,
    labels_of,
    of_kind,
    pod_of,
    queues_of,
    rendered,
    settings_of,
)

QUEUE_AGE = "mastery_queue_oldest_age_seconds"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
OUTAGE_SECONDS = 600  # of Redis, which the probes of workers and beats must not take for their death


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> tuple[Manifest, ...]:
    return rendered(request.param)


def patience(probe: Manifest) -> int:
    """The seconds for which a probe must fail before it counts."""
    return int(probe["periodSeconds"]) * int(probe.get("failureThreshold", 3))


def test_probes_ask_the_role_itself(manifests: tuple[Manifest, ...]) -> None:
    health = main.commands["health"]
    assert isinstance(health, click.Group)
    for each in of_kind(manifests, "Deployment").values():
        container, role = container_of(each), component_of(each).split("-")[0]
        assert set(PROBES) <= container.keys()
        for probe in map(container.__getitem__, PROBES):
            if "exec" in probe:
                assert probe["exec"]["command"] == ["mastery", "health", role]
                assert role in health.commands
                assert probe["timeoutSeconds"] >= 10  # a Python starts, and imports the engine
            else:
                assert probe["httpGet"]["port"] in {port["name"] for port in container["ports"]}


def test_the_api_lives_without_its_dependencies(manifests: tuple[Manifest, ...]) -> None:
    api = container_of(of_kind(manifests, "Deployment")["mastery-api"])
    assert [api[probe]["httpGet"]["path"] for probe in PROBES] == ["/health", "/ready", "/health"]


def test_an_outage_of_redis_restarts_nothing(manifests: tuple[Manifest, ...]) -> None:
    """The probes of workers and beats go through the broker, so all of them fail at once."""
    deployments = of_kind(manifests, "Deployment").values()
    through_the_broker = [container_of(each) for each in deployments if component_of(each).startswith(("worker", "beat"))]
    assert len(through_the_broker) == 4
    for container in through_the_broker:
        assert patience(container["startupProbe"]) >= OUTAGE_SECONDS
        assert patience(container["livenessProbe"]) >= OUTAGE_SECONDS


def test_pods_may_finish_what_they_do(manifests: tuple[Manifest, ...]) -> None:
    deployments = of_kind(manifests, "Deployment")
    server = importlib.import_module("api.server")  # reads the settings
    closing = container_of(deployments["mastery-api"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = {
        "api": closing + server.graceful_timeout + server.LINGER_SECONDS,
        "worker": TASK_SECONDS + MAX_RETRY_SECONDS,
        "bridge": commits.DELIVERY_SECONDS + relay.DELIVERY_SECONDS,
        "beat": 1,
        "flower": 1,
    }
    for each in deployments.values():
        assert pod_of(each)["terminationGracePeriodSeconds"] > needed[component_of(each).split("-")[0]]


def test_each_deployment_has_a_number_of_pods_or_an_autoscaler(manifests: tuple[Manifest, ...]) -> None:
    """Both would set the number back at each deployment."""
    scalers = of_kind(manifests, "ScaledObject") | of_kind(manifests, "HorizontalPodAutoscaler")
    targets = [each["spec"]["scaleTargetRef"]["name"] for each in scalers.values()]
    assert len(set(targets)) == len(targets)
    deployments = of_kind(manifests, "Deployment")
    assert set(targets) <= deployments.keys()
    assert {name for name, each in deployments.items() if "replicas" not in each["spec"]} == set(targets)


def test_two_beats_run_so_that_one_stands_by(manifests: tuple[Manifest, ...]) -> None:
    assert of_kind(manifests, "Deployment")["mastery-beat"]["spec"]["replicas"] == 2


def test_every_role_that_works_scales_in_production() -> None:
    scaled = of_kind(rendered("production"), "ScaledObject", "HorizontalPodAutoscaler").values()
    components = {"api", "bridge", "worker-events", "worker-interactive", "worker-background"}
    assert {each["spec"]["scaleTargetRef"]["name"] for each in scaled} == {f"mastery-{name}" for name in components}


def test_the_autoscaler_of_the_api_measures_its_container() -> None:
    production = rendered("production")
    (scaler,) = of_kind(production, "HorizontalPodAutoscaler").values()
    (metric,) = scaler["spec"]["metrics"]
    assert metric["containerResource"]["container"] == container_of(of_kind(production, "Deployment")["mastery-api"])["name"]
    assert scaler["spec"]["minReplicas"] >= 2


def test_workers_scale_by_the_waiting_time_of_their_own_queues() -> None:
    production = rendered("production")
    scalers = {name: each for name, each in of_kind(production, "ScaledObject").items() if "worker" in name}
    assert len(scalers) == 3
    assert f'"{QUEUE_AGE}"' in Path(metrics.__file__).read_text()  # the bridge exports it
    for scaler in scalers.values():
        (trigger,) = scaler["spec"]["triggers"]
        found = re.fullmatch(rf'max\({QUEUE_AGE}{{queue=~"([a-z|-]+)"}}\)', trigger["metadata"]["query"])
        assert found
        worker = of_kind(production, "Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]
        assert found[1].split("|") == queues_of(worker)
        assert trigger["metadata"]["ignoreNullValues"] == "false"


def test_bridges_scale_by_the_lag_of_their_own_group() -> None:
    production = rendered("production")
    values, settings = settings_of(production), load_settings({})
    bridge = of_kind(production, "ScaledObject")["mastery-bridge"]["spec"]
    (trigger,) = bridge["triggers"]
    metadata = trigger["metadata"]
    assert metadata["bootstrapServers"] == values["MASTERY_KAFKA_BOOTSTRAP"]
    assert metadata["consumerGroup"] == values.get("MASTERY_KAFKA_GROUP", settings.kafka_group)
    assert metadata["topic"] == values.get("MASTERY_EVENTS_TOPIC", settings.events_topic)
    assert bridge["maxReplicaCount"] <= int(values["MASTERY_KAFKA_PARTITIONS"])
    authentication = of_kind(production, "TriggerAuthentication")[trigger["authenticationRef"]["name"]]["spec"]
    assert {each["name"] for each in authentication["env"]} <= values.keys()
    (secret,) = authentication["secretTargetRef"]
    assert values["MASTERY_KAFKA_PASSWORD_FILE"].endswith(f"/{secret['key']}")


def test_dapr_calls_the_port_of_the_api(manifests: tuple[Manifest, ...]) -> None:
    api = of_kind(manifests, "Deployment")["mastery-api"]
    annotations = api["spec"]["template"]["metadata"]["annotations"]
    assert annotations["dapr.io/enabled"] == "true"
    assert annotations["dapr.io/app-id"] == labels_of(api)["app.kubernetes.io/name"]
    assert annotations["dapr.io/app-port"] == settings_of(manifests)["MASTERY_HTTP_PORT"]
