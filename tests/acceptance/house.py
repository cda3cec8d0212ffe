"""A stranger's bot: its folder, its models, its table; and how its owner runs ordersync."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from sqlalchemy import DateTime, Float, Integer, String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from tests.acceptance.fork_server import ForkServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.fork_server import Child
    from tests.acceptance.stub import Stub

SOURCE: Final = Path(__file__).parents[2] / "src"
DISTURBED: Final = re.compile(
    r"Traceback \(most recent call last\)|unhandled|never awaited", re.IGNORECASE
)
TOKEN: Final = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}")
PATIENCE: Final = 60.0  # seconds; the machine may be busy, what is judged is what comes, not when


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the product runs in real time here


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def ago(**spell: float) -> datetime:
    return now() - timedelta(**spell)


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def python_environment() -> dict[str, str]:
    """What the Python of every command is told."""
    names = ("PATH", "LANG", "VIRTUAL_ENV", "SSL_CERT_FILE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**kept, "PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "default"}


@functools.cache
def fork_server() -> ForkServer | None:
    """What all commands of this process are forked from; macOS forbids that to what is loaded."""
    if sys.platform != "linux":
        return None
    server = ForkServer(python_environment())
    atexit.register(server.close)
    return server


class Base(DeclarativeBase):
    """The bot's models."""


class Trade(Base):
    """The table of the issue, as its bot declares it."""

    __tablename__ = "trades"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    bot_id: Mapped[int] = mapped_column(Integer, default=1)
    product_id: Mapped[str] = mapped_column(String(20), default="AVNT-USD")
    side: Mapped[str] = mapped_column(String(4), default="buy")
    size: Mapped[float] = mapped_column(Float, default=10.0)
    price: Mapped[float] = mapped_column(Float, default=2.5)
    fee: Mapped[float | None] = mapped_column(Float, default=0.0)
    order_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    status: Mapped[str] = mapped_column(String(20), default="pending")
    created_at: Mapped[datetime] = mapped_column(DateTime, default=lambda: naive(now()))
    filled_at: Mapped[datetime | None] = mapped_column(DateTime)


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """All of it, with the line breaks of a terminal taken out."""
        return " ".join((self.out + " " + self.err).split())

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Stdout, which has to be exactly one object."""
        answer = json.loads(self.out)
        assert isinstance(answer, dict), self.out
        return answer

    def __str__(self) -> str:
        return f"exit {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


@dataclass
class House:
    """One folder with a bot in it."""

    folder: Path
    stub: Stub
    words: tuple[str, ...] = ("pending", "open", "completed", "failed", "cancelled")
    database: Path = field(init=False)
    key_file: Path = field(init=False)
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.database = self.folder / "bot.db"
        self.key_file = self.folder / "coinbase.json"
        self.config = self.folder / "ordersync.toml"
        self.key_file.write_text(self.stub.key.as_file())
        self.key_file.chmod(0o600)
        self.engine = create_engine(self.url)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.database}"

    # -- the bot's side

    def create(self) -> None:
        """The bot's table, with a past long closed that holds every word it uses."""
        Base.metadata.create_all(self.engine)
        with Session(self.engine) as session:
            for number, word in enumerate(self.words):
                if word in {"pending", "open"}:
                    continue
                session.add(
                    Trade(
                        order_id=f"00000000-0000-4000-8000-{number:012d}",
                        status=word,
                        created_at=naive(ago(days=90)),
                        filled_at=naive(ago(days=90)) if word == "completed" else None,
                    ),
                )
            session.commit()

    def bot_writes(self, **columns: Any) -> int:  # noqa: ANN401 - the model's own columns
        if isinstance(columns.get("created_at"), datetime):
            columns["created_at"] = naive(columns["created_at"])
        with Session(self.engine) as session:
            trade = Trade(**columns)
            session.add(trade)
            session.commit()
            return trade.id

    def place(
        self,
        *,
        row: dict[str, Any] | None = None,
        **order: Any,  # noqa: ANN401
    ) -> tuple[int, dict[str, Any]]:
        """An order at the venue, and the bot's row about it."""
        order.setdefault("created", ago(hours=2))
        made = self.stub.add(**order)
        columns = {"status": "pending", "created_at": order["created"], **(row or {})}
        return self.bot_writes(order_id=made["order_id"], **columns), made

    def trade(self, row_id: int) -> Trade:
        """The row as the bot's own model reads it."""
        with Session(self.engine) as session:
            trade = session.get(Trade, row_id)
            assert trade is not None
            session.expunge(trade)
            return trade

    def trades(self) -> list[Trade]:
        with Session(self.engine) as session:
            found = list(session.scalars(select(Trade)))
            session.expunge_all()
            return found

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            found = connection.execute(statement, values).fetchall()
            connection.commit()
            return found

    def tables(self) -> set[str]:
        return {name for (name,) in self.sql("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def dump(self, *names: str) -> dict[str, list[tuple[Any, ...]]]:
        """Every cell of the user's table, of our truths and of our events, with its type."""
        present = self.tables()
        dumped = {}
        for name in names or ("trades", "ordersync_orders", "ordersync_events"):
            if name in present:
                columns = [column[1] for column in self.sql(f'PRAGMA table_info("{name}")')]
                cells = ", ".join(f'typeof("{column}"), quote("{column}")' for column in columns)
                dumped[name] = sorted(self.sql(f'SELECT {cells} FROM "{name}"'))  # noqa: S608
            else:
                dumped[name] = []
        return dumped

    # -- the owner's side

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **python_environment(),
            "HOME": str(self.folder),
            # Any free port: several houses stand on one machine.
            "ORDERSYNC_WEB__LISTEN": "127.0.0.1:0",
            **more,
        }

    def ordersync(
        self,
        *arguments: str,
        timeout: float = 2 * PATIENCE,
        env: dict[str, str] | None = None,
    ) -> Said:
        """Run a command to its end, in a process of its own that has everything loaded."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = self.start(*arguments, out=out.fileno(), err=err.fileno(), env=env or {})
            try:
                child.wait(timeout)
            except BaseException:
                child.kill()
                child.wait()
                raise
            out.seek(0)
            err.seek(0)
            said = Said(child.wait(), out.read().decode(), err.read().decode())
        self.check(said)
        return said

    def anew(self, *arguments: str, **env: str) -> Said:
        """Run a command to its end as a person does: Python starts, and loads what it needs."""
        started = subprocess.run(
            [sys.executable, "-m", "ordersync", *arguments],
            cwd=self.folder,
            env=self.environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = Said(started.returncode, started.stdout, started.stderr)
        self.check(said)
        return said

    def start(self, *arguments: str, out: int, err: int, env: dict[str, str]) -> Child:
        """Start a command that writes into these two."""
        server = fork_server()
        environment = self.environment(**env)
        with Path(os.devnull).open("rb") as nothing:
            if server is not None:
                streams = (nothing.fileno(), out, err)
                return server.start(arguments, self.folder, environment, *streams)
            return subprocess.Popen(
                [sys.executable, "-m", "ordersync", *arguments],
                cwd=self.folder,
                env=environment,
                stdin=nothing,
                stdout=out,
                stderr=err,
            )

    def check(self, said: Said) -> None:
        """What holds for every answer of every command."""
        assert not DISTURBED.search(said.out + said.err), f"a traceback\n{said}"
        for secret in self.stub.key.secrets:
            assert secret not in said.out + said.err, f"the private key was printed\n{said}"
        assert not TOKEN.search(said.out + said.err), f"a token was printed\n{said}"

    def init(self, *more: str, **keywords: Any) -> Said:  # noqa: ANN401
        arguments = [
            "--database",
            self.url,
            "--key-file",
            str(self.key_file),
            "--rest-url",
            self.stub.url,
        ]
        return self.ordersync("init", *arguments, *more, **keywords)

    def ready(self, *, unknown: str = "", words: str = "") -> None:
        """What `init` writes for this table, by hand; absences a second apart, to be quick."""
        self.configure(
            """
            [orders]
            table = "trades"
            id = "id"
            venue_order_id = "order_id"
            status = "status"
            symbol = "product_id"
            side = "side"
            created_at = "created_at"
            filled_at = "filled_at"
            fee = "fee"
            owner = "bot_id"
            account = "main"

            [orders.status_words]
            pending = ["open"]
            open = ["open"]
            completed = ["filled", "canceled+fills", "expired+fills"]
            failed = ["rejected"]
            cancelled = ["canceled", "expired", "replaced"]
            """
            + (f'{unknown} = ["unknown"]\n' if unknown else "")
            + words,
        )

    def settle(self, section: str, line: str) -> None:
        """Put one line into a section of ordersync.toml, in place of what it said of that key."""
        key = line.partition("=")[0].strip()
        text = self.config.read_text()
        head, found, tail = text.partition(f"[{section}]\n")
        if not found:
            self.config.write_text(f"{text}\n[{section}]\n{line}\n")
        else:
            body, bracket, rest = tail.partition("\n[")
            body = re.sub(rf"(?m)^{re.escape(key)} *=.*$\n?", "", body)
            self.config.write_text(f"{head}{found}{line}\n{body}{bracket}{rest}")
        tomllib.loads(self.config.read_text())

    def configure(self, orders: str, *, sync: str = "", accounts: str = "") -> None:
        """An ordersync.toml written by hand."""
        account = (
            f'[accounts.main]\nvenue = "coinbase"\nkey_file = "{self.key_file}"\n'
            f'rest_url = "{self.stub.url}"\n'
        )
        self.config.write_text(
            f'[database]\nurl = "{self.url}"\n\n{textwrap.dedent(orders)}\n{account}'
            f'{accounts}\n[sync]\nabsence = {{ spread = "1s" }}\n{sync}',
        )
        tomllib.loads(self.config.read_text())

    def mapping(self) -> dict[str, Any]:
        return tomllib.loads(self.config.read_text())

    @contextlib.contextmanager
    def running(self, *arguments: str) -> Iterator[Running]:
        """`ordersync run` as a child, ended with the block."""
        if (
            signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        ):  # under nohup: a child would inherit it
            signal.signal(signal.SIGINT, signal.default_int_handler)
        (heard, out), (warned, err) = os.pipe(), os.pipe()
        with os.fdopen(heard) as said, os.fdopen(warned) as complained:
            child = self.start(
                *(arguments or ("run",)), out=out, err=err, env={"PYTHONUNBUFFERED": "1"}
            )
            os.close(out)
            os.close(err)
            running = Running(self, child, said, complained)
            try:
                yield running
            finally:
                if child.poll() is None:
                    child.kill()
                child.wait()
                running.join()


class Running:
    """A command at work, its output read as it comes."""

    def __init__(self, house: House, child: Child, said: IO[str], complained: IO[str]) -> None:
        self.house, self.child = house, child
        self._out: list[str] = []
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=self._out.extend, args=(said,), daemon=True),
            threading.Thread(target=self._err.extend, args=(complained,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def so_far(self) -> str:
        return "".join(self._out) + "".join(self._err)

    def until(self, holds: Any, within: float, what: str) -> float:  # noqa: ANN401
        """Wait until something holds; say how long it took."""
        began = now()
        while (now() - began).total_seconds() < within:
            if holds():
                return (now() - began).total_seconds()
            assert self.child.poll() is None, f"it ended before {what}\n{self.so_far}"
            pause(0.05)
        raise AssertionError(f"not within {within} s: {what}\n{self.so_far}")

    def asked(self) -> None:
        """It is up, and its first pass lies behind it."""
        self.until(
            lambda: "Sync complete" in self.so_far or "No stale orders" in self.so_far,
            60,
            "the first pass",
        )

    def stop(self, by: signal.Signals = signal.SIGTERM) -> Said:
        self.child.send_signal(by)
        status = self.child.wait(PATIENCE)
        self.join()
        said = Said(status, "".join(self._out), "".join(self._err))
        self.house.check(said)
        return said

    def join(self) -> None:
        """Read to the end what an ended command has written."""
        for reader in self._readers:
            reader.join(PATIENCE)
