"""The Coinbase venue against an exchange that is strict, lies and breaks, in virtual time."""

from __future__ import annotations

import math
from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
import pytest
from starlette.responses import JSONResponse

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.ports import Severity
from ordersync.simulator import Fault, Faults, Kind, Life
from ordersync.truth.model import Status
from tests.venues.exchange import ONE, Exchange, exchange, scripted
from tests.venues.payloads import but, text
from tests.virtual import VirtualClock, run_virtually, virtually

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from ordersync.truth.evidence import Reading

SILENT = (
    Fault(kind=Kind.LATENCY, value=30),
    Fault(kind=Kind.TIMEOUT),
    Fault(kind=Kind.TIMEOUT, value=2),
    Fault(kind=Kind.DROP),
    Fault(kind=Kind.TOO_MANY),
    Fault(kind=Kind.TOO_MANY, value=2),
    Fault(kind=Kind.SERVER_ERROR),
    Fault(kind=Kind.SERVER_ERROR, value=503),
    Fault(kind=Kind.HTML),
    Fault(kind=Kind.UNAUTHORIZED),
    Fault(kind=Kind.FORBIDDEN),
    Fault(kind=Kind.GARBAGE),
    Fault(kind=Kind.GARBAGE, value="{}"),
    Fault(kind=Kind.GARBAGE, value="null"),
    Fault(kind=Kind.GARBAGE, value='{"orders": null, "has_next": false}'),
    Fault(kind=Kind.EMPTY),
    Fault(kind=Kind.TRUNCATED_PAGE),
)
MUTE = pytest.mark.parametrize("fault", SILENT, ids=lambda f: f"{f.kind} {f.value}")
FEW = pytest.mark.parametrize(
    "fault", [SILENT[2], SILENT[6], SILENT[12], SILENT[-1]], ids=lambda f: f"{f.kind} {f.value}"
)


def seen(reading: Reading) -> list[str]:
    return sorted(s.report.venue_order_id or "" for s in reading.sightings)


def gone(reading: Reading) -> list[str]:
    return sorted(a.venue_order_id or a.client_order_id or "" for a in reading.absences)


def unanswered(reading: Reading) -> list[str]:
    return sorted(order for silence in reading.silences for order in silence.orders)


def repeated(reading: Reading) -> list[str]:
    return sorted(order for said in reading.said_again for order in said.orders)


def heard(reading: Reading) -> dict[int, str]:
    return {s.mark: s.report.venue_order_id or "" for s in reading.sightings}


# --- words that were heard before ----------------------------------------------------------------


@virtually
async def test_words_that_were_heard_before_are_recognised_and_not_read_again() -> None:
    async with exchange() as at:
        ids = [at.place() for _ in range(150)]
        changing = at.place(Life.open(fills=[(timedelta(seconds=9), Decimal("0.5"))]))
        await at.venue.identify()
        await at.clock.sleep(1)
        first = await at.venue.ask_ids([*ids, changing])
        await at.clock.sleep(60)
        asked_at = at.venue.now()
        again = await at.venue.ask_ids([*ids, changing], heard(first))
        assert repeated(again) == sorted(ids)
        assert seen(again) == [changing]
        assert (again.absences, again.silences) == ((), ())
        assert all(said.as_of >= asked_at for said in again.said_again)


@virtually
async def test_an_order_is_recognised_by_its_words_wherever_they_are_said() -> None:
    async with exchange() as at:
        ids = [at.place() for _ in range(30)]
        await at.venue.identify()
        await at.clock.sleep(1)
        first = await at.venue.ask_ids(ids)
        listed = await at.venue.ask_open(heard(first))
        assert (repeated(listed), listed.sightings) == (sorted(ids), ())


@virtually
async def test_an_order_that_is_said_again_is_no_absence_and_one_that_is_not_said_is() -> None:
    async with exchange() as at:
        there = [at.place(), at.place(source="RETAIL_SIMPLE")]
        (stranger,) = at.strangers(1)
        await at.venue.identify()
        await at.clock.sleep(1)
        first = await at.venue.ask_ids(there)
        marks = {**heard(first), 17: stranger}
        again = await at.venue.ask_ids([*there, stranger], marks)
        assert (repeated(again), gone(again)) == (sorted(there), [stranger])


@virtually
async def test_orders_said_again_that_were_not_asked_for_spoil_the_scope_as_others_do() -> None:
    async with exchange() as at:
        ids, (stranger, another) = [at.place(), at.place()], at.strangers(2)
        await at.venue.identify()
        await at.clock.sleep(1)
        first = await at.venue.ask_ids(ids)
        marks = {**heard(first), first.sightings[1].mark: another}
        again = await at.venue.ask_ids([*ids, stranger], marks)
        assert repeated(again) == [first.sightings[0].report.venue_order_id]
        assert again.absences == ()
        assert stranger in unanswered(again)


@virtually
async def test_words_heard_before_the_account_was_known_have_to_be_read_again() -> None:
    async with exchange() as at:
        order = at.place()
        await at.clock.sleep(1)
        (sighting,) = (await at.venue.ask_ids([order])).sightings
        assert sighting.mark == 0


# --- by ids, in batches --------------------------------------------------------------------------


@virtually
async def test_ids_are_asked_for_a_hundred_a_call() -> None:
    async with exchange() as at:
        ids = [at.place() for _ in range(250)]
        await at.clock.sleep(1)
        reading = await at.venue.ask_ids(ids)
        assert (seen(reading), reading.absences, reading.silences) == (sorted(ids), (), ())
        assert len(at.asked("list")) == 3
        assert {s.endpoint for s in reading.sightings} == {"batch"}


@virtually
async def test_no_ids_are_no_calls() -> None:
    async with exchange() as at:
        reading = await at.venue.ask_ids([])
        assert (reading.sightings, reading.absences, reading.silences) == ((), (), ())
        assert (await at.venue.ask_fills([])).sightings == ()
        assert at.asked() == []


@virtually
async def test_as_of_is_when_the_question_was_asked_and_not_when_it_was_answered() -> None:
    faults = Faults([Fault(kind=Kind.LATENCY, value=4)])
    async with exchange(faults=faults) as at:
        order, stranger = at.place(), at.strangers(1)[0]
        await at.clock.sleep(5)
        asked_at = at.clock.now()
        reading = await at.venue.ask_ids([order, stranger])
        (sighting,), (absence,) = reading.sightings, reading.absences
        assert sighting.report.as_of == asked_at
        assert absence.as_of >= asked_at
        one = await at.venue.ask_one(order)
        assert one.sightings[0].report.as_of < at.clock.now() - timedelta(seconds=3)
        assert at.clock.now() - asked_at > timedelta(seconds=10)


@virtually
async def test_an_order_is_absent_only_when_both_placement_sources_lack_it() -> None:
    async with exchange() as at:
        simple, advanced = at.place(source="RETAIL_SIMPLE"), at.place()
        strangers = at.strangers(3)
        reading = await at.venue.ask_ids([simple, advanced, *strangers])
        assert seen(reading) == sorted([simple, advanced])
        assert gone(reading) == sorted(strangers)
        assert reading.silences == ()
        asked = [parse_qs(one.query) for one in at.asked("list")]
        assert [one.get("order_placement_source") for one in asked] == [None, ["RETAIL_SIMPLE"]]
        assert set(asked[1]["order_ids"]) == {simple, *strangers}


@FEW
def test_silence_about_the_second_placement_source_is_no_absence(fault: Fault) -> None:
    async def main() -> None:
        struck = Fault(kind=fault.kind, on="list", after=1, value=fault.value)
        async with exchange(faults=Faults([struck])) as at:
            order, strangers = at.place(), at.strangers(2)
            reading = await at.venue.ask_ids([order, *strangers])
            assert seen(reading) == [order]
            assert reading.absences == ()
            assert unanswered(reading) == sorted(strangers)

    run_virtually(main)


@virtually
async def test_an_order_of_another_portfolio_is_absent_to_this_key() -> None:
    async with exchange() as at:
        other = at.world.open_account("ed25519")
        order = at.place(portfolio=other.portfolio)
        assert gone(await at.venue.ask_ids([order])) == [order]
        assert gone(await at.venue.ask_one(order)) == [order]


@virtually
async def test_one_bad_id_spoils_only_itself_and_costs_few_calls() -> None:
    async with exchange() as at:
        ids = [at.place() for _ in range(99)]
        ids.insert(37, "SIM-17")
        reading = await at.venue.ask_ids(ids)
        assert seen(reading) == sorted(set(ids) - {"SIM-17"})
        assert (gone(reading), unanswered(reading)) == ([], ["SIM-17"])
        assert [silence.refused for silence in reading.silences] == [True]
        assert len(at.asked("list")) <= 1 + 2 * math.ceil(math.log2(100))


@virtually
async def test_a_bad_id_that_is_a_batch_of_its_own_holds_up_no_other_batch() -> None:
    async with exchange() as at:
        ids = [at.place() for _ in range(900)]
        reading = await at.venue.ask_ids([*ids, "SIM-17"])
        assert len(reading.sightings) == 900
        again = await at.venue.ask_ids(["SIM-17", *["x"] * 99, *ids])
        assert len(again.sightings) == 900


@virtually
async def test_several_bad_ids_spoil_only_themselves() -> None:
    async with exchange() as at:
        bad = ["0", "not-a-uuid"]
        ids = [at.place() for _ in range(20)]
        reading = await at.venue.ask_ids([bad[0], *ids, bad[1]])
        assert (seen(reading), unanswered(reading)) == (sorted(ids), sorted(bad))


@pytest.mark.parametrize(
    ("fault", "count"),
    [*((fault, 5) for fault in SILENT), (SILENT[6], 1), (SILENT[6], 150), (SILENT[-1], 150)],
    ids=lambda each: f"{each.kind} {each.value}" if isinstance(each, Fault) else str(each),
)
def test_a_batch_without_an_answer_says_nothing_about_any_order(fault: Fault, count: int) -> None:
    async def main() -> None:
        async with exchange(
            faults=Faults([Fault(kind=fault.kind, on="list", value=fault.value)])
        ) as at:
            ids = [at.place() for _ in range(count)] + at.strangers(1)
            reading = await at.venue.ask_ids(ids)
            assert (reading.sightings, reading.absences) == ((), ())
            assert unanswered(reading) == sorted(ids)
            at.faults.clear()
            again = await at.venue.ask_ids(ids)
            assert len(again.sightings) == count

    run_virtually(main)


@virtually
async def test_half_of_the_batches_without_an_answer_leaves_the_other_half() -> None:
    struck = Fault(kind=Kind.GARBAGE, on="list", after=1, count=1)
    async with exchange(faults=Faults([struck])) as at:
        ids = [at.place() for _ in range(300)]
        reading = await at.venue.ask_ids(ids)
        assert len(reading.sightings) == 200
        assert len(unanswered(reading)) == 100
        assert reading.absences == ()


@pytest.mark.parametrize(
    "kind",
    [Kind.UNKNOWN_STATUS, Kind.MISSING_FIELD, Kind.WRONG_TYPE, Kind.NAN],
)
def test_one_unreadable_order_takes_no_other_with_it(kind: Kind) -> None:
    async def main() -> None:
        async with exchange() as at:
            ids = [at.place() for _ in range(10)]
            victim, stranger = ids[3], at.strangers(1)[0]
            at.faults.add(Fault(kind=kind, order_ids=frozenset([victim])))
            reading = await at.venue.ask_ids([*ids, stranger])
            assert len(reading.sightings) == 9
            assert gone(reading) == [stranger]
            assert unanswered(reading) == [victim]
            (silence,) = reading.silences
            assert silence.garbled
            assert victim in silence.raw
            one = await at.venue.ask_one(victim)
            assert (one.sightings, one.absences, unanswered(one)) == ((), (), [victim])

    run_virtually(main)


@virtually
async def test_an_order_without_a_readable_id_makes_its_batch_incomplete() -> None:
    async with exchange() as at:
        ids, stranger = [at.place() for _ in range(3)], at.strangers(1)[0]
        field = "order_id"
        at.faults.add(Fault(kind=Kind.MISSING_FIELD, value=field, order_ids=frozenset(ids[:1])))
        reading = await at.venue.ask_ids([*ids, stranger])
        assert seen(reading) == sorted(ids[1:])
        assert reading.absences == ()
        assert set(unanswered(reading)) == {ids[0], stranger}


@virtually
async def test_an_answer_with_orders_nobody_asked_for_proves_no_absence() -> None:
    """The filter was not heeded: nothing is known of the scope of this answer."""
    asked, stranger = msgspec.json.decode(text("open")), msgspec.json.decode(text("filled"))
    page = {"orders": [asked, stranger], "has_next": False, "cursor": ""}
    async with scripted(batch=[page]) as (venue, _):
        reading = await venue.ask_ids([asked["order_id"], "another"])
        assert seen(reading) == [asked["order_id"]]
        assert reading.absences == ()
        assert unanswered(reading) == ["another"]


@virtually
async def test_an_id_in_another_spelling_is_never_absent() -> None:
    """Where the exchange answers with its own spelling of an id, the row is told as unverified."""
    async with exchange() as at:
        order = at.place().upper()
        reading = await at.venue.ask_ids([order])
        assert (reading.sightings, reading.absences) == ((), ())
        assert unanswered(reading) == [order]


# --- pages ---------------------------------------------------------------------------------------


def page(*names: str, **other: object) -> dict[str, Any]:
    orders = [msgspec.json.decode(text(name)) for name in names]
    return {"orders": orders, "has_next": False, "cursor": "", **other}


OPEN_ID = msgspec.json.decode(text("open"))["order_id"]
FILLED_ID = msgspec.json.decode(text("filled"))["order_id"]


@virtually
async def test_a_batch_in_pages_is_read_to_its_last_page() -> None:
    first = page("open", has_next=True, cursor="next")
    async with scripted(batch=[first, page("filled")]) as (venue, script):
        reading = await venue.ask_ids([OPEN_ID, FILLED_ID])
        assert seen(reading) == sorted([OPEN_ID, FILLED_ID])
        assert [("cursor=next" in query) for _, query in script.queries] == [False, True]


@pytest.mark.parametrize(
    "last",
    [
        page("open", has_next=True, cursor=""),
        page("open", has_next=True, cursor=None),
        page("open", has_next=True, cursor="next"),
        page("open", has_next="false"),
        {"orders": []},
        (500, b"trouble"),
        (404, text("not_found")),
        (404, text("proxy_404")),
        (400, b"{}"),
        (200, b'{"orders": ['),
    ],
    ids=lambda last: str(last)[-50:],
)
def test_a_list_that_does_not_come_to_its_end_proves_no_absence(last: object) -> None:
    async def main() -> None:
        first = page("open", has_next=True, cursor="next")
        async with scripted(batch=[first, last]) as (venue, _):
            reading = await venue.ask_ids([OPEN_ID, FILLED_ID])
            assert reading.absences == ()
            assert FILLED_ID in unanswered(reading)
        async with scripted(batch=[first, last]) as (venue, _):
            then = datetime.fromisoformat("2026-11-20T00:00:00Z")
            created = await venue.ask_created(then, then + timedelta(days=1), ["nobody"])
            assert OPEN_ID in seen(created)
            assert created.absences == ()
            assert "nobody" in unanswered(created)

    run_virtually(main)


@virtually
async def test_an_order_on_two_pages_is_said_once_as_the_later_page_says_it() -> None:
    later = but("open", status="FILLED", filled_size="0.01")
    second = page() | {"orders": [msgspec.json.decode(later)]}
    async with scripted(batch=[page("open", has_next=True, cursor="n"), second]) as (venue, _):
        (sighting,) = (await venue.ask_ids([OPEN_ID])).sightings
        assert sighting.report.status is Status.FILLED


@virtually
async def test_open_orders_are_listed_to_the_last_page() -> None:
    async with exchange() as at:
        ids = [at.place() for _ in range(900)]
        at.place(Life.filled(timedelta(0)))
        await at.clock.sleep(2)
        reading = await at.venue.ask_open()
        assert seen(reading) == sorted(ids)
        assert (reading.absences, reading.silences) == ((), ())
        assert len(at.asked("list")) == 1


@virtually
async def test_an_open_list_at_its_cap_is_incomplete_and_says_so() -> None:
    async with exchange() as at:
        for _ in range(1001):
            at.place()
        await at.clock.sleep(2)
        reading = await at.venue.ask_open()
        assert len(reading.sightings) == 1000
        assert [silence.why for silence in reading.silences] == [
            "the list of open orders is at its cap"
        ]
        assert reading.absences == ()


@virtually
async def test_an_open_list_leaves_out_what_is_not_open_yet_and_calls_nothing_absent() -> None:
    async with exchange() as at:
        at.place(Life.pending())
        at.place(Life.queued())
        await at.clock.sleep(2)
        reading = await at.venue.ask_open()
        assert (reading.sightings, reading.absences, reading.silences) == ((), (), ())


class SmallPages:
    """A door that refuses large pages, as the real exchange may: its limit is not published."""

    def __init__(self, inner: ASGIApp) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = parse_qs(scope["query_string"].decode()).get("limit", ["1"])
        if int(limit[0]) > 250:
            refusal = JSONResponse({"error": "INVALID_ARGUMENT"}, status_code=400)
            await refusal(scope, receive, send)
        else:
            await self.inner(scope, receive, send)


@virtually
async def test_a_page_that_is_refused_as_too_large_is_asked_for_in_smaller_ones() -> None:
    async with exchange(door=SmallPages) as at:
        ids = [at.place() for _ in range(250)]
        await at.clock.sleep(2)
        assert seen(await at.venue.ask_open()) == sorted(ids)
        assert len(at.asked("list")) == 3
        calls = at.venue.calls
        assert seen(await at.venue.ask_open()) == sorted(ids)
        assert at.venue.calls - calls == 3, "the large page was asked for again"


@virtually
async def test_a_refusal_that_has_nothing_to_do_with_the_page_ends() -> None:
    async with scripted(batch=[(400, b"{}")]) as (venue, script):
        reading = await venue.ask_open()
        assert reading.sightings == ()
        assert reading.silences[0].refused
        assert len(script.queries) <= 2


# --- by creation ---------------------------------------------------------------------------------


@virtually
async def test_history_is_read_from_both_sources_to_its_last_page() -> None:
    async with exchange() as at:
        now = at.clock.now()
        made = [
            at.place(created_at=now - timedelta(seconds=n), client_id=f"bot-{n}")
            for n in range(1, 1206)
        ]
        simple = at.place(
            created_at=now - timedelta(minutes=9), source="RETAIL_SIMPLE", client_id="simple"
        )
        asked = ["bot-1205", "simple", "bot-none", "bot-other"]
        reading = await at.venue.ask_created(now - timedelta(hours=1), now, asked)
        assert seen(reading) == sorted([*made, simple])
        assert gone(reading) == ["bot-none", "bot-other"]
        assert {a.endpoint for a in reading.absences} == {"history"}
        assert len(at.asked("list")) == 3


@virtually
async def test_the_window_has_its_start_in_it_and_its_end_not() -> None:
    async with exchange() as at:
        end = at.clock.now() - timedelta(minutes=1)
        start = end - timedelta(minutes=1)
        inside = at.place(created_at=start)
        at.place(created_at=end)
        at.place(created_at=start - timedelta.resolution)
        last = at.place(created_at=end - timedelta.resolution)
        assert seen(await at.venue.ask_created(start, end)) == sorted([inside, last])


@FEW
@pytest.mark.parametrize("after", [0, 1])
def test_history_without_its_last_page_calls_nobody_absent(fault: Fault, after: int) -> None:
    async def main() -> None:
        struck = Fault(kind=fault.kind, on="list", after=after, value=fault.value)
        async with exchange(faults=Faults([struck])) as at:
            now = at.clock.now()
            at.place(created_at=now - timedelta(minutes=1))
            reading = await at.venue.ask_created(now - timedelta(hours=1), now, ["nobody"])
            assert reading.absences == ()
            assert unanswered(reading).count("nobody") >= 1

    run_virtually(main)


@virtually
async def test_history_with_an_order_that_cannot_be_read_calls_nobody_absent() -> None:
    """The one that cannot be read may be the one that is looked for."""
    async with exchange() as at:
        order = at.place(created_at=at.clock.now() - timedelta(minutes=1))
        at.faults.add(Fault(kind=Kind.UNKNOWN_STATUS, order_ids=frozenset([order])))
        reading = await at.venue.ask_created(
            at.clock.now() - timedelta(hours=1), at.clock.now(), ["nobody"]
        )
        assert reading.absences == ()


# --- one by one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["NOT_FOUND", "unknown"])
def test_one_order_is_seen_or_honestly_not_found(word: Any) -> None:  # noqa: ANN401
    async def main() -> None:
        async with exchange(not_found=word) as at:
            order, stranger = at.place(Life.filled(timedelta(0))), at.strangers(1)[0]
            (sighting,) = (await at.venue.ask_one(order)).sightings
            assert sighting.report.status is Status.FILLED
            assert sighting.endpoint == "by_id"
            reading = await at.venue.ask_one(stranger)
            assert (gone(reading), reading.silences) == ([stranger], ())
            assert reading.absences[0].endpoint == "by_id"

    run_virtually(main)


@virtually
async def test_a_malformed_id_is_silence_that_needs_no_repeating() -> None:
    async with exchange() as at:
        reading = await at.venue.ask_one("SIM-17")
        assert (reading.sightings, reading.absences) == ((), ())
        assert unanswered(reading) == ["SIM-17"]
        assert reading.silences[0].refused
        assert len(at.asked()) == 1


@pytest.mark.parametrize(
    "answer",
    [(404, text("proxy_404")), (404, b""), (404, text("no_such_method")), (404, b"{}")],
    ids=lambda answer: repr(answer[1][:20]),
)
def test_a_404_of_a_proxy_is_silence(answer: object) -> None:
    async def main() -> None:
        async with scripted(one=[answer]) as (venue, _):
            reading = await venue.ask_one(OPEN_ID)
            assert (reading.sightings, reading.absences) == ((), ())
            assert unanswered(reading) == [OPEN_ID]

    run_virtually(main)


@virtually
async def test_another_order_than_the_one_asked_for_is_silence() -> None:
    async with scripted(one=[{"order": msgspec.json.decode(text("filled"))}]) as (venue, _):
        reading = await venue.ask_one(OPEN_ID)
        assert (reading.sightings, reading.absences) == ((), ())
        assert unanswered(reading) == [OPEN_ID]


@virtually
async def test_an_id_cannot_lead_to_another_path() -> None:
    async with scripted(one=[(404, text("proxy_404"))]) as (venue, script):
        await venue.ask_one("../../accounts?x=1#y")
        (asked,) = script.queries
        assert asked == (f"{ONE}../../accounts?x=1#y", "")


@MUTE
def test_no_answer_about_one_order_is_silence(fault: Fault) -> None:
    async def main() -> None:
        struck = Fault(kind=fault.kind, on="get", value=fault.value)
        async with exchange(faults=Faults([struck])) as at:
            order = at.place()
            reading = await at.venue.ask_one(order)
            assert (reading.sightings, reading.absences) == ((), ())
            assert unanswered(reading) == [order]

    run_virtually(main)


# --- fills ---------------------------------------------------------------------------------------


@virtually
async def test_fills_are_added_up_for_each_order() -> None:
    async with exchange() as at:
        ids = [at.place(Life.filled(timedelta(seconds=1))) for _ in range(150)]
        await at.clock.sleep(5)
        reading = await at.venue.ask_fills(ids)
        assert seen(reading) == sorted(ids)
        assert {s.report.status for s in reading.sightings} == {None}
        for sighting in reading.sightings:
            truth = at.world.truth(sighting.report.venue_order_id or "")
            assert sighting.report.filled_qty == truth.filled_qty
            assert sighting.report.fee == truth.final_fee
            assert sighting.report.avg_price == truth.avg_price
            assert sighting.report.last_fill_at == truth.last_fill_at


@virtually
async def test_fills_on_several_pages_count_once_each() -> None:
    listed = msgspec.json.decode(text("fills"))["fills"]
    first = {"fills": listed[:1], "cursor": "next"}
    shifted = {"fills": listed, "cursor": ""}
    async with scripted(fills=[first, shifted]) as (venue, script):
        (sighting,) = (await venue.ask_fills([listed[0]["order_id"]])).sightings
        assert str(sighting.report.filled_qty) == "0.004"
        assert len(script.queries) == 2


@virtually
async def test_fills_of_orders_nobody_asked_for_are_left_out() -> None:
    async with scripted(fills=[msgspec.json.decode(text("fills"))]) as (venue, _):
        assert (await venue.ask_fills([OPEN_ID])).sightings == ()


@FEW
@pytest.mark.parametrize("after", [0, 1])
def test_fills_without_their_last_page_say_nothing(fault: Fault, after: int) -> None:
    async def main() -> None:
        struck = Fault(kind=fault.kind, on="fills", after=after, value=fault.value)
        async with exchange(faults=Faults([struck])) as at:
            milli = Decimal("0.001")
            parts = [(timedelta(milliseconds=300 + n), milli) for n in range(130)]
            order = at.place(Life.open(fills=parts))
            await at.clock.sleep(10)
            reading = await at.venue.ask_fills([order])
            assert (reading.sightings, reading.absences) == ((), ())
            assert unanswered(reading) == [order]

    run_virtually(main)


# --- patience and the rate -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        (Kind.SERVER_ERROR, 3),
        (Kind.HTML, 3),
        (Kind.DROP, 3),
        (Kind.TIMEOUT, 3),
        (Kind.TOO_MANY, 3),
        (Kind.UNAUTHORIZED, 1),
        (Kind.FORBIDDEN, 1),
        (Kind.GARBAGE, 1),
        (Kind.EMPTY, 1),
        (Kind.TRUNCATED_PAGE, 1),
    ],
)
def test_only_what_may_pass_is_asked_again(kind: Kind, attempts: int) -> None:
    async def main() -> None:
        async with exchange(faults=Faults([Fault(kind=kind, on="get")])) as at:
            await at.venue.ask_one(at.place())
            assert len(at.asked("get")) == attempts

    run_virtually(main)


@pytest.mark.parametrize("kind", [Kind.SERVER_ERROR, Kind.DROP, Kind.TOO_MANY, Kind.TIMEOUT])
def test_a_fault_that_passes_is_not_even_noticed(kind: Kind) -> None:
    async def main() -> None:
        async with exchange(faults=Faults([Fault(kind=kind, on="get", count=2)])) as at:
            order = at.place()
            reading = await at.venue.ask_one(order)
            assert (seen(reading), reading.silences) == ([order], ())

    run_virtually(main)


@virtually
async def test_an_answer_later_than_the_patience_is_no_answer() -> None:
    async with exchange(faults=Faults([Fault(kind=Kind.LATENCY, value=10.5, count=3)])) as at:
        order = at.place()
        assert unanswered(await at.venue.ask_one(order)) == [order]
        at.faults.clear()
        at.faults.add(Fault(kind=Kind.LATENCY, value=9))
        assert seen(await at.venue.ask_one(order)) == [order]


@virtually
async def test_a_429_storm_is_answered_by_silence_of_all_callers() -> None:
    pause = 3.7
    faults = Faults([Fault(kind=Kind.TOO_MANY, on="list", count=6, value=pause)])
    async with exchange(faults=faults) as at:
        ids = [at.place() for _ in range(800)]
        reading = await at.venue.ask_ids(ids)
        while len(reading.sightings) < len(ids):
            reading = await at.venue.ask_ids(ids)
        served = at.asked("list")
        refused = [one.at for one in served if one.status == 429]
        assert len(refused) == 6
        # Those of one burst are refused together; nobody asks between that and the pause's end.
        for before, after in pairwise(served):
            if before.status == 429:
                gap = (after.at - before.at).total_seconds()
                assert gap < 0.1 or gap >= pause - 0.1, gap


@virtually
async def test_a_limit_that_the_bot_has_nearly_spent_is_not_overrun() -> None:
    """The answers tell how little is left, long before the first refusal."""
    async with exchange(requests_per_second=6) as at:
        order = at.place()
        for _ in range(40):
            assert seen(await at.venue.ask_one(order)) == [order]
        assert {one.status for one in at.asked()} == {200}


@virtually
async def test_thousands_of_orders_never_meet_the_rate_limit() -> None:
    async with exchange() as at:
        ids = [at.place(Life.open()) for _ in range(3_000)]
        await at.clock.sleep(1)
        began = at.clock.monotonic()
        reading = await at.venue.ask_ids(ids)
        took = at.clock.monotonic() - began
        assert len(reading.sightings) == 3_000
        assert Counter(one.status for one in at.asked()) == {200: 30}
        assert took <= 1.1 * 30 / 15
        times = [one.at.timestamp() for one in at.asked()]
        for first, start in enumerate(times):
            assert sum(start <= at_ < start + 1 for at_ in times[first:]) <= 15 + 5 + 1


# --- who we are, and what time it is -------------------------------------------------------------


@virtually
async def test_the_key_tells_whose_account_it_is() -> None:
    async with exchange() as at:
        identity = await at.venue.identify()
        assert identity.name == at.account.portfolio
        assert identity.host == "127.0.0.1:8700"
        assert (identity.can_trade, identity.can_transfer) == (True, False)
        assert identity.mark == f"127.0.0.1:8700 {at.account.portfolio}"


@pytest.mark.parametrize("kind", [Kind.UNAUTHORIZED, Kind.FORBIDDEN])
def test_a_refused_key_is_a_persons_affair(kind: Kind) -> None:
    async def main() -> None:
        async with exchange(faults=Faults([Fault(kind=kind, on="key_permissions")])) as at:
            with pytest.raises(VenueRefused) as refused:
                await at.venue.identify()
            assert "key_permissions" in refused.value.where
            assert refused.value.mend

    run_virtually(main)


@pytest.mark.parametrize(
    "kind",
    [
        Kind.SERVER_ERROR,
        Kind.HTML,
        Kind.DROP,
        Kind.TIMEOUT,
        Kind.GARBAGE,
        Kind.EMPTY,
        Kind.TOO_MANY,
    ],
)
def test_a_venue_that_does_not_tell_who_we_are_is_asked_again(kind: Kind) -> None:
    async def main() -> None:
        async with exchange(faults=Faults([Fault(kind=kind, on="key_permissions", count=3)])) as at:
            with pytest.raises(VenueSilent):
                await at.venue.identify()
            at.faults.clear()
            assert (await at.venue.identify()).name == at.account.portfolio

    run_virtually(main)


@pytest.mark.parametrize("slow", [timedelta(hours=3), timedelta(hours=-3), timedelta(seconds=40)])
def test_a_wrong_clock_of_ours_is_corrected_by_the_venues(slow: timedelta) -> None:
    async def main() -> None:
        async with exchange(slow=slow) as at:
            order = at.place(created_at=at.world.now())
            await at.venue.identify()
            off = (at.venue.now() - at.world.now()).total_seconds()
            assert abs(off) < 0.01
            reading = await at.venue.ask_one(order)
            assert abs(reading.sightings[0].report.as_of - at.world.now()) < timedelta(seconds=1)
            (clock,) = [one for one in await at.venue.findings() if one.about == "clock"]
            assert clock.severity is Severity.WARNING
            assert clock.mend

    run_virtually(main)


@pytest.mark.parametrize(
    "millis",
    [
        *("", "soon", "NaN", "-", None, 1.5, True, "\xb2"),
        *("1" + "0" * 400, "9" * 5000, "-" + "9" * 30),
        *("0", "253402300799000"),  # the years 1970 and 9999
    ],
    ids=lambda millis: str(millis)[:10],
)
def test_a_time_that_is_none_leaves_our_clock_as_it_is(millis: object) -> None:
    async def main() -> None:
        permissions = {
            "can_view": True,
            "can_trade": False,
            "can_transfer": False,
            "portfolio_uuid": "p",
        }
        said: list[object] = [{"epochMillis": millis}]
        async with scripted(time=said, permissions=[permissions]) as (venue, _):
            assert (await venue.identify()).name == "p"
            assert abs(venue.now() - VirtualClock().now()) < timedelta(seconds=1)

    run_virtually(main)


@virtually
async def test_findings_tell_a_venue_that_is_well_and_one_that_is_not() -> None:
    async with exchange() as at:
        well = await at.venue.findings()
        assert {finding.severity for finding in well} <= {Severity.OK, Severity.WARNING}
        assert at.account.portfolio in well[0].what
        at.faults.add(Fault(kind=Kind.SERVER_ERROR))
        (ill,) = await at.venue.findings()
        assert ill.severity is Severity.ERROR


@virtually
async def test_an_order_said_to_be_of_another_portfolio_is_silence() -> None:
    async with exchange() as at:
        order = at.place()
        await at.venue.identify()
        at.faults.add(Fault(kind=Kind.UNKNOWN_STATUS, order_ids=frozenset([order]), value="OPEN"))
        assert seen(await at.venue.ask_one(order)) == [order]
    foreign = but("open", retail_portfolio_id="elsewhere")
    permissions = {
        "can_view": True,
        "can_trade": False,
        "can_transfer": False,
        "portfolio_uuid": "home",
    }
    async with scripted(
        one=[{"order": msgspec.json.decode(foreign)}], permissions=[permissions], time=[{}]
    ) as (venue, _):
        await venue.identify()
        reading = await venue.ask_one(OPEN_ID)
        assert (reading.sightings, reading.absences, unanswered(reading)) == ((), (), [OPEN_ID])


def test_only_gets_are_ever_sent() -> None:
    """The venue can send nothing else: whatever is asked, no order can be placed or canceled."""

    async def main() -> None:
        methods: list[str] = []

        def door(inner: ASGIApp) -> ASGIApp:
            async def watch(scope: Scope, receive: Receive, send: Send) -> None:
                methods.append(scope["method"])
                await inner(scope, receive, send)

            return watch

        async with exchange(door=door) as at:
            await ask_everything(at)
        assert set(methods) == {"GET"}

    run_virtually(main)


async def ask_everything(at: Exchange) -> None:
    order, now = at.place(), at.clock.now()
    await at.venue.identify()
    await at.venue.ask_ids([order, *at.strangers(1)])
    await at.venue.ask_one(order)
    await at.venue.ask_open()
    await at.venue.ask_created(now - timedelta(hours=1), now, ["x"])
    await at.venue.ask_fills([order])
    await at.venue.findings()
