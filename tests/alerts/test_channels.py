"""Channels at work, through apprise itself: a chat service and a mail server on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from ordersync import settings as configuration
from ordersync.alerted import Alert
from ordersync.alerts.channels import Way
from ordersync.alerts.messages import Cause, Message, Part
from ordersync.clock import SystemClock
from ordersync.errors import StoreBusy
from ordersync.metered import Count
from ordersync.service.channels import open_ways, send_test
from ordersync.service.reached import ToldChannels
from ordersync.settings import Channel
from ordersync.sync.tally import Tally
from tests.alerts.takers import Chat, PostOffice, open_to_all
from tests.virtual import VirtualClock, virtually

if TYPE_CHECKING:
    import threading
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ordersync.alerted import Loudness
    from ordersync.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET_PART = "3ccdd113474722377935511fc85d3dd4"  # noqa: S105 - of nobody


class Kept:
    """Remembers what is kept. `is_away`: it cannot be written."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.is_away = False
        self.changed = asyncio.Event()

    async def read(self) -> dict[str, bytes]:
        return self.rows

    async def keep(self, name: str, body: bytes) -> None:
        if self.is_away:
            raise StoreBusy("it is away.")
        self.rows[name] = body
        self.changed.set()


@pytest.fixture
def chat() -> Iterator[Chat]:
    made = Chat()
    with open_to_all(made):
        yield made


@pytest.fixture
def office() -> Iterator[PostOffice]:
    made = PostOffice()
    with open_to_all(made):
        yield made


def to_chat(chat: Chat) -> str:
    return f"mmost://127.0.0.1:{chat.port}/{SECRET_PART}"


def to_mail(office: PostOffice) -> str:
    sender, to = "ordersync@example.com", "you@example.com"
    return f"mailto://127.0.0.1:{office.port}?from={sender}&to={to}&smtp=127.0.0.1"


def with_channels(folder: Path, *channels: dict[str, Any], **urls: str) -> Settings:
    """A configuration with these channels; `urls` are written into files of their own."""
    listed = list(channels)
    for name, url in urls.items():
        path = folder / f"{name}.url"
        path.write_text(url + "\n")
        path.chmod(0o600)
        listed.append({"name": name, "url_file": str(path)})
    content = {
        "database": {"url": f"sqlite:///{folder}/bot.db"},
        "orders": {
            "table": "trades",
            "id": "id",
            "venue_order_id": "order_id",
            "status": "status",
            "account": "main",
            "status_words": {"pending": ["open"], "completed": ["final"]},
        },
        "accounts": {"main": {"venue": "coinbase", "key_file": "key.json"}},
        "alerts": {"channels": listed, "link": "https://desk.example"},
    }
    return configuration.build(folder / "ordersync.toml", content)


def stale(count: int = 2, kind: Alert = Alert.ORDER_STALE) -> Message:
    first = tuple(
        Cause(kind=kind, account="main", subject=str(n), row_id=str(n), symbol="BTC-USD")
        for n in range(min(count, 5))
    )
    return Message(account="main", at=NOON, parts=(Part(kind=kind, count=count, first=first),))


async def opened(settings: Settings, tally: Tally, kept: Kept | None = None) -> list[Way]:
    return await open_ways(settings, SystemClock(), tally, kept or Kept())


async def arrives(what: threading.Event, within: float = 60.0) -> None:
    assert await asyncio.to_thread(what.wait, within)


async def test_a_chat_and_a_mail_server_take_one_message_for_ten_thousand_orders(
    tmp_path: Path, chat: Chat, office: PostOffice
) -> None:
    settings = with_channels(tmp_path, chat=to_chat(chat), mail=to_mail(office))
    tally = Tally()
    ways = await opened(settings, tally)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(way.run()) for way in ways]
        for way in ways:
            way.put(stale(10_000))
        await arrives(chat.arrived)
        await arrives(office.arrived)
        for task in tasks:
            task.cancel()
    said = json.loads(chat.bodies[0])
    assert "main: 10,000 orders are stale" in json.dumps(said)
    mail = email.message_from_string(office.mails[0], policy=email.policy.default)
    assert "10,000 orders are stale" in str(mail["subject"])
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "https://desk.example/#order=0" in body.get_content()
    assert (len(chat.bodies), len(office.mails)) == (1, 1)


async def test_a_channel_that_hangs_holds_up_no_other_and_no_end(
    tmp_path: Path, chat: Chat, office: PostOffice
) -> None:
    chat.hangs = True
    ways = await opened(with_channels(tmp_path, chat=to_chat(chat), mail=to_mail(office)), Tally())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(way.run()) for way in ways]
        for way in ways:
            way.put(stale())
        await arrives(office.arrived)
        assert chat.bodies == []
        for task in tasks:
            task.cancel()


async def test_a_channel_that_fails_is_counted_told_and_kept_without_its_address(
    tmp_path: Path, chat: Chat
) -> None:
    chat.status = 500
    tally, kept = Tally(), Kept()
    (way,) = await opened(with_channels(tmp_path, chat=to_chat(chat)), tally, kept)
    with capture_logs() as logs:
        assert "did not take it" in await way.send([stale()])
        kept.is_away = True
        assert await way.send([stale()])
        kept.is_away, chat.status = False, 200
        assert await way.send([stale()]) == ""
    assert tally.counts[Count.ALERTS] == {("chat", "failed"): 2, ("chat", "delivered"): 1}
    assert SECRET_PART not in json.dumps([*logs, *map(bytes.decode, kept.rows.values())])
    assert json.loads(kept.rows["channel chat"])["why"] == ""
    assert any("takes alerts again" in line["event"] for line in logs)


@pytest.mark.parametrize("url", ["bogus://nowhere", "", "two\nlines", "mailto://nobody"])
async def test_a_broken_address_ends_nothing_and_is_told_without_being_quoted(
    tmp_path: Path, chat: Chat, url: str
) -> None:
    settings = with_channels(tmp_path, broken=url, chat=to_chat(chat))
    results = await send_test(settings)
    assert results["chat"] == ""
    assert results["broken"]
    assert not url or url not in results["broken"]
    assert len(chat.bodies) == 1


@contextlib.asynccontextmanager
async def at_work(way: Way) -> AsyncIterator[None]:
    """The channel runs while the block does."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(way.run())
        yield
        task.cancel()


async def test_a_broken_address_is_told_of_at_the_start_and_not_only_with_a_lost_alert(
    tmp_path: Path,
) -> None:
    settings, kept, tally = with_channels(tmp_path, broken="bogus://nowhere"), Kept(), Tally()
    (way,) = await opened(settings, tally, kept)
    with capture_logs() as logs:
        async with at_work(way):
            await kept.changed.wait()
    assert "broken does not take alerts: it is no address" in logs[0]["event"]
    assert tally.counts[Count.ALERTS] == {}
    (shown,) = await ToldChannels(settings, kept, SystemClock()).stand()
    assert "no address" in shown.why
    assert not shown.is_usable


class Stuck:
    """A database that takes what it is asked and never answers."""

    async def read(self) -> dict[str, bytes]:
        await asyncio.Event().wait()
        return {}

    async def keep(self, name: str, body: bytes) -> None:
        del name, body
        await asyncio.Event().wait()


class Delivered:
    """A channel that takes everything at once, and knows when."""

    defect = ""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def carry(self, title: str, text: str, loudness: Loudness, messages: bytes) -> None:
        del title, text, loudness, messages
        self.at.append(VirtualClock().monotonic())


@virtually
async def test_a_database_that_hangs_holds_up_no_alert_for_long() -> None:
    taken, clock = Delivered(), VirtualClock()
    way = Way(
        Channel(name="phone", url_env="PHONE"),
        taken,
        clock=clock,
        meter=Tally(),
        told=Stuck(),
        link="https://desk.example",
        per_hour=20,
    )
    began = clock.monotonic()
    async with at_work(way):
        for _ in range(2):
            way.put(stale())
            await clock.sleep(timedelta(seconds=20))
    assert [at - began < limit for at, limit in zip(taken.at, (6, 26), strict=True)] == [True] * 2


async def test_a_channel_is_well_again_with_another_address_and_not_by_a_restart_alone(
    tmp_path: Path, chat: Chat
) -> None:
    chat.status = 500
    kept = Kept()
    settings = with_channels(tmp_path, chat=to_chat(chat))
    (way,) = await opened(settings, Tally(), kept)
    await way.send([stale()])
    kept.changed.clear()
    (again,) = await opened(settings, Tally(), kept)
    async with at_work(again):
        chat.status = 200
        again.put(stale())
        await kept.changed.wait()
    (shown,) = await ToldChannels(settings, kept, SystemClock()).stand()
    assert shown.why == ""
    assert shown.failed_at is not None
    # The same name with a broken address, and with one that can be used.
    (broken,) = await opened(with_channels(tmp_path, chat="bogus://"), Tally(), kept)
    kept.changed.clear()
    async with at_work(broken):
        await kept.changed.wait()
    assert "no address" in json.loads(kept.rows["channel chat"])["why"]
    (mended,) = await opened(with_channels(tmp_path, chat=to_chat(chat)), Tally(), kept)
    kept.changed.clear()
    async with at_work(mended):
        await kept.changed.wait()
    assert json.loads(kept.rows["channel chat"])["why"] == ""


async def test_a_channel_that_is_not_configured_any_more_troubles_nobody(tmp_path: Path) -> None:
    kept = Kept()
    kept.rows["channel old"] = b'{"name": "old", "why": "it is gone."}'
    settings = with_channels(tmp_path, new="bogus://nowhere")
    shown = await ToldChannels(settings, kept, SystemClock()).stand()
    assert [(one.name, one.why) for one in shown] == [("new", "")]


async def test_an_address_that_others_may_read_is_not_used(tmp_path: Path, chat: Chat) -> None:
    settings = with_channels(tmp_path, chat=to_chat(chat))
    (tmp_path / "chat.url").chmod(0o644)
    assert "others may read" in (await send_test(settings))["chat"]
    assert chat.bodies == []


async def test_a_channel_gets_what_it_wants_and_nothing_else(tmp_path: Path, chat: Chat) -> None:
    path = tmp_path / "loud.url"
    path.write_text(to_chat(chat))
    path.chmod(0o600)
    loud = {"name": "loud", "url_file": str(path), "least": "critical"}
    (way,) = await opened(with_channels(tmp_path, loud), Tally())
    way.put(stale())
    assert way.health.waiting == 0
    way.put(stale(kind=Alert.ORDER_STALE_LONG))
    assert way.health.waiting == 1


async def test_more_messages_than_a_channel_takes_in_an_hour_go_together(
    tmp_path: Path, chat: Chat
) -> None:
    (way,) = await opened(with_channels(tmp_path, chat=to_chat(chat)), Tally())
    turns = []
    for _ in range(21):
        turns.append(way.turn())
        way.sent()
    assert turns[0] == timedelta(0)
    assert turns[1] <= timedelta(seconds=5)
    assert turns[20] > timedelta(minutes=59)
