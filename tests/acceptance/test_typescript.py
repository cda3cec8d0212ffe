"""A program in another language that uses nothing but the API."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.house import now

if TYPE_CHECKING:
    from tests.acceptance.house import House

NODE = shutil.which("node")
BOT = Path(__file__).with_name("bot.mjs")


@pytest.mark.skipif(NODE is None, reason="there is no node here")
def test_a_bot_in_typescript_learns_all_it_needs(house: House) -> None:
    house.place(status="OPEN")
    house.place(status="OPEN")
    house.ready()
    house.settle("sync", 'interval = "10m"')
    with house.running() as running:
        running.asked()
        row, order = house.place(status="OPEN", created=now())
        running.until(lambda: "The API answers at" in running.so_far, 60, "the API answers")
        order.update(status="FILLED", filled_size="10", average_filled_price="2", settled=True)
        found = re.search(r"The API answers at (http://[0-9.:]+)", running.so_far)
        assert found
        assert NODE
        bot = subprocess.run(
            [NODE, str(BOT), found[1], str(row), "no-such-order"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert bot.returncode == 0, bot.stderr + running.so_far
        told = json.loads(bot.stdout)
        running.stop()
    assert told["hello"][0] == "hello"
    assert len(told["before"]) >= 2
    assert told["synced"]["after"]["row_word"] == "completed"
    assert told["synced"]["verified"] is True
    assert told["blocked"] is False
    assert told["status"]["totals"]["open"] == 2
    assert told["history"]["events"][-1]["after"]["word"] == "completed"
    assert (told["missing"]["status"], told["missing"]["type"]) == (404, "application/problem+json")
    assert told["missing"]["told"]["mend"]
    assert told["wrong"]["status"] == 422
    assert told["ready"]["told"]["ready"] is True
    assert house.trade(row).status == "completed"
