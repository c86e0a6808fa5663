"""The alerts for Prometheus: their metrics exist, and the runbook says what to do."""

import re
from pathlib import Path
from typing import Any

import yaml

from tests.integration.test_bridge_operations import metrics
from tests.stack import Stack

ROOT = Path(__file__).resolve().parents[2]
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())["groups"] for rule in group["rules"]
]


def test_every_metric_exists(stack: Stack) -> None:
    """An alert on a misspelt or renamed metric would never fire."""
    exist = {name.partition("[")[0] for name in metrics(stack)}
    used = {name for rule in ALERTS for name in re.findall(r"mastery_\w+", rule["expr"])}
    assert len(used) > 8
    assert used <= exist


def test_every_alert_is_in_the_runbook() -> None:
    """And the runbook has no others."""
    sections = set(re.findall(r"^### (Mastery\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE))
    assert sections == {rule["alert"] for rule in ALERTS}


def test_every_alert_says_how_urgent_it_is_and_what_is_wrong() -> None:
    """For whoever is called at night."""
    for rule in ALERTS:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
