"""The official alpaca-py, unmodified, listening to the simulator's trade updates.

Prints what it hears, a line of JSON for each update, until an order is filled.
Usage: alpaca_stream.py WS_URL KEY_FILE
"""

# ruff: noqa: ANN401, T201 - the client's types are not here to be checked, and stdout is its answer

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from alpaca.trading.stream import TradingStream  # type: ignore[import-not-found,unused-ignore]

PATIENCE_SECONDS = 30


def listen(url: str, key_file: str) -> None:
    key = json.loads(Path(key_file).read_text())
    stream = TradingStream(key["key_id"], key["secret_key"], url_override=url)

    async def hear(update: Any) -> None:
        print(update.model_dump_json(), flush=True)
        if update.event == "fill":
            await stream.stop_ws()

    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if thread.is_alive():
        sys.exit("no fill was heard")


if __name__ == "__main__":
    listen(*sys.argv[1:])
