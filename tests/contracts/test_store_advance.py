"""The contract of OrderStore: one transaction, compare-and-set, nothing written twice."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from ordersync.ports import AccountRecord, Note, OrderName, Result
from ordersync.truth.merge import merge
from ordersync.truth.model import EventEvidence, EventKind, Status
from tests.contracts.bench import (
    ACCOUNT,
    NOON,
    TRADES,
    WORDS,
    Table,
    again,
    ingest,
    ingest_one,
    mapped,
    open_rows,
    read,
    said,
    step,
)

if TYPE_CHECKING:
    from tests.contracts.bench import Bench, Row
    from tests.contracts.conftest import Open

PENDING: Row = {"id": 1, "order_id": "v1", "client_id": "c1", "status": "pending"}
FILLED = said("v1", Status.FILLED, "2", avg_price="10.5", fee="0.1", last_fill_at=NOON)


def pending(count: int) -> list[Row]:
    return [{"id": n, "order_id": f"v{n}", "status": "pending"} for n in range(1, count + 1)]


# --- one transaction --------------------------------------------------------------------------


async def test_row_truth_and_event_are_written_together(opened: Open) -> None:
    it = await opened(PENDING)

    outcome = await ingest_one(it.store, FILLED)

    assert outcome.result is Result.WON
    assert outcome.rows_written == 1
    row = it.row()
    assert (row["status"], row["filled_size"], row["avg_price"], row["fee"]) == (
        "completed",
        2.0,
        10.5,
        0.1,
    )
    assert it.bench.ours().truths == [("v:v1", 1, "1")]
    assert it.bench.ours().events == [("v:v1", "changed")]


async def test_the_event_tells_row_and_truth_before_and_after(opened: Open) -> None:
    it = await opened({**PENDING, "bot": "grid", "product_id": "BTC-USD"})
    await ingest_one(it.store, said("v1", Status.NEW, "0.5", client_order_id="c1"))
    it.clock.forward(1.5)

    (event,) = (await ingest_one(it.store, FILLED)).events

    assert event.kind is EventKind.CHANGED
    assert event.order.row_id == "1"
    assert (event.order.owner, event.order.symbol) == ("grid", "BTC-USD")
    assert (event.before.word, event.before.status) == ("pending", "partially_filled")
    assert (event.after.word, event.after.status) == ("completed", "filled")
    assert (event.before.filled_qty, event.after.filled_qty) == ("0.5", "2")
    assert event.latency_ms == 1500


async def test_how_late_the_end_of_a_canceled_order_was_does_not_count_from_its_last_fill(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, "0.5", last_fill_at=NOON))
    canceled_at = it.clock.forward(600)
    it.clock.forward(1.5)
    report = said("v1", Status.CANCELED, "0.5", at=it.clock.now(), changed_at=canceled_at)

    (event,) = (await ingest_one(it.store, report)).events

    assert (event.before.word, event.after.word) == ("pending", "completed")
    assert event.latency_ms == 1500


async def test_the_events_of_one_commit_share_its_number(opened: Open) -> None:
    it = await opened(*pending(3))
    first = await ingest(it.store, *(said(f"v{n}") for n in (1, 2)))
    second = await ingest(it.store, said("v3"))
    assert [e.id for o in first for e in o.events] == ["1-0", "1-1"]
    assert [e.id for o in second for e in o.events] == ["2-0"]


async def test_an_order_without_a_row_is_kept_and_written_when_its_row_appears(
    opened: Open,
) -> None:
    it = await opened()
    kept = await ingest_one(it.store, FILLED)
    assert (kept.result, kept.rows_written) == (Result.WON, 0)
    assert it.kinds() == ["changed"]

    it.bench.insert(PENDING)
    found = await ingest_one(it.store, FILLED)

    assert (found.result, found.rows_written) == (Result.WON, 1)
    assert it.row()["status"] == "completed"
    assert it.kinds() == ["changed", "repaired"]
    await again(it.store, FILLED)


async def test_a_row_that_appears_already_true_is_linked_and_nothing_else(opened: Open) -> None:
    it = await opened()
    await ingest_one(it.store, said("v1", Status.NEW))
    it.bench.insert(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW))
    assert it.bench.ours().truths == [("v:v1", 1, "1")]
    assert it.kinds() == ["changed"]
    assert await it.store.list_due(ACCOUNT, NOON) == [OrderName("v1", None)]


async def test_a_shadow_keeps_truth_and_events_and_leaves_the_rows(opened: Open) -> None:
    it = await opened(PENDING, writes_rows=False)
    outcome = await ingest_one(it.store, FILLED)
    assert (outcome.result, outcome.rows_written) == (Result.WON, 0)
    assert it.row()["status"] == "pending"
    assert it.kinds() == ["changed"]


# --- nothing twice ----------------------------------------------------------------------------


async def test_what_is_true_already_is_not_written_at_all(opened: Open) -> None:
    it = await opened(PENDING, orders=mapped(updated_at="updated_at"))
    await ingest_one(it.store, FILLED)
    watch = it.bench.watch()

    it.clock.forward(60)
    await again(it.store, FILLED)

    assert not watch.was_written()


async def test_reading_writes_nothing(opened: Open) -> None:
    it = await opened(*pending(3))
    await ingest_one(it.store, said("v1", Status.NEW))
    watch = it.bench.watch()
    claims = await open_rows(it.store)
    await it.store.read_claims(ACCOUNT, claims)
    await it.store.list_finished(ACCOUNT, NOON)
    await it.store.list_due(ACCOUNT, NOON)
    await it.store.list_witnesses(ACCOUNT, 5)
    await it.store.get_account(ACCOUNT)
    await it.store.findings()
    (known,) = await read(it.store, FILLED)
    await it.store.preview(ACCOUNT, [step(known, merge(known.truth, FILLED))])
    assert not watch.was_written()


async def test_a_preview_tells_what_advance_would_write(opened: Open) -> None:
    it = await opened(PENDING, orders=mapped(updated_at="updated_at"))
    (known,) = await read(it.store, FILLED)
    (changes,) = await it.store.preview(ACCOUNT, [step(known, merge(None, FILLED))])
    assert {c.column: (c.stored, c.true) for c in changes} == {
        "status": ("pending", "completed"),
        "filled_size": (None, 2.0),
        "avg_price": (None, 10.5),
        "fee": (None, 0.1),
        "filled_at": (None, "2026-03-01 12:00:00.000000"),
    }


async def test_the_revision_moves_when_another_writes_and_not_when_we_do(opened: Open) -> None:
    it = await opened(PENDING)
    first = await it.store.revision()
    if first is None:
        pytest.skip("this make of database cannot tell: rows are looked for")
    await ingest_one(it.store, FILLED)
    assert await it.store.revision() == first
    it.bench.write(1, note="x")
    second = await it.store.revision()
    assert second != first
    assert await it.store.revision() == second


# --- compare-and-set --------------------------------------------------------------------------


async def test_a_row_that_the_bot_changed_after_it_was_read_is_lost_and_its_truth_commits(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    (known,) = await read(it.store, FILLED)
    it.bench.write(1, status="failed")

    (outcome,) = await it.store.advance(ACCOUNT, [step(known, merge(None, FILLED))])

    assert outcome.result is Result.LOST
    assert [claim.word for claim in outcome.claims] == ["failed"]
    assert it.row()["status"] == "failed"
    assert it.row()["filled_size"] is None
    assert it.bench.ours().truths == [("v:v1", 1, "1")]
    assert it.kinds() == ["changed"]


async def test_the_loser_reads_again_and_wins(opened: Open) -> None:
    it = await opened(PENDING)
    (known,) = await read(it.store, FILLED)
    it.bench.write(1, status="active")
    await it.store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    outcome = await ingest_one(it.store, FILLED)
    assert outcome.result is Result.WON
    assert it.row()["status"] == "completed"


async def test_a_lost_row_comes_back_as_read_now_so_that_no_earlier_answer_undoes_it(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    still_open = said("v1", Status.PARTIALLY_FILLED, "1")
    (known,) = await read(it.store, still_open)
    asked_at = it.clock.forward(1)
    it.clock.forward(1)
    it.bench.write(1, status="failed")  # the bot has learned of an end in the meantime
    it.clock.forward(1)
    first = step(known, merge(None, still_open), asked_at=asked_at)
    (lost,) = await it.store.advance(ACCOUNT, [first])
    assert lost.result is Result.LOST

    (reread,) = await it.store.read_claims(ACCOUNT, lost.claims)
    await it.store.advance(ACCOUNT, [step(reread, reread.truth, asked_at=asked_at)])

    assert it.row()["status"] == "failed"


@pytest.mark.parametrize(
    "change",
    [{"order_id": "v9"}, {"client_id": "c9"}, {"status": "active"}, {"filled_at": "2026-01-01"}],
    ids=lambda change: next(iter(change)),
)
async def test_ids_status_and_exact_cells_are_guarded(opened: Open, change: Row) -> None:
    it = await opened(PENDING)
    (known,) = await read(it.store, FILLED)
    it.bench.write(1, **change)
    before = it.row()
    (outcome,) = await it.store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    assert outcome.result is Result.LOST
    assert it.row() == before


@pytest.mark.parametrize(
    "change",
    [{"updated_at": "2026-01-01 00:00:00"}, {"note": "mine"}, {"fee": 9.0}],
    ids=lambda change: next(iter(change)),
)
async def test_cells_that_are_no_guard_do_not_make_a_row_lost(opened: Open, change: Row) -> None:
    it = await opened(PENDING, orders=mapped(updated_at="updated_at"))
    (known,) = await read(it.store, FILLED)
    it.bench.write(1, **change)
    (outcome,) = await it.store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    assert outcome.result is Result.WON
    assert it.row()["note"] == change.get("note")


async def test_of_two_advances_from_one_version_the_second_loses_and_writes_nothing(
    opened: Open,
) -> None:
    one = await opened(PENDING)
    two = await opened(table=None)
    half, whole = said("v1", Status.NEW, "0.5"), FILLED
    (first,) = await read(one.store, half)
    (second,) = await read(two.store, whole)
    (won,) = await one.store.advance(ACCOUNT, [step(first, merge(None, half))])
    (lost,) = await two.store.advance(ACCOUNT, [step(second, merge(None, whole))])

    assert (won.result, lost.result) == (Result.WON, Result.LOST)
    assert lost.events == ()
    assert one.bench.ours().truths == [("v:v1", 1, "1")]
    assert one.kinds() == ["changed"]
    assert one.row()["status"] == "pending"
    assert one.row()["filled_size"] == 0.5


async def test_a_truth_that_moved_on_is_no_ground_to_write_a_row(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, said("v1", Status.NEW, "0"))
    it.bench.write(1, status="failed")
    it.clock.forward(1)
    (stale,) = await read(it.store, FILLED)
    await ingest_one(it.store, FILLED, clock=it.clock)
    it.bench.write(1, status="failed", filled_at=None)

    asked_at = it.clock.forward(1)
    (outcome,) = await it.store.advance(ACCOUNT, [step(stale, stale.truth, asked_at=asked_at)])

    assert outcome.result is Result.LOST
    assert it.row()["status"] == "failed"


async def test_two_steps_of_one_order_in_one_batch_do_not_both_win(opened: Open) -> None:
    it = await opened(PENDING)
    (known,) = await read(it.store, FILLED)
    half = said("v1", Status.NEW, "0.5")
    outcomes = await it.store.advance(
        ACCOUNT, [step(known, merge(None, half)), step(known, merge(None, FILLED))]
    )
    assert [o.result for o in outcomes] == [Result.WON, Result.LOST]
    (now,) = await read(it.store, FILLED)
    assert now.version == 1
    assert now.truth is not None
    assert now.truth.filled_qty == Decimal("0.5")
    assert it.row()["status"] == "pending"


async def test_a_row_that_two_orders_claim_goes_to_one_of_them(opened: Open) -> None:
    it = await opened({"id": 1, "client_id": "c1", "status": "pending"})
    reports = [said("v1", client_order_id="c1"), said("v2", client_order_id="c1")]
    outcomes = await ingest(it.store, *reports)
    assert [o.result for o in outcomes] == [Result.WON, Result.LOST]
    assert it.row()["order_id"] == "v1"


async def test_a_deleted_row_is_lost_and_its_truth_kept(opened: Open) -> None:
    it = await opened(PENDING)
    (known,) = await read(it.store, FILLED)
    it.bench.delete(1)
    (outcome,) = await it.store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    assert (outcome.result, outcome.claims) == (Result.LOST, ())
    assert it.bench.rows() == []
    assert it.bench.ours().truths == [("v:v1", 1, "1")]


async def test_a_row_that_left_the_condition_is_lost_and_not_called_unwritable(
    opened: Open,
) -> None:
    it = await opened({**PENDING, "is_paper": 0}, orders=mapped(where="is_paper = 0"))
    (known,) = await read(it.store, FILLED)
    it.bench.write(1, is_paper=1)
    (outcome,) = await it.store.advance(ACCOUNT, [step(known, merge(None, FILLED))])
    assert (outcome.result, outcome.claims) == (Result.LOST, ())
    assert it.row()["status"] == "pending"
    assert it.kinds() == ["changed"]


# --- what the database refuses ----------------------------------------------------------------


@pytest.mark.parametrize("way", ["check", "loud trigger", "mute trigger"])
async def test_a_row_that_the_database_refuses_is_told_once_and_the_rest_is_written(
    opened: Open, bench: Bench, way: str
) -> None:
    words = {**WORDS, "done": ["filled"], "completed": ["canceled+fills"]}
    if way == "check":
        rule = "id <> 2 OR status <> 'done'"
        it = await opened(
            *pending(5),
            table=Table(columns=TRADES.columns, checks=(rule,)),
            orders=mapped(status_words=words),
        )
    else:
        it = await opened(*pending(5), orders=mapped(status_words=words))
        bench.refuse("done", loudly=way == "loud trigger", key=2)
    reports = [said(f"v{n}", Status.FILLED, "1") for n in range(1, 6)]

    outcomes = await ingest(it.store, *reports)

    won = [Result.WON, Result.UNWRITABLE, Result.WON, Result.WON, Result.WON]
    assert [o.result for o in outcomes] == won
    assert outcomes[1].why
    assert [row["status"] for row in bench.rows()] == ["done", "pending", *["done"] * 3]
    assert it.kinds("v:v2") == ["changed", "unwritable"]
    assert it.kinds("v:v1") == ["changed"]
    watch = bench.watch()
    for _ in range(5):
        it.clock.forward(60)
        (second,) = await ingest(it.store, reports[1], clock=it.clock)
        assert second.result is Result.UNWRITABLE
    assert it.kinds("v:v2") == ["changed", "unwritable"]
    assert not watch.was_written()


async def test_a_refused_row_is_tried_again_when_something_of_it_has_changed(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(1))
    bench.refuse("completed", loudly=True, key=1)
    report = said("v1", Status.FILLED, "1")
    await ingest(it.store, report)
    # The bot wrote the row anew: another one now, tried again, and refused again.
    bench.write(1, status="active")
    await ingest(it.store, report, clock=it.clock)
    assert it.kinds("v:v1") == ["changed", "unwritable", "unwritable"]


@pytest.mark.parametrize("loudly", [True, False])
async def test_a_refused_row_is_tried_again_after_a_while_and_told_no_second_time(
    opened: Open, bench: Bench, *, loudly: bool
) -> None:
    """Somebody may have mended trigger or policy: nothing of the row itself changes by that."""
    it = await opened(*pending(1))
    bench.refuse("completed", loudly=loudly, key=1)
    report = said("v1", Status.FILLED, "1")
    await ingest(it.store, report)
    it.clock.forward(660)
    (again,) = await ingest(it.store, report, clock=it.clock)
    assert again.result is Result.UNWRITABLE
    assert it.kinds("v:v1") == ["changed", "unwritable"]
    bench.allow("completed", key=1)
    it.clock.forward(60)
    (early,) = await ingest(it.store, report, clock=it.clock)
    assert early.result is Result.UNWRITABLE, "asked anew since it was refused a minute ago"
    it.clock.forward(660)
    (late,) = await ingest(it.store, report, clock=it.clock)
    assert late.result is Result.WON
    assert bench.rows()[0]["status"] == "completed"


async def test_a_trigger_that_rolls_all_back_stops_only_its_own_row(
    opened: Open, bench: Bench
) -> None:
    it = await opened(*pending(4))
    bench.refuse("completed", loudly=True, key=3, rolls_back=True)
    outcomes = await ingest(it.store, *(said(f"v{n}") for n in range(1, 5)))
    assert [o.result.value for o in outcomes] == ["won", "won", "unwritable", "won"]
    assert [row["status"] for row in bench.rows()] == [
        "completed",
        "completed",
        "pending",
        "completed",
    ]
    assert Counter(bench.ours().events) == Counter(
        [*((f"v:v{n}", "changed") for n in range(1, 5)), ("v:v3", "unwritable")]
    )


async def test_many_refused_rows_in_a_batch_leave_the_others(opened: Open, bench: Bench) -> None:
    it = await opened(*pending(300))
    for key in (1, 2, 150, 151, 300):
        bench.refuse("completed", loudly=True, key=key)
    outcomes = await ingest(it.store, *(said(f"v{n}") for n in range(1, 301)))
    counts = Counter(o.result for o in outcomes)
    assert counts == {Result.WON: 295, Result.UNWRITABLE: 5}
    assert sum(row["status"] == "completed" for row in bench.rows()) == 295


async def test_ten_thousand_mixed_steps_are_one_commit(opened: Open) -> None:
    count = 10_000
    it = await opened(*pending(count))
    reports = [
        said(f"v{n}", (Status.FILLED, Status.NEW, Status.CANCELED)[n % 3], str(n % 4))
        for n in range(1, count + 1)
    ]
    known = await read(it.store, *reports)
    it.bench.write(7, status="failed")
    it.bench.delete(8)

    outcomes = await it.store.advance(
        ACCOUNT,
        [step(k, merge(k.truth, r)) for k, r in zip(known, reports, strict=True)],
    )

    assert [o.key for o in outcomes] == [f"v:v{n}" for n in range(1, count + 1)]
    rows = {row["id"]: row for row in it.bench.rows()}
    for n, outcome in enumerate(outcomes, start=1):
        if n in {7, 8}:
            continue
        word = ("completed", "pending", "completed" if n % 4 else "failed")[n % 3]
        assert outcome.result is Result.WON
        assert rows[n]["status"] == word
        assert rows[n]["filled_size"] == (n % 4 or None)
    assert {e.id.split("-")[0] for o in outcomes for e in o.events} == {"1"}
    assert len(it.bench.ours().events) == count
    watch = it.bench.watch()
    fresh = [r for n, r in enumerate(reports, start=1) if n not in {7, 8}]
    later = await ingest(it.store, *fresh)
    assert {o.result for o in later} == {Result.UNCHANGED}
    assert not watch.was_written()


# --- notes, due times, accounts ---------------------------------------------------------------


async def test_an_account_is_kept_and_an_unknown_one_is_empty(opened: Open) -> None:
    it = await opened()
    assert await it.store.get_account(ACCOUNT) == AccountRecord(account=ACCOUNT)
    record = AccountRecord(
        account=ACCOUNT, identity="host p1", verified_at=NOON, unverified=("v1", "ü")
    )
    await it.store.keep_account(record)
    await it.store.keep_account(record)
    assert await it.store.get_account(ACCOUNT) == record
    assert await it.store.get_account("other") == AccountRecord(account="other")


async def test_a_note_is_recorded_once_for_each_content(opened: Open) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, FILLED)
    evidence = EventEvidence(answer="sighting", endpoint="one")
    for digest in ("a", "a", "b", "a"):
        (known,) = await read(it.store, FILLED)
        note = Note(kind=EventKind.CONFLICT, digest=digest, evidence=evidence)
        await it.store.advance(ACCOUNT, [step(known, known.truth, notes=(note,))])
    assert it.kinds() == ["changed", "conflict", "conflict"]


async def test_an_order_is_due_when_its_time_has_come_and_no_longer_when_it_is_taken_back(
    opened: Open,
) -> None:
    it = await opened(PENDING)
    await ingest_one(it.store, FILLED)
    due_at = NOON + timedelta(minutes=1, microseconds=1)
    (known,) = await read(it.store, FILLED)
    await it.store.advance(ACCOUNT, [step(known, known.truth, due_at=due_at)])

    assert await it.store.list_due(ACCOUNT, due_at - timedelta(microseconds=1)) == []
    assert await it.store.list_due(ACCOUNT, due_at) == [OrderName("v1", "c1")]
    assert await it.store.list_due("other", due_at) == []
    (known,) = await read(it.store, FILLED)
    assert known.due_at == due_at

    await it.store.advance(ACCOUNT, [step(known, known.truth)])
    assert await it.store.list_due(ACCOUNT, due_at) == []
    assert it.kinds() == ["changed"]


async def test_a_known_final_order_remembers_when_its_end_was_learned(opened: Open) -> None:
    it = await opened(PENDING)
    learned = it.clock.forward(10)
    await ingest_one(it.store, FILLED)
    it.clock.forward(10)
    await ingest_one(it.store, said("v1", Status.FILLED, "2", fee="0.2", settled=True))
    (known,) = await read(it.store, FILLED)
    assert known.version == 2
    assert known.final_since == learned
