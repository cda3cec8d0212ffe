"""Alpaca, by a broker that somebody else wrote: real processes, real sockets, binary frames."""

from __future__ import annotations

import contextlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from websockets.sync.client import connect

from tests.acceptance.alpaca_house import AlpacaHouse
from tests.acceptance.alpaca_stub import TEXT, Key, Stub
from tests.acceptance.house import PATIENCE, ago, naive, now, pause

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.house import Running

pytestmark = pytest.mark.timeout(300)  # a busy machine makes of seconds minutes


@contextlib.contextmanager
def a_broker(**settings: Any) -> Iterator[Stub]:  # noqa: ANN401 - the stub's own fields
    """A broker that must find nothing to complain about."""
    stub = Stub(**settings)
    try:
        yield stub
    finally:
        stub.close()
    assert stub.complaints == []


@pytest.fixture
def broker() -> Iterator[Stub]:
    with a_broker() as stub:
        yield stub


def a_bot(folder: Path, broker: Stub) -> AlpacaHouse:
    built = AlpacaHouse(folder, broker)
    built.create()
    built.engine.dispose()
    return built


@pytest.fixture
def bot(broker: Stub, tmp_path: Path) -> AlpacaHouse:
    return a_bot(tmp_path, broker)


def wire(text: str) -> datetime:
    """A time of the broker, as a row without zones has it."""
    return naive(datetime.fromisoformat(text))


# -- commands


def one_of_each(
    bot: AlpacaHouse, broker: Stub, last: datetime
) -> dict[str, tuple[int, str, float | None]]:
    """Stuck rows of every kind: the row, the word that it has to get, and what was filled."""
    expected: dict[str, tuple[int, str, float | None]] = {}

    def stuck(name: str, becomes: str, got: float | None = None, **order: Any) -> dict[str, Any]:  # noqa: ANN401
        row, made = bot.stands(**order)
        expected[name] = (row, becomes, got)
        return made

    stuck("filled", "filled", 10, status="filled", filled="10", average="2.5", ended=last)
    stuck("canceled", "canceled", status="canceled", ended=last)
    part = stuck(
        "part", "filled", 4, status="canceled", filled="4", average="2.4", ended=ago(minutes=1)
    )
    broker.fill(part, ago(hours=1), qty="1", price="2.4", cum="1", leaves="9")
    broker.fill(part, last, qty="3", price="2.4", cum="4", leaves="6")
    stuck("expired", "expired", status="expired", ended=last)
    stuck("rejected", "rejected", status="rejected", ended=last)
    old = stuck("replaced", "filled", 12, status="replaced", ended=ago(hours=1))
    head = broker.add(
        created=ago(hours=1), status="filled", qty="12", filled="12", average="2.6", ended=last
    )
    old["replaced_by"], head["replaces"] = head["id"], old["id"]
    stuck(
        "notional",
        "filled",
        3.141592653,
        status="filled",
        qty=None,
        notional="100",
        filled="3.141592653",
        average="31.83",
        ended=last,
    )
    legs = {"status": "filled", "filled": "1", "average": "1.25", "qty": "1", "ended": last}
    parent = stuck("many legs", "filled", 1, symbol="", order_class="mleg", **legs)
    broker.add(created=ago(hours=2), parent=parent["id"], order_class="mleg", **legs)
    bracket = stuck("bracket", "filled", 1, order_class="bracket", **legs)
    stuck("held", "pending_new", status="held", order_class="bracket", parent=bracket["id"])
    stuck("resumes", "pending_new", status="done_for_day")
    stuck("young", "pending_new", status="pending_new", created=now())
    bare = stuck("bare", "filled", 10, status="filled", ended=last)
    bare.update(qty=10, filled_qty=10, filled_avg_price=2.5)
    stuck("nameless", "filled", 2, status="filled", qty="2", filled="2", average="9", ended=last)
    bot.sql("UPDATE orders SET broker_order_id = NULL WHERE id = ?", expected["nameless"][0])
    stuck("wrong", "filled", 5, status="filled", qty="5", filled="5", average="2", ended=last)
    bot.sql("UPDATE orders SET status = 'canceled' WHERE id = ?", expected["wrong"][0])
    return expected


def test_init_doctor_audit_sync_and_history_make_a_stuck_table_true(
    bot: AlpacaHouse, broker: Stub
) -> None:
    last = ago(minutes=50)
    expected = one_of_each(bot, broker, last)
    wrong = sum(becomes != "pending_new" for _, becomes, _ in expected.values())

    proposed = bot.proposes("--paper")
    assert proposed.status == 0, proposed
    checked = bot.ordersync("doctor")
    assert checked.status == 0, checked
    found = bot.ordersync("audit", "--json")
    assert found.status == 1, found
    rows = found.json["accounts"][0]["rows"]
    differ = {row["row_id"] for row in rows if row["difference"] == "wrong status"}
    assert differ == {str(row) for row, becomes, _ in expected.values() if becomes != "pending_new"}
    assert not any(name.startswith("ordersync_") for name in bot.tables())

    previewed = bot.ordersync("sync", "--dry-run", "--json")
    assert {
        row["row_id"]
        for row in previewed.json["accounts"][0]["rows"]
        if row["difference"] == "wrong status"
    } == differ, previewed

    said = bot.ordersync("sync")

    assert said.status == 0, said
    assert f"Sync complete: {wrong} updated, 0 not found on exchange, 0 failed" in said.text
    for name, (row, becomes, qty) in expected.items():
        stored = bot.row(row)
        assert stored["status"] == becomes, f"{name}: {stored}\n{said}"
        assert stored["filled_qty"] == qty, f"{name}: {stored}"
    assert datetime.fromisoformat(bot.row(expected["part"][0])["filled_at"]) == naive(last)
    replaced, nameless = (bot.row(expected[name][0]) for name in ("replaced", "nameless"))
    assert broker.orders[replaced["broker_order_id"]]["replaced_by"] in broker.orders
    assert nameless["broker_order_id"] in broker.orders

    truth = bot.dump("orders", "ordersync_orders", "ordersync_events")
    again = bot.ordersync("sync")
    assert again.status == 0, again
    assert bot.dump("orders", "ordersync_orders", "ordersync_events") == truth
    after = bot.ordersync("audit", "--json")
    left = after.json["accounts"][0]["rows"]
    # Of an order of many legs the bot keeps the parent alone.
    assert [(row["difference"], row["venue_says"]) for row in left] == [("missing row", "filled")]
    assert broker.orders[left[0]["venue_order_id"]]["_parent"] is not None
    shown = bot.ordersync("history", str(expected["part"][0]))
    assert shown.status == 0, shown
    assert "canceled" in shown.out


def test_what_shares_a_moment_with_the_end_of_a_page_is_not_lost_between_pages(
    bot: AlpacaHouse, broker: Stub
) -> None:
    moment = ago(hours=3)
    rows = [bot.stands(created=moment, row={"status": "new"}) for _ in range(130)]
    for _ in range(900):
        broker.add(created=moment)
    ended = rows[::26]
    for _, order in ended:
        broker.change(order, "fill", filled="10")
    bot.is_mapped()

    said = bot.ordersync("sync")

    assert said.status == 0, said
    assert "Sync complete: 5 updated, 0 not found on exchange, 0 failed" in said.text
    assert {bot.word(row) for row, _ in ended} == {"filled"}
    assert len(broker.asked) < 30, [asked.path for asked in broker.asked]


SILENCES = (
    *("401", "403", "403-forbidden", "404-proxy", "404-codeless", "429", "500", "200-html"),
    *("empty", "null", "empty-list", "object", "half-honest", "half-dishonest", "closed"),
)


def what_silence_broke(folder: Path, mode: str) -> str:
    """One house in which the broker says nothing of use; an empty text where nothing changed."""
    folder.mkdir()
    with a_broker(minute=1) as stub:
        bot = a_bot(folder, stub)
        for status in ("filled", "canceled"):
            bot.stands(created=ago(days=2), status=status, filled="10", average="2", ended=ago())
        bot.writes(broker_order_id=str(uuid4()), client_order_id="gone", submitted_at=ago(days=3))
        bot.is_mapped(words='lost = ["unknown"]')
        before = bot.dump("orders")
        stub.turn(mode, "/v2/orders")
        said = bot.ordersync("sync")
        faults = [
            f"exit {said.status}" if said.status != 2 else "",
            "wrote" if bot.dump("orders") != before else "",
            "truths" if bot.dump()["ordersync_orders"] else "",
            "events" if bot.dump()["ordersync_events"] else "",
        ]
        found = ", ".join(fault for fault in faults if fault)
        return f"{mode}: {found}\n{said}" if found else ""


def test_no_answer_that_is_none_changes_anything(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        broken = pool.map(lambda mode: what_silence_broke(tmp_path / mode, mode), SILENCES)
        assert [text for text in broken if text] == []


def test_an_order_that_cannot_be_read_is_told_of_its_row_whatever_id_it_was_asked_by(
    bot: AlpacaHouse,
) -> None:
    named, _ = bot.stands(status="half_baked")
    nameless, order = bot.stands(status="half_baked")
    bot.sql("UPDATE orders SET broker_order_id = NULL WHERE id = ?", nameless)
    good, _ = bot.stands(status="filled", filled="10", average="2", ended=ago())
    bot.is_mapped()

    said = bot.ordersync("sync")

    assert said.status == 2, said
    assert bot.says(named, nameless, good) == ["pending_new", "pending_new", "filled"], said
    for row in (named, nameless):
        (told,) = bot.told(row)
        assert told["kind"] == "quarantined"
        assert "half_baked" in told["evidence"]["raw"]
    assert order["client_order_id"] in said.text


def test_an_order_that_is_gone_is_proven_gone_by_both_of_its_ids(
    bot: AlpacaHouse, broker: Stub
) -> None:
    gone = bot.writes(
        broker_order_id=str(uuid4()), client_order_id="gone", submitted_at=ago(days=3)
    )
    young = bot.writes(broker_order_id=str(uuid4()), client_order_id="young")
    there, order = bot.stands(status="new", row={"status": "new"}, created=ago(days=2))
    bot.is_mapped(words='lost = ["unknown"]')

    said = bot.ordersync("sync")

    assert bot.says(gone, young, there) == ["lost", "pending_new", "new"], said
    assert "1 not found on exchange" in said.text
    assert order["status"] == "new"

    # The same key as it were of another account: the same 404s prove nothing.
    second = bot.writes(broker_order_id=str(uuid4()), client_order_id="2", submitted_at=ago(days=3))
    broker.account, broker.sees_nothing = str(uuid4()), True
    said = bot.ordersync("sync")
    assert bot.says(second, there) == ["pending_new", "new"], said
    assert said.status == 2
    assert re.search(r"another account|other account", said.text), said


# -- the key


@pytest.mark.parametrize("paper", [True, False])
def test_a_paper_key_at_the_live_host_is_named_with_its_mend_and_the_reverse(
    tmp_path: Path,
    paper: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    key = Key(key_id="AKFZYLTS9X8LR3" if paper else "PKFZYLTS9X8LR3")
    with a_broker(key=key, is_paper=paper) as broker:
        bot = a_bot(tmp_path, broker)
        bot.stands(status="filled", filled="10", average="2", ended=ago())
        bot.is_mapped(paper=paper)
        before = bot.dump("orders")
        mend = f"paper = {str(not paper).lower()}"
        for command, status in (("doctor", 3), ("sync", 2)):
            said = bot.ordersync(command)
            assert said.status == status, said
            assert mend in said.text, said
        with bot.running() as running:
            running.until(lambda: mend in running.so_far, PATIENCE, "the mend is named")
            said = running.stop()
        assert said.status == 0, said
        assert bot.dump("orders") == before
        assert bot.dump("ordersync_orders", "ordersync_events") == {
            "ordersync_orders": [],
            "ordersync_events": [],
        }


@pytest.mark.parametrize("mode", ["401", "403-forbidden"])
def test_a_host_that_does_not_know_the_key_is_named_with_both_mends(
    tmp_path: Path, mode: str
) -> None:
    with a_broker(key=Key(key_id="CKFZYLTS9X8LR3"), refuses_keys_with=mode) as broker:
        bot = a_bot(tmp_path, broker)
        row, _ = bot.stands(status="filled", filled="10", average="2", ended=ago())
        bot.is_mapped()
        checked = bot.ordersync("doctor")
        assert checked.status == 3, checked
        assert "paper" in checked.text, checked
        assert "alpaca.json" in checked.text or "key" in checked.text
        said = bot.ordersync("sync")
        assert said.status == 2, said
        assert bot.word(row) == "pending_new"


def test_a_token_reads_and_once_expired_changes_nothing_until_it_is_renewed(
    tmp_path: Path,
) -> None:
    with a_broker(key=Key(token="oauth-" + uuid4().hex)) as broker:
        bot = a_bot(tmp_path, broker)
        row, order = bot.stands()
        bot.is_mapped()
        checked = bot.ordersync("doctor")
        assert checked.status == 0, checked
        with bot.running() as running:
            bot.listens(running)
            broker.is_expired = True
            for stream in broker.listening():
                stream.cut()
            broker.change(order, "fill", filled="10")
            pause(4)
            assert bot.word(row) == "new"
            expired = bot.ordersync("doctor")
            assert expired.status == 3, expired
            assert "token" in expired.text, expired
            broker.is_expired = False
            bot.becomes(running, row, "filled")
            running.stop()


# -- the stream


def test_frames_alone_make_rows_true_in_whatever_order_and_form_they_come(  # noqa: PLR0915
    bot: AlpacaHouse, broker: Stub
) -> None:
    rows = {
        name: bot.stands(status="new", row={"status": "new"}, created=ago(minutes=5))
        for name in (
            *("plain", "reversed", "repeated", "part", "text", "bare", "strange event"),
            *("strange status", "no quantity", "later", "msgpack"),
        )
    }
    amount = bot.stands(
        status="new", qty=None, notional="100", row={"status": "new"}, created=ago(minutes=5)
    )
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        running.until(lambda: bot.dump()["ordersync_orders"], PATIENCE, "the first pass")
        pause(2)
        broker.turn("500", "/v2/orders")  # from here on only the stream tells

        def order(name: str) -> dict[str, Any]:
            return rows[name][1]

        noises: tuple[object, ...] = (
            {"stream": "trade_updates", "data": None},
            {"stream": "trade_updates"},
            {"stream": "trade_updates", "data": {"event": "fill", "order": None}},
            {"stream": "trade_updates", "data": {"event": "fill", "order": []}},
            {"stream": "of_tomorrow", "data": {}},
            [],
            None,
            7,
        )
        for noise in noises:
            broker.tell(noise)
        for garbage in (b"", b"\xff\xfe\x00", b"{", b"[" * 100_000, b'{"stream":"trade_updates"'):
            broker.shout(lambda stream, piece=garbage: stream.frame(2, piece))  # type: ignore[misc]

        broker.happen(order("plain"), "fill", filled="10")
        first = broker.change(order("reversed"), "partial_fill", filled="4")
        second = broker.change(order("reversed"), "fill", filled="10", average="2.6")
        broker.tell(second)
        broker.tell(first)
        old = broker.change(order("repeated"), "new")
        filled = broker.happen(order("repeated"), "fill", filled="10")
        for frame in (old, filled, old, filled):
            broker.tell(frame)
        late = broker.change(order("part"), "partial_fill", filled="4", average="2.4")
        broker.happen(order("part"), "canceled")
        broker.tell(late)
        whole = broker.change(order("text"), "fill", filled="10")
        broker.shout(lambda stream: stream.frame(TEXT, json.dumps(whole).encode()))
        bare = broker.change(order("bare"), "fill", filled="10")
        bare["data"]["order"].update(filled_qty=10, filled_avg_price=2.5, qty=10.0)
        broker.tell(bare)
        strange = broker.change(order("strange event"), "fill", filled="10")
        strange["data"]["event"] = "sparkled"
        broker.tell(strange)
        strange = broker.change(order("strange status"), "partial_fill", filled="1")
        strange["data"]["order"]["status"] = "half_baked"
        broker.tell(strange)
        hollow = broker.change(order("no quantity"), "calculated")
        hollow["data"]["order"].update(status="filled", filled_qty="0", filled_avg_price=None)
        broker.tell(hollow)
        broker.happen(amount[1], "fill", filled="3.141592653", average="31.83")
        foreign = broker.add(created=now())
        broker.happen(foreign, "fill", filled="10")
        broker.happen(order("later"), "fill", filled="10")

        heard = ("plain", "reversed", "repeated", "text", "bare", "strange event", "later")
        for name in heard:
            bot.becomes(running, rows[name][0], "filled")
        bot.becomes(running, rows["part"][0], "canceled")
        bot.becomes(running, amount[0], "filled")
        pause(1)
        for name in heard:
            stored = bot.row(rows[name][0])
            assert (stored["status"], stored["filled_qty"]) == ("filled", 10), name
            assert datetime.fromisoformat(stored["filled_at"]) == wire(order(name)["filled_at"])
        part = bot.row(rows["part"][0])
        assert (part["status"], part["filled_qty"]) == ("canceled", 4)
        assert part["filled_avg_price"] == 2.4
        assert bot.row(amount[0])["filled_qty"] == 3.141592653
        assert bot.says(rows["strange status"][0], rows["no quantity"][0]) == ["new", "new"]

        broker.turn("well")
        bot.becomes(running, rows["strange status"][0], "partially_filled")
        bot.becomes(running, rows["no quantity"][0], "calculated")
        assert {bot.word(rows[name][0]) for name in heard} == {"filled"}
        said = running.stop()

    assert said.status == 0, said
    for name in ("plain", "repeated"):
        ends = [e for e in bot.told(rows[name][0]) if e["after"]["status"] == "filled"]
        assert [end["source"] for end in ends] == ["stream"], ends


def test_a_lost_frame_and_a_stream_that_dies_in_any_way_are_made_good(
    bot: AlpacaHouse, broker: Stub
) -> None:
    broker.keeps_abandoned = True
    bot.is_mapped()

    def lost(running: Running, why: str) -> None:
        """An order fills, and no frame of it arrives."""
        row, order = bot.stands(created=now(), status="new", row={"status": "new"})
        broker.change(order, "fill", filled="10")
        running.until(lambda: bot.word(row) == "filled", PATIENCE, why)

    def again(running: Running, since: int) -> None:
        running.until(
            lambda: broker.connections > since and broker.listening(), PATIENCE, "it is back"
        )

    with bot.running() as running:
        bot.listens(running)
        lost(running, "one lost frame")
        assert broker.connections == 1

        broker.is_mute = True
        lost(running, "a mute stream")
        broker.is_mute = False

        for opcode, payload in ((8, b"\x03\xe8"), (8, b"")):  # a clean close, with and without why
            since = broker.connections
            broker.shout(lambda stream, o=opcode, p=payload: stream.frame(o, p))  # type: ignore[misc]
            lost(running, "a clean close")
            again(running, since)

        since = broker.connections
        for stream in broker.listening():
            stream.cut()
        lost(running, "a cut")
        again(running, since)

        since, deaf = broker.connections, broker.listening()
        for stream in deaf:
            stream.is_deaf = True
        lost(running, "a half-open stream")
        # The broker has not noticed yet that it is gone, and refuses a second one.
        running.until(lambda: broker.refused_streams, PATIENCE, "it tries again")
        lost(running, "refused")
        for stream in deaf:
            stream.is_deaf = False
        again(running, since)
        row, order = bot.stands(created=now(), status="new", row={"status": "new"})
        broker.happen(order, "fill", filled="10")
        bot.becomes(running, row, "filled")
        said = running.stop()
    assert said.status == 0, said


@pytest.mark.parametrize("refusal", [406, 429])
def test_where_the_bot_itself_listens_rows_are_true_by_asking(
    bot: AlpacaHouse, broker: Stub, refusal: int
) -> None:
    broker.refuses_streams_with = refusal
    row, order = bot.stands(status="new", row={"status": "new"})
    bot.is_mapped()
    with connect(f"ws://127.0.0.1:{broker.port}/stream") as its_own, bot.running() as running:
        word = {"action": "authenticate", "data": json.loads(broker.key.as_file())}
        its_own.send(json.dumps(word))
        assert b'"authorized"' in its_own.recv(decode=False)
        running.until(lambda: broker.refused_streams >= 2, PATIENCE, "it tries again")
        broker.change(order, "fill", filled="10")
        bot.becomes(running, row, "filled")
        assert re.search(r"one (stream|connection)|another|refuse", running.so_far), running.so_far
        its_own.close()
        bot.listens(running)
        said = running.stop()
    assert said.status == 0, said


@pytest.mark.parametrize(
    "noise",
    [
        b": heartbeat\n\n",
        b": you are reading too slowly, dropped 10000 messages\n\n: internal server error\n\n",
        b"data: {half\n\nevent: \xff\xfe\ndata: null\n\ndata: []\n\n",
    ],
)
def test_a_replay_of_events_tells_the_ends_that_fell_into_a_gap(
    bot: AlpacaHouse, broker: Stub, noise: bytes
) -> None:
    broker.replays, broker.replay_noise = True, noise
    rows = [bot.stands(status="new", row={"status": "new"}) for _ in range(4)]
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        # Where polling is quicker than the next connection, nothing is left for a replay to tell:
        # several gaps, each with an end of its own.
        for row, order in rows:
            since = broker.connections
            for stream in broker.listening():
                stream.cut()
            broker.change(order, "fill", filled="10")
            bot.becomes(running, row, "filled")
            running.until(
                lambda since=since: broker.connections > since and broker.listening(),
                PATIENCE,
                "it is back",
            )
        running.until(
            lambda: any(asked.path == "/v2/events/trades" for asked in broker.asked),
            PATIENCE,
            "a replay",
        )
        said = running.stop()
    assert said.status == 0, said


def test_a_partial_fill_and_a_cancel_keep_what_was_filled_and_when(
    bot: AlpacaHouse, broker: Stub
) -> None:
    seen, seen_order = bot.stands(created=now(), status="new", row={"status": "new"})
    unseen, unseen_order = bot.stands(created=now(), status="new", row={"status": "new"})
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        broker.happen(seen_order, "partial_fill", filled="4", average="2.4")
        bot.becomes(running, seen, "partially_filled")
        broker.happen(seen_order, "pending_cancel")
        broker.happen(seen_order, "canceled")
        broker.change(unseen_order, "partial_fill", filled="3", average="2.3")
        pause(1)
        broker.change(unseen_order, "canceled")
        bot.becomes(running, seen, "canceled")
        bot.becomes(running, unseen, "canceled")
        running.until(lambda: bot.row(unseen)["filled_at"], PATIENCE, "the time of its fill")
        running.stop()
    for row, order, qty, price in ((seen, seen_order, 4, 2.4), (unseen, unseen_order, 3, 2.3)):
        stored = bot.row(row)
        assert (stored["filled_qty"], stored["filled_avg_price"]) == (qty, price)
        (fill,) = (fill for fill in broker.activities if fill["order_id"] == order["id"])
        moment = wire(fill["transaction_time"])
        assert datetime.fromisoformat(stored["filled_at"]) == moment


def test_a_row_follows_its_order_through_a_chain_of_replacements(
    bot: AlpacaHouse, broker: Stub
) -> None:
    told, first = bot.stands(created=now(), status="new", row={"status": "new"})
    untold, silent = bot.stands(created=now(), status="new", row={"status": "new"})
    kept, old = bot.stands(created=now(), status="new", row={"status": "new"})
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        broker.happen(first, "partial_fill", filled="4", average="2")
        second, frames = broker.replace(first, qty="6")
        third, more = broker.replace(second, qty="8")
        for frame in (more[1], frames[1], more[0], frames[0]):  # as late and as mixed as they like
            broker.tell(frame)
        lost, _ = broker.replace(silent, qty="20")
        successor, said_so = broker.replace(old, qty="3")
        own = bot.writes(
            broker_order_id=successor["id"],
            client_order_id=successor["client_order_id"],
            status="new",
        )
        for frame in said_so:
            broker.tell(frame)
        broker.happen(third, "fill", filled="8", average="3")
        broker.change(lost, "fill", filled="20")
        broker.happen(successor, "fill", filled="3")
        for row, word in ((told, "filled"), (untold, "filled"), (own, "filled")):
            bot.becomes(running, row, word)
        bot.becomes(running, kept, "replaced")
        running.until(lambda: bot.row(told)["filled_qty"] == 12, PATIENCE, "fills of the chain")
        running.stop()
    assert bot.row(told)["broker_order_id"] == first["id"]
    assert bot.row(told)["filled_avg_price"] == pytest.approx(32 / 12, abs=1e-6)
    assert bot.row(untold)["filled_qty"] == 20
    assert bot.row(own)["filled_qty"] == 3


# -- the budget


def test_what_others_spent_of_the_minute_is_respected_and_a_429_is_waited_out(
    bot: AlpacaHouse, broker: Stub
) -> None:
    broker.minute = 6
    row, order = bot.stands(status="new", row={"status": "new"})
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        broker.spent_by_others = 185
        broker.change(order, "partial_fill", filled="4")
        bot.becomes(running, row, "partially_filled")
        assert not any(asked.status == 429 for asked in broker.asked)

        broker.may_be_exhausted = True
        broker.minute = 4
        broker.spent_by_others = 1000
        broker.change(order, "fill", filled="10")
        bot.becomes(running, row, "filled")
        running.stop()


def test_a_thousand_open_orders_are_watched_with_less_than_half_of_the_limit(
    bot: AlpacaHouse, broker: Stub
) -> None:
    for _ in range(1000):
        broker.add(created=ago(hours=3))
    row, order = bot.stands(status="new", row={"status": "new"})
    bot.stands(status="new", row={"status": "new"})
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        pause(5)
        asked, began = len(broker.asked), now()
        pause(10)
        spent = len(broker.asked) - asked
        lasted = (now() - began).total_seconds()
        broker.change(order, "fill", filled="10")
        bot.becomes(running, row, "filled")
        running.stop()
    assert spent / lasted * 60 <= 100, f"{spent} calls in {lasted:.1f} s"


# -- the process


def test_killed_in_a_burst_and_started_again_each_end_is_told_once(
    bot: AlpacaHouse, broker: Stub
) -> None:
    rows = [bot.stands(created=now(), status="new", row={"status": "new"}) for _ in range(80)]
    bot.is_mapped()
    with bot.running() as running:
        bot.listens(running)
        running.until(lambda: bot.dump()["ordersync_orders"], PATIENCE, "the first pass")
        for _, order in rows:
            broker.happen(order, "partial_fill", filled="4", average="2")
            broker.happen(order, "fill", filled="10", average="2.2")
        running.until(
            lambda: bot.sql("SELECT 1 FROM orders WHERE filled_qty > 0 LIMIT 1"), PATIENCE, "some"
        )
        running.child.kill()
        running.child.wait()
    assert bot.sql("PRAGMA integrity_check") == [("ok",)]
    with bot.running() as running:
        running.until(
            lambda: all(bot.word(row) == "filled" for row, _ in rows), PATIENCE, "all are true"
        )
        said = running.stop()
    assert said.status == 0, said
    events = bot.sql("SELECT * FROM ordersync_events")
    ends = [event for event in events if "changed" in event]
    assert len(ends) <= 3 * len(rows)
    for row, _ in rows[:3]:
        told = bot.told(row)
        assert [event["after"]["status"] for event in told].count("filled") == 1, told
