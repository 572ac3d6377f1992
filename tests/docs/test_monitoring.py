"""The alert rules and the dashboard of the monitoring guide name only what `/metrics` has."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.blocks import ROOT
from tests.docs.runner import Place, call

from fairlead.telemetry.layout import OUTCOMES

GUIDES = ROOT / "docs" / "guides"
ALERTS, DASHBOARD, SCRAPE = (
    GUIDES / name for name in ("prometheus-alerts.yml", "grafana-dashboard.json", "prometheus.yml")
)
METRIC = re.compile(r"\bfairlead_\w+")
# Labels that Prometheus adds, and those of the functions in use.
ADDED = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    found: list[dict[str, Any]] = board["panels"]
    return found


def expressions() -> list[str]:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    variables = [one["definition"] for one in board["templating"]["list"] if one["type"] == "query"]
    return [
        *(rule["expr"] for rule in rules()),
        *(target["expr"] for panel in panels() for target in panel["targets"]),
        *variables,
    ]


def exposed(gateway: Place) -> dict[str, set[str]]:
    """The names of `/metrics`, each with its labels."""
    assert gateway.gateway is not None
    url, key, _ = gateway.gateway
    call(url, key)
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(fairlead_\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def test_every_metric_and_label_of_the_rules_and_the_dashboard_exists(gateway: Place) -> None:
    found = exposed(gateway)
    for expression in expressions():
        names = set(METRIC.findall(expression))
        assert names <= set(found), (names - set(found), expression)
        labels = set(re.findall(r'(\w+)=~?"', expression))
        for listed in re.findall(r"by \(([\w, ]+)\)", expression):
            labels |= set(listed.split(", "))
        known = ADDED.union(*(found[name] for name in names)) if names else ADDED
        assert labels <= known, (labels - known, expression)


def test_every_outcome_of_a_pattern_is_one_and_no_caller_fault_counts_as_a_failure() -> None:
    patterns = {found for expression in expressions() for found in re.findall(r'outcome=~"([^"]+)"', expression)}
    assert patterns
    for pattern in patterns:
        for part in re.split(r"\|(?![^(]*\))", pattern):
            assert any(re.fullmatch(part, code) for code in OUTCOMES), part
        counted = {code for code in OUTCOMES if re.fullmatch(pattern, code)}
        assert counted.isdisjoint({"served", "empty", "caller_gone", "upstream_refused", "rate_limit_exceeded"})


def test_every_gauge_that_an_operator_must_act_on_has_a_rule() -> None:
    text = " ".join(rule["expr"] for rule in rules())
    for name in (
        "fairlead_ready",
        "fairlead_configuration_refused",
        "fairlead_spool_full",
        "fairlead_spool_set_aside",
        "fairlead_spools_closed",
        "fairlead_database_trouble",
        "fairlead_credit_trouble",
        "fairlead_chore_failures",
        "fairlead_limits_shared",
    ):
        assert name in text, name


def test_each_rule_says_what_to_do_and_each_panel_has_its_place() -> None:
    for rule in rules():
        assert {"summary", "action"} <= set(rule["annotations"]), rule["alert"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels()]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in panels()}) == len(places)
    assert all(panel["description"] for panel in panels())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: apt-get install prometheus)")
@pytest.mark.parametrize(("command", "file"), [("rules", ALERTS), ("config", SCRAPE)])
def test_prometheus_accepts_the_files(command: str, file: Path) -> None:
    checked = subprocess.run(["promtool", "check", command, file], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_the_guide_shows_the_scrape_configuration_and_names_every_alert() -> None:
    text = (GUIDES / "monitor.md").read_text("utf-8")
    shown = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    assert yaml.safe_load(shown[1]) == yaml.safe_load(SCRAPE.read_text("utf-8"))
    for rule in rules():
        assert f"`{rule['alert']}`" in text
