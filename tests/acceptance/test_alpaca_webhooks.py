"""Webhooks about Alpaca's orders, signed by somebody else's reading of Standard Webhooks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import pytest

from tests.acceptance.alpaca_house import AlpacaHouse
from tests.acceptance.alpaca_stub import Stub
from tests.acceptance.house import PATIENCE, now
from tests.servers.daemon import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.house import Running

pytestmark = pytest.mark.timeout(300)  # a busy machine makes of seconds minutes

# The vector that the implementations of Standard Webhooks share.
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one
KNOWN: Final = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
KNOWN_BODY: Final = b'{"test": 2432232314}'
OTHER_SECRET: Final = "whsec_" + base64.b64encode(b"of the key before this one, old").decode()


def signature(secret: str, message: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([message.encode(), timestamp.encode(), body])
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def test_this_file_signs_as_the_published_vector_says() -> None:
    headers = list(KNOWN.values())
    assert signature(SECRET, headers[0], headers[1], KNOWN_BODY) == headers[2]


@dataclass
class Relay:
    """One who tells that something changed, and may be lying."""

    port: int

    def sends(
        self,
        body: object,
        *,
        to: str = "/webhooks/main",
        secret: str = SECRET,
        message: str | None = None,
        late: int = 0,
        method: str = "POST",
        **headers: str,
    ) -> tuple[int, dict[str, Any]]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        message = message or f"msg_{secrets.token_hex(8)}"
        timestamp = str(int(now().timestamp()) - late)
        signed = {
            "webhook-id": message,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature(secret, message, timestamp, raw),
            "content-type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.posts(raw, signed, to=to, method=method)

    def posts(
        self,
        raw: bytes,
        headers: dict[str, str],
        *,
        to: str = "/webhooks/main",
        method: str = "POST",
    ) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, to, raw, headers)
            answer = connection.getresponse()
            text = answer.read()
            with contextlib.suppress(ValueError):
                said = json.loads(text)
                return answer.status, said if isinstance(said, dict) else {}
            return answer.status, {}

    def is_heard(self, running: Running) -> None:
        def answers() -> bool:
            with contextlib.suppress(OSError):
                return bool(self.posts(b"", {}, method="GET")[0])
            return False

        running.until(answers, PATIENCE, "the door is open")


@pytest.fixture
def broker() -> Iterator[Stub]:
    stub = Stub()
    yield stub
    stub.close()
    assert stub.complaints == []


@pytest.fixture
def bot(broker: Stub, tmp_path: Path) -> AlpacaHouse:
    built = AlpacaHouse(tmp_path, broker)
    built.create()
    built.engine.dispose()
    return built


@pytest.fixture
def relay(bot: AlpacaHouse) -> Relay:
    found = Relay(free_port())
    secret_file = bot.folder / "webhooks.json"
    secret_file.write_text(json.dumps({"main": [SECRET, OTHER_SECRET]}))
    secret_file.chmod(0o600)
    bot.is_mapped(more=f'[webhooks]\nlisten = "127.0.0.1:{found.port}"\n')
    return found


def test_what_is_signed_is_asked_about_and_committed_before_it_is_answered(
    bot: AlpacaHouse, broker: Stub, relay: Relay
) -> None:
    forms: list[Any] = [
        lambda order: {"venue_order_id": order["id"], "status": "canceled"},
        lambda order: {"client_order_id": order["client_order_id"]},
        lambda order: {key: value for key, value in order.items() if key[:1] != "_"},
        lambda order: {"type": "order.changed", "data": {"id": order["id"]}},
        lambda order: {"stream": "trade_updates", "data": {"event": "new", "order": order}},
        lambda order: [{"id": order["id"]}],
    ]
    orders = [bot.stands(status="new", row={"status": "new"}) for _ in forms]
    with bot.running() as running:
        relay.is_heard(running)
        bot.listens(running)
        for (row, order), form in zip(orders, forms, strict=True):
            broker.change(order, "fill", filled="10")
            status, said = relay.sends(form(order))
            assert (status, said["result"]) == (200, "taken"), said
            assert bot.word(row) == "filled"  # and not canceled, as the first of them would have it

        row, order = bot.stands(status="new", row={"status": "new"})
        body = {"venue_order_id": order["id"]}
        assert relay.sends(body, secret=OTHER_SECRET)[0] == 200  # a rotated key
        assert relay.sends(body, webhook_signature="v1,Zm9v v2,YmFy")[0] == 401
        message, timestamp = "msg_several", str(int(now().timestamp()))
        raw = json.dumps(body).encode()
        right = signature(SECRET, message, timestamp, raw)
        several = {
            "webhook-id": message,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,Zm9v v1a,YmFy {right}",
        }
        assert relay.posts(raw, several) == (200, {"result": "taken"})
        assert relay.posts(raw, several) == (200, {"result": "repeated"})
        running.child.kill()
        running.child.wait()
    with bot.running() as running:
        relay.is_heard(running)
        bot.listens(running)
        assert relay.posts(raw, several) == (200, {"result": "repeated"})  # over a kill -9
        said_all = running.stop()
    assert said_all.status == 0, said_all
    for secret in (SECRET, OTHER_SECRET):
        assert secret.removeprefix("whsec_") not in said_all.out + said_all.err


def test_forged_late_malformed_and_huge_ones_are_refused_and_never_a_fault_of_ours(
    bot: AlpacaHouse, broker: Stub, relay: Relay
) -> None:
    row, order = bot.stands(status="new", row={"status": "new"})
    body = {"venue_order_id": order["id"]}
    wrong = "whsec_" + base64.b64encode(b"somebody else's secret 32 bytes!").decode()
    with bot.running() as running:
        relay.is_heard(running)
        bot.listens(running)
        asked = [one.path for one in broker.asked]
        assert relay.posts(KNOWN_BODY, dict(KNOWN))[0] == 401  # right, but of the year 2021
        assert relay.sends(body, secret=wrong)[0] == 401
        assert relay.sends(body, late=400)[0] == 401
        assert relay.sends(body, late=-400)[0] == 401
        assert relay.sends(body, webhook_timestamp="tomorrow")[0] == 401
        assert relay.sends(body, webhook_timestamp="9" * 400)[0] == 401
        assert relay.posts(json.dumps(body).encode(), {})[0] == 401
        assert relay.sends(body, to="/webhooks/nobody")[0] == 404
        assert relay.sends(body, method="PUT")[0] == 405
        assert relay.sends({"venue_order_id": "x" * 300_000})[0] == 413
        assert relay.sends(b"{")[0] == 400
        assert relay.sends(b"[" * 100_000)[0] in {400, 413, 422}
        assert relay.sends(KNOWN_BODY)[0] == 422
        assert relay.sends([{"id": str(uuid4())} for _ in range(101)])[0] == 422
        noises = [
            *(b"", b"null", b"7", b"NaN", b'""', b"[]", b"{}", b"\xff\xfe", b"\x00" * 50),
            *(b'{"id":null}', b'{"id":7}', b'{"id":{}}', b'{"id":"\\ud800"}', b'{"data":null}'),
            *(b'{"venue_order_id":""}', b'{"venue_order_id":"' + b"x" * 5000 + b'"}'),
            *(secrets.token_bytes(60) for _ in range(60)),
        ]
        for noise in noises:
            status, _ = relay.sends(noise)
            assert status < 500, (status, noise)
        garbled = {
            "webhook-id": "\xe9" * 20,
            "webhook-timestamp": "-1",
            "webhook-signature": "v1,\xff",
        }
        assert relay.posts(b"{}", garbled)[0] == 401
        # None of it was a reason to ask about an order that nobody has.
        looked_up = [
            one.path
            for one in broker.asked[len(asked) :]
            if one.path.startswith("/v2/orders") and one.path != "/v2/orders"
        ]
        assert {path.rpartition("/")[2] for path in looked_up} <= {order["id"]}
        assert bot.word(row) == "new"
        said = running.stop()
    assert said.status == 0, said


def test_a_flood_of_webhooks_is_no_flood_of_calls_and_an_outage_is_answered_503(
    bot: AlpacaHouse, broker: Stub, relay: Relay
) -> None:
    row, order = bot.stands(status="new", row={"status": "new"})
    body = {"venue_order_id": order["id"]}
    with bot.running() as running:
        relay.is_heard(running)
        bot.listens(running)
        began, asked = now(), len(broker.asked)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: relay.sends(body)[0], range(150)))
        lasted = (now() - began).total_seconds()
        calls = [one for one in broker.asked[asked:] if order["id"] in one.path]
        assert set(answers) <= {200, 429}, answers
        assert 200 in answers
        assert len(calls) <= 3 * lasted + 5, f"{len(calls)} calls in {lasted:.1f} s"

        broker.turn("500", "/v2/orders")
        broker.change(order, "fill", filled="10")
        status, said = relay.sends(body, message="msg_away")
        assert status == 503, said
        assert bot.word(row) == "new"
        broker.turn("well")
        status, said = relay.sends(body, message="msg_away")
        while status == 503:  # it may still be patient with the broker
            status, said = relay.sends(body, message="msg_away")
        assert (status, said["result"]) == (200, "taken"), said
        assert bot.word(row) == "filled"
        said_all = running.stop()
    assert said_all.status == 0, said_all
