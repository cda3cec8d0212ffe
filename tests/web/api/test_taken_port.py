"""A port that somebody else has costs no order its truth."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ordersync.simulator import Life
from tests.system.caller import PORT, calling, with_api
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


@virtually
async def test_a_port_that_is_taken_is_told_and_tried_again_while_orders_are_kept_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with with_api(tmp_path) as house:
        order = house.place(Life.filled())
        other = await asyncio.start_server(
            lambda _reader, writer: writer.close(), "127.0.0.1", PORT
        )
        async with calling(house) as caller:
            assert house.untrue(order) == []
            told = capsys.readouterr().out
            assert "The API is not served" in told
            assert "web.listen" in told
            assert not [each for each in caplog.records if each.name == "uvicorn.error"]
            await house.wait(seconds=100)
            assert "The API is not served" not in capsys.readouterr().out
            other.close()
            await other.wait_closed()
            await house.wait(seconds=31)
            assert await caller.get("/healthz") == {"status": "alive"}
