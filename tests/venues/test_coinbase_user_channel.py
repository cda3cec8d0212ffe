"""The user channel against a server that says what each test wrote down: a WebSocket, no more."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.server import serve

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.venues.coinbase.key import CdpKey
from ordersync.venues.coinbase.user_channel import UserChannel
from tests.venues.test_coinbase_frames import FILLED, HOME, frame
from tests.virtual import VirtualClock, virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from websockets.asyncio.server import ServerConnection

    from ordersync.pushed import Heard

PORT = 8710
ACK = json.dumps(
    {
        "channel": "subscriptions",
        "timestamp": "2026-11-20T12:00:00Z",
        "sequence_num": 0,
        "events": [{"subscriptions": {"user": ["6d3f"], "heartbeats": ["heartbeats"]}}],
    }
)
ERROR = json.dumps({"type": "error", "message": "authentication failure"})


def numbered(number: int, *orders: dict[str, Any], **envelope: Any) -> str:  # noqa: ANN401
    return frame(*orders, sequence_num=number, **envelope).decode()


def beat(number: int, counter: int) -> str:
    return numbered(number, channel="heartbeats", events=[{"heartbeat_counter": counter}])


@dataclass
class Venue:
    """A server with a script, and the channel that listens to it."""

    clock: VirtualClock
    key: CdpKey
    heard: list[dict[str, Any]] = field(default_factory=list)

    def channel(self, *urls: str) -> UserChannel:
        return UserChannel(
            urls or [f"ws://127.0.0.1:{PORT}"],
            self.key,
            self.clock,
            now=self.clock.now,
            portfolio=lambda: HOME,
        )


@contextlib.asynccontextmanager
async def saying(
    script: Callable[[ServerConnection], Awaitable[None]], port: int = PORT
) -> AsyncIterator[Venue]:
    """Serve the script to each connection, after its two subscriptions."""
    venue = Venue(VirtualClock(), CdpKey("organizations/o/apiKeys/k", Ed25519PrivateKey.generate()))

    async def answer(connection: ServerConnection) -> None:
        venue.heard += [json.loads(await connection.recv()) for _ in range(2)]
        await script(connection)

    async with serve(answer, "127.0.0.1", port, compression=None):
        yield venue


async def hear(*messages: str, count: int = 1) -> list[Heard]:
    """What comes of these messages after the venue's acknowledgement."""

    async def script(connection: ServerConnection) -> None:
        for message in (ACK, *messages):
            await connection.send(message)
        await connection.wait_closed()

    async with saying(script) as venue, venue.channel().subscribe() as subscription:
        return [await subscription.hear() for _ in range(count)]


async def listen(channel: UserChannel) -> None:
    """Hear all there is, to the end."""
    async with channel.subscribe() as subscription:
        while True:
            await subscription.hear()


@virtually
async def test_each_subscription_carries_a_token_of_its_own_for_no_address() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        await connection.wait_closed()

    async with saying(script) as venue, venue.channel().subscribe():
        assert [message["channel"] for message in venue.heard] == ["heartbeats", "user"]
        tokens = [message["jwt"] for message in venue.heard]
        claims = [jwt.decode(token, options={"verify_signature": False}) for token in tokens]
        nonces = {jwt.get_unverified_header(token)["nonce"] for token in tokens}
    assert len(nonces) == 2
    assert [claim.get("uri") for claim in claims] == [None, None]


@virtually
async def test_what_comes_before_the_acknowledgement_is_not_lost() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(beat(0, 1))
        await connection.send(numbered(1, {}, kind="snapshot"))
        await connection.send(ACK)
        await connection.wait_closed()

    async with saying(script) as venue, venue.channel().subscribe() as subscription:
        heard = await subscription.hear()
    assert len(heard.sightings) == 1
    assert heard.is_snapshot


@virtually
async def test_a_jump_in_the_numbering_is_something_missed_and_a_late_message_is_not() -> None:
    messages = [numbered(1, {}), numbered(4, FILLED), numbered(2, {}), numbered(5, {})]
    heard = await hear(*messages, count=4)
    assert [bool(one.missed) for one in heard] == [False, True, False, False]
    assert all(one.sightings for one in heard), "what comes late is heard all the same"


@virtually
async def test_a_number_out_of_all_reason_hides_nothing_that_is_lost_after_it() -> None:
    messages = [numbered(1, {}), numbered(10**15, {}), numbered(3, {}), numbered(5, FILLED)]
    heard = await hear(*messages, count=4)
    assert [bool(one.missed) for one in heard] == [False, True, False, True]


@virtually
async def test_the_numbering_counts_heartbeats_and_all_other_channels() -> None:
    first, *_ = await hear(beat(1, 10), beat(2, 11), numbered(3, {}), count=1)
    assert first.missed == ""
    heard = await hear(beat(1, 10), beat(2, 12), numbered(3, {}), count=3)
    assert [bool(one.missed) for one in heard] == [False, True, False]


@virtually
async def test_a_message_that_cannot_be_read_is_something_missed_and_takes_its_number() -> None:
    heard = await hear(numbered(1, {}), "{broken", numbered(3, FILLED), count=3)
    assert [bool(one.missed) for one in heard] == [False, True, False]
    assert heard[1].silences[0].garbled


@virtually
async def test_text_and_binary_messages_say_the_same() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        await connection.send(numbered(1, FILLED))
        await connection.send(numbered(2, FILLED).encode())
        await connection.wait_closed()

    async with saying(script) as venue, venue.channel().subscribe() as subscription:
        one, two = await subscription.hear(), await subscription.hear()
    assert one.sightings == two.sightings


@pytest.mark.parametrize("code", [1000, 1001, 1011])
@virtually
async def test_a_stream_that_ends_however_cleanly_has_to_be_opened_anew(code: int) -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        await connection.close(code)

    async with saying(script) as venue:
        with pytest.raises(VenueSilent, match=str(code)):
            async with venue.channel().subscribe() as subscription:
                await subscription.hear()


@virtually
async def test_a_key_that_is_refused_at_the_start_is_for_a_person_to_mend() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ERROR)
        await connection.close(1008)

    async with saying(script) as venue:
        with pytest.raises(VenueRefused, match="authentication failure") as refused:
            async with venue.channel().subscribe():
                pass
    assert "Check that the key" in refused.value.mend
    assert refused.value.where == f"127.0.0.1:{PORT}"


@virtually
async def test_a_logout_later_is_only_the_end_of_this_connection() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        await connection.send(ERROR)
        await connection.wait_closed()

    async with saying(script) as venue:
        with pytest.raises(VenueSilent, match="authentication failure"):
            async with venue.channel().subscribe() as subscription:
                await subscription.hear()


@virtually
async def test_a_subscription_that_nobody_confirms_is_given_up_after_five_seconds() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with saying(script) as venue:
        began = venue.clock.monotonic()
        with pytest.raises(VenueSilent, match="confirm"):
            async with venue.channel().subscribe():
                pass
        assert venue.clock.monotonic() - began < 6


@virtually
async def test_heartbeats_that_stop_while_orders_come_end_the_stream() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        for number in range(1, 20):
            stamp = f"2026-11-20T12:00:{number:02}Z"
            await connection.send(numbered(number, {}, timestamp=stamp))
            await VirtualClock().sleep(1)

    async with saying(script) as venue:
        with pytest.raises(VenueSilent, match="heartbeats"):
            await listen(venue.channel())


@virtually
async def test_a_burst_that_takes_long_to_read_is_no_lack_of_heartbeats() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        for number in range(1, 20):
            await connection.send(numbered(number, {}))
        await connection.wait_closed()

    async with saying(script) as venue, venue.channel().subscribe() as subscription:
        for _ in range(19):
            await venue.clock.sleep(1)
            assert (await subscription.hear()).sightings


@virtually
async def test_after_a_failure_the_other_host_is_tried() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        await connection.wait_closed()

    async with saying(script) as venue:
        channel = venue.channel(f"ws://127.0.0.1:{PORT + 1}", f"ws://127.0.0.1:{PORT}")
        with pytest.raises(VenueSilent, match="cannot be opened"):
            async with channel.subscribe():
                pass
        async with channel.subscribe():
            assert len(venue.heard) == 2


@virtually
async def test_a_redirect_is_not_followed() -> None:
    async def script(connection: ServerConnection) -> None:
        await connection.send(ACK)
        await connection.wait_closed()

    def elsewhere(connection: ServerConnection, _request: object) -> Any:  # noqa: ANN401
        response = connection.respond(302, "")
        response.headers["Location"] = f"ws://127.0.0.1:{PORT}"
        return response

    async with (
        saying(script) as venue,
        serve(script, "127.0.0.1", PORT + 1, process_request=elsewhere, compression=None),
    ):
        with pytest.raises(VenueSilent, match="302"):
            async with venue.channel(f"ws://127.0.0.1:{PORT + 1}").subscribe():
                pass
        assert venue.heard == []


@pytest.mark.parametrize(
    "proxy",
    [
        "127.0.0.1:9",
        "socks5://127.0.0.1:9",
        "bob:hunter2@127.0.0.1:9",
        "http://bob:hunter2%E4@127.0.0.1:9",
        "http://bob:hunter2@127.0.0.1:nine",
    ],
)
@virtually
async def test_a_proxy_that_cannot_be_used_is_silence_with_a_mend(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in ("https_proxy", "socks_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)

    async def nothing(_connection: ServerConnection) -> None:
        """Nobody comes this far."""

    async with saying(nothing) as venue:
        with pytest.raises(VenueSilent, match="proxy") as silent:
            await listen(venue.channel("wss://venue.example"))
    assert "NO_PROXY" in silent.value.mend
    assert not any(secret in str(silent.value) for secret in ("bob", "hunter2"))
