"""The manifests of deploy/kubernetes as kustomize renders them, and what tests ask of them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tasks.queues import served_queues

KUBERNETES = Path(__file__).parents[1] / "deploy/kubernetes"
OVERLAYS = ("staging", "production")
RENDER_SECONDS = 60

Manifest: TypeAlias = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Manifest, ...]:
    """The manifests of an overlay. Skips without kustomize, but fails in CI."""
    kustomize = shutil.which("kustomize")
    if kustomize is None:
        reason = "kustomize is not installed; .ci/run has the command"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = KUBERNETES / "overlays" / overlay
    ended = subprocess.run(
        [kustomize, "build", str(folder)], capture_output=True, text=True, timeout=RENDER_SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""  # kustomize warns of what is deprecated
    return tuple(yaml.safe_load_all(ended.stdout))


def of_kind(manifests: tuple[Manifest, ...], *kinds: str) -> dict[str, Manifest]:
    """The manifests of these kinds by name."""
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def workloads(manifests: tuple[Manifest, ...]) -> dict[str, Manifest]:
    """Everything that has pods, by name."""
    return of_kind(manifests, "Deployment", "Job")


def pod_of(workload: Manifest) -> Manifest:
    """The specification of a workload's pods."""
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def container_of(workload: Manifest) -> Manifest:
    """The one container of a workload's pods."""
    (container,) = pod_of(workload)["containers"]
    assert isinstance(container, dict)
    return container


def labels_of(workload: Manifest) -> dict[str, str]:
    """The labels of a workload's pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def component_of(workload: Manifest) -> str:
    """The role that a workload's pods have, with the group of queues of a worker."""
    return labels_of(workload)["app.kubernetes.io/component"]


def settings_of(manifests: tuple[Manifest, ...]) -> dict[str, str]:
    """The environment that all pods get from the one ConfigMap."""
    (config,) = of_kind(manifests, "ConfigMap").values()
    values: dict[str, str] = config["data"]
    return values


def queues_of(worker: Manifest) -> list[str]:
    """The queues that a worker serves."""
    container = container_of(worker)
    assert container["args"] == ["worker"]
    (variable,) = container["env"]
    assert variable["name"] == "MASTERY_WORKER_QUEUES"
    return list(served_queues(variable["value"]))


def selected(manifests: tuple[Manifest, ...], selector: Mapping[str, Any]) -> list[str]:
    """The names of the workloads whose pods a selector matches; an empty one matches all."""
    return [name for name, each in workloads(manifests).items() if _matches(selector, labels_of(each))]


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    expressions = selector.get("matchExpressions", [])
    assert all(each["operator"] == "In" for each in expressions)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def ports_of(manifests: tuple[Manifest, ...], names: list[str]) -> Iterator[tuple[str, int]]:
    """Name and number of each port of these workloads' containers."""
    for name in names:
        for port in container_of(workloads(manifests)[name]).get("ports", []):
            yield port["name"], port["containerPort"]
