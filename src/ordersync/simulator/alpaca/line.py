"""The sending end of one connection to trade_updates: how its frames are written and damaged.

There are no numbers in these frames, so one that is dropped and one that was never sent look the
same. The faults and their schedule are those of every stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast
from uuid import NAMESPACE_URL, uuid5

import msgspec

from ordersync.simulator.alpaca.life import Event
from ordersync.simulator.answers import BINARY
from ordersync.simulator.stream_faults import HUGE_BYTES
from ordersync.simulator.stream_line import Line, Update

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from starlette.websockets import WebSocket

    from ordersync.simulator.answers import Json
    from ordersync.simulator.faults import Faults
    from ordersync.simulator.stream_faults import Frame
    from ordersync.simulator.stream_line import Streamed

TRADE_UPDATES = "trade_updates"
_FUTURE = "2999-12-31T23:59:59.999999999Z"


class TradeLine(Line):
    """A line that speaks in binary frames of JSON, or of MessagePack, or in text."""

    updates: ClassVar[str] = TRADE_UPDATES
    filled: ClassVar[str] = "filled"

    def __init__(
        self,
        websocket: WebSocket,
        faults: Faults,
        now: Callable[[], datetime],
        record: Streamed,
        *,
        binary: bool,
        msgpack: bool,
    ) -> None:
        super().__init__(websocket, faults, now, record)
        self._binary = binary or msgpack
        self._msgpack = msgpack

    async def authorization(self, status: str, action: str) -> None:
        """Say whether the client may listen."""
        await self.say("authorization", {"action": action, "status": status})

    async def error(self, message: str) -> None:
        """Say that the client is not who it was any more, or never was."""
        # Past the faults: one of them says this.
        said: Json = {"action": "authenticate", "status": "unauthorized", "message": message}
        await self._send(self._encoded({"stream": "authorization", "data": said}))

    async def invalid(self) -> None:
        """Say that a message makes no sense."""
        said: Frame = {"T": "error", "code": 400, "msg": "invalid syntax"}
        await self._send(self._encoded(said))

    async def say(self, channel: str, event: Json, at: datetime | None = None) -> None:
        """Say something that is not about an order."""
        await self._number_and_send(channel, event, at or self._now(), None, ())

    def _event(self, update: Update) -> Json:
        # The row is the order with its news beside it, see `told`.
        return update.row["update"]

    def _old(self, update: Update, now: datetime) -> Update:
        data = cast("dict[str, Json]", update.row["update"])
        order = cast("dict[str, Json]", data["order"])
        stale: Json = {
            **{key: data[key] for key in ("execution_id", "timestamp") if key in data},
            "event": Event.NEW.value,
            "order": {
                **order,
                "status": "new",
                "filled_qty": "0",
                "filled_avg_price": None,
                "filled_at": None,
                "updated_at": order["submitted_at"],
            },
        }
        return Update(at=now, order=update.order, row={"status": "new", "update": stale})

    def _frame(self, channel: str, event: Json, at: datetime) -> Frame:
        del at
        return {"stream": channel, "data": event}

    def _encoded(self, frame: Frame) -> bytes:
        return msgspec.msgpack.encode(frame) if self._msgpack else msgspec.json.encode(frame)

    def _damaged(self, frame: Frame, how: str) -> bytes:
        if how == "not_json":
            whole = self._encoded(frame)
            return whole[: len(whole) // 2]
        if how == "truncated_utf8":
            # The first of two bytes stands alone, so this is no text at all.
            return self._encoded(frame).replace(b'"event"', b'"\xc3event"')
        return self._encoded(_SPOILERS[how](frame))

    async def _put(self, data: bytes) -> None:
        if self._binary:
            await self._websocket.send({"type": "websocket.send", "bytes": data, BINARY: True})
        else:
            await self._websocket.send_bytes(data)


def told(data: dict[str, Json]) -> dict[str, Json]:
    """Make the row of an update from what a trade update says."""
    order = cast("dict[str, Json]", data["order"])
    return {"status": order["status"], "update": data}


def _with_data(frame: Frame, **changes: Json) -> Frame:
    return {**frame, "data": {**cast("dict[str, Json]", frame["data"]), **changes}}


def _with_order(frame: Frame, **changes: Json) -> Frame:
    order = cast("dict[str, dict[str, Json]]", frame["data"])["order"]
    return _with_data(frame, order={**order, **changes})


def _other_account(frame: Frame) -> Frame:
    order = cast("dict[str, dict[str, str]]", frame["data"])["order"]
    stranger = str(uuid5(NAMESPACE_URL, f"stranger {order['id']}"))
    return _with_order(frame, id=stranger, client_order_id=stranger)


def _wrong_types(frame: Frame) -> Frame:
    wrong: Json = {"value": [1, None]}
    return _with_order(frame, filled_qty=wrong, status=7, filled_avg_price=True)


def _naked_numbers(frame: Frame) -> Frame:
    """Write every number bare, as some recorded frames have it."""
    order = cast("dict[str, dict[str, Json]]", frame["data"])["order"]
    names = ("qty", "notional", "filled_qty", "filled_avg_price", "limit_price", "stop_price")
    data = cast("dict[str, Json]", frame["data"])
    own = {name: _bare(data[name]) for name in ("price", "qty", "position_qty") if name in data}
    spoiled = _with_order(frame, **{name: _bare(order[name]) for name in names})
    return _with_data(spoiled, **own)


def _bare(value: Json) -> Json:
    return float(value) if isinstance(value, str) else value


_SPOILERS: dict[str, Callable[[Frame], Frame]] = {
    "wrong_types": _wrong_types,
    "huge": lambda frame: _with_order(frame, client_order_id="x" * HUGE_BYTES),
    "unknown_channel": lambda frame: {**frame, "stream": "trade_updates_v2"},
    "unknown_status": lambda frame: _with_order(frame, status="settling"),
    "unknown_event": lambda frame: _with_data(frame, event="reallocated"),
    "other_account": _other_account,
    "future_time": lambda frame: _with_data(
        _with_order(frame, updated_at=_FUTURE), timestamp=_FUTURE
    ),
    "orders_null": lambda frame: _with_data(frame, order=None),
    "data_null": lambda frame: {**frame, "data": None},
    "naked_numbers": _naked_numbers,
}
