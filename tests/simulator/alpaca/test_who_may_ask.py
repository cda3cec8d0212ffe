"""Keys, tokens, hosts and the rate of requests."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.simulator import alpaca
from ordersync.simulator.alpaca import Life
from tests.simulator.alpaca.asking import ORDERS, Broker

if TYPE_CHECKING:
    from pathlib import Path

CLOCK = "/v2/clock"
UNAUTHORIZED = {"code": 40110000, "message": "request is not authorized"}


@pytest.mark.parametrize(
    "headers",
    [
        {"APCA-API-KEY-ID": "PKNOBODY"},
        {"APCA-API-SECRET-KEY": "wrong"},
        {"APCA-API-KEY-ID": ""},
        {"Authorization": "Bearer nobody's"},
    ],
)
async def test_wrong_credentials_are_401(broker: Broker, headers: dict[str, str]) -> None:
    response = await broker.send("GET", CLOCK, headers=headers)

    assert (response.status_code, response.json()) == (401, UNAUTHORIZED)


async def test_a_key_that_was_changed_opens_nothing_any_more(broker: Broker) -> None:
    changed = broker.world.change_key(broker.account)

    assert (await broker.get(CLOCK)).status_code == 401
    assert (await broker.send("GET", CLOCK, who=changed)).status_code == 200


@pytest.mark.parametrize("paper", [True, False])
async def test_a_key_for_the_other_host_is_a_stranger(*, paper: bool) -> None:
    broker = Broker(options={"paper": paper})
    other = broker.world.open_account(paper=not paper)

    assert broker.account.key.key_id.startswith("PK" if paper else "AK")
    assert (await broker.get(CLOCK)).status_code == 200
    refused = await broker.send("GET", CLOCK, who=other)
    assert (refused.status_code, refused.json()) == (401, UNAUTHORIZED)


async def test_a_gateway_may_say_403_to_a_key_for_the_other_host() -> None:
    broker = Broker(options={"wrong_host_status": 403})
    other = broker.world.open_account(paper=False)

    refused = await broker.send("GET", CLOCK, who=other)

    assert (refused.status_code, refused.json()) == (403, {"message": "forbidden."})


async def test_a_token_trades_with_the_scope_and_reads_without(broker: Broker) -> None:
    trader = broker.world.issue_token(broker.account)
    reader = broker.world.issue_token(broker.account, trading=False)
    order_id = broker.place(life=Life.open())
    broker.clock.go_on(1)
    order = alpaca.limit("AAPL", "buy", "1", "150")

    for token in (trader, reader):
        assert (await broker.send("GET", ORDERS, who=token)).json()[0]["id"] == order_id
    refused = [
        await broker.send("POST", ORDERS, who=reader, json=order),
        await broker.send("PATCH", f"{ORDERS}/{order_id}", who=reader, json={"qty": "2"}),
        await broker.send("DELETE", f"{ORDERS}/{order_id}", who=reader),
        await broker.send("DELETE", ORDERS, who=reader),
    ]
    assert [each.status_code for each in refused] == [403] * 4
    assert refused[0].json()["code"] == 40310000
    assert (await broker.send("POST", ORDERS, who=trader, json=order)).status_code == 200


async def test_a_token_expires(broker: Broker) -> None:
    token = broker.world.issue_token(broker.account, lasts=timedelta(seconds=10))

    assert (await broker.send("GET", CLOCK, who=token)).status_code == 200
    broker.clock.go_on(10)
    assert (await broker.send("GET", CLOCK, who=token)).status_code == 401


async def test_key_files_are_private(broker: Broker, tmp_path: Path) -> None:
    key = broker.account.key
    token = broker.world.issue_token(broker.account)

    written = [key.write(tmp_path / "key.json"), token.write(tmp_path / "token.json")]

    assert [stat.S_IMODE(each.stat().st_mode) for each in written] == [0o600] * 2
    assert [json.loads(each.read_text()) for each in written] == [
        {"key_id": key.key_id, "secret_key": key.secret_key},
        {"access_token": token.access_token},
    ]


async def test_two_hundred_requests_a_minute_and_no_more(broker: Broker) -> None:
    first = await broker.get(CLOCK)
    broker.clock.go_on(20)
    answers = [await broker.get(CLOCK) for _ in range(200)]

    reset = str(int(broker.clock.now().timestamp()) + 40)
    assert first.headers["x-ratelimit-limit"] == "200"
    assert first.headers["x-ratelimit-remaining"] == "199"
    assert [each.status_code for each in answers] == [200] * 199 + [429]
    assert answers[-1].json() == {"message": "too many requests."}
    assert answers[-1].headers["x-ratelimit-remaining"] == "0"
    assert answers[-1].headers["x-ratelimit-reset"] == reset
    broker.clock.go_on(40)
    assert (await broker.get(CLOCK)).status_code == 200


async def test_the_rate_is_an_accounts_and_not_a_keys(broker: Broker) -> None:
    token = broker.world.issue_token(broker.account)
    other = broker.world.open_account()
    await broker.get(CLOCK)

    mine = await broker.send("GET", CLOCK, who=token)
    theirs = await broker.send("GET", CLOCK, who=other)

    assert mine.headers["x-ratelimit-remaining"] == "198"
    assert theirs.headers["x-ratelimit-remaining"] == "199"


async def test_what_was_asked_is_remembered(broker: Broker) -> None:
    await broker.get(ORDERS, status="all")
    await broker.send("GET", CLOCK, headers={"APCA-API-KEY-ID": "nobody"})

    listed, refused = broker.app.state.served
    assert (listed.endpoint, listed.query, listed.status) == ("list", "status=all", 200)
    assert listed.key_name == broker.account.key.key_id
    assert (refused.endpoint, refused.status, refused.key_name) == ("clock", 401, "")
