"""The listener leaves nothing open behind it, whatever its clients do."""

from __future__ import annotations

import asyncio
import gc
import socket
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.web.guest import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

ASK = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
MORE_THAN_A_KERNEL_TAKES = 50_000_000


async def connect(made: socket.socket, port: int) -> None:
    made.setblocking(False)  # noqa: FBT003
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))


async def leave_one_who_takes_nothing(made: socket.socket) -> None:
    is_answering = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        is_answering.set()
        await send({"type": "http.response.body", "body": bytes(MORE_THAN_A_KERNEL_TAKES)})

    async with listening(app, "127.0.0.1", 0) as port:
        await connect(made, port)
        await asyncio.get_running_loop().sock_sendall(made, ASK)
        await is_answering.wait()


async def leave_one_who_is_being_let_in(made: socket.socket) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        del scope, receive, send

    async with listening(app, "127.0.0.1", 0) as port:
        await connect(made, port)
    for _ in range(9):
        await asyncio.sleep(0)  # noqa: TID251 - the process lives on, no time passes


@pytest.mark.parametrize("leave", [leave_one_who_takes_nothing, leave_one_who_is_being_let_in])
def test_nothing_stays_open_when_the_server_leaves(
    leave: Callable[[socket.socket], Coroutine[Any, Any, None]],
) -> None:
    gc.collect()  # what others left is not ours
    with socket.socket() as made, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(leave(made))
        gc.collect()
        assert [str(one.message) for one in told] == []
