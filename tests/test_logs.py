"""The lines of the log: what they look like, and when they leave."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from datetime import datetime, timedelta

import structlog

from ordersync.cli.logs import LEAVES_AFTER, set_up_log
from ordersync.truth.model import Source
from tests.virtual import VirtualClock, virtually

SOON = timedelta(seconds=2 * LEAVES_AFTER)

log = structlog.get_logger("ordersync")


class Out(io.StringIO):
    """Takes lines, and counts how often any were handed over."""

    def __init__(self) -> None:
        super().__init__()
        self.handed_over = 0

    def write(self, text: str) -> int:
        self.handed_over += 1
        return super().write(text)

    @property
    def lines(self) -> list[str]:
        return self.getvalue().splitlines()


@virtually
async def test_lines_leave_together_and_soon() -> None:
    out = Out()
    set_up_log(as_json=False, stream=out)
    for n in range(100):
        log.info(f"line {n}")
        await VirtualClock().sleep(timedelta(0))
    assert out.lines == []
    await VirtualClock().sleep(SOON)
    assert [line.split(" ", 1)[1] for line in out.lines] == [f"line {n}" for n in range(100)]
    assert out.handed_over == 1
    log.info("and one more")
    await VirtualClock().sleep(SOON)
    assert len(out.lines) == 101


@virtually
async def test_what_is_louder_waits_for_nobody_and_overtakes_nothing() -> None:
    out = Out()
    set_up_log(as_json=False, stream=out)
    log.info("first")
    log.warning("second")
    await VirtualClock().sleep(timedelta(0))
    assert [line.split("Z ")[1] for line in out.lines] == ["first", "warning: second"]


def test_without_a_loop_and_after_one_a_line_leaves_at_once() -> None:
    out = Out()
    set_up_log(as_json=False, stream=out)

    async def say_and_end() -> None:
        log.info("before the end")

    asyncio.run(say_and_end())
    log.info("after it")
    assert [line.split("Z ")[1] for line in out.lines] == ["before the end", "after it"]


def test_a_line_as_json_has_its_time_in_utc_and_stable_fields() -> None:
    out = Out()
    set_up_log(as_json=True, stream=out)
    log.info("Updating order 1: open -> done", account="main", source=Source.POLL, row_id=None)
    (line,) = map(json.loads, out.lines)
    at = datetime.fromisoformat(line.pop("timestamp"))
    assert at.utcoffset() == timedelta(0)
    assert line == {
        "account": "main",
        "source": "poll",
        "row_id": None,
        "event": "Updating order 1: open -> done",
        "level": "info",
    }


def test_what_is_not_loud_enough_is_not_written() -> None:
    out = Out()
    set_up_log(as_json=False, stream=out, least=logging.ERROR)
    for level in ("debug", "info", "warning"):
        getattr(log, level)("not this")
    log.error("but this")
    assert len(out.lines) == 1


def test_a_mistake_of_ours_is_written_with_where_it_came_from() -> None:
    out = Out()
    set_up_log(as_json=True, stream=out)
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        log.exception("It broke", account="main")
    (line,) = map(json.loads, out.lines)
    assert line["level"] == "error"
    assert "ZeroDivisionError" in line["exception"]
