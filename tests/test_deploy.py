"""What is shipped beside the code: rules, dashboard and unit are what they are meant for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest

from ordersync.cli.app import app
from ordersync.web import metrics

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus-rules.yml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
PROMTOOL = shutil.which("promtool")
NAME = re.compile(r"ordersync_[a-z0-9_]+")


def promtool(*arguments: str) -> str:
    """What promtool says; it has to find nothing wrong."""
    if PROMTOOL is None:
        why = "NO PROMTOOL: Debian has it in its package prometheus"
        if "promtool" in os.environ.get("ORDERSYNC_DEMAND", "").split(","):
            pytest.fail(why)
        pytest.skip(why)
    run = subprocess.run(
        [PROMTOOL, *arguments], capture_output=True, text=True, check=False, cwd=DEPLOY
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def series() -> set[str]:
    """Every name under which Prometheus has something of ours."""
    found = set()
    for name, (kind, *_) in metrics.names().items():
        parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + part for part in parts}
    return found


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES.name)


def test_the_rules_fire_when_they_have_to_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "prometheus-rules.test.yml")


def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    plain = [
        text.replace("$__rate_interval", "5m").replace("$account", "main") for text in queries()
    ]
    rules = [{"record": f"panel:{n}", "expr": text} for n, text in enumerate(plain)]
    made = tmp_path / "panels.yml"
    made.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(made))


def test_rules_and_dashboard_ask_only_for_metrics_that_exist() -> None:
    known = series()
    asked = {name for text in (RULES.read_text(), *queries()) for name in NAME.findall(text)}
    assert asked - known == set()
    # And there is a plot of everything but what only names things.
    shown = {name for text in queries() for name in NAME.findall(text)}
    families = {name for name in metrics.names() if not name.endswith("_info")}
    hidden = {name for name in families if not any(one.startswith(name) for one in shown)}
    assert hidden == {
        "ordersync_budget_paused_until_timestamp_seconds",
        "ordersync_exchange_answered_timestamp_seconds",
        "ordersync_exchange_asked_timestamp_seconds",
        "ordersync_owner_blocked_seconds_total",
    }


def test_grafana_can_load_the_dashboard() -> None:
    """By its schema: what it must have, and what it refuses or draws over itself."""
    assert DASHBOARD["schemaVersion"] >= 36
    assert isinstance(DASHBOARD["title"], str)
    panels = DASHBOARD["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] in {"row", "stat", "timeseries"}
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["targets"], panel["title"]
            assert len({t["refId"] for t in panel["targets"]}) == len(panel["targets"])
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used - {"__rate_interval"} == variables


def test_the_unit_starts_a_command_that_exists_and_gives_up_on_a_mistake() -> None:
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "ordersync.service")
    service = unit["Service"]
    assert service["ExecStart"].split()[-2:] == ["/srv/bot/.venv/bin/ordersync", "run"]
    assert any(command.name == "run" for command in app.registered_commands)
    assert service["RestartPreventExitStatus"] == "3"
    assert service["NoNewPrivileges"] == "yes"
