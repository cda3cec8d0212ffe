"""`trade_updates` from a server that is strict, lies and dies, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.pushed import Heard, Subscription
from ordersync.truth.model import Status
from ordersync.venues.alpaca.key import AlpacaKey
from ordersync.venues.alpaca.replay import Replay
from ordersync.venues.alpaca.stream import TradeUpdates
from ordersync.venues.budget import RateBudget
from ordersync.venues.reader import Reader
from tests.venues.broker import text
from tests.virtual import Direction, Network, VirtualClock, run_virtually, virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from websockets.http11 import Request, Response

PORT = 8711
OPENED = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
LISTENS = {"stream": "listening", "data": {"streams": ["trade_updates"]}}
REFUSED: dict[str, Any] = {
    "stream": "authorization",
    "data": {"status": "unauthorized", "action": "authenticate"},
}


@dataclass
class Studio:
    """A stream on loopback: how it answers, what it was told, and who listens."""

    answers: list[object] = field(default_factory=lambda: [OPENED, LISTENS])
    told: list[object] = field(default_factory=list)
    doors: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    listeners: list[ServerConnection] = field(default_factory=list)
    after: list[bytes | str] = field(default_factory=list)

    def door(self, connection: ServerConnection, _request: Request) -> Response | None:
        if not self.doors:
            return None
        status, headers = self.doors.pop(0)
        response = connection.respond(HTTPStatus(status), "no\n")
        for name, value in headers.items():
            response.headers[name] = value
        return response

    async def talk(self, connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for answer in self.answers:
                self.told.append(json.loads(await connection.recv()))
                if answer is not None:
                    await connection.send(json.dumps(answer).encode())
            self.listeners.append(connection)
            for frame in self.after:
                await connection.send(frame)
            await connection.wait_closed()


@contextlib.asynccontextmanager
async def studio(key: AlpacaKey | None = None) -> AsyncIterator[tuple[Studio, TradeUpdates]]:
    made, clock = Studio(), VirtualClock()
    reader = Reader(
        "http://127.0.0.1:1",
        clock,
        RateBudget(clock, per_second=1, burst=1),
        sign=lambda _: {},
        venue_now=clock.now,
    )
    key = key or AlpacaKey(key_id="PK", secret="s3cret")  # noqa: S106 - a test's own
    async with serve(made.talk, "127.0.0.1", PORT, process_request=made.door, compression=None):
        yield (
            made,
            TradeUpdates(
                f"ws://127.0.0.1:{PORT}/stream",
                key,
                venue_now=clock.now,
                poll=lambda: timedelta(seconds=2),
                replay=Replay(reader, clock.now),
                mend="Mend the key.",
            ),
        )


async def hear_on(stream: Subscription) -> None:
    while True:
        await stream.hear()


@virtually
async def test_the_key_and_what_to_listen_to_are_said_as_documented() -> None:
    async with studio() as (at, push), push.subscribe():
        assert at.told == [
            {"action": "authenticate", "data": {"key_id": "PK", "secret_key": "s3cret"}},
            {"action": "listen", "data": {"streams": ["trade_updates"]}},
        ]
        assert push.safety_poll == timedelta(seconds=2)


@virtually
async def test_binary_and_text_frames_are_heard_alike() -> None:
    async with studio() as (at, push):
        at.after = [text("frame_new"), text("frame_fill").decode()]
        async with push.subscribe() as stream:
            said = [(await stream.hear()).sightings[0].report.status for _ in range(2)]
            assert said == [Status.NEW, Status.FILLED]


@virtually
async def test_an_update_before_the_last_word_of_the_greeting_is_kept() -> None:
    async with studio() as (at, push):
        at.answers = [OPENED, json.loads(text("frame_fill"))]
        at.after = [json.dumps(LISTENS)]
        async with push.subscribe() as stream:
            assert (await stream.hear()).sightings[0].report.status is Status.FILLED


GARBAGE = (
    b"\xff\xfe",
    b"",
    b"{",
    "[]",
    '{"data": {}}',
    '{"stream": 7}',
    '{"stream": "trade_updates", "data": []}',
    '{"stream": "authorization", "data": null}',
)
NOTHING = (
    '{"stream": "trade_updates", "data": null}',
    '{"stream": "trade_updates"}',
    '{"stream": "something_new", "data": {"x": 1}}',
    json.dumps(LISTENS),
    json.dumps(OPENED),
)


@virtually
async def test_garbage_is_missed_and_the_stream_lives_on() -> None:
    async with studio() as (at, push):
        at.after = [*GARBAGE, *NOTHING, text("frame_fill")]
        async with push.subscribe() as stream:
            for _ in GARBAGE:
                heard = await stream.hear()
                assert heard.missed
                assert heard.silences[0].garbled
            for _ in NOTHING:
                assert await stream.hear() == Heard()
            assert (await stream.hear()).sightings


@pytest.mark.parametrize(
    "answers",
    [[REFUSED], [OPENED, {"stream": "listening", "data": {"streams": []}}]],
    ids=["the key", "the stream"],
)
def test_a_refusal_is_for_a_person_to_mend(answers: list[object]) -> None:
    async def main() -> None:
        async with studio() as (at, push):
            at.answers = answers
            with pytest.raises(VenueRefused) as refused:
                async with push.subscribe():
                    pass
            assert refused.value.mend == "Mend the key."
            assert "s3cret" not in str(refused.value)

    run_virtually(main)


@pytest.mark.parametrize("status", [401, 403])
def test_a_handshake_that_refuses_the_key_is_for_a_person_too(status: int) -> None:
    async def main() -> None:
        async with studio() as (at, push):
            at.doors = [(status, {})]
            with pytest.raises(VenueRefused, match=str(status)):
                async with push.subscribe():
                    pass

    run_virtually(main)


@pytest.mark.parametrize(
    ("status", "headers", "pause"), [(406, {}, 10.0), (429, {"Retry-After": "25"}, 25.0)]
)
def test_a_second_connection_is_to_be_tried_again_after_a_pause(
    status: int, headers: dict[str, str], pause: float
) -> None:
    async def main() -> None:
        async with studio() as (at, push):
            at.doors = [(status, headers)]
            with pytest.raises(VenueSilent, match=str(status)) as silent:
                async with push.subscribe():
                    pass
            assert silent.value.pause == timedelta(seconds=pause)
            assert "another program" in silent.value.mend
            async with push.subscribe():
                pass

    run_virtually(main)


@virtually
async def test_a_second_connection_may_also_be_turned_away_by_the_answer_to_its_key() -> None:
    async with studio() as (at, push):
        data = {**REFUSED["data"], "message": "connection limit exceeded"}
        at.answers = [{**REFUSED, "data": data}]
        with pytest.raises(VenueSilent, match="connection limit") as silent:
            async with push.subscribe():
                pass
        assert silent.value.pause == timedelta(seconds=10)


@virtually
async def test_a_key_is_not_told_to_whoever_a_redirect_names() -> None:
    async with studio() as (at, push):
        at.doors = [(302, {"Location": f"ws://127.0.0.1:{PORT}/elsewhere"})]
        with pytest.raises(VenueSilent, match="302"):
            async with push.subscribe():
                pass
        assert at.told == []


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_handshake_in_trouble_is_tried_again(status: int) -> None:
    async def main() -> None:
        async with studio() as (at, push):
            at.doors = [(status, {})]
            with pytest.raises(VenueSilent):
                async with push.subscribe():
                    pass

    run_virtually(main)


@virtually
async def test_where_nobody_answers_patience_ends() -> None:
    async with studio() as (at, push):
        at.answers = [OPENED, None]
        with pytest.raises(VenueSilent):
            async with push.subscribe():
                pass


@virtually
async def test_where_nobody_is_there_it_is_silent() -> None:
    async with studio() as (_at, push):
        pass
    with pytest.raises(VenueSilent):
        async with push.subscribe():
            pass


@pytest.mark.parametrize("code", [1000, 1001, 1011])
def test_a_stream_that_ends_however_cleanly_is_silent(code: int) -> None:
    async def main() -> None:
        async with studio() as (at, push), push.subscribe() as stream:
            assert await stream.hear() == Heard()
            await at.listeners[0].close(code)
            with pytest.raises(VenueSilent):
                await hear_on(stream)

    run_virtually(main)


@virtually
async def test_a_key_that_is_refused_later_has_to_show_itself_again() -> None:
    async with studio() as (at, push), push.subscribe() as stream:
        await stream.hear()
        await at.listeners[0].send(json.dumps(REFUSED))
        with pytest.raises(VenueSilent, match="unauthorized"):
            await stream.hear()


@virtually
async def test_a_quiet_stream_shows_every_second_that_it_lives() -> None:
    clock = VirtualClock()
    async with studio() as (_at, push), push.subscribe() as stream:
        await stream.hear()
        for _ in range(20):
            before = clock.monotonic()
            assert await stream.hear() == Heard()
            assert 1 <= clock.monotonic() - before <= 1.1


def test_an_answer_to_a_ping_is_told_when_it_comes_and_hides_no_silence_after_it() -> None:
    network = Network(latency=(0.02, 0.02))

    async def main() -> None:
        clock = VirtualClock()
        async with studio() as (_at, push), push.subscribe() as stream:
            for _ in range(3):
                await stream.hear()
            # Half a second after the last sign of life the line goes dead: nothing old is news.
            await clock.sleep(0.5)
            network.stall(PORT, Direction.TO_CLIENT)
            before = clock.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(stream.hear(), push.quiet_limit.total_seconds())
            assert clock.monotonic() - before < 3

    run_virtually(main, network=network)


def test_a_half_open_socket_says_nothing_more() -> None:
    network = Network()

    async def main() -> None:
        async with studio() as (at, push):
            async with push.subscribe() as stream:
                await stream.hear()
                network.stall(PORT, Direction.TO_CLIENT)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(hear_on(stream), push.quiet_limit.total_seconds())
                before = VirtualClock().monotonic()
            # Leaving it must not cost the seconds in which the next one could be there.
            assert VirtualClock().monotonic() - before <= 1
            network.heal(PORT)
            network.cut(PORT)
            async with push.subscribe():
                assert len(at.listeners) == 2

    run_virtually(main, network=network)


@virtually
async def test_a_token_opens_the_stream() -> None:
    async with studio(AlpacaKey(token="t0ken")) as (at, push), push.subscribe():  # noqa: S106
        assert at.told[0] == {"action": "authenticate", "data": {"oauth_token": "t0ken"}}
