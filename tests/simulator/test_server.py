"""The exchange on a real loopback socket, and for a person in a folder."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from ordersync.simulator import (
    Fault,
    Kind,
    Ready,
    StreamKind,
    Venue,
    run,
    serve,
    serving,
)
from tests.simulator.asking import PREFIX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.simulator.asking import Exchange

TIME = f"{PREFIX}/time"


async def fetch(url: str) -> httpx2.Response:
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(url)


async def test_it_serves_on_loopback_at_a_free_port_and_stops(exchange: Exchange) -> None:
    async with serving(exchange.app) as url:
        response = await fetch(url + TIME)

    assert url.startswith("http://127.0.0.1:")
    assert response.json()["iso"] == "2026-03-01T12:00:00Z"
    with pytest.raises(httpx2.ConnectError):
        await fetch(url + TIME)


async def test_it_streams_at_the_same_port_and_says_nothing_to_the_log(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    exchange.faults.add(Fault(kind=StreamKind.REFUSE, on="stream", call=2))
    exchange.faults.add(Fault(kind=StreamKind.CLOSE, on="stream", call=3, value=1006))
    async with serving(exchange.app) as url:
        address = url.replace("http", "ws")
        async with connect(address, proxy=None) as connection:
            await connection.send('{"type": "subscribe", "channel": "heartbeats"}')
            ack = json.loads(await connection.recv())
            assert ack["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
            await connection.send('{"type": "subscribe", "channel": "ticker"}')
            await connection.recv()
            await connection.send('{"type": "subscribe", "channel": "status"}')
            with pytest.raises(ConnectionClosedError, match="no close frame"):
                await connection.recv()
        with pytest.raises(InvalidStatus, match="503"):
            await connect(address, proxy=None)
        connection = await connect(address, proxy=None)
    with pytest.raises(ConnectionClosedError):
        await connection.recv()

    assert caplog.records == []
    assert [each.is_open for each in exchange.app.state.streams] == [False, False, False]


async def test_it_serves_at_the_port_it_was_told(exchange: Exchange) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    async with serving(exchange.app, port=port) as url:
        assert url == f"http://127.0.0.1:{port}"


async def test_a_taken_port_is_an_error_told_once_and_not_the_end_of_the_process(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(exchange.app) as url:
        with pytest.raises(OSError, match=r"cannot be listened on \(address already in use\)"):
            await serve(exchange.app, port=int(url.rpartition(":")[2]))
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_a_guest_touches_neither_signals_nor_logs(
    exchange: Exchange, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    level = logging.getLogger("uvicorn.error").level
    caplog.set_level(logging.WARNING)

    async with serving(exchange.app) as url:
        await fetch(url + TIME)
        during = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))

    assert before == during
    assert logging.getLogger("uvicorn.error").level == level
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


async def test_it_leaves_at_once_although_a_client_still_waits(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.faults.add(Fault(kind=Kind.TIMEOUT))
    exchange.faults.add(Fault(kind=Kind.LATENCY, value=600, on="time", after=1))
    loop = asyncio.get_running_loop()

    async with serving(exchange.app) as url:
        waiting = [asyncio.ensure_future(fetch(url + TIME)) for _ in range(2)]  # noqa: TID251
        while not exchange.app.state.served:
            await loop.run_in_executor(None, lambda: None)  # turns of the loop, and no time

    for answer in waiting:
        with pytest.raises(httpx2.TransportError):
            await answer
    assert caplog.records == []


@contextlib.asynccontextmanager
async def running(
    directory: Path, seed: int = 7, faults: Path | None = None, venue: Venue = Venue.COINBASE
) -> AsyncIterator[Ready]:
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    service = run(directory, seed, faults, 0, ready.set_result, venue=venue)
    task = asyncio.ensure_future(service)  # noqa: TID251
    try:
        ends: list[asyncio.Future[Any]] = [ready, task]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield ready.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_folder_gets_a_key_and_a_configuration_for_a_populated_exchange(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "new" / "folder") as ready:
        written = tomllib.loads(ready.configuration.read_text())
        key = json.loads(ready.key_file.read_text())
        answer = await fetch(ready.url + TIME)

    assert answer.status_code == 200
    assert ready.orders >= 40
    assert stat.S_IMODE(ready.key_file.stat().st_mode) == 0o600
    assert set(key) == {"name", "privateKey"}
    assert key["name"].startswith("organizations/")
    assert key["privateKey"].startswith("-----BEGIN EC PRIVATE KEY-----\n")
    assert written["database"] == {"url": "sqlite:///bot.db"}
    assert written["accounts"]["main"] == {
        "venue": "coinbase",
        "key_file": ready.key_file.name,
        "rest_url": ready.url,
        "ws_url": ready.ws_url,
    }
    assert set(written["orders"]["status_words"]) == {
        "pending", "open", "completed", "failed", "cancelled",
    }  # fmt: skip


async def test_a_folder_may_get_what_a_paper_account_at_alpaca_needs(tmp_path: Path) -> None:
    async with running(tmp_path, venue=Venue.ALPACA) as ready:
        written = tomllib.loads(ready.configuration.read_text())
        key = json.loads(ready.key_file.read_text())
        headers = {"APCA-API-KEY-ID": key["key_id"], "APCA-API-SECRET-KEY": key["secret_key"]}
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{ready.url}/v2/account", headers=headers)

    assert answer.json()["status"] == "ACTIVE"
    assert ready.orders >= 40
    assert stat.S_IMODE(ready.key_file.stat().st_mode) == 0o600
    assert written["orders"]["symbol"] == "symbol"
    assert written["accounts"]["main"] == {
        "venue": "alpaca",
        "paper": True,
        "key_file": "alpaca.json",
        "rest_url": ready.url,
        "ws_url": ready.url.replace("http", "ws") + "/stream",
    }


async def test_a_second_start_gives_the_same_key_and_the_new_address(tmp_path: Path) -> None:
    async with running(tmp_path) as first:
        key = first.key_file.read_text()
    async with running(tmp_path) as second:
        assert second.key_file.read_text() == key
        assert second.url in second.configuration.read_text()
        assert stat.S_IMODE(second.key_file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "other"),
    [("ordersync.toml", "coinbase.json"), ("coinbase.json", "ordersync.toml")],
)
async def test_a_folder_of_a_real_account_is_left_alone(
    tmp_path: Path, name: str, other: str
) -> None:
    precious = tmp_path / name
    precious.write_text("mine\n")

    with pytest.raises(FileExistsError, match=name):
        async with running(tmp_path):
            pass
    assert precious.read_text() == "mine\n"
    assert not (tmp_path / other).exists()


async def test_it_starts_with_the_faults_of_a_file(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "html"\non = "time"\n')

    async with running(tmp_path / "d", faults=faults) as ready:
        assert (await fetch(ready.url + TIME)).status_code == 502


async def test_a_malformed_fault_file_stops_it_before_anything_is_written(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "slow"\n')

    with pytest.raises(ValueError, match="there is no 'slow'"):
        async with running(tmp_path / "d", faults=faults):
            pass
    assert not (tmp_path / "d").exists()
