"""Whatever comes in at the door: never a 5xx, and never a call to the venue.

`ORDERSYNC_FUZZ=1000000` says how many requests are made; without it, a slice. Half of them are
signed, since nobody gets further without.
"""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ordersync.standard_webhooks import Secret
from ordersync.sync.hints import Took
from ordersync.web.payload import ORDERS_LIMIT
from ordersync.web.webhooks import Door
from tests.system.sender import SECRET, signed
from tests.virtual import EPOCH, VirtualClock, VirtualLoop
from tests.virtual.network import Network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.ports import OrderName

REQUESTS = int(os.environ.get("ORDERSYNC_FUZZ", "1000"))
NOW = int(EPOCH.timestamp())

names = st.text(max_size=12) | st.integers() | st.none() | st.booleans() | st.floats()
json_values = st.recursive(
    names,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "order_id",
                    "client_order_id",
                    "venue_order_id",
                    "data",
                    "order",
                    "orders",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
header_bytes = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40).map(
    lambda text: text.encode("latin-1")
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    import json  # noqa: PLC0415 - NaN and lone surrogates, as careless senders write them

    kind = draw(st.integers(0, 3))
    if kind == 0:
        return draw(st.binary(max_size=200))
    if kind == 1:
        one = {"order_id": draw(st.text(st.characters(categories=["L"]), min_size=1, max_size=9))}
        return json.dumps(one).encode()
    text = json.dumps(draw(json_values), ensure_ascii=draw(st.booleans()))
    body = text.encode(errors="surrogatepass")
    cut = draw(st.integers(0, len(body)) | st.none())
    return body if cut is None else body[:cut]


@st.composite
def requests(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    body = draw(bodies())
    webhook_id = draw(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))
    at = NOW + draw(st.sampled_from([0, 0, 0, 0, 299, 301, -301]))
    headers = signed(webhook_id, at, body)
    pairs = [(k.encode(), v.encode()) for k, v in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    for _ in range(draw(st.integers(0, 2)) if draw(st.booleans()) else 0):
        known = [b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"content-length"]
        name = draw(st.sampled_from([*known, b"content-encoding", b"x"]))
        if draw(st.booleans()):
            pairs = [pair for pair in pairs if pair[0] != name]
        pairs.append((name, draw(header_bytes)))
    odd_paths = ["/webhooks/", "/", "/webhooks/main/x", "/webhooks/%00", "/webhooks/ma\udc80in"]
    path = "/webhooks/main"
    if draw(st.integers(0, 9)) == 9:
        path = draw(
            st.sampled_from(odd_paths) | st.text(max_size=20).map(lambda text: f"/webhooks/{text}")
        )
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": draw(st.sampled_from(["POST"] * 12 + ["GET", "HEAD", "X"])),
        "path": path,
        "raw_path": path.encode(errors="surrogatepass"),
        "root_path": "",
        "scheme": "http",
        "query_string": draw(st.binary(max_size=10)),
        "headers": pairs,
        "server": ("127.0.0.1", 8643),
        "client": ("127.0.0.1", 1),
    }
    return scope, body


class Asked:
    """Whoever is behind the door; remembers what got through."""

    def __init__(self) -> None:
        self.through = 0

    async def take(self, webhook_id: str, orders: Sequence[OrderName]) -> Took:
        assert webhook_id
        assert 0 < len(orders) <= ORDERS_LIMIT
        for one in orders:
            assert one.venue_order_id or one.client_order_id
            for text in (one.venue_order_id, one.client_order_id):
                assert text is None or (text.isprintable() and text.encode())
        self.through += 1
        return Took.TAKEN


async def status_of(door: Door, scope: dict[str, Any], body: bytes, cut: int) -> int:
    parts = [body[:cut], body[cut:]]
    said: list[int] = []

    async def receive() -> dict[str, Any]:
        if not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:  # noqa: ANN401 - an ASGI message
        if message["type"] == "http.response.start":
            said.append(message["status"])

    await door.app(scope, receive, send)
    (status,) = said
    return status


def test_whatever_comes_in_is_answered_and_never_with_a_5xx() -> None:
    loop, asked, statuses = VirtualLoop(Network(0)), Asked(), dict[int, int]()
    clock = VirtualClock(loop)
    door = Door({"main": asked}, {"main": [Secret(SECRET)]}, clock)

    @settings(
        max_examples=REQUESTS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests(), st.integers(0, 200))
    def one(request: tuple[dict[str, Any], bytes], cut: int) -> None:
        scope, body = request
        status = loop.run_until_complete(status_of(door, scope, body, cut))
        statuses[status] = statuses.get(status, 0) + 1
        assert 200 <= status < 500

    try:
        asyncio.set_event_loop(loop)
        one()
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    assert asked.through == statuses.get(200, 0)
    assert {200, 400, 401, 404, 405, 422} <= set(statuses), statuses
    assert clock.now() - EPOCH < timedelta(days=1)
