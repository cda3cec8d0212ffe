"""The contract of OrderStore: which word is written into a row, and which is left."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ordersync.ports import Absent, Meaning, OrderName, Overlay, Result
from ordersync.truth.evidence import Case, Tally
from ordersync.truth.model import FINAL_PRECEDENCE, Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    TRADES,
    WORDS,
    Kind,
    Table,
    again,
    ingest_one,
    mapped,
    open_rows,
    read,
    said,
    step,
)
from tests.contracts.test_group_commit import ingest_on, parcel

if TYPE_CHECKING:
    from datetime import datetime

    from ordersync.ports import Outcome
    from tests.contracts.bench import Opened, Row
    from tests.contracts.conftest import Open

PENDING: Row = {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"}
BARE = {"open": ["open"], "closed": ["final"]}
"""Words that name groups only."""


def absent(
    overlay: Overlay | None, at: datetime = NOON, endpoint: str = "batch", count: int = 1
) -> Absent:
    """A case of absence as it is persisted."""
    case = Case(opened_at=NOON, tallies={endpoint: Tally(count, NOON, at)})
    return Absent(case=case, overlay=overlay, since=at if overlay else None, asked_at=at)


async def miss(it: Opened, overlay: Overlay | None, *, name: OrderName | None = None) -> Outcome:
    """Advance an order with a case of absence and what it leads to."""
    (known,) = await it.store.read(ACCOUNT, [name or OrderName("v1", None)])
    found = absent(overlay, it.clock.now())
    now = it.clock.now()
    (outcome,) = await it.store.advance(
        ACCOUNT, [step(known, known.truth, absent=found, asked_at=now)]
    )
    return outcome


# --- words that are left ----------------------------------------------------------------------


@pytest.mark.parametrize("word", ["PENDING", "pending ", "", "ärger", None, "final", "open"])
async def test_a_word_outside_the_mapping_is_never_overwritten(
    opened: Open, word: str | None
) -> None:
    it = await opened({**PENDING, "status": word})
    outcome = await ingest_one(it.store, said("v1", Status.FILLED, "1"))
    assert (outcome.result, outcome.rows_written) == (Result.WON, 0)
    assert it.row() == {**dict.fromkeys(TRADES.columns), **PENDING, "status": word}
    (known,) = await read(it.store, said("v1"))
    assert known.claims[0].meaning is Meaning.UNMAPPED
    await again(it.store, said("v1", Status.FILLED, "1"))


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("active", Status.NEW),
        ("pending", Status.PARTIALLY_FILLED),
        ("active", Status.PENDING_CANCEL),
        ("cancelled", Status.CANCELED),
        ("failed", Status.CANCELED),
        ("failed", Status.EXPIRED),
    ],
)
async def test_a_word_that_is_true_is_left_as_the_bot_spelled_it(
    opened: Open, word: str, status: Status
) -> None:
    it = await opened({**PENDING, "status": word})
    await ingest_one(it.store, said("v1", status))
    assert it.row()["status"] == word
    await again(it.store, said("v1", status))


async def test_of_several_words_the_first_in_the_file_is_written(opened: Open) -> None:
    it = await opened({**PENDING, "status": "completed"})
    await ingest_one(it.store, said("v1", Status.CANCELED))
    assert it.row()["status"] == "failed"


@pytest.mark.parametrize("word", ["canceling", "replacing"])
async def test_the_bots_intention_is_left_while_the_order_lives_and_not_after(
    opened: Open, word: str
) -> None:
    words = {**WORDS, "canceling": ["pending_cancel"], "replacing": ["pending_replace"]}
    it = await opened({**PENDING, "status": word}, orders=mapped(status_words=words))
    await ingest_one(it.store, said("v1", Status.NEW, "1"))
    assert it.row()["status"] == word
    await ingest_one(it.store, said("v1", Status.CANCELED, "0"))
    assert it.row()["status"] == "completed"


async def test_fills_are_written_beside_an_intention_that_is_true(opened: Open) -> None:
    words = {**WORDS, "canceling": ["pending_cancel"]}
    it = await opened({**PENDING, "status": "canceling"}, orders=mapped(status_words=words))
    await ingest_one(it.store, said("v1", Status.PENDING_CANCEL, "1"))
    assert (it.row()["status"], it.row()["filled_size"]) == ("canceling", 1.0)


async def test_an_open_truth_overwrites_a_final_word_only_after_a_later_ask(opened: Open) -> None:
    it = await opened({**PENDING, "status": "failed"})
    still_open = said("v1", Status.NEW, "0")
    before = it.clock.now()
    it.clock.forward(1)
    await ingest_one(it.store, still_open, asked_at=before)
    assert it.row()["status"] == "failed"

    asked_at = it.clock.now()
    await ingest_one(it.store, still_open, asked_at=asked_at)
    assert it.row()["status"] == "pending"


async def test_a_final_truth_overwrites_a_final_word_whenever_it_was_asked(opened: Open) -> None:
    it = await opened({**PENDING, "status": "failed"})
    await ingest_one(it.store, said("v1"), asked_at=NOON - timedelta(days=1))
    assert it.row()["status"] == "completed"


# --- words for an end with fills --------------------------------------------------------------

ENDS = [s for s in FINAL_PRECEDENCE if s is not Status.FILLED]


@pytest.mark.parametrize("status", ENDS)
async def test_one_word_for_canceled_with_fills_stands_for_every_end_with_fills(
    opened: Open, status: Status
) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", status, "0.1"))
    assert it.row()["status"] == "completed"
    await again(it.store, said("v1", status, "0.1"))


async def test_an_end_with_fills_of_its_own_word_is_written_with_it(opened: Open) -> None:
    words = {**WORDS, "part": ["expired+fills"]}
    it = await opened(PENDING, orders=mapped(status_words=words))
    await ingest_one(it.store, said("v1", Status.EXPIRED, "0.1"))
    assert it.row()["status"] == "part"


async def test_without_a_word_for_fills_the_plain_word_is_written(opened: Open) -> None:
    words = {"pending": ["open"], "done": ["filled"], "failed": ["final"]}
    it = await opened(PENDING, orders=mapped(status_words=words))
    await ingest_one(it.store, said("v1", Status.CANCELED, "0.1"))
    assert it.row()["status"] == "failed"


async def test_groups_alone_are_enough(opened: Open) -> None:
    it = await opened({**PENDING, "status": "open"}, orders=mapped(status_words=BARE))
    await ingest_one(it.store, said("v1", Status.NEW, "1"))
    assert it.row()["status"] == "open"
    await ingest_one(it.store, said("v1", Status.FILLED, "2"))
    assert it.row()["status"] == "closed"


async def test_words_with_quotes_and_other_letters_are_read_and_written(opened: Open) -> None:
    words = {'it\'s "open"': ["open"], "fertig ✔": ["final"], "x; DROP TABLE trades": ["filled"]}
    it = await opened({**PENDING, "status": 'it\'s "open"'}, orders=mapped(status_words=words))
    assert len(await open_rows(it.store)) == 1
    await ingest_one(it.store, said("v1", Status.NEW, "1"))
    await ingest_one(it.store, said("v1", Status.FILLED, "2"))
    assert it.row()["status"] == "x; DROP TABLE trades"
    await ingest_one(it.store, said("v2", Status.CANCELED))
    it.bench.insert({"id": 2, "order_id": "v2", "status": 'it\'s "open"'})
    await ingest_one(it.store, said("v2", Status.CANCELED))
    assert it.row(2)["status"] == "fertig ✔"


# --- absence ----------------------------------------------------------------------------------


async def test_a_suspect_order_is_told_once_and_its_row_is_left(opened: Open) -> None:
    it = await opened(PENDING)
    await miss(it, Overlay.SUSPECT)
    it.clock.forward(60)
    await miss(it, Overlay.SUSPECT)
    assert it.row() == {**dict.fromkeys(TRADES.columns), **PENDING}
    assert it.kinds() == ["suspect"]


async def test_an_open_case_without_a_verdict_is_kept_and_no_event(opened: Open) -> None:
    it = await opened(PENDING)
    await miss(it, None)
    (known,) = await read(it.store, said("v1"))
    assert known.absent == absent(None)
    assert it.kinds() == []


async def test_an_unknown_order_gets_its_word(opened: Open) -> None:
    it = await opened(PENDING)
    await miss(it, Overlay.SUSPECT)
    outcome = await miss(it, Overlay.UNKNOWN)
    assert outcome.rows_written == 1
    assert it.row()["status"] == "unknown"
    assert it.kinds() == ["suspect", "unknown"]
    (claim,) = await open_rows(it.store)
    assert claim.meaning is Meaning.UNKNOWN


@pytest.mark.parametrize("how", ["no word", "check", "length"])
async def test_where_the_row_cannot_say_unknown_it_is_left_and_the_event_tells(
    opened: Open, how: str
) -> None:
    words = {k: v for k, v in WORDS.items() if k != "unknown"}
    table = TRADES
    if how == "check":
        words = WORDS
        rule = "status IN ('pending', 'completed', 'failed', 'active', 'cancelled')"
        table = Table(columns=TRADES.columns, checks=(rule,))
    elif how == "length":
        words = {**words, "nobody knows": ["unknown"]}
        table = TRADES.but(status=Kind.SHORT_TEXT)
    it = await opened(PENDING, table=table, orders=mapped(status_words=words))
    outcome = await miss(it, Overlay.UNKNOWN)
    assert (outcome.result, outcome.rows_written) == (Result.WON, 0)
    assert it.row()["status"] == "pending"
    assert it.kinds() == ["unknown"]


async def test_absence_never_changes_a_final_word_and_is_told_as_a_missing_order(
    opened: Open,
) -> None:
    it = await opened({**PENDING, "status": "completed"})
    await miss(it, Overlay.UNKNOWN)
    assert it.row()["status"] == "completed"
    assert it.kinds() == ["missing_order"]


@pytest.mark.parametrize("overlay", [None, Overlay.SUSPECT, Overlay.UNKNOWN])
async def test_an_answer_without_the_order_does_not_reopen_a_final_word(
    opened: Open, overlay: Overlay | None
) -> None:
    """The truth is open, as it was last seen; the ask that just came back did not show it."""
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, "0"))
    it.bench.write(1, status="failed")
    it.clock.forward(60)
    await miss(it, overlay)
    assert it.row()["status"] == "failed"


async def test_absence_does_not_touch_what_is_known_to_be_final(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.FILLED, "1"))
    await miss(it, Overlay.UNKNOWN)
    assert it.row()["status"] == "completed"


async def test_a_sighting_closes_the_case_and_is_told_as_resolved(opened: Open) -> None:
    it = await opened(PENDING)
    await miss(it, Overlay.UNKNOWN)
    await ingest_one(it.store, said("v1", Status.FILLED, "1"))
    assert it.row()["status"] == "completed"
    assert it.kinds() == ["unknown", "resolved", "changed"]
    (known,) = await read(it.store, said("v1"))
    assert known.absent is None


async def test_a_case_without_verdict_is_closed_silently(opened: Open) -> None:
    it = await opened(PENDING)
    await miss(it, None)
    await ingest_one(it.store, said("v1", Status.NEW))
    (known,) = await read(it.store, said("v1"))
    assert known.absent is None
    assert it.kinds() == ["changed"]


async def test_a_sighting_of_an_order_known_as_new_resolves_without_a_change(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW))
    await miss(it, Overlay.SUSPECT)
    await ingest_one(it.store, said("v1", Status.NEW))
    assert it.kinds() == ["changed", "suspect", "resolved"]
    await again(it.store, said("v1", Status.NEW))


@pytest.mark.parametrize("by", ["names", "claims"])
async def test_a_case_under_the_client_id_is_found_and_closed_once_the_venue_id_is_known(
    opened: Open, by: str
) -> None:
    it = await opened({**PENDING, "order_id": None})
    await miss(it, Overlay.SUSPECT, name=OrderName(None, "c1"))
    assert it.kinds("c:c1") == ["suspect"]
    it.bench.write(1, order_id="v1")

    if by == "names":
        (known,) = await it.store.read(ACCOUNT, [OrderName("v1", "c1")])
    else:
        (known,) = await it.store.read_claims(ACCOUNT, await open_rows(it.store))
    assert known.absent is not None
    report = said("v1", Status.NEW, client_order_id="c1")
    await ingest_one(it.store, report)
    (known,) = await it.store.read(ACCOUNT, [OrderName(None, "c1")])
    assert known.absent is None


async def test_a_verdict_does_not_fall_on_what_another_has_just_sighted(opened: Open) -> None:
    one = await opened(PENDING)
    two = await opened(table=None)
    (known,) = await read(one.store, said("v1"))
    await ingest_one(two.store, said("v1", Status.NEW))
    (outcome,) = await one.store.advance(
        ACCOUNT, [step(known, None, absent=absent(Overlay.UNKNOWN))]
    )
    assert outcome.result is Result.LOST
    assert one.row()["status"] == "pending"
    (now,) = await read(one.store, said("v1"))
    assert now.absent is None


# --- several rows, one order ------------------------------------------------------------------


async def test_two_rows_with_one_venue_id_get_the_status_not_the_quantities_and_are_told_once(
    opened: Open,
) -> None:
    rows = [{**PENDING, "id": n, "status": word} for n, word in ((1, "pending"), (2, "failed"))]
    it = await opened(*rows, table=Table(columns=TRADES.columns))
    report = said("v1", Status.FILLED, "2", avg_price="3", last_fill_at=NOON)
    outcome = await ingest_one(it.store, report)
    assert outcome.rows_written == 2
    for key in (1, 2):
        row = it.row(key)
        cells = (row["status"], row["filled_size"], row["avg_price"], row["filled_at"])
        assert cells == ("completed", None, None, None)
    assert sorted(it.kinds()) == ["changed", "changed", "duplicate_rows"]
    await again(it.store, report)
    await ingest_one(it.store, said("v1", Status.FILLED, "2", fee="1"))
    assert it.kinds().count("duplicate_rows") == 1


async def test_a_second_row_that_appears_later_is_told_too(opened: Open) -> None:
    it = await opened(PENDING, table=Table(columns=TRADES.columns))
    await ingest_one(it.store, said("v1", Status.NEW))
    it.bench.insert({**PENDING, "id": 2, "status": "completed"})
    await ingest_one(it.store, said("v1", Status.NEW))
    assert it.row(2)["status"] == "pending"
    assert "duplicate_rows" in it.kinds()


async def test_a_row_found_by_its_client_id_gets_its_venue_id(opened: Open) -> None:
    for empty in (None, ""):
        it = await opened({**PENDING, "order_id": empty}, table=TRADES)
        report = said("v1", Status.NEW, "1", client_order_id="c1")
        outcome = await ingest_one(it.store, report)
        assert outcome.rows_written == 1
        assert (it.row()["order_id"], it.row()["filled_size"]) == ("v1", 1.0)
        await again(it.store, report)
        it.bench.drop_all()


async def test_an_order_from_long_before_a_row_writes_nothing_into_it(opened: Open) -> None:
    """Its client id was given again: heard for the first time, said again, and read."""
    row = {**PENDING, "order_id": None, "created_at": "2026-03-01 12:00:00"}
    it = await opened(row)
    earlier = NOON - timedelta(hours=3)
    report = said("v1", Status.FILLED, "1", client_order_id="c1", created_at=earlier)
    for _ in range(2):
        (outcome,) = (await ingest_on(it).take(parcel(report))).outcomes
        assert outcome.rows_written == 0
        assert (it.row()["order_id"], it.row()["status"]) == (None, "pending")
    (known,) = await it.store.read(ACCOUNT, [OrderName("v1", "c1")])
    assert known.truth is not None
    assert known.claims == ()
    own = said("v2", Status.NEW, client_order_id="c1", created_at=NOON)
    await ingest_on(it).take(parcel(own))
    assert it.row()["order_id"] == "v2"


async def test_a_row_of_another_order_is_not_found_by_its_client_id(opened: Open) -> None:
    it = await opened({**PENDING, "order_id": "v7"})
    outcome = await ingest_one(it.store, said("v1", client_order_id="c1"))
    assert outcome.rows_written == 0
    assert it.row()["order_id"] == "v7"


async def test_a_row_whose_id_the_bot_changed_is_a_new_row(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW))
    it.bench.write(1, order_id="v2")
    await ingest_one(it.store, said("v1", Status.FILLED))
    assert it.row()["status"] == "pending"
    await ingest_one(it.store, said("v2", Status.CANCELED))
    assert it.row()["status"] == "failed"


async def test_a_row_with_another_key_is_repaired_and_linked(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.FILLED))
    it.bench.delete(1)
    it.bench.insert({**PENDING, "id": 9})
    await ingest_one(it.store, said("v1", Status.FILLED))
    assert it.row(9)["status"] == "completed"
    assert it.bench.ours().truths == [("v:v1", 1, "9")]


# --- a row that somebody keeps undoing --------------------------------------------------------


async def undo(it: Opened, report: Any) -> Outcome:  # noqa: ANN401
    it.bench.write(1, status="pending")
    return await ingest_one(it.store, report, clock=it.clock)


async def test_a_row_undone_three_times_in_an_hour_is_contested_told_once_and_backed_off(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    report = said("v1", Status.FILLED, "1")
    await ingest_one(it.store, report)
    for _ in range(2):
        it.clock.forward(60)
        assert (await undo(it, report)).result is Result.WON
    assert it.kinds() == ["changed", "repaired", "repaired"]

    it.clock.forward(60)
    third = await undo(it, report)
    assert it.row()["status"] == "completed"
    assert sorted(e.kind.value for e in third.events) == ["contested", "repaired"]
    watch = it.bench.watch()

    it.clock.forward(60)
    it.bench.write(1, status="pending")
    watch.was_written()
    for _ in range(4):
        it.clock.forward(59)
        fourth = await ingest_one(it.store, report, clock=it.clock)
        assert (fourth.result, fourth.rows_written) == (Result.UNWRITABLE, 0)
    assert it.row()["status"] == "pending"
    assert not watch.was_written()

    it.clock.forward(10)
    assert (await ingest_one(it.store, report, clock=it.clock)).rows_written == 1
    assert it.row()["status"] == "completed"
    assert it.kinds().count("contested") == 1


async def test_what_a_venue_newly_says_is_written_into_a_contested_row(opened: Open) -> None:
    it = await opened(PENDING)
    for _ in range(6):
        await undo(it, said("v1", Status.CANCELED, "0"))
    assert it.row()["status"] == "pending"
    await ingest_one(it.store, said("v1", Status.FILLED, "1"))
    assert it.row()["status"] == "completed"


async def test_a_row_undone_now_and_then_is_not_contested(opened: Open) -> None:
    it = await opened(PENDING)
    report = said("v1", Status.FILLED, "1")
    await ingest_one(it.store, report)
    for _ in range(6):
        it.clock.forward(timedelta(minutes=31))
        await undo(it, report)
        assert it.row()["status"] == "completed"
    assert "contested" not in it.kinds()


async def test_a_new_fight_a_day_later_is_told_again(opened: Open) -> None:
    it = await opened(PENDING)
    report = said("v1", Status.FILLED, "1")
    await ingest_one(it.store, report)
    for _ in range(2):
        for _ in range(4):
            it.clock.forward(1)
            await undo(it, report)
        it.clock.forward(timedelta(days=1))
    assert it.kinds().count("contested") == 2


async def test_a_row_that_the_database_refuses_is_not_called_contested(opened: Open) -> None:
    it = await opened(PENDING)
    it.bench.refuse("completed", key=1, loudly=True)
    for _ in range(6):
        it.clock.forward(1)
        await ingest_one(it.store, said("v1", Status.FILLED, "1"), clock=it.clock)
    assert it.kinds() == ["changed", "unwritable"]
