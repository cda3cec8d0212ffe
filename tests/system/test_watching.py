"""The service watched: the figures of each minute, what Prometheus reads, who is told."""

from __future__ import annotations

import asyncio
import base64
import json
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ordersync.alerted import Alert
from ordersync.metered import Count, Span
from ordersync.sampled import MINUTE
from ordersync.service import build_samples
from ordersync.service import serving as serving_orders
from ordersync.simulator import Fault, Kind, Life
from ordersync.standard_webhooks import Secret, is_signed
from ordersync.sync.objectives import WINDOWS, objectives
from ordersync.web.guest import listening
from tests.system.house import SetClock, built
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from ordersync.sampled import Sample
    from ordersync.service import Service
    from tests.system.house import House

ALERT_PORT = 9000
SECRET = Secret("whsec_" + base64.b64encode(b"s" * 32).decode())
MINUTES = 10


async def kept(house: House) -> list[Sample]:
    samples = build_samples(house.settings())
    return await samples.list_since(house.clock.now() - timedelta(days=1))


def scraped(service: Service) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """The metrics, by name and labels, as Prometheus' own parser reads them."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(service.watch.metrics.text().decode()):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(sorted(one.labels.items()))] = one.value
    return found


class Listener:
    """Somebody who takes signed webhooks. `mute`: it takes the request and never answers."""

    def __init__(self, *, status: int = 200) -> None:
        self.status = status
        self.got: list[dict[str, Any]] = []
        self.at: list[float] = []
        self.app = Starlette(routes=[Route("/", self.take, methods=["POST"])])

    async def take(self, request: Request) -> Response:
        body = await request.body()
        assert is_signed(
            [SECRET],
            request.headers["webhook-signature"],
            webhook_id=request.headers["webhook-id"],
            timestamp=request.headers["webhook-timestamp"],
            body=body,
        )
        self.got.append(json.loads(body))
        return Response(status_code=self.status)

    def kinds(self) -> list[set[str]]:
        """Of each message the kinds that it tells of."""
        return [
            {part["kind"] for one in got["alerts"]["messages"] for part in one["parts"]}
            for got in self.got
        ]


def alerting(folder: Path, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any key of [alerts]
    secret_file = folder / "alerts.key"
    secret_file.write_text("whsec_" + base64.b64encode(b"s" * 32).decode())
    secret_file.chmod(0o600)
    channel = {
        "name": "hook",
        "webhook": f"http://127.0.0.1:{ALERT_PORT}/",
        "secret_file": str(secret_file),
    }
    return {
        "web": {"enabled": False},
        "subscriptions": {"allow": ["127.0.0.1"]},
        "alerts": {"channels": [channel], **more},
    }


@virtually
async def test_each_minute_is_kept_with_what_was_counted_in_it(tmp_path: Path) -> None:
    async with built(tmp_path, orders={"owner": "bot_id"}) as house:
        resting = house.place(Life.open())
        async with house.running() as service:
            await house.wait(minutes=2)
            ending = house.place(Life.filled(after=timedelta(seconds=30)), age=timedelta(0))
            await house.wait(minutes=MINUTES)
            assert house.word(ending) == "completed"
            house.update(ending.row_id, status="failed")
            await house.wait(minutes=2)
            calls = service.tally.total(Count.CALLS, "main")
        samples = await kept(house)
    assert {one.account for one in samples} == {"main"}
    assert MINUTES <= len(samples) <= MINUTES + 5
    # Of all that happened only the row that somebody had put back was wrong.
    assert [one.found for one in samples if one.found] == [{"repaired": 1}]
    for before, after in pairwise(samples[1:]):
        assert after.at - before.at == MINUTE
    assert {one.open for one in samples[-3:]} == {1}
    assert max(one.open for one in samples) == 2
    assert 0 < sum(one.calls for one in samples) <= calls
    assert sum(one.calls_failed for one in samples) == 0
    assert samples[-1].call_limit
    # The bot has an order working all the time, and was held up untruly by none but the other.
    assert samples[-1].blocked_seconds > 55
    found = objectives(samples, WINDOWS["1h"], house.clock.now())
    assert found.latency_seconds.count >= 1
    assert found.latency_seconds.max is not None
    assert 0 < found.latency_seconds.max <= 31
    assert 0 < found.availability.untruly_blocked_seconds <= found.latency_seconds.max
    assert found.availability.value is not None
    assert 0.9 < found.availability.value < 1
    assert found.within_2m == 1
    assert resting.row_id != ending.row_id


@virtually
async def test_what_changed_before_anybody_watched_says_nothing_of_how_late_we_are(
    tmp_path: Path,
) -> None:
    async with built(tmp_path) as house:
        house.place(Life.filled(), age=timedelta(days=2))
        async with house.running() as service:
            await house.wait(minutes=3)
            assert service.tally.times(Span.LATENCY, "main") == []
        # But what changes while ordersync is away does.
        away = house.place(Life.filled(after=timedelta(minutes=1)), age=timedelta(0))
        await house.wait(minutes=20)
        async with house.running() as service:
            await house.wait(minutes=2)
            assert house.word(away) == "completed"
            (times,) = service.tally.times(Span.LATENCY, "main")
            assert times.seconds > 18 * 60


@virtually
async def test_prometheus_reads_every_metric_and_no_order_or_owner_is_a_label(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, orders={"owner": "bot_id"}, pushes=True) as house:
        placed = [house.place(Life.open(), bot_id=n) for n in range(3)]
        placed += [house.place(Life.filled(after=timedelta(minutes=62)), bot_id=7)]
        async with house.running() as service:
            await house.wait(minutes=5)
            text = service.watch.metrics.text().decode()
            found = scraped(service)
    main = ("account", "main")
    assert found["ordersync_open_orders"] == {(main,): 3.0}
    assert found["ordersync_owners_blocked"] == {(main,): 3.0}
    assert found["ordersync_stale_orders"] == {(main,): 0.0}
    assert found["ordersync_stream_state"][main, ("state", "live")] == 1.0
    assert found["ordersync_venue_calls_total"][main, ("result", "answered")] > 1
    assert found["ordersync_events_total"][main, ("kind", "changed")] >= 4
    assert found["ordersync_latency_seconds_count"][main, ("source", "stream")] >= 1
    assert found["ordersync_database_seconds_count"][()] > 10
    assert found["ordersync_gap_fill_seconds_count"][main,] >= 1
    assert found["ordersync_lease_held"] == {(main,): 1.0}
    for one in placed:
        assert one.order_id not in text
        assert one.client_id not in text
    labels = {name for family in found.values() for key in family for name, _ in key}
    assert labels <= {"account", "kind", "le", "result", "source", "state", "venue", "version"}


@virtually
async def test_what_was_finished_is_verified_again_and_what_is_wrong_is_counted_and_repaired(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, sync={"verify_recent": "1m"}) as house:
        placed = [house.place(Life.filled(), age=timedelta(minutes=5)) for _ in range(3)]
        async with house.running() as service:
            await house.until_true(*placed, within=60)
            await house.wait(hours=1.5)
            assert service.tally.total(Count.ACCURACY_SAMPLED, "main") >= 3
            assert service.tally.total(Count.ACCURACY_WRONG, "main") == 0
            house.update(placed[0].row_id, status="failed")
            await house.wait(minutes=6)
            assert service.tally.total(Count.ACCURACY_WRONG, "main") == 1
            assert house.untrue(placed[0]) == []


@virtually
async def test_an_exchange_that_is_cut_off_for_an_hour_is_told_a_few_times_and_then_all_well(
    tmp_path: Path,
) -> None:
    """They go stale at once, and an hour later are so for long: each is one message."""
    listener = Listener()
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        orders = [house.place(Life.open(), age=timedelta(minutes=20)) for _ in range(60)]
        async with house.running():
            await house.wait(minutes=3)
            assert listener.got == []
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            began = house.clock.now()
            while not listener.got:
                await house.wait(seconds=0.5)
            # Five minutes after the last word of the exchange, and at most two seconds later.
            late = house.clock.now() - began - timedelta(minutes=5)
            assert late <= timedelta(seconds=2)
            await house.wait(minutes=56)
            during = len(listener.got)
            house.faults.clear()
            await house.wait(minutes=3)
            kinds = listener.kinds()
            assert house.all_untrue(orders) == {}
    assert kinds[0] == {Alert.ORDER_STALE, Alert.ACCOUNT_SILENT}
    assert kinds[1:during] == [{Alert.ORDER_STALE_LONG}]
    assert kinds[during:] == [{Alert.ALL_WELL}]
    assert "60 orders are stale." in listener.got[0]["text"]
    assert "60 orders are stale for very long." in listener.got[1]["text"]


@virtually
async def test_a_restart_in_an_outage_tells_nothing_again(tmp_path: Path) -> None:
    listener = Listener()
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        house.place(Life.open())
        async with house.running():
            await house.wait(minutes=2)
            house.faults.add(Fault(kind=Kind.SERVER_ERROR))
            await house.wait(minutes=8)
        told = len(listener.got)
        assert told >= 1
        for _ in range(3):
            async with house.running():
                await house.wait(minutes=2)
        assert len(listener.got) == told


@virtually
async def test_rows_that_cannot_be_read_for_a_minute_are_told_of_though_the_database_is_away(
    tmp_path: Path,
) -> None:
    listener = Listener()
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        house.place(Life.open())
        async with house.running():
            for away, told in ((40, []), (100, [{Alert.DATABASE_AWAY}])):
                await house.wait(minutes=2)
                house.sql("ALTER TABLE trades RENAME TO elsewhere")
                await house.wait(seconds=away)
                assert listener.kinds() == told
                house.sql("ALTER TABLE elsewhere RENAME TO trades")
            await house.wait(minutes=2)
            assert listener.kinds()[1:] == [{Alert.ALL_WELL}]
    assert "the database cannot be read" in listener.got[0]["title"]


@virtually
async def test_a_refused_key_is_told_at_once(tmp_path: Path) -> None:
    listener = Listener()
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        house.place(Life.open())
        async with house.running():
            await house.wait(minutes=2)
            house.faults.add(Fault(kind=Kind.UNAUTHORIZED))
            await house.wait(seconds=35)
            assert listener.kinds()[0] == {Alert.KEY_REFUSED}


@virtually
async def test_a_channel_that_fails_is_shown_and_tried_again(tmp_path: Path) -> None:
    listener = Listener(status=500)
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        house.place(Life.open())
        async with house.running() as service:
            house.faults.add(Fault(kind=Kind.UNAUTHORIZED))
            await house.wait(minutes=1)
            found = scraped(service)["ordersync_alerts_total"]
            failed = ("channel", "hook"), ("result", "failed")
            assert found[failed] >= 2
            ((body,),) = house.sql(
                "SELECT body FROM ordersync_alerts WHERE name = ?", "channel hook"
            )
            assert "it answers 500" in json.loads(body)["why"]
            (shown,) = await service.watch.channels.stand()
            assert "it answers 500" in shown.why
            listener.status = 200
            await house.wait(minutes=3)
            assert scraped(service)["ordersync_alerts_total"][failed[0], ("result", "delivered")]
            (shown,) = await service.watch.channels.stand()
            assert shown.why == ""


@virtually
async def test_a_finished_row_that_was_wrong_is_told_of_and_one_that_was_late_is_not(
    tmp_path: Path,
) -> None:
    listener = Listener()
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        late = house.place(Life.filled(), age=timedelta(minutes=30))
        wrong = house.place(Life.filled(), age=timedelta(minutes=30), status="failed")
        async with house.running():
            await house.until_true(late, wrong, within=60)
            await house.wait(seconds=10)
            (first,) = listener.got
            house.update(wrong.row_id, status="cancelled")
            await house.wait(minutes=3)
    assert listener.kinds() == [{Alert.FINAL_REPAIRED}] * 2
    assert f"row {wrong.row_id} " in first["text"]
    assert "failed -> completed" in first["text"]
    assert f"row {late.row_id} " not in first["text"]


@virtually
async def test_hours_in_the_shadow_write_no_row_fill_no_log_and_then_all_is_repaired(
    tmp_path: Path,
) -> None:
    async with built(tmp_path, sync={"interval": "10m"}) as house:
        placed = [
            house.place(Life.filled(), age=timedelta(hours=3)),
            house.place(Life.canceled(after=timedelta(hours=2)), age=timedelta(hours=1)),
            house.place(Life.open()),
            house.place(Life.filled(), age=timedelta(hours=2), status="failed"),
        ]
        settings = house.settings()
        before = house.dump("trades")
        async with (
            serving_orders(settings, create=True, clock=house.clock, shadow=True) as service,
            asyncio.TaskGroup() as group,
        ):
            working = group.create_task(service.run())
            await house.wait(hours=2)
            at_first = len(house.events())
            await house.wait(hours=6)
            working.cancel()
        assert house.dump("trades") == before
        assert len(house.events()) == at_first <= 3 * len(placed)
        assert len(house.all_untrue(placed)) == 3
        async with house.running():
            await house.until_true(*placed, within=60)


@virtually
async def test_a_clock_that_jumps_makes_no_minute_longer_and_wakes_nobody(tmp_path: Path) -> None:
    listener = Listener()
    async with (
        built(tmp_path, more=alerting(tmp_path)) as house,
        listening(listener.app, "127.0.0.1", ALERT_PORT),
    ):
        clock = house.service_clock = SetClock()
        house.place(Life.open())
        async with house.running():
            await house.wait(minutes=5)
            for hours in (-3, 5, 0):
                clock.off = timedelta(hours=hours)
                await house.wait(minutes=5)
        samples = await build_samples(house.settings()).list_since(
            house.clock.now() - timedelta(days=1)
        )
    assert listener.got == []
    assert max(one.seconds for one in samples) <= 61
    assert sum(one.seconds for one in samples) >= 15 * 60
