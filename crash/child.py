"""`ordersync run --json` as its owner runs it: a child, its configuration, what it says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from typing import TextIO

ROOT = Path(__file__).parents[1]
CONFIGURATION = """\
[database]
url = "{database}"

[orders]
table = "trades"
id = "id"
venue_order_id = "order_id"
status = "status"
symbol = "product_id"
side = "side"
quantity = "size"
created_at = "created_at"
filled_at = "filled_at"
updated_at = "updated_at"
filled_qty = "filled_qty"
avg_price = "avg_price"
fee = "fee"
owner = "bot_id"
account = "main"

[orders.status_words]
pending = ["open"]
open = ["open"]
completed = ["filled", "canceled+fills"]
cancelled = ["canceled", "expired", "replaced"]
failed = ["rejected"]

[accounts.main]
venue = "coinbase"
key_file = "{key_file}"
rest_url = "{url}"
ws_url = "{stream}"

[sync]
interval = "{interval}"
"""
OPEN = frozenset({"pending", "open"})
PATIENCE = 60.0
UP = "The API answers"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One line of stdout: an event that was committed, and when we heard of it."""

    event: dict[str, Any]
    at: float


def configure(
    folder: Path, *, database: str, key_file: Path, url: str, interval: str, more: str = ""
) -> None:
    """Write the configuration into this folder, with `more` at its end."""
    text = CONFIGURATION.format(
        database=database,
        key_file=key_file,
        url=url,
        stream=url.replace("http", "ws", 1),
        interval=interval,
    )
    (folder / "ordersync.toml").write_text(text + more, encoding="utf-8")


class Ordersync:
    """The program, in a folder with its configuration. What it told and logged outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[Told] = []
        self.log: list[str] = []
        self._child: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self._begun = 0

    @property
    def child(self) -> subprocess.Popen[str]:
        """The running process."""
        if self._child is None:
            raise RuntimeError("ordersync does not run")
        return self._child

    def start(self) -> None:
        """Start it; nobody waits for its first pass."""
        self._begun = len(self.log)
        self._child = child = subprocess.Popen(
            [sys.executable, "-m", "ordersync", "--json", "run"],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT / "src"),
                "ORDERSYNC_CONFIG": "ordersync.toml",
                "ORDERSYNC_WEB__LISTEN": "127.0.0.1:0",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if child.stdout is None or child.stderr is None:
            raise RuntimeError("no pipes")
        self._readers = [
            threading.Thread(target=self._hear, args=(child.stdout,), daemon=True),
            threading.Thread(target=self._note, args=(child.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _hear(self, stdout: TextIO) -> None:
        for line in stdout:
            if line.endswith("\n"):  # the last one may be cut by a death
                event = msgspec.json.decode(line)
                if "error" in event:
                    self.log.append(line)
                else:
                    self.told.append(Told(event=event, at=time.monotonic()))

    def _note(self, stderr: TextIO) -> None:
        self.log.extend(stderr)

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._child is not None and self._child.poll() is None

    def pause(self) -> None:
        """Let it stand still, as a machine that sleeps does."""
        self.child.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Let it go on."""
        self.child.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with kill -9."""
        self._end(signal.SIGKILL)

    def stop(self, within: float = PATIENCE) -> int:
        """End it in good order; its exit status. Raises TimeoutExpired, and then it is killed."""
        return self._end(signal.SIGTERM, within)

    def wait(self, within: float = PATIENCE) -> int:
        """Wait for its own end; its exit status."""
        status = self.child.wait(within)
        for reader in self._readers:
            reader.join(PATIENCE)
        return status

    def _end(self, deed: signal.Signals, within: float = PATIENCE) -> int:
        self.child.send_signal(deed)
        try:
            return self.wait(within)
        finally:
            self.child.kill()
            self.child.wait()
            for pipe in (self.child.stdout, self.child.stderr):
                if pipe is not None:
                    pipe.close()

    def memory(self) -> int:
        """Bytes that it holds now."""
        ask = ["ps", "-o", "rss=", "-p", str(self.child.pid)]
        return int(subprocess.check_output(ask, text=True)) * 1024  # noqa: S603

    @property
    def is_up(self) -> bool:
        """Whether it has come so far, in this life, that it answers."""
        return any(UP in line for line in self.log[self._begun :])

    def log_text(self) -> str:
        """All that it has logged, over its deaths."""
        return "".join(self.log)
