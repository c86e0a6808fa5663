"""The manifests of deploy/kubernetes, as kustomize renders each overlay."""

import re
from hashlib import sha256
from pathlib import Path

import click
import kubernetes_validate
import pytest

from app.config.secret_settings import FILE_VARIABLES
from app.config.settings import load_settings, unknown_settings
from cli.main import main
from cli.stack.roles import ROLES
from tasks.queues import QUEUES
from tests.manifests import (
    OVERLAYS,
    Manifest,
    component_of,
    container_of,
    labels_of,
    of_kind,
    pod_of,
    ports_of,
    queues_of,
    rendered,
    selected,
    settings_of,
    workloads,
)
from tests.unit.deploy.container_files import stages
from tests.unit.deploy.keda import validate_keda

OLDEST = "1.32"  # the oldest Kubernetes that docs/production.md names
MOUNTED = "/run/secrets/mastery"
DAPR_PORT = 50002


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest) -> tuple[Manifest, ...]:
    return rendered(request.param)


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_manifest_is_valid(manifests: tuple[Manifest, ...], version: str) -> None:
    """By the schemas of Kubernetes, which refuse unknown fields, and by KEDA's documentation."""
    assert len(manifests) > 20
    for each in manifests:
        if each["apiVersion"].startswith("keda.sh/"):
            validate_keda(each)
        else:
            kubernetes_validate.validate(each, version, strict=True)


def test_every_object_is_in_the_namespace_which_admits_restricted_pods_only(manifests: tuple[Manifest, ...]) -> None:
    ((name, namespace),) = of_kind(manifests, "Namespace").items()
    assert {each["metadata"].get("namespace") for each in manifests if each["kind"] != "Namespace"} == {name}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_every_role_is_deployed(manifests: tuple[Manifest, ...]) -> None:
    roles = {container_of(each)["args"][0] for each in of_kind(manifests, "Deployment").values()}
    assert roles == set(ROLES)


def test_the_arguments_name_a_role_or_a_command(manifests: tuple[Manifest, ...]) -> None:
    for each in workloads(manifests).values():
        role, *options = container_of(each)["args"]
        assert component_of(each).split("-")[0] == role
        if role not in ROLES:
            group = main.commands[role]
            assert isinstance(group, click.Group)
            assert options[0] in group.commands


def test_together_the_workers_serve_each_queue_once(manifests: tuple[Manifest, ...]) -> None:
    workers = [each for each in workloads(manifests).values() if component_of(each).startswith("worker-")]
    assert sorted(queue for each in workers for queue in queues_of(each)) == sorted(QUEUES)


def test_the_image_has_a_version(manifests: tuple[Manifest, ...]) -> None:
    images = {container_of(each)["image"] for each in workloads(manifests).values()}
    assert len(images) == 1
    assert re.fullmatch(r"mastery-engine:[0-9]+\.[0-9]+\.[0-9]+", images.pop())


def test_the_pods_run_as_the_image_is_built(manifests: tuple[Manifest, ...]) -> None:
    """As its user, who owns the data folder; a number, since Kubernetes cannot tell by a name that it is not root."""
    last = stages()[-1]
    (user,) = [each.text for each in last if each.name == "USER"]
    contexts = [pod_of(each)["securityContext"] for each in workloads(manifests).values()]
    assert {f"{each['runAsUser']}:{each['runAsGroup']}" for each in contexts} == {user}
    assert {each["fsGroup"] for each in contexts} == {int(user.partition(":")[2])}
    (environment,) = [each.text for each in last if each.name == "ENV"]
    assert f"MASTERY_DATA_DIR={settings_of(manifests)['MASTERY_DATA_DIR']}" in environment.split()


def test_pods_are_restricted(manifests: tuple[Manifest, ...]) -> None:
    """As the Pod Security Standard "restricted" says, with a read-only root file system and no token in addition."""
    for each in workloads(manifests).values():
        pod = pod_of(each)
        context = pod["securityContext"]
        assert context["runAsNonRoot"]
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container_of(each)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not pod["automountServiceAccountToken"]
        assert {key for volume in pod["volumes"] for key in volume} == {"name", "emptyDir", "secret"}
        assert all(volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "emptyDir" in volume)


def test_services_add_no_variables_that_look_like_settings(manifests: tuple[Manifest, ...]) -> None:
    assert all(pod_of(each)["enableServiceLinks"] is False for each in workloads(manifests).values())


def test_pods_have_resources_and_are_spread(manifests: tuple[Manifest, ...]) -> None:
    for each in workloads(manifests).values():
        resources = container_of(each)["resources"]
        assert resources["requests"].keys() == {"cpu", "memory", "ephemeral-storage"}
        assert resources["limits"].keys() == {"memory", "ephemeral-storage"}
        spread = pod_of(each)["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        assert all(one["labelSelector"]["matchLabels"].items() <= labels_of(each).items() for one in spread)
        assert all("app.kubernetes.io/component" in one["matchLabelKeys"] for one in spread)


def test_each_selector_finds_the_pods_of_its_own_deployment_only(manifests: tuple[Manifest, ...]) -> None:
    for name, each in of_kind(manifests, "Deployment").items():
        assert selected(manifests, each["spec"]["selector"]) == [name]


def test_each_service_leads_to_a_port(manifests: tuple[Manifest, ...]) -> None:
    for service in of_kind(manifests, "Service").values():
        found = selected(manifests, {"matchLabels": service["spec"]["selector"]})
        assert len(found) == 1
        targets = {port["targetPort"] for port in service["spec"]["ports"]}
        assert targets <= {name for name, _ in ports_of(manifests, found)}


def test_each_disruption_budget_is_of_one_deployment_with_several_pods(manifests: tuple[Manifest, ...]) -> None:
    budgets = of_kind(manifests, "PodDisruptionBudget").values()
    found = [selected(manifests, each["spec"]["selector"]) for each in budgets]
    assert all(len(each) == 1 for each in found)
    assert {name for each in found for name in each} == of_kind(manifests, "Deployment").keys() - {"mastery-flower"}
    assert {each["spec"]["unhealthyPodEvictionPolicy"] for each in budgets} == {"AlwaysAllow"}


def test_each_network_policy_is_about_pods_and_ports_that_exist(manifests: tuple[Manifest, ...]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    for name, policy in policies.items():
        spec = policy["spec"]
        found = selected(manifests, spec["podSelector"])
        assert found, name
        components = {component_of(workloads(manifests)[one]) for one in found}
        for expression in spec["podSelector"].get("matchExpressions", []):
            assert set(expression["values"]) == components
        opened = {port["port"] for rule in spec.get("ingress", []) for port in rule["ports"]}
        assert opened - {DAPR_PORT} <= {number for _, number in ports_of(manifests, found)}
        assert all(rule["from"] for rule in spec.get("ingress", []))
        assert all(rule["to"] for rule in spec.get("egress", []))


def test_what_no_policy_allows_is_denied(manifests: tuple[Manifest, ...]) -> None:
    spec = of_kind(manifests, "NetworkPolicy")["default-deny"]["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_all_pods_get_the_settings_and_the_volumes(manifests: tuple[Manifest, ...]) -> None:
    values, (config,) = settings_of(manifests), of_kind(manifests, "ConfigMap")
    for each in workloads(manifests).values():
        container = container_of(each)
        assert container["envFrom"] == [{"configMapRef": {"name": config}}]
        assert {one["name"] for one in container.get("env", [])} <= {"MASTERY_WORKER_QUEUES"}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {values["MASTERY_DATA_DIR"]: "data", "/tmp": "tmp", MOUNTED: "secrets"}
    ports = {number for _, number in ports_of(manifests, list(workloads(manifests)))}
    named = ("MASTERY_HTTP_PORT", "MASTERY_FLOWER_PORT", "MASTERY_BRIDGE_METRICS_PORT")
    assert ports == {int(values[name]) for name in named}


def test_the_engine_starts_with_the_settings(manifests: tuple[Manifest, ...], tmp_path: Path) -> None:
    """Each name is known, and the values are fit for production, with secrets that an operator would make."""
    values = settings_of(manifests)
    assert unknown_settings(values) == []
    for name in FILE_VARIABLES:
        random = sha256(name.encode()).hexdigest()  # the same in every run
        text = f"rediss://:{random}@redis.example:6380/0" if name.endswith("_URL") else random
        (tmp_path / name.removeprefix("MASTERY_").lower().replace("_", "-")).write_text(text)
    moved = {name: value.replace(MOUNTED, str(tmp_path)) for name, value in values.items()}
    assert load_settings(moved).env == "production"


def test_no_secret_is_here(manifests: tuple[Manifest, ...]) -> None:
    """Secrets are keys of a Secret that others make; the settings have only the paths of their files."""
    assert of_kind(manifests, "Secret") == {}
    values = settings_of(manifests)
    assert not values.keys() & set(FILE_VARIABLES)
    paths = {name: value for name, value in values.items() if name.removesuffix("_FILE") in FILE_VARIABLES}
    previous = {"MASTERY_JWT_SECRET_PREVIOUS", "MASTERY_AUDIT_KEY_PREVIOUS"}  # during a rotation only
    assert paths.keys() == {f"{name}_FILE" for name in set(FILE_VARIABLES) - previous}
    assert all(value.startswith(f"{MOUNTED}/") for value in paths.values())
