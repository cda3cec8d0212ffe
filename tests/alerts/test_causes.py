"""What a person hears of, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec

from ordersync.alerted import Alert
from ordersync.alerts.causes import FLAPS, GROWS_EVERY, Book, State
from ordersync.alerts.messages import Cause, Message, text_of, title_of
from ordersync.settings import Silence

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
REPEAT = timedelta(hours=4)
SOON = timedelta(seconds=5)


def book(*silences: Silence) -> Book:
    return Book("main", silences, repeat_after=REPEAT)


def stale(*rows: int, owner: str = "bot") -> list[Cause]:
    return [
        Cause(
            kind=Alert.ORDER_STALE,
            account="main",
            subject=f"v:{n}",
            row_id=str(n),
            owner=owner,
            symbol="BTC-USD",
        )
        for n in rows
    ]


def counts(message: Message | None) -> dict[Alert, int]:
    return {part.kind: part.count for part in message.parts} if message else {}


def test_ten_thousand_orders_that_go_stale_at_once_are_one_message() -> None:
    it = book()
    it.settle(Alert.ORDER_STALE, stale(*range(10_000)), NOON)
    message = it.compose(NOON)
    assert message is not None
    assert counts(message) == {Alert.ORDER_STALE: 10_000}
    assert title_of([message]) == "main: 10,000 orders are stale"
    text = text_of([message], "http://there")
    assert len(text.splitlines()) < 12
    assert "row 0 BTC-USD of bot http://there/#order=0" in text
    assert "and 9,995 more" in text
    for minutes in range(0, 239, 20):
        later = NOON + timedelta(minutes=minutes)
        it.settle(Alert.ORDER_STALE, stale(*range(10_000)), later)
        assert it.compose(later) is None, minutes


def test_orders_that_join_are_told_together_and_not_each() -> None:
    it = book()
    it.settle(Alert.ORDER_STALE, stale(1), NOON)
    assert counts(it.compose(NOON)) == {Alert.ORDER_STALE: 1}
    it.settle(Alert.ORDER_STALE, stale(1, 2, 3), NOON + SOON)
    assert it.compose(NOON + SOON) is None
    later = NOON + GROWS_EVERY
    it.settle(Alert.ORDER_STALE, stale(1, 2, 3), later)
    message = it.compose(later)
    assert counts(message) == {Alert.ORDER_STALE: 3}
    assert message is not None
    assert [cause.row_id for cause in message.parts[0].first] == ["2", "3"]


def test_what_lasts_is_reminded_of() -> None:
    it = book()
    it.settle(Alert.ORDER_STALE, stale(1), NOON)
    it.compose(NOON)
    it.settle(Alert.ORDER_STALE, stale(1), NOON + REPEAT)
    assert counts(it.compose(NOON + REPEAT)) == {Alert.ORDER_STALE: 1}
    assert it.compose(NOON + REPEAT + SOON) is None


def test_all_is_well_once_everything_that_was_told_is_over() -> None:
    it = book()
    silent = [Cause(kind=Alert.ACCOUNT_SILENT, account="main")]
    it.settle(Alert.ORDER_STALE, stale(1), NOON)
    it.settle(Alert.ACCOUNT_SILENT, silent, NOON)
    assert set(counts(it.compose(NOON))) == {Alert.ORDER_STALE, Alert.ACCOUNT_SILENT}
    it.settle(Alert.ORDER_STALE, [], NOON + SOON)
    assert it.compose(NOON + SOON) is None
    it.settle(Alert.ACCOUNT_SILENT, [], NOON + SOON)
    message = it.compose(NOON + SOON)
    assert counts(message) == {Alert.ALL_WELL: 1}
    assert message is not None
    assert "order stale since 12:00Z" in message.parts[0].note
    assert it.compose(NOON + 2 * SOON) is None


def test_what_was_never_told_needs_no_all_well() -> None:
    it = book()
    it.settle(Alert.ORDER_STALE, [], NOON)
    assert it.compose(NOON) is None


def test_what_comes_and_goes_is_no_storm() -> None:
    it = book()
    sent = 0
    for second in range(0, 3_600, 5):
        now = NOON + timedelta(seconds=second)
        it.settle(Alert.ORDER_STALE, stale(1) if second % 10 else [], now)
        sent += it.compose(now) is not None
    assert sent <= 2 * (3_600 / GROWS_EVERY.total_seconds() + 1)


def test_what_comes_back_after_a_while_is_told_again() -> None:
    it = book()
    for n in range(2):
        now = NOON + n * (FLAPS + timedelta(minutes=1))
        it.settle(Alert.ORDER_STALE, stale(1), now)
        assert counts(it.compose(now)) == {Alert.ORDER_STALE: 1}
        it.settle(Alert.ORDER_STALE, [], now + SOON)
        assert counts(it.compose(now + SOON)) == {Alert.ALL_WELL: 1}


def test_what_happened_is_told_once() -> None:
    it = book()
    gone = Cause(kind=Alert.ORDER_UNKNOWN, account="main", subject="7-0", row_id="1")
    it.happen(gone, NOON)
    it.happen(gone, NOON)
    assert counts(it.compose(NOON)) == {Alert.ORDER_UNKNOWN: 1}
    it.happen(gone, NOON + SOON)
    assert it.compose(NOON + SOON) is None


def test_a_restart_tells_nothing_again() -> None:
    it = book()
    gone = Cause(kind=Alert.ORDER_UNKNOWN, account="main", subject="7-0", row_id="1")
    it.settle(Alert.ORDER_STALE, stale(1, 2), NOON)
    it.happen(gone, NOON)
    assert it.compose(NOON) is not None
    again = book()
    again.state = msgspec.json.decode(msgspec.json.encode(it.state), type=State)
    again.settle(Alert.ORDER_STALE, stale(1, 2), NOON + SOON)
    again.happen(gone, NOON + SOON)
    assert again.compose(NOON + SOON) is None
    again.settle(Alert.ORDER_STALE, [], NOON + 2 * SOON)
    assert counts(again.compose(NOON + 2 * SOON)) == {Alert.ALL_WELL: 1}


def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    it = book()
    it.settle(Alert.ORDER_STALE, stale(1), NOON)
    it.compose(NOON)
    before = NOON - timedelta(hours=5)
    it.settle(Alert.ORDER_STALE, stale(1, 2), before)
    assert it.compose(before) is None


def test_a_rule_silences_what_fits_all_of_it_and_nothing_else() -> None:
    rule = Silence(kinds=(Alert.ORDER_STALE,), owners=("quiet",), until=NOON + timedelta(hours=1))
    it = book(rule)
    it.settle(Alert.ORDER_STALE, stale(1, owner="quiet"), NOON)
    assert it.compose(NOON) is None
    it.settle(Alert.ORDER_STALE, stale(1, owner="quiet") + stale(2), NOON)
    assert counts(it.compose(NOON)) == {Alert.ORDER_STALE: 1}
    later = NOON + timedelta(hours=2)
    it.settle(Alert.ORDER_STALE, stale(1, owner="quiet") + stale(2), later)
    assert counts(it.compose(later)) == {Alert.ORDER_STALE: 2}
