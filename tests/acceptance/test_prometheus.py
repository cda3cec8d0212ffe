"""A real Prometheus at a real `run`, with the rules that are shipped; a person is told besides."""

from __future__ import annotations

import contextlib
import email
import email.policy
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.acceptance.house import ago, pause
from tests.alerts.takers import Chat, PostOffice, open_to_all
from tests.servers.daemon import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.house import House
    from tests.acceptance.stub import Stub

DEPLOY = Path(__file__).parents[2] / "deploy"
PATIENCE = 60
EVERY = 0.2


class Prometheus:
    """Asked over its own API."""

    def __init__(self, port: int) -> None:
        self._at = f"http://127.0.0.1:{port}"

    @property
    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self._at}/-/ready").status_code == 200
        except httpx2.TransportError:  # it is only starting
            return False

    def ask(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        answer = httpx2.get(f"{self._at}/api/v1/{path}", params=query).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def firing(self) -> dict[str, dict[str, str]]:
        """The labels of each alert that fires, by its name."""
        alerts = self.ask("alerts")["alerts"]
        return {a["labels"]["alertname"]: a["labels"] for a in alerts if a["state"] == "firing"}

    def health(self) -> set[str]:
        """How the evaluation of its rules went."""
        groups = self.ask("rules")["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Look again and again: what is judged is that it comes."""
    for _ in range(round(PATIENCE / EVERY)):
        if holds():
            return
        pause(EVERY)
    pytest.fail(f"it never came: {what}")


@contextlib.contextmanager
def scraping(folder: Path, target: str) -> Iterator[Prometheus]:
    """Prometheus with the rules that are shipped, once a second."""
    found = shutil.which("prometheus")
    if found is None:
        why = "NO PROMETHEUS: Debian has it in its package prometheus"
        if "promtool" in os.environ.get("ORDERSYNC_DEMAND", "").split(","):
            pytest.fail(why)
        pytest.skip(why)
    job = {"job_name": "ordersync", "static_configs": [{"targets": [target]}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus-rules.yml")],
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = free_port()
    said = (folder / "prometheus.log").open("w")
    with (
        said,
        subprocess.Popen(
            [
                found,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=said,
            stderr=said,
        ) as process,
    ):
        try:
            prometheus = Prometheus(port)
            eventually(lambda: prometheus.is_ready, "Prometheus")
            yield prometheus
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)


def add_channels(house: House, **urls: str) -> None:
    with house.config.open("a") as file:
        for name, url in urls.items():
            path = house.folder / f"{name}.url"
            path.write_text(url)
            path.chmod(0o600)
            file.write(f'\n[[alerts.channels]]\nname = "{name}"\nurl_file = "{path.name}"\n')


def test_a_key_that_is_refused_reaches_prometheus_a_chat_and_a_mailbox(
    house: House, stub: Stub
) -> None:
    house.place(status="OPEN", created=ago(hours=2))
    house.ready()
    chat, office = Chat(), PostOffice()
    add_channels(
        house,
        chat=f"mmost://127.0.0.1:{chat.port}/3ccdd113474722377935511fc85d3dd4",
        mail=f"mailto://127.0.0.1:{office.port}?from=o@example.com&to=y@example.com&smtp=127.0.0.1",
    )
    with open_to_all(chat), open_to_all(office), house.running("run") as running:
        running.until(lambda: "The API answers" in running.so_far, PATIENCE, "the API")
        running.until(lambda: "Sync complete" in running.so_far, PATIENCE, "a pass")
        told = re.search(r"The API answers at http://(127\.0\.0\.1:\d+)", running.so_far)
        assert told
        with scraping(house.folder, told[1]) as prometheus:
            up = 'up{job="ordersync"} == 1 and on () ordersync_open_orders == 1'
            eventually(lambda: bool(prometheus.ask("query", query=up)["result"]), "a scrape")
            eventually(lambda: prometheus.firing() == {}, "no alert")
            stub.turn("401")
            eventually(lambda: "OrdersyncKeyRefused" in prometheus.firing(), "the alert")
            assert prometheus.firing()["OrdersyncKeyRefused"]["account"] == "main"
            # A group that was not evaluated yet says unknown.
            eventually(lambda: "unknown" not in prometheus.health(), "every rule's turn")
            assert prometheus.health() == {"ok"}
            board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
            for panel in board["panels"]:
                for target in panel.get("targets", []):
                    query = target["expr"].replace("$__rate_interval", "5m")
                    prometheus.ask("query", query=query.replace("$account", "main"))
        assert chat.arrived.wait(PATIENCE)
        assert office.arrived.wait(PATIENCE)
        running.stop()
    assert "main: the key is refused" in json.dumps(json.loads(chat.bodies[0]))
    mail = email.message_from_string(office.mails[0], policy=email.policy.default)
    assert "main: the key is refused" in str(mail["subject"])
    assert (len(chat.bodies), len(office.mails)) == (1, 1)
