"""The files of the container image and of compose, read as a container engine reads them."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = ROOT / "compose" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


class Instruction(NamedTuple):
    """An instruction of a Dockerfile, with the lines that continue it joined."""

    name: str
    text: str


def stages() -> list[list[Instruction]]:
    """The instructions of each stage of the Dockerfile, FROM first; what stands before the first FROM belongs to none."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in filter(None, joined.splitlines()):
        name, _, text = line.partition(" ")
        if name == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(name, text))
    return found


def compose() -> dict[str, Any]:
    """The compose file without the defaults of variables replaced."""
    return dict(yaml.safe_load(COMPOSE.read_text()))


def services() -> dict[str, dict[str, Any]]:
    """Its services by name."""
    return dict(compose()["services"])


def engine_services() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: each for name, each in services().items() if each["image"].startswith("mastery-engine:")}


def variables() -> dict[str, str]:
    """The variables that the compose file takes from the environment, with their defaults."""
    return dict(_VARIABLE.findall(COMPOSE.read_text()))


def with_defaults(text: object) -> str:
    """A value of the compose file as it is if no variable is set."""
    return _VARIABLE.sub(lambda match: match[2], str(text))
