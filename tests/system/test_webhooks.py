"""Webhooks: a hint makes a row true at once, and is nothing but a hint.

The orders here are older than the first steps at which a new row is asked about, and full passes
come every ten minutes, so that only a webhook can have made a row true in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from ordersync.errors import ConfigError
from ordersync.service import examine
from ordersync.settings import Webhooks
from ordersync.simulator import Fault, Kind, Life
from tests.system.house import House, Placed, ago, naive
from tests.system.sender import PORT, SECRET, Sender, secret_of, sending, signed, with_door
from tests.virtual import virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping
    from pathlib import Path

RARELY = {"interval": "10m"}
RECEIPTS = "SELECT webhook_id FROM ordersync_webhooks ORDER BY webhook_id"
WRONG_PATHS = ("/webhooks/main/", "//webhooks/main", "/webhooks", "/")
OTHER_KEY, THIRD_KEY = b"another key " * 3, b"a third key " * 3


@contextlib.asynccontextmanager
async def at_work(
    folder: Path,
    orders: int = 1,
    **more: Any,  # noqa: ANN401 - as `with_door`
) -> AsyncIterator[tuple[House, Sender, list[Placed]]]:
    """A house with a door, and orders that filled after they were last looked at."""
    async with with_door(folder, sync=RARELY, **more) as house:
        placed = [house.place(Life.filled(ago(hours=1, seconds=200))) for _ in range(orders)]
        async with sending(house) as (sender, _):
            assert len(house.all_untrue(placed)) == orders
            yield house, sender, placed


def receipts(house: House) -> list[str]:
    return [webhook_id for (webhook_id,) in house.sql(RECEIPTS)]


def sources(house: House) -> list[str]:
    found = house.sql("SELECT body FROM ordersync_events ORDER BY log_id, n")
    return [json.loads(body)["source"] for (body,) in found]


# --- What a webhook does ------------------------------------------------------------------------


@virtually
async def test_a_webhook_makes_a_row_true_before_it_is_answered(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        answer = await sender.hint("msg_1", order.order_id)
        assert (answer.status_code, answer.json()) == (200, {"result": "taken"})
        assert house.untrue(order) == []
        assert sources(house)[-1] == "webhook"
        assert receipts(house) == ["msg_1"]
        assert len(house.asked()) == 1


@virtually
@pytest.mark.parametrize(
    "shape",
    [
        '{"venue_order_id": "V", "status": "filled"}',
        '{"order_id": "V", "client_order_id": "C"}',
        '{"order": {"order_id": "V"}}',
        '{"stream": "trade_updates", "data": {"event": "fill", "order": {"id": "V"}}}',
        '{"id": "evt_1", "type": "order.filled", "data": {"id": "V"}}',
        '{"channel": "user", "events": [{"orders": [{"order_id": "V"}]}]}',
        '[{"order_id": "V"}, {"order_id": "V"}]',
        '{"client_order_id": "C"}',
    ],
)
async def test_every_documented_payload_names_its_order(shape: str, tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        body = shape.replace("V", order.order_id).replace("C", order.client_id)
        answer = await sender.send("msg_1", body.encode())
        assert answer.status_code == 200
        assert house.untrue(order) == []


@virtually
async def test_a_row_that_never_learned_its_venue_id_is_found_by_the_clients(
    tmp_path: Path,
) -> None:
    async with with_door(tmp_path, sync=RARELY) as house:
        order = house.place(Life.filled(ago(hours=1, seconds=200)), order_id=None)
        async with sending(house) as (sender, _):
            house.update(order.row_id, order_id=None, status="pending")
            answer = await sender.send("msg_1", {"client_order_id": order.client_id})
            assert answer.status_code == 200
            assert house.row(order.row_id)["order_id"] == order.order_id
            assert house.untrue(order) == []


@virtually
async def test_a_webhook_brings_no_row_what_became_of_an_earlier_order_with_its_client_id(
    tmp_path: Path,
) -> None:
    async with with_door(tmp_path, sync=RARELY) as house:
        order = house.place(Life.filled(), age=ago(hours=3), order_id=None)
        house.update(order.row_id, created_at=naive(house.clock.now()))
        async with sending(house) as (sender, _):
            answer = await sender.send("msg_1", {"client_order_id": order.client_id})
            assert answer.status_code == 200
            row = house.row(order.row_id)
            assert (row["order_id"], row["status"]) == (None, "pending")


@virtually
async def test_that_two_ids_belong_together_is_for_the_venue_to_say(tmp_path: Path) -> None:
    async with with_door(tmp_path, sync=RARELY) as house:
        order = house.place(Life.open(), order_id=None)
        other = house.place(Life.filled())
        house.sql("DELETE FROM trades WHERE id = ?", other.row_id)
        async with sending(house) as (sender, _):
            house.update(order.row_id, order_id=None)
            forged = {"order_id": other.order_id, "client_order_id": order.client_id}
            assert (await sender.send("msg_1", forged)).status_code == 200
            assert house.row(order.row_id)["order_id"] == order.order_id
            assert house.word(order) == "pending"

            house.update(order.row_id, order_id=None)
            right = {"order_id": order.order_id, "client_order_id": order.client_id}
            assert (await sender.send("msg_2", right)).status_code == 200
            assert house.row(order.row_id)["order_id"] == order.order_id


@virtually
async def test_nothing_of_the_payload_is_believed(tmp_path: Path) -> None:
    async with with_door(tmp_path, sync=RARELY) as house:
        order = house.place(Life.open())
        async with sending(house) as (sender, _):
            before = house.dump()
            said = {"order_id": order.order_id, "status": "filled", "filled_qty": "1"}
            assert (await sender.send("msg_1", said)).status_code == 200
            assert house.dump() == before
            assert receipts(house) == ["msg_1"]


@virtually
async def test_orders_without_a_row_cost_no_call(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, _):
        names = [{"order_id": house.world.new_id()} for _ in range(100)]
        assert (await sender.send("msg_1", names)).status_code == 200
        assert house.asked() == []
        assert receipts(house) == ["msg_1"]


@virtually
async def test_an_order_that_the_venue_lacks_is_no_reason_to_send_again(tmp_path: Path) -> None:
    async with with_door(tmp_path, sync=RARELY) as house:
        gone = house.invent(age=ago(hours=1))
        async with sending(house) as (sender, _):
            before = house.dump()
            assert (await sender.hint("msg_1", gone.order_id)).status_code == 200
            assert house.dump() == before


# --- Once, and only once ------------------------------------------------------------------------


@virtually
async def test_a_webhook_that_comes_again_is_not_asked_about_again(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        await sender.hint("msg_1", order.order_id)
        before = house.dump()
        house.forget_asked()
        answer = await sender.hint("msg_1", order.order_id)
        assert (answer.status_code, answer.json()) == (200, {"result": "repeated"})
        assert house.asked() == []
        assert house.dump() == before


@virtually
async def test_two_deliveries_at_once_are_one_question(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        answers = await asyncio.gather(*(sender.hint("msg_1", order.order_id) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len(house.asked()) == 1
        assert house.events("changed", order=order.order_id) == ["changed", "changed"]


@virtually
async def test_a_restart_forgets_no_webhook_for_four_days(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        await sender.hint("msg_1", order.order_id)
    async with with_door(tmp_path, sync=RARELY, table="SELECT 1") as house:
        house.clock._epoch += ago(days=3, hours=23)  # noqa: SLF001 - days later
        async with sending(house) as (sender, _):
            answer = await sender.hint("msg_1", order.order_id)
            assert answer.json() == {"result": "repeated"}
            await house.wait(hours=2)
            assert receipts(house) == []
            assert (await sender.hint("msg_1", order.order_id)).json() == {"result": "taken"}


@virtually
async def test_old_receipts_go_a_little_at_a_time(tmp_path: Path) -> None:
    async with with_door(tmp_path, sync=RARELY) as house:
        async with house.serving():
            pass
        old = "2026-11-01T00:00:00.000000Z"
        many = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 1200)"
        house.sql(f"{many} INSERT INTO ordersync_webhooks SELECT 'main', 'm' || n, ? FROM c", old)  # noqa: S608
        async with house.running():
            left = {len(receipts(house))}
            for _ in range(100):
                await house.wait(seconds=0.02)
                left.add(len(receipts(house)))
            assert left == {1200, 700, 200, 0}


# --- Forged, late, huge, malformed --------------------------------------------------------------


@virtually
async def test_what_is_forged_or_late_is_refused_and_asks_nothing(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        body = {"order_id": order.order_id}
        refused = [
            await sender.send("msg_1", body, OTHER_KEY),
            await sender.send("msg_1", body, late=301),
            await sender.send("msg_1", body, late=-301),
            await sender.send("msg_1", body, headers={"webhook-id": "msg_2"}),
            await sender.send("msg_1", body, headers={"webhook-id": ""}),
            await sender.send("msg_1", body, headers={"webhook-id": "m" * 191}),
            await sender.send("msg_1", body, headers={"webhook-timestamp": "now"}),
            await sender.send("msg_1", body, headers={"webhook-timestamp": "9" * 400}),
            await sender.send("msg_1", body, headers={"webhook-signature": "v1,"}),
            await sender.send("msg_1", body, headers={"webhook-signature": "v1a,AAAA v2,BBBB"}),
        ]
        assert [answer.status_code for answer in refused] == [401] * 10
        assert house.asked() == []
        assert receipts(house) == []
        assert (await sender.send("msg_1", body, late=299)).status_code == 200


@virtually
async def test_secrets_are_exchanged_while_webhooks_flow(tmp_path: Path) -> None:
    secrets = {"main": [SECRET, secret_of(OTHER_KEY)]}
    async with at_work(tmp_path, secrets=secrets) as (_, sender, (order,)):
        body = {"order_id": order.order_id}
        assert (await sender.send("msg_1", body, OTHER_KEY)).status_code == 200
        assert (await sender.send("msg_2", body, THIRD_KEY, OTHER_KEY)).status_code == 200
        assert (await sender.send("msg_3", body, THIRD_KEY)).status_code == 401


@virtually
async def test_what_makes_no_sense_is_the_senders_fault(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, _):
        url = f"http://127.0.0.1:{PORT}"
        statuses = {
            400: [b"", b"{", b"\xff\xfe", b"[" * 5_000, b'{"order_id": "\\ud800"}'],
            422: [b"{}", b"null", b"[]", b'{"order_id": ""}', b'{"order_id": {"id": [1]}}'],
        }
        for status, bodies in statuses.items():
            for body in bodies:
                assert (await sender.send("msg_1", body)).status_code == status, body
        many = [{"order_id": f"o{n}"} for n in range(101)]
        assert (await sender.send("msg_1", many)).status_code == 422
        assert (await sender.send("msg_1", {"order_id": "x"}, account="other")).status_code == 404
        asked = await sender.client.get(f"{url}/webhooks/main")
        assert (asked.status_code, asked.headers["allow"]) == (405, "POST")
        for wrong in (asked, *[await sender.client.post(f"{url}{at}") for at in WRONG_PATHS]):
            assert wrong.status_code in {404, 405}
            assert "/webhooks/ and the account's name" in wrong.json()["error"]
        assert house.asked() == []
        assert receipts(house) == []


@virtually
async def test_what_is_huge_is_refused_before_it_has_come(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        body = json.dumps({"order_id": order.order_id}).encode()
        fits = body + b" " * (256 * 1024 - len(body))
        assert (await sender.send("msg_1", fits)).status_code == 200
        assert (await sender.send("msg_2", fits + b" ")).status_code == 413

        at = int(house.clock.now().timestamp())
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65_536
                yield b" " * 65_536
                await house.wait(seconds=0.01)

        # Who goes on for ever is cut off, and may not see why.
        with contextlib.suppress(httpx2.TransportError):
            answer = await sender.client.post(
                f"http://127.0.0.1:{PORT}/webhooks/main",
                content=endless(),
                headers=signed("msg_3", at, b""),
            )
            assert answer.status_code == 413
        assert sent < 3_000_000


@virtually
async def test_what_is_no_http_is_answered_with_a_4xx_or_not_at_all(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        dice = random.Random(7)  # noqa: S311 - dice
        whole = b"POST /webhooks/main HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
        answers = []
        for _ in range(300):
            text = bytearray(whole)
            for _ in range(dice.randint(1, 4)):
                at = dice.randrange(len(text))
                text[at : at + dice.randint(0, 2)] = dice.randbytes(dice.randint(0, 3))
            if dice.random() < 0.1:
                text = bytearray(dice.randbytes(50))
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(bytes(text))
            answers.append(await reader.read())
            writer.close()
        statuses = {answer.partition(b" ")[2][:1] for answer in answers if answer}
        assert statuses == {b"4"}
        assert receipts(house) == []
        assert (await sender.hint("msg_1", order.order_id)).status_code == 200


@virtually
async def test_who_is_slow_is_dropped(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, _, _):
        at = int(house.clock.now().timestamp())
        head = "POST /webhooks/main HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n"
        for name, value in signed("msg_1", at, b"").items():
            head += f"{name}: {value}\r\n"
        heads = {"no head": "", "half a head": head, "a head and no body": head + "\r\n"}
        for what, text in heads.items():
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            began = house.clock.monotonic()
            writer.write(text.encode())
            answer = await reader.read()
            assert 9 < house.clock.monotonic() - began < 12, what
            assert (b"408" in answer) == (what == "a head and no body")
            writer.close()
        # So is who was answered before.
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"404" in await reader.readuntil(b"}")
        began = house.clock.monotonic()
        writer.write(head.encode())
        assert await reader.read() == b""
        assert 9 < house.clock.monotonic() - began < 12
        writer.close()
        # Who drips is as slow as who stops.
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
        began = house.clock.monotonic()
        writer.write((head + "\r\n").encode())
        reading = asyncio.ensure_future(reader.read())  # noqa: TID251 - awaited below
        while not reading.done():
            writer.write(b" ")
            await house.wait(seconds=1)
        assert b"408" in await reading
        assert house.clock.monotonic() - began < 12
        writer.close()


# --- Who does not answer ------------------------------------------------------------------------


@virtually
@pytest.mark.parametrize("kind", [Kind.SERVER_ERROR, Kind.TOO_MANY, Kind.DROP, Kind.GARBAGE])
async def test_while_the_venue_is_silent_the_sender_is_asked_to_send_again(
    kind: Kind, tmp_path: Path
) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        house.faults.add(Fault(kind=kind, on="list"))
        answer = await sender.hint("msg_1", order.order_id)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert receipts(house) == []
        assert house.untrue(order)
        house.faults.clear()
        await house.wait(seconds=70)
        assert (await sender.hint("msg_1", order.order_id)).json() == {"result": "taken"}
        assert house.untrue(order) == []


@virtually
async def test_a_venue_that_takes_too_long_is_found_done_the_next_time(tmp_path: Path) -> None:
    async with at_work(tmp_path, 2) as (house, sender, (first, second)):
        house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=9))

        async def later() -> httpx2.Response:
            await house.wait(seconds=1)
            return await sender.hint("msg_2", second.order_id)

        began = house.clock.monotonic()
        answers = await asyncio.gather(sender.hint("msg_1", first.order_id), later())
        assert [answer.status_code for answer in answers] == [200, 503]
        assert house.clock.monotonic() - began < 14
        await house.wait(seconds=10)
        assert (await sender.hint("msg_2", second.order_id)).json() == {"result": "repeated"}
        assert house.untrue(second) == []


@virtually
async def test_while_the_database_is_locked_the_sender_is_asked_to_send_again(
    tmp_path: Path,
) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        with contextlib.closing(house._connect()) as other:  # noqa: SLF001 - a bot that locks
            other.execute("BEGIN IMMEDIATE")
            answer = await sender.hint("msg_1", order.order_id)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "bot.db" not in answer.text
            other.rollback()
        assert receipts(house) == []
        assert (await sender.hint("msg_1", order.order_id)).json() == {"result": "taken"}
        assert house.untrue(order) == []


@virtually
async def test_no_receipt_is_left_of_what_was_not_written(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        refuse = "BEGIN SELECT RAISE(ABORT, 'no events today'); END"
        house.sql(f"CREATE TRIGGER no BEFORE INSERT ON ordersync_events {refuse}")
        assert (await sender.hint("msg_1", order.order_id)).status_code == 503
        assert receipts(house) == []
        house.sql("DROP TRIGGER no")
        assert (await sender.hint("msg_1", order.order_id)).json() == {"result": "taken"}
        assert house.untrue(order) == []


# --- A flood ------------------------------------------------------------------------------------


@virtually
async def test_a_flood_about_one_order_is_no_flood_of_calls(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        began = house.clock.monotonic()
        coming = iter(range(4_000))
        statuses: list[int] = []

        async def relay() -> None:
            for n in coming:
                answer = await sender.hint(f"msg_{n}", order.order_id)
                statuses.append(answer.status_code)

        async with asyncio.TaskGroup() as group:
            for _ in range(90):
                group.create_task(relay())
        lasted = house.clock.monotonic() - began
        assert set(statuses) == {200}
        assert len(receipts(house)) == 4_000
        assert len(house.asked()) <= 2 + lasted  # once a second
        assert house.untrue(order) == []


@virtually
async def test_a_flood_about_many_orders_shares_its_calls(tmp_path: Path) -> None:
    async with at_work(tmp_path, 300) as (house, sender, placed):
        answers = await asyncio.gather(
            *(sender.hint(f"msg_{n}", one.order_id) for n, one in enumerate(placed[:80]))
        )
        assert {answer.status_code for answer in answers} == {200}
        assert len(house.asked()) <= 4
        assert house.all_untrue(placed[:80]) == {}


@virtually
async def test_who_comes_while_too_many_wait_is_told_to_come_again(tmp_path: Path) -> None:
    async with at_work(tmp_path) as (house, sender, (order,)):
        house.faults.add(Fault(kind=Kind.LATENCY, on="list", value=5))
        answers: list[httpx2.Response] = await asyncio.gather(
            *(sender.hint(f"msg_{n}", order.order_id) for n in range(1_200))
        )
        crowded = [answer for answer in answers if answer.status_code == 429]
        assert 0 < len(crowded) < 1_200
        assert {answer.headers["retry-after"] for answer in crowded} == {"1"}
        assert {answer.status_code for answer in answers} <= {200, 429}


# --- Off, and wrongly on ------------------------------------------------------------------------


@virtually
async def test_without_the_section_nobody_listens(tmp_path: Path) -> None:
    async with with_door(tmp_path) as house:
        house.more_settings = {}
        async with house.running():
            await house.wait(seconds=1)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", PORT)


@virtually
async def test_no_secret_is_ever_logged(
    tmp_path: Path, logs: list[MutableMapping[str, Any]]
) -> None:
    async with at_work(tmp_path) as (_, sender, (order,)):
        await sender.hint("msg_1", order.order_id)
        await sender.send("msg_2", {"order_id": order.order_id}, OTHER_KEY)
    told = json.dumps(logs, default=str)
    assert SECRET not in told
    assert SECRET.removeprefix("whsec_") not in told
    assert sum("A webhook was not taken" in line["event"] for line in logs) == 1


@virtually
async def test_an_address_that_is_taken_is_named(tmp_path: Path) -> None:
    async with with_door(tmp_path) as house, house.running():
        await house.wait(seconds=1)
        with pytest.raises(ConfigError, match=r"cannot be listened on") as raised:
            async with house.serving() as other:
                await other.run()
        assert raised.value.where.endswith("webhooks.listen")


@virtually
async def test_who_syncs_once_needs_no_secrets(tmp_path: Path) -> None:
    async with with_door(tmp_path) as house:
        (tmp_path / "webhooks.json").unlink()
        order = house.place(Life.filled())
        await house.sync()
        assert house.untrue(order) == []
        async with house.serving() as service:
            with pytest.raises(ConfigError, match=r"webhooks\.json is not there"):
                await service.run()


@virtually
async def test_doctor_looks_at_the_secrets_and_at_who_may_listen(tmp_path: Path) -> None:
    async with with_door(tmp_path, secrets={"main": [SECRET, secret_of(OTHER_KEY)]}) as house:

        async def told() -> list[tuple[str, str]]:
            found = await examine(house.settings(), house.clock)
            return [(f.severity.value, f.what) for f in found if f.about == "webhooks"]

        ((severity, what),) = await told()
        assert severity == "ok"
        assert "main (2)" in what
        house.more_settings["webhooks"]["listen"] = "0.0.0.0:8643"
        assert [severity for severity, _ in await told()] == ["ok", "warning"]
        (tmp_path / "webhooks.json").chmod(0o644)
        ((severity, what),) = await told()
        assert severity == "error"
        assert "others may read" in what
        house.more_settings = {}
        assert await told() == []


@pytest.mark.parametrize("listen", ["8643", ":8643", "127.0.0.1", "127.0.0.1:x", "h:65536", "h:"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="is no host and port"):
        Webhooks(listen=listen)


def test_addresses_are_read_as_they_are_written() -> None:
    assert Webhooks(listen="[::1]:8643").address == ("::1", 8643)
    assert not Webhooks(listen="[::1]:8643").is_exposed
    assert not Webhooks().is_exposed
    assert Webhooks(listen="[::]:1").is_exposed
