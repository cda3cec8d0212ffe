"""HEAD: what GET would be answered, without the body; by the same rules."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from ordersync.service import new_token
from ordersync.simulator import Life
from ordersync.tokened import Scope
from tests.system.caller import PORT, calling, with_api
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    import httpx2

    from tests.system.caller import Caller

PAGES = ("/", "/dashboard/app.js", "/docs", "/openapi.json")
STREAM = "/api/v1/events"


async def reading_calls(caller: Caller, order: int) -> list[str]:
    """Every path that can be read, of an order where one has to be named."""
    paths = (await caller.get("/openapi.json"))["paths"]
    assert not any("head" in methods for methods in paths.values())
    return [path.format(id=order) for path, methods in paths.items() if "get" in methods]


def told(answer: httpx2.Response) -> tuple[int, dict[str, str], set[str]]:
    """What is said beside the body; how long that is differs with the moment."""
    headers = dict(answer.headers)
    length = {"content-length"} & set(headers)
    return answer.status_code, {k: headers[k] for k in set(headers) - length}, length


@virtually
async def test_a_head_tells_what_get_would_tell_and_has_no_body(tmp_path: Path) -> None:
    async with with_api(tmp_path, orders={"owner": "bot_id"}) as house:
        order = house.place(Life.open())
        async with calling(house) as caller:
            paths = [*PAGES, *await reading_calls(caller, order.row_id), "/api/v1/nothing"]
            assert {"/healthz", "/readyz", "/metrics", "/api/v1/slo", STREAM} < set(paths)
            for path in paths:
                head = await caller.ask(path, method="HEAD")
                assert head.content == b"", path
                if path != STREAM:
                    assert told(head) == told(await caller.ask(path)), path


@virtually
async def test_a_head_of_the_stream_of_events_ends_at_once(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        for _ in range(3):
            async with asyncio.timeout(5):
                head = await caller.ask(STREAM, method="HEAD")
            assert head.status_code == 200
            assert head.headers["content-type"].startswith("text/event-stream")
        assert (await caller.problem(f"{STREAM}?knd=x", 422))["errors"]
        assert (await caller.ask(f"{STREAM}?knd=x", method="HEAD")).status_code == 422


@virtually
async def test_nothing_follows_the_head_on_the_wire(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house):
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        ask = "HEAD {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n"
        for path in ("/", "/api/v1/orders", "/api/v1/nothing", STREAM, "/healthz"):
            is_last = path == "/healthz"
            writer.write(ask.format(path, "Connection: close\r\n" * is_last).encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 404" if "nothing" in path else b"HTTP/1.1 200"), head
        assert await reader.read() == b""
        writer.close()


@virtually
async def test_a_head_is_let_in_by_the_rules_of_get(tmp_path: Path) -> None:
    async with with_api(tmp_path, web={"require_token": True}) as house:
        made = await new_token(
            house.settings(), "monitor", Scope.READ, timedelta(days=1), house.clock
        )
        token = {"authorization": f"Bearer {made}"}
        async with calling(house) as caller:
            for path, headers, status in (
                ("/api/v1/orders", {}, 401),
                ("/metrics", {"authorization": "Bearer no"}, 401),
                ("/api/v1/orders", token, 200),
                ("/metrics", token, 200),
                ("/healthz", {}, 200),
                ("/healthz", {"host": "evil.example"}, 421),
                ("/", {"origin": "https://evil.example"}, 403),
                ("/api/v1/orders", {**token, "sec-fetch-site": "cross-site"}, 403),
            ):
                head = await caller.ask(path, method="HEAD", headers=headers)
                assert head.status_code == status, path
                assert told(head) == told(await caller.ask(path, headers=headers))
            only_post = await caller.ask("/api/v1/sync", method="HEAD", headers=token)
            assert (only_post.status_code, only_post.headers["allow"]) == (405, "POST")
