"""The virtual loop and its network, tried with the libraries that the service is built on."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import random
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio.to_thread
import httpx2
import pytest
import uvicorn
import websockets
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.virtual import (
    EPOCH,
    DeadlockError,
    Direction,
    LeftoverError,
    MemoryTransport,
    Network,
    OvertimeError,
    VirtualClock,
    VirtualLoop,
    run_virtually,
    virtually,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

    from starlette.requests import Request

HOUR = timedelta(hours=1)
HOUR_SECONDS = HOUR.total_seconds()


def sleep(seconds: float) -> Coroutine[None, None, None]:
    return VirtualClock().sleep(seconds)


def draw(most: float = 1) -> float:
    return random.uniform(0, most)  # noqa: S311 - dice


def network() -> Network:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.network


async def hello(request: Request) -> Response:
    return JSONResponse({"hello": request.query_params.get("who", "nobody")})


async def slow(request: Request) -> Response:
    await sleep(float(request.query_params["seconds"]))
    return PlainTextResponse("at last")


def in_a_worker_thread(_request: Request) -> Response:
    return PlainTextResponse("not a coroutine")


async def big(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())) + "x" * 1_000_000)


async def endless(_request: Request) -> Response:
    async def lines() -> AsyncIterator[str]:
        while True:
            yield "tick\n"
            await sleep(1)

    return StreamingResponse(lines())


APP = Starlette(
    routes=[
        Route("/hello", hello),
        Route("/slow", slow),
        Route("/thread", in_a_worker_thread),
        Route("/big", big, methods=["POST"]),
        Route("/endless", endless),
    ]
)


@asynccontextmanager
async def served(*, keep_alive_seconds: int = 5) -> AsyncIterator[int]:
    """Serve the app as the service is served, and give the port."""
    config = uvicorn.Config(APP, port=0, log_config=None, timeout_keep_alive=keep_alive_seconds)
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve())
        while not server.started:  # uvicorn has no event for it
            await sleep(0.01)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True


@asynccontextmanager
async def client_of(
    port: int, *, time_out_seconds: float | None = 5, keep_alive_seconds: float = 5
) -> AsyncIterator[httpx2.AsyncClient]:
    base = f"http://exchange.example:{port}"
    limits = httpx2.Limits(keepalive_expiry=keep_alive_seconds)
    async with httpx2.AsyncClient(base_url=base, timeout=time_out_seconds, limits=limits) as client:
        yield client


# --- The loop ------------------------------------------------------------------------------


@virtually
async def test_an_hour_passes_without_waiting() -> None:
    clock = VirtualClock()
    await clock.sleep(HOUR)
    assert clock.now() == EPOCH + HOUR
    await clock.sleep(0.5)
    assert clock.monotonic() == HOUR_SECONDS + 0.5
    await clock.sleep(timedelta(seconds=-1))
    assert clock.monotonic() == HOUR_SECONDS + 0.5


@virtually
async def test_timers_run_in_order_and_on_time() -> None:
    loop = asyncio.get_running_loop()
    ran: list[float] = []
    for delay in (3, 1, 2, 0.000_000_3, 500_000):
        loop.call_later(delay, lambda: ran.append(loop.time()))
    await sleep(4)
    assert ran == pytest.approx([0.000_000_3, 1, 2, 3])
    await sleep(500_000)
    assert ran[-1] == pytest.approx(500_000)


@virtually
async def test_time_outs_fire_in_virtual_time() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(HOUR_SECONDS):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == HOUR_SECONDS


@virtually
async def test_libraries_that_read_the_time_read_virtual_time() -> None:
    names = ("time", "time_ns", "monotonic", "perf_counter")
    start = EPOCH.timestamp()
    assert [getattr(time, name)() for name in names] == [start, start * 1e9, 0, 0]
    await sleep(5)
    assert [getattr(time, name)() for name in names] == [start + 5, (start + 5) * 1e9, 5, 5]


def test_the_surroundings_are_put_back() -> None:
    names = ("time", "time_ns", "monotonic", "perf_counter")
    before = [getattr(time, name) for name in names]
    state = random.getstate()

    async def main() -> None:
        draw()

    run_virtually(main)
    assert [getattr(time, name) for name in names] == before
    assert random.getstate() == state


def test_a_deadlock_is_reported_with_the_tasks_that_wait() -> None:
    async def for_ever() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(for_ever(), name="the stuck one")

    with pytest.raises(DeadlockError, match=r"the stuck one: Event.wait \(.*locks.py:\d+\)"):
        run_virtually(main)


def test_a_loop_that_never_rests_runs_into_its_limit() -> None:
    async def main() -> None:
        while True:
            await sleep(60)

    with pytest.raises(OvertimeError, match="after 3600 s"):
        run_virtually(main, limit_seconds=3600)


def test_a_task_left_behind_fails_the_run() -> None:
    tasks: list[asyncio.Task[None]] = []

    async def main() -> None:
        tasks.append(asyncio.get_running_loop().create_task(sleep(99), name="forgotten"))

    with pytest.raises(LeftoverError, match="forgotten"):
        run_virtually(main)
    assert tasks[0].cancelled()


def test_a_connection_left_open_fails_the_run() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_server(asyncio.Protocol, port=80)
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, "x", 80)

    with pytest.raises(LeftoverError, match=r"(?s)server on port 80.*connection 1 to port 80"):
        run_virtually(main)


def test_an_end_that_could_not_know_is_not_held_against_the_run() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(asyncio.Protocol, port=80)
        transport, _ = await loop.create_connection(asyncio.Protocol, "x", 80)
        network().stall(80)
        transport.close()
        server.close()

    run_virtually(main)


def test_the_first_error_of_the_coroutine_comes_through() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_server(asyncio.Protocol, port=80)
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, "x", 80)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_virtually(main)


def test_the_result_of_the_coroutine_comes_back() -> None:
    async def main() -> float:
        await sleep(1)
        return draw()

    assert run_virtually(main, seed=3) == run_virtually(main, seed=3)
    assert run_virtually(main, seed=3) != run_virtually(main, seed=4)


@virtually(seed=5)
async def test_fixtures_reach_a_virtual_test(tmp_path: Path) -> None:
    assert tmp_path.is_absolute()
    assert network().seed == 5


def test_a_virtual_test_looks_like_a_plain_one_with_the_same_fixtures() -> None:
    assert not inspect.iscoroutinefunction(test_fixtures_reach_a_virtual_test)
    assert list(inspect.signature(test_fixtures_reach_a_virtual_test).parameters) == ["tmp_path"]


@virtually
async def test_real_sockets_are_refused_clearly() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(NotImplementedError, match="real input and output"):
        asyncio.get_running_loop().add_reader(ours, print)


# --- Executors -----------------------------------------------------------------------------


@virtually
async def test_sqlite_runs_in_the_executor(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    connection = await loop.run_in_executor(None, sqlite3.connect, tmp_path / "orders.db")
    await loop.run_in_executor(None, connection.execute, "create table orders (id integer)")
    await loop.run_in_executor(None, connection.execute, "insert into orders values (1)")
    cursor = await asyncio.to_thread(connection.execute, "select id from orders")
    with ThreadPoolExecutor() as pool:
        assert await loop.run_in_executor(pool, cursor.fetchall) == [(1,)]
    await loop.run_in_executor(None, connection.close)
    assert loop.time() < 0.001


@virtually
async def test_an_error_in_the_executor_is_raised_where_it_is_awaited() -> None:
    loop = asyncio.get_running_loop()
    future = loop.run_in_executor(None, int, "no number")
    with pytest.raises(ValueError, match="no number"):
        await future
    abandoned = loop.run_in_executor(None, int, "no number")
    abandoned.cancel()
    await sleep(1)


@virtually
async def test_other_tasks_get_between_a_call_and_its_result() -> None:
    """Else two read-modify-writes could never meet, and tests would not find that race."""
    loop = asyncio.get_running_loop()
    count = 0

    def read() -> int:
        return count

    async def increase() -> None:
        nonlocal count
        count = await loop.run_in_executor(None, read) + 1

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(increase())
        tasks.create_task(increase())
    assert count == 1


@virtually
async def test_worker_threads_of_anyio_run_in_place_with_their_context() -> None:
    name = contextvars.ContextVar("name", default="unset")
    name.set("set")
    assert await anyio.to_thread.run_sync(name.get) == "set"


# --- HTTP ----------------------------------------------------------------------------------


@virtually
async def test_200_calls_and_an_idle_hour_with_the_real_client_and_server() -> None:
    loop = asyncio.get_running_loop()
    async with served() as port, client_of(port) as client:
        began = loop.time()
        for number in range(200):
            answer = await client.get("/hello", params={"who": number})
            assert answer.json() == {"hello": str(number)}
        assert 0.1 < loop.time() - began < 1
        assert network().accepted(port) == 1
        await sleep(HOUR_SECONDS)
        assert (await client.get("/hello")).json() == {"hello": "nobody"}
        assert network().accepted(port) == 2


@virtually
async def test_50_calls_at_once_take_as_long_as_one() -> None:
    loop = asyncio.get_running_loop()
    async with served() as port, client_of(port) as client:
        began = loop.time()
        async with asyncio.TaskGroup() as tasks:
            calls = [
                tasks.create_task(client.get("/slow", params={"seconds": 3})) for _ in range(50)
            ]
        assert loop.time() - began < 3.1
        assert [call.result().text for call in calls] == ["at last"] * 50
        assert network().accepted(port) == 50


@virtually
async def test_a_connection_is_kept_alive_until_the_client_lets_it_expire() -> None:
    async with (
        served(keep_alive_seconds=100) as port,
        client_of(port, keep_alive_seconds=30) as client,
    ):
        for pause, connections in ((0, 1), (29, 1), (31, 2)):
            await sleep(pause)
            await client.get("/hello")
            assert network().accepted(port) == connections


@virtually
async def test_a_connection_is_kept_alive_until_the_server_closes_it() -> None:
    async with (
        served(keep_alive_seconds=20) as port,
        client_of(port, keep_alive_seconds=60) as client,
    ):
        for pause, connections in ((0, 1), (19, 1), (21, 2)):
            await sleep(pause)
            await client.get("/hello")
            assert network().accepted(port) == connections


@virtually
async def test_a_read_times_out_in_virtual_time() -> None:
    loop = asyncio.get_running_loop()
    async with served() as port, client_of(port, time_out_seconds=10) as client:
        began = loop.time()
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/slow", params={"seconds": 11})
        assert 10 < loop.time() - began < 10.1
        assert (await client.get("/slow", params={"seconds": 9})).text == "at last"


@virtually
async def test_a_megabyte_goes_both_ways() -> None:
    async with served() as port, client_of(port) as client:
        answer = await client.post("/big", content=b"y" * 1_000_000)
        assert answer.text[:8] == "1000000x"
        assert len(answer.text) == 1_000_007


@virtually
async def test_endpoints_that_want_a_thread_are_served() -> None:
    async with served() as port, client_of(port) as client:
        assert (await client.get("/thread")).text == "not a coroutine"


@virtually
async def test_a_stream_can_be_left_in_the_middle() -> None:
    async with served() as port, client_of(port) as client:
        lines = []
        async with client.stream("GET", "/endless") as answer:
            async for line in answer.aiter_lines():
                lines.append(line)
                if len(lines) == 60:
                    break
        assert asyncio.get_running_loop().time() > 59
        assert (await client.get("/hello")).is_success


@virtually
async def test_a_port_that_nobody_serves_refuses() -> None:
    async with client_of(81) as client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("/hello")


# --- Faults --------------------------------------------------------------------------------


@virtually
async def test_a_refused_port_lets_open_connections_be() -> None:
    async with served() as port, client_of(port) as client, client_of(port) as newcomer:
        await client.get("/hello")
        network().refuse(port)
        assert (await client.get("/hello")).is_success
        with pytest.raises(httpx2.ConnectError):
            await newcomer.get("/hello")
        network().heal(port)
        assert (await newcomer.get("/hello")).is_success


@virtually
async def test_a_cut_connection_is_replaced() -> None:
    async with served() as port, client_of(port) as client:
        await client.get("/hello")
        network().cut(port)
        await sleep(0.1)
        assert (await client.get("/hello")).is_success
        assert network().accepted(port) == 2


@virtually
async def test_a_connection_cut_during_a_call_is_a_read_error() -> None:
    async with served() as port, client_of(port) as client:
        asyncio.get_running_loop().call_later(3, network().cut, port)
        with pytest.raises(httpx2.ReadError):
            await client.get("/slow", params={"seconds": 4})


@virtually
async def test_a_stalled_port_times_out_and_heals() -> None:
    loop = asyncio.get_running_loop()
    async with (
        served(keep_alive_seconds=100) as port,
        client_of(port) as client,
        client_of(port) as newcomer,
    ):
        await client.get("/hello")
        network().stall(port)
        began = loop.time()
        with pytest.raises(httpx2.ReadTimeout):
            await client.get("/hello")
        assert 5 < loop.time() - began < 5.1
        with pytest.raises(httpx2.ConnectTimeout):
            await newcomer.get("/hello")
        network().heal(port)
        assert (await client.get("/hello")).is_success
        assert (await newcomer.get("/hello")).is_success


@virtually
async def test_an_answer_can_be_lost_after_the_server_has_acted() -> None:
    acted = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        acted.append(await reader.readline())
        writer.write(b"done\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(act, port=7) as server:
        reader, writer = await asyncio.open_connection("here", 7)
        network().stall(7, Direction.TO_CLIENT)
        writer.write(b"buy\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await reader.readline()
        writer.close()
        await writer.wait_closed()
        assert acted == [b"buy\n"]
        server.close()


@virtually
async def test_a_half_open_connection_is_found_out_by_writing() -> None:
    ends: list[asyncio.StreamWriter] = []

    async def on_connect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends.append(writer)

    async with await asyncio.start_server(on_connect, port=7):
        reader, writer = await asyncio.open_connection("here", 7)
        await sleep(1)
        network().stall(7)
        ends[0].close()
        await sleep(1)
        network().heal(7)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR_SECONDS):
                await reader.read()
        writer.write(b"still there?")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()


@virtually
async def test_a_connection_is_given_up_when_bytes_stay_lost() -> None:
    loop = asyncio.get_running_loop()
    async with await loop.create_server(asyncio.Protocol, port=7):
        reader, writer = await asyncio.open_connection("here", 7)
        network().stall(7, Direction.TO_SERVER)
        writer.write(b"anybody?")
        with pytest.raises(TimeoutError):
            await reader.read()
        assert 900 < loop.time() < 1000
        writer.close()
        with pytest.raises(TimeoutError):
            await writer.wait_closed()
        network().close_everything()


@virtually
async def test_what_is_held_back_arrives_when_the_port_is_healed() -> None:
    loop = asyncio.get_running_loop()
    async with (
        served(keep_alive_seconds=60) as port,
        client_of(port, time_out_seconds=None) as client,
    ):
        await client.get("/hello")
        began = loop.time()
        network().hold(port)
        loop.call_later(30, network().heal, port)
        assert (await client.get("/hello")).is_success
        assert 30 < loop.time() - began < 30.1
        assert network().accepted(port) == 1


@virtually
async def test_connecting_to_a_stalled_port_gives_up_after_two_minutes() -> None:
    network().stall(7)
    with pytest.raises(TimeoutError, match="port 7"):
        await asyncio.open_connection("here", 7)
    assert 120 < asyncio.get_running_loop().time() < 130


# --- Transports ----------------------------------------------------------------------------


@virtually
async def test_bytes_stay_in_order_whatever_the_latency() -> None:
    network().latency = (0.001, 5.0)
    received = bytearray()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(await reader.read())
        writer.close()

    async with await asyncio.start_server(collect, port=7) as server:
        _, writer = await asyncio.open_connection("here", 7)
        for number in range(256):
            writer.write(bytes([number]))
            await sleep(draw())
        writer.write_eof()
        server.close()
        await server.wait_closed()
        writer.close()
        await writer.wait_closed()
    assert received == bytes(range(256))


@virtually
async def test_a_reader_that_does_not_read_slows_its_writer_down() -> None:
    read_now = asyncio.Event()
    size = 10_000_000
    received = 0

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        await read_now.wait()
        received = len(await reader.read())
        writer.close()

    async with await asyncio.start_server(collect, port=7) as server:
        _, writer = await asyncio.open_connection("here", 7)
        writer.write(b"x" * size)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(HOUR_SECONDS):
                await writer.drain()
        assert writer.transport.get_write_buffer_size() > size - 1_000_000
        read_now.set()
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
    assert received == size


@virtually
async def test_writing_to_a_peer_that_is_gone_is_answered_with_a_reset() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, port=7):
        reader, writer = await asyncio.open_connection("here", 7)
        assert isinstance(writer.transport, MemoryTransport)
        writer.transport.pause_reading()
        await sleep(1)
        writer.write(b"first: not yet known")
        await sleep(1)
        assert not writer.transport.is_closing()
        writer.write(b"second: a broken pipe")
        assert writer.transport.is_closing()
        with pytest.raises(BrokenPipeError):
            await reader.read()
        with pytest.raises(BrokenPipeError):
            await writer.wait_closed()


def test_a_protocol_that_fails_loses_its_connection(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ZeroDivisionError(data)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Careless, port=7)
        reader, writer = await asyncio.open_connection("here", 7)
        writer.write(b"?")
        assert await reader.read() == b""
        writer.close()
        server.close()

    with caplog.at_level(logging.ERROR):
        run_virtually(main)
    assert "protocol failed" in caplog.text


@virtually
async def test_callbacks_of_a_server_do_not_inherit_the_variables_of_its_client() -> None:
    name = contextvars.ContextVar("name", default="the server's")
    seen = []

    async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(name.get())
        await reader.read()
        writer.close()

    class Echo(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            seen.append(name.get() + data.decode())

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(look, port=7), await loop.create_server(Echo, port=8):
        name.set("the client's")
        for port in (7, 8):
            _, writer = await asyncio.open_connection("here", port)
            writer.write(b"!")
            await sleep(1)
            writer.close()
            await writer.wait_closed()
    assert seen == ["the server's", "the server's!"]


@virtually
async def test_what_transports_and_servers_tell_about_themselves() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0, start_serving=False)
    name = server.sockets[0].getsockname()
    assert name[1] > 0
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(asyncio.Protocol, *name)
    await server.start_serving()
    transport, _ = await loop.create_connection(asyncio.Protocol, *name)
    assert isinstance(transport, MemoryTransport)
    assert transport.get_extra_info("peername") == name
    assert transport.get_extra_info("socket").getpeername() == name
    assert transport.get_extra_info("socket").getsockname()[1] != name[1]
    assert transport.get_extra_info("ssl_object") is None
    with pytest.raises(OSError, match="in use"):
        await loop.create_server(asyncio.Protocol, port=name[1])
    server.close()
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await loop.create_connection(asyncio.Protocol, *name)
    transport.close()
    await server.wait_closed()


# --- WebSockets ----------------------------------------------------------------------------


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        yield next(iter(server.sockets)).getsockname()[1]


@virtually
async def test_websockets_talk_and_ping_for_an_hour() -> None:
    async with echoing() as port, connect(f"ws://exchange.example:{port}") as connection:
        for number in range(50):
            await connection.send(str(number))
            assert await connection.recv() == str(number)
        await sleep(HOUR_SECONDS)
        await connection.send("still here")
        assert await connection.recv() == "still here"
        assert network().accepted(port) == 1


@virtually
async def test_a_websocket_notices_by_its_pings_that_its_peer_is_silent() -> None:
    loop = asyncio.get_running_loop()
    async with echoing() as port, connect(f"ws://exchange.example:{port}") as connection:
        network().stall(port)
        began = loop.time()
        with pytest.raises(websockets.ConnectionClosedError, match="keepalive ping timeout"):
            await connection.recv()
        assert 40 <= loop.time() - began < 60


# --- The same again ------------------------------------------------------------------------


def digest_of_a_busy_run(seed: int) -> str:
    async def main() -> str:
        async with served() as port, client_of(port, time_out_seconds=5) as client:
            asyncio.get_running_loop().call_later(20, network().cut, port)
            asyncio.get_running_loop().call_later(40, network().stall, port)
            asyncio.get_running_loop().call_later(60, network().heal, port)

            async def ask_often() -> None:
                for _ in range(20):
                    await sleep(draw(5))
                    try:
                        await client.get("/slow", params={"seconds": draw()})
                    except httpx2.TransportError:
                        await sleep(1)

            async with asyncio.TaskGroup() as tasks, echoing() as echo_port:
                for _ in range(10):
                    tasks.create_task(ask_often())
                async with connect(f"ws://exchange.example:{echo_port}") as connection:
                    for number in range(50):
                        await connection.send(str(number))
                        await connection.recv()
        assert len(network().trace) > 500
        return network().digest()

    return run_virtually(main, seed=seed)


def test_equal_seeds_give_equal_traces() -> None:
    assert digest_of_a_busy_run(1) == digest_of_a_busy_run(1)
    assert digest_of_a_busy_run(1) != digest_of_a_busy_run(2)
