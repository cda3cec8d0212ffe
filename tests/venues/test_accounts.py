"""Which venue an account of the configuration becomes, and what is refused on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ordersync import settings
from ordersync.clock import SystemClock
from ordersync.errors import ConfigError
from ordersync.service import build_venue
from ordersync.venues.alpaca.stream import TradeUpdates
from ordersync.venues.alpaca.venue import Alpaca

if TYPE_CHECKING:
    from pathlib import Path

    from ordersync.settings import Settings


def built(folder: Path, **account: object) -> Settings:
    content: dict[str, Any] = {
        "database": {"url": "sqlite:///bot.db"},
        "orders": {
            "table": "trades",
            "id": "id",
            "venue_order_id": "order_id",
            "status": "status",
            "account": "main",
            "status_words": {"open": ["open"]},
        },
        "accounts": {"main": {"key_file": "key.json", **account}},
    }
    return settings.build(folder / "ordersync.toml", content)


@pytest.mark.parametrize("paper", [True, False])
async def test_paper_and_live_have_their_hosts(tmp_path: Path, *, paper: bool) -> None:
    made = built(tmp_path, venue="alpaca", paper=paper)
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"key_id": "PK", "secret_key": "s"}))
    key.chmod(0o600)
    venue = build_venue(made, "main", made.accounts["main"], SystemClock())
    assert isinstance(venue, Alpaca)
    host = "paper-api.alpaca.markets" if paper else "api.alpaca.markets"
    assert str(venue.base_url) == f"https://{host}"
    assert isinstance(venue.push, TradeUpdates)
    assert venue.push.url == f"wss://{host}/stream"
    await venue.close()


@pytest.mark.parametrize(
    ("urls", "rest", "stream"),
    [
        ({"rest_url": "http://127.0.0.1:8"}, "http://127.0.0.1:8", "ws://127.0.0.1:8/stream"),
        ({"ws_url": "wss://h/s"}, "https://paper-api.alpaca.markets", "wss://h/s"),
        ({"rest_url": "https://a", "ws_url": "wss://b"}, "https://a", "wss://b"),
    ],
)
async def test_other_hosts_may_be_named(
    tmp_path: Path, urls: dict[str, str], rest: str, stream: str
) -> None:
    made = built(tmp_path, venue="alpaca", paper=True, **urls)
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"access_token": "t"}))
    key.chmod(0o600)
    venue = build_venue(made, "main", made.accounts["main"], SystemClock())
    assert isinstance(venue, Alpaca)
    assert isinstance(venue.push, TradeUpdates)
    assert (venue.base_url, venue.push.url) == (rest, stream)
    await venue.close()


@pytest.mark.parametrize(
    ("account", "mend"),
    [
        ({"venue": "alpaca"}, "Write paper = true"),
        ({"venue": "coinbase", "paper": True}, "Take it out"),
        ({"venue": "coinbase", "paper": False}, "Take it out"),
    ],
)
def test_paper_is_said_where_it_means_something_and_only_there(
    tmp_path: Path, account: dict[str, object], mend: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        built(tmp_path, **account)
    assert refused.value.where == f"{tmp_path}/ordersync.toml: accounts.main.paper"
    assert mend in refused.value.mend


def test_the_environment_can_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERSYNC_ACCOUNTS__MAIN__PAPER", "true")
    assert built(tmp_path, venue="alpaca").accounts["main"].paper is True


def test_a_key_that_cannot_be_used_is_named_with_its_place(tmp_path: Path) -> None:
    made = built(tmp_path, venue="alpaca", paper=True)
    with pytest.raises(ConfigError) as refused:
        build_venue(made, "main", made.accounts["main"], SystemClock())
    assert "accounts.main.key_file" in refused.value.where
    assert "Alpaca" in refused.value.mend
