"""`status`, `alert test` and `/metrics`, as a person and Prometheus see them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import httpx2

from tests.acceptance.house import ago
from tests.alerts.takers import Chat, open_to_all

if TYPE_CHECKING:
    from tests.acceptance.house import House
    from tests.acceptance.stub import Stub

COLOUR = "\x1b["


def test_status_says_how_it_stands_while_it_runs_and_when_it_does_not(house: House) -> None:
    house.place(status="OPEN", created=ago(hours=2))
    house.ready()
    said = house.ordersync("status")
    assert "nobody: start ordersync run" in said.out
    with house.running("run") as running:
        running.until(lambda: "Sync complete" in running.so_far, 60, "a pass")
        shown = house.ordersync("--json", "status")
        running.stop()
    (account,) = shown.json["accounts"]
    assert (account["account"], account["venue"]) == ("main", "coinbase")
    assert (account["open"], account["stale"], account["suspect"]) == (1, 0, 0)
    assert account["verified_at"]
    assert shown.json["troubles"] == []
    assert set(shown.json["objectives"]) == {"1h", "24h"}
    plain = house.ordersync("status")
    assert COLOUR not in plain.out
    assert re.search(r"main \(coinbase\)\s+1\s+0\s+0\s+0", plain.out), plain
    assert "No order wants to be looked at." in plain.out
    assert plain.status == 0


def test_who_only_reads_the_database_loads_no_client_and_no_server(house: House) -> None:
    house.place(status="OPEN")
    house.ready()
    for command in (["status"], ["history", "1"]):
        said = house.anew(*command, PYTHONPROFILEIMPORTTIME="1")
        assert said.out, said
        loaded = set(re.findall(r"\| +([\w.]+)$", said.err, re.MULTILINE))
        assert "ordersync.service" in loaded
        foreign = {"httpx2", "websockets", "starlette", "uvicorn", "prometheus_client"}
        assert loaded & foreign == set(), command


def test_status_shows_the_orders_that_want_to_be_looked_at(house: House, stub: Stub) -> None:
    row, _ = house.place(status="OPEN", created=ago(hours=3))
    house.ready()
    stub.turn("500")
    with house.running("run") as running:
        running.until(lambda: "Failed" in running.so_far, 60, "an outage")
        running.stop()
    stub.turn("well")
    said = house.ordersync("status")
    assert said.status == 1
    line = next(line for line in said.out.splitlines() if line.startswith(f"{row} "))
    assert "unverified" in line
    assert "3 h" in line


def test_alert_test_sends_one_message_and_says_who_took_it(house: House) -> None:
    house.ready()
    nobody = house.ordersync("alert", "test")
    assert nobody.status == 3
    assert "there is no channel" in nobody.text
    chat = Chat()
    (house.folder / "chat.url").write_text(f"json://127.0.0.1:{chat.port}/\n")
    (house.folder / "chat.url").chmod(0o600)
    with house.config.open("a") as file:
        file.write('\n[[alerts.channels]]\nname = "chat"\nurl_file = "chat.url"\n')
        file.write('\n[[alerts.channels]]\nname = "none"\nurl_file = "none.url"\n')
    with open_to_all(chat):
        said = house.ordersync("alert", "test")
        as_json = house.ordersync("--json", "alert", "test").json["channels"]
    assert said.status == 2
    assert "chat: it was taken" in said.out
    assert "none: the file" in said.out
    assert as_json["chat"] is None
    assert len(chat.bodies) == 2
    assert "this is a test" in json.loads(chat.bodies[0])["title"]


def test_prometheus_can_scrape_it_while_it_runs(house: House) -> None:
    house.place(status="OPEN", created=ago(hours=2))
    house.ready()
    with house.running("run") as running:
        running.until(lambda: "The API answers" in running.so_far, 60, "the API")
        running.until(lambda: "Sync complete" in running.so_far, 60, "a pass")
        told = re.search(r"The API answers at (http://127\.0\.0\.1:\d+)", running.so_far)
        assert told
        scraped = httpx2.get(f"{told[1]}/metrics")
        windows = httpx2.get(f"{told[1]}/api/v1/slo").json()["windows"]
        running.stop()
    assert scraped.headers["content-type"].startswith("text/plain")
    text = scraped.text
    assert 'ordersync_account_info{account="main",venue="coinbase"} 1.0' in text
    assert set(windows) == {"1h", "24h", "30d"}


def test_the_log_is_json_with_stable_fields_where_that_is_wanted(house: House) -> None:
    row, order = house.place(status="FILLED", filled="10", fee="0.1", last_fill=ago(hours=1))
    house.ready()
    with house.running("run", "--log-format", "json") as running:
        running.until(lambda: "Sync complete" in running.so_far, 60, "a pass")
        said = running.stop()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    (told,) = [line for line in lines if line["event"].startswith("Updating order")]
    assert told["event"] == f"Updating order {order['order_id']}: pending -> completed"
    fields = {name: told[name] for name in ("account", "row_id", "source", "kind", "level")}
    assert fields == {
        "account": "main",
        "row_id": str(row),
        "source": "poll",
        "kind": "changed",
        "level": "info",
    }
    assert told["event_id"]


def test_doctor_names_a_channel_that_cannot_be_used(house: House) -> None:
    house.ready()
    with house.config.open("a") as file:
        file.write('\n[[alerts.channels]]\nname = "none"\nurl_file = "none.url"\n')
    findings = house.ordersync("--json", "doctor").json["findings"]
    (found,) = [one for one in findings if one["about"] == "alerts: none"]
    assert found["severity"] == "error"
    assert "none.url is not there" in found["what"]
