"""The Alpaca venue against a broker that is strict, lies and breaks, in virtual time."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from starlette.responses import HTMLResponse, JSONResponse, Response

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.ports import Severity
from ordersync.truth.model import Status
from ordersync.venues.alpaca.key import AlpacaKey
from tests.venues.broker import ACCOUNT, LONG_AGO, Broker, trading
from tests.virtual import run_virtually, virtually

if TYPE_CHECKING:
    from ordersync.truth.evidence import Reading

STRANGER = "99999999-9999-4999-8999-999999999999"
PAPER = AlpacaKey(key_id="PKTEST", secret="a-secret")  # noqa: S106 - a test's own


def seen(reading: Reading) -> list[str]:
    return sorted(s.report.venue_order_id or "" for s in reading.sightings)


def gone(reading: Reading) -> list[tuple[str, str]]:
    return sorted(
        (a.endpoint, a.venue_order_id or a.client_order_id or "") for a in reading.absences
    )


def unanswered(reading: Reading) -> list[str]:
    return sorted(order for silence in reading.silences for order in silence.orders)


def many(broker: Broker, count: int) -> list[str]:
    return [broker.place(at=LONG_AGO + timedelta(seconds=n)) for n in range(count)]


# --- whose account it is ------------------------------------------------------------------------


@virtually
async def test_the_account_is_known_by_its_id_and_host_and_its_key_may_trade() -> None:
    async with trading() as (_broker, venue):
        identity = await venue.identify()
        assert identity.mark == f"127.0.0.1:8710 {ACCOUNT}"
        assert (identity.can_trade, identity.can_transfer) == (True, False)
        assert "OAuth" in identity.enough


@virtually
async def test_what_a_token_may_do_is_not_known_and_no_reason_to_warn() -> None:
    headers = {"Authorization": "Bearer t0ken"}
    token = AlpacaKey(token="t0ken")  # noqa: S106 - a test's own
    async with trading(key=token, headers=headers) as (broker, venue):
        assert not (await venue.identify()).can_trade
        assert seen(await venue.ask_ids([broker.place()]))
        assert {f.severity for f in await venue.findings()} == {Severity.OK}


@pytest.mark.parametrize(("paper", "mend"), [(False, "paper = true"), (True, "paper = false")])
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_of_the_other_kind_is_refused_with_the_mend(
    paper: bool,  # noqa: FBT001 - a case
    mend: str,
    status: int,
) -> None:
    async def main() -> None:
        first = "PK" if mend == "paper = true" else "AK"
        key = AlpacaKey(key_id=f"{first}OTHER", secret="a-secret")  # noqa: S106 - a test's own
        async with trading(key=key, paper=paper) as (broker, venue):
            broker.faults["/v2/account"] = [JSONResponse({"message": "no"}, status)]
            with pytest.raises(VenueRefused) as refused:
                await venue.identify()
            assert mend in refused.value.mend
            assert "a-secret" not in str(refused.value)
            broker.faults["/v2/account"] = [JSONResponse({"message": "no"}, status)]
            (found,) = await venue.findings()
            assert (found.severity, mend in found.mend) == (Severity.ERROR, True)

    run_virtually(main)


@virtually
async def test_a_key_whose_kind_is_not_known_is_asked_about() -> None:
    key = AlpacaKey(key_id="X", secret="a-secret")  # noqa: S106 - a test's own
    async with trading(key=key, paper=False) as (_broker, venue):
        with pytest.raises(VenueRefused, match="403") as refused:
            await venue.identify()
        assert "Is this a paper key on the live host?" in refused.value.mend


@virtually
async def test_a_venue_that_is_in_trouble_is_asked_again() -> None:
    async with trading() as (broker, venue):
        broker.faults["/v2/account"] = [HTMLResponse("<h1>502</h1>", 502) for _ in range(3)]
        with pytest.raises(VenueSilent):
            await venue.identify()
        assert (await venue.identify()).name == ACCOUNT


@virtually
async def test_the_venues_clock_is_the_one_that_counts() -> None:
    async with trading(slow=timedelta(hours=1)) as (broker, venue):
        await venue.identify()
        assert abs(venue.now() - broker.now()) < timedelta(seconds=1)
        assert any(f.about == "clock" and f.mend for f in await venue.findings())


# --- one order ----------------------------------------------------------------------------------


@virtually
async def test_orders_are_asked_for_one_by_one_several_at_a_time() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 5)
        reading = await venue.ask_ids([*ids, STRANGER])
        assert (seen(reading), gone(reading)) == (ids, [("by_id", STRANGER)])
        assert len(broker.calls) == 6
        assert max(broker.at) - min(broker.at) < 1.5


@virtually
async def test_a_malformed_id_spoils_only_itself() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 3)
        reading = await venue.ask_ids(["order-17", *ids, "../account"])
        assert seen(reading) == ids
        assert reading.absences == ()
        assert unanswered(reading) == ["../account", "order-17"]


@virtually
async def test_after_a_refused_key_nobody_asks_on_in_vain() -> None:
    async with trading(headers={"APCA-API-KEY-ID": "another"}) as (broker, venue):
        ids = many(broker, 50)
        reading = await venue.ask_ids(ids)
        assert (unanswered(reading), reading.absences) == (ids, ())
        assert len(broker.calls) <= 8


NO_ORDER = (
    Response('{"code":40410000', 404),
    HTMLResponse("<html>404</html>", 404),
    JSONResponse({"message": "order not found for 7"}, 404),
    JSONResponse({"code": 40400000, "message": "endpoint not found"}, 404),
    JSONResponse({"code": 40410000, "message": "order not found"}, 400),
    JSONResponse({"code": 40410000, "message": "order not found"}, 200),
    JSONResponse([], 200),
    Response("", 200),
    Response("null", 200),
    JSONResponse({"code": 40310000, "message": "forbidden."}, 403),
)


@pytest.mark.parametrize("answer", NO_ORDER, ids=lambda a: f"{a.status_code} {a.body[:30]}")
def test_no_other_answer_than_the_venues_own_404_is_an_absence(answer: Response) -> None:
    async def main() -> None:
        async with trading() as (broker, venue):
            broker.faults[""] = [answer]
            reading = await venue.ask_ids([STRANGER])
            assert (reading.absences, unanswered(reading)) == ((), [STRANGER])
            assert not any(silence.garbled for silence in reading.silences)  # it shows no order
            broker.faults[""] = [answer]
            reading = await venue.ask_one(STRANGER, "client-x")
            assert (reading.absences, unanswered(reading)) == ((), [STRANGER])

    run_virtually(main)


@virtually
async def test_words_that_were_heard_before_are_recognised() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 4)
        first = await venue.ask_ids(ids)
        heard = {s.mark: s.report.venue_order_id or "" for s in first.sightings}
        again = await venue.ask_ids(ids, heard)
        assert again.sightings == ()
        assert sorted(o for said in again.said_again for o in said.orders) == ids
        listed = await venue.ask_open(heard, ids)
        assert sorted(o for said in listed.said_again for o in said.orders) == ids


@virtually
async def test_words_of_another_order_than_was_asked_for_are_silence() -> None:
    async with trading() as (broker, venue):
        one, other = many(broker, 2)
        broker.faults[f"/v2/orders/{one}"] = [JSONResponse(broker.order(other))]
        reading = await venue.ask_ids([one])
        assert (reading.sightings, unanswered(reading)) == ((), [one])


@virtually
async def test_one_order_is_asked_for_by_its_client_id_where_that_is_known() -> None:
    async with trading() as (broker, venue):
        order = broker.place()
        (sighting,) = (await venue.ask_one(order, "client-0")).sightings
        assert (sighting.report.venue_order_id, sighting.endpoint) == (order, "by_client_id")
        assert gone(await venue.ask_one(STRANGER, "nobody")) == [("by_client_id", STRANGER)]
        assert gone(await venue.ask_one(STRANGER)) == [("by_id", STRANGER)]
        mixed = await venue.ask_one(STRANGER, "client-0")
        assert (mixed.sightings, mixed.absences, unanswered(mixed)) == ((), (), [STRANGER])


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 990, 999, 1000, 1001, 1480, 2500])
def test_every_open_order_is_listed_whatever_the_pages(count: int) -> None:
    async def main() -> None:
        async with trading() as (broker, venue):
            ids = many(broker, count)
            broker.place("filled", filled_qty="2")
            for wanted in ((), ids):
                before = len(broker.calls)
                missed = set(ids) - set(seen(await venue.ask_open(None, wanted)))
                # One may be left to be asked for by its id: that is no dearer than a page.
                assert len(missed) <= (1 if wanted else 0)
                calls = len(broker.calls) - before
                assert calls <= 1.1 * max(1, -(-count // 500)) + 1
                assert calls <= 2 or count > 1000 or not wanted

    run_virtually(main)


@virtually
async def test_a_thousand_open_orders_are_polled_within_a_third_of_the_budget() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 1000)
        assert venue.push is not None
        await venue.ask_open(None, ids)
        assert venue.push.safety_poll == timedelta(seconds=2)
        broker.order(ids[3])["status"] = "filled"
        assert len(seen(await venue.ask_open(None, ids))) == 999
        assert len(broker.calls) <= 5
        many(broker, 4000)
        await venue.ask_open()
        poll = venue.push.safety_poll
        assert poll is not None
        assert 60 / poll.total_seconds() * 11 <= 70.1


@virtually
async def test_a_larger_allowance_is_made_use_of() -> None:
    async with trading(limit=1000) as (broker, venue):
        many(broker, 5000)
        await venue.ask_open()
        assert venue.push is not None
        assert venue.push.safety_poll == timedelta(seconds=2)
        ids = [broker.place() for _ in range(300)]
        started = venue.now()
        await venue.ask_ids(ids)
        assert venue.now() - started < timedelta(seconds=40)


@virtually
async def test_orders_of_one_moment_do_not_fall_between_two_pages() -> None:
    async with trading() as (broker, venue):
        ids = [broker.place(at=LONG_AGO + timedelta(seconds=n // 5)) for n in range(1203)]
        assert seen(await venue.ask_open()) == ids
        assert seen(await venue.ask_created(LONG_AGO, venue.now())) == ids


@virtually
async def test_what_is_placed_moved_or_ended_while_pages_are_turned_is_not_lost() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 1200)
        placed: list[str] = []

        def meanwhile(_path: str) -> None:
            if len(broker.calls) in {2, 3, 4}:
                broker.order(ids[len(broker.calls)])["status"] = "canceled"
                moved = broker.order(ids[700 + len(broker.calls)])
                moved["status"] = "replaced"
                placed.append(broker.place(replaces=moved["id"]))

        broker.before = meanwhile
        found = set(seen(await venue.ask_open()))
        now_open = {one["id"] for one in broker.orders if one["status"] == "new"}
        assert now_open <= found
        assert set(placed) <= found


@virtually
async def test_an_order_that_comes_twice_is_listed_once_as_it_was_said_last() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 700)

        def meanwhile(_path: str) -> None:
            if len(broker.calls) == 2:
                broker.order(ids[495]).update(filled_qty="1", status="partially_filled")

        broker.before = meanwhile
        found = await venue.ask_open()
        assert seen(found) == ids
        said = {s.report.venue_order_id: s.report.status for s in found.sightings}
        assert said[ids[495]] is Status.PARTIALLY_FILLED


@virtually
async def test_legs_are_listed_whether_they_come_nested_or_not() -> None:
    for nests in (False, True):
        async with trading(nests=nests) as (broker, venue):
            head = broker.place(order_class="bracket")
            legs = [broker.place("held", parent=head), broker.place(parent=head)]
            assert seen(await venue.ask_open()) == sorted([head, *legs])
            reading = await venue.ask_ids(legs[:1])
            assert (seen(reading), reading.absences) == (legs[:1], ())


@pytest.mark.parametrize(
    "answer",
    [
        HTMLResponse("<h1>bad gateway</h1>", 502),
        Response("[{", 200),
        JSONResponse({"orders": []}, 200),
        JSONResponse({"message": "forbidden."}, 403),
        JSONResponse({"code": 40410000, "message": "no such cursor"}, 404),
        JSONResponse({"code": 40010001, "message": "bad"}, 422),
    ],
    ids=lambda a: f"{a.status_code} {a.body[:20]}",
)
def test_a_list_that_breaks_off_keeps_what_it_showed_and_proves_nothing(answer: Response) -> None:
    async def main() -> None:
        async with trading() as (broker, venue):
            many(broker, 700)

            def second(path: str) -> None:
                if len(broker.asked("/v2/orders")) >= 2 and path == "/v2/orders":
                    broker.faults["/v2/orders"] = [answer]

            broker.before = second
            reading = await venue.ask_open()
            assert (len(reading.sightings), len(reading.silences)) == (500, 1)
            broker.calls.clear()
            start = LONG_AGO - timedelta(days=1)
            ids = [f"nobody-{n}" for n in range(11)]
            reading = await venue.ask_created(start, venue.now(), ids)
            assert "history" not in {a.endpoint for a in reading.absences}
            assert set(ids) <= set(unanswered(reading))

    run_virtually(main)


@virtually
async def test_a_list_that_does_not_move_has_no_end() -> None:
    async with trading() as (broker, venue):
        many(broker, 500)
        page = list(broker.orders)
        broker.faults["/v2/orders"] = [JSONResponse(page) for _ in range(9)]
        reading = await venue.ask_open()
        assert [s.why for s in reading.silences] == ["a list without an end"]
        assert len(broker.calls) == 2


# --- orders known by their client id --------------------------------------------------------------


@virtually
async def test_a_few_client_ids_are_found_without_reading_the_history() -> None:
    async with trading() as (broker, venue):
        order = broker.place()
        now = venue.now()
        reading = await venue.ask_created(now - timedelta(days=1), now, ["client-0"])
        assert (seen(reading), len(broker.calls)) == ([order], 1)


@virtually
async def test_a_client_id_that_is_nowhere_is_absent_from_two_endpoints() -> None:
    async with trading() as (broker, venue):
        order, now = broker.place(), venue.now()
        start, end = now - timedelta(days=1), now + timedelta(days=1)
        reading = await venue.ask_created(start, end, ["client-0", "nobody"])
        assert set(seen(reading)) == {order}
        assert gone(reading) == [("by_client_id", "nobody"), ("history", "nobody")]


@virtually
async def test_many_client_ids_are_looked_for_in_the_history_first() -> None:
    async with trading() as (broker, venue):
        ids = [broker.place() for _ in range(40)]
        now = venue.now()
        clients = [f"client-{n}" for n in range(40)]
        start, end = now - timedelta(days=1), now + timedelta(days=1)
        reading = await venue.ask_created(start, end, [*clients, "nobody"])
        assert seen(reading) == ids
        assert gone(reading) == [("by_client_id", "nobody"), ("history", "nobody")]
        assert len(broker.calls) == 2


@virtually
async def test_the_history_holds_what_was_created_from_the_start_until_before_the_end() -> None:
    async with trading() as (broker, venue):
        start, end = LONG_AGO, LONG_AGO + timedelta(hours=1)
        broker.place(at=start - timedelta(microseconds=1))
        first = broker.place(at=start)
        last = broker.place("canceled", at=end - timedelta(seconds=1))
        broker.place(at=end)
        assert seen(await venue.ask_created(start, end)) == [first, last]


# --- fills --------------------------------------------------------------------------------------


@virtually
async def test_the_last_fill_of_an_ended_order_is_found_backwards() -> None:
    async with trading() as (broker, venue):
        at = venue.now() - timedelta(hours=1)
        order = broker.place("canceled", at=at, filled_qty="2", filled_avg_price="10")
        for n in range(150):
            broker.fill(STRANGER, at + timedelta(seconds=n), "1")
        broker.fill(order, at - timedelta(seconds=9), "1")
        broker.fill(order, at - timedelta(seconds=5), "2")
        (sighting,) = (await venue.ask_ids([order])).sightings
        assert sighting.report.last_fill_at is None
        (fill,) = (await venue.ask_fills([order])).sightings
        assert fill.report.status is None
        assert fill.report.filled_qty == 2
        assert fill.report.last_fill_at is not None
        assert abs(fill.report.last_fill_at - at + timedelta(seconds=5)) < timedelta(seconds=1)


@virtually
@pytest.mark.parametrize("cum_qty", [None, "", "two"])
async def test_a_fill_that_does_not_say_how_much_was_filled_is_silence(
    cum_qty: str | None,
) -> None:
    async with trading() as (broker, venue):
        order = broker.place("canceled", filled_qty="1")
        broker.fill(order, broker.now(), "1")
        broker.fills[-1]["cum_qty"] = cum_qty
        assert unanswered(await venue.ask_fills([order])) == [order]


@virtually
async def test_fills_that_are_not_found_are_silence_after_some_pages() -> None:
    async with trading() as (broker, venue):
        for n in range(1200):
            broker.fill(STRANGER, LONG_AGO + timedelta(seconds=n), "1")
        order = broker.place("canceled", filled_qty="1")
        reading = await venue.ask_fills([order])
        assert (reading.sightings, unanswered(reading)) == ((), [order])
        assert len(broker.calls) == 10
        broker.faults[""] = [JSONResponse([{"id": "x"}])]
        assert unanswered(await venue.ask_fills([order])) == [order]


# --- the budget ---------------------------------------------------------------------------------


@virtually
async def test_never_more_than_half_of_the_budget_and_never_a_refusal() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 400)
        assert seen(await venue.ask_ids(ids)) == ids
        assert not any(s > 200 for s in broker.spent.values())
        in_a_minute = [sum(1 for a in broker.at if t <= a < t + 60) for t in broker.at]
        assert max(in_a_minute) <= 100
        lasted = broker.at[-1] - broker.at[0]
        assert lasted <= 1.1 * 400 / 100 * 60


@virtually
async def test_what_the_bot_spends_is_left_to_it() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 60)
        broker.foreign = 185
        assert seen(await venue.ask_ids(ids)) == ids
        # Never beyond the venue's limit, and the last calls of each minute are not ours.
        assert all(spent + 185 <= 200 for spent in broker.spent.values())


@virtually
async def test_after_a_429_all_wait_for_the_reset() -> None:
    async with trading() as (broker, venue):
        ids = many(broker, 12)
        broker.faults[""] = [
            JSONResponse(
                {"code": 42910000, "message": "rate limit exceeded"}, 429, {"Retry-After": "20"}
            )
        ]
        assert seen(await venue.ask_ids(ids)) == ids
        gaps = [b - a for a, b in pairwise(broker.at)]
        assert max(gaps) >= 15


@virtually
async def test_only_reads_are_sent() -> None:
    async with trading() as (broker, venue):
        order = broker.place()
        await venue.identify()
        await venue.ask_ids([order])
        await venue.ask_open()
        assert {path.split("/")[1] for path, _ in broker.calls} == {"v2"}
