"""Where requests to chosen addresses may go: judged after resolution, connected to as judged."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from ordersync import settings
from ordersync.errors import ConfigError
from ordersync.web.guest import listening
from ordersync.web.outgoing import AddressRefused, Outgoing, check_url, judge
from tests.virtual import VirtualLoop, virtually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

PORT = 9443
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))

INSIDE = [
    "127.0.0.1",
    "127.8.9.1",
    "::1",
    "0.0.0.0",  # noqa: S104 - not to bind to
    "::",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "fd12:3456::1",
    "169.254.169.254",
    "fd00:ec2::254",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "100.64.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "198.18.0.1",
    "203.0.113.7",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match=r"leads to .*\[subscriptions\] allow"):
        judge(address, (), is_plain=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_an_address_outside_is_sent_to(address: str) -> None:
    judge(address, (), is_plain=False)


def test_an_address_inside_is_sent_to_where_its_network_is_allowed() -> None:
    allowed = [ipaddress.ip_network("10.1.0.0/16")]
    assert str(judge("10.1.2.3", allowed, is_plain=False)) == "10.1.2.3"
    assert str(judge("::ffff:10.1.2.3", allowed, is_plain=False)) == "10.1.2.3"
    with pytest.raises(AddressRefused):
        judge("10.2.0.1", allowed, is_plain=False)


@pytest.mark.parametrize("address", ["10.1.2.3", "8.8.8.8"])
def test_without_tls_only_this_machine_is_sent_to(address: str) -> None:
    with pytest.raises(AddressRefused, match="write https"):
        judge(address, [ipaddress.ip_network("0.0.0.0/0")], is_plain=True)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "https"),
        ("ftp://there.example/", "https"),
        ("https://", "https"),
        ("//there.example/", "https"),
        ("file:///etc/passwd", "https"),
        ("https://user:word@there.example/", "password"),
        ("https://@there.example/", "password"),
        ("https://there.example/#x", "#"),
        ("https://there.example:0/", "port"),
        ("https://there.example:99999/", "no address"),
        ("https://[::1/", "no address"),
        ("https://there.example/\r\nx: y", "letters"),
        ("https://there.example\\@10.0.0.1/", "letters"),
        ("https://thére.example/", "letters"),
        ("https://there.example/" + "x" * 2_000, "longer"),
    ],
)
def test_what_is_no_address_to_send_to_is_refused(url: str, why: str) -> None:
    with pytest.raises(AddressRefused, match=why):
        check_url(url)


# --- Over the wire ------------------------------------------------------------------------------


class Receiver:
    """Notes what comes; answers with whatever it was told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, bytes]] = []
        self.answer: Response = PlainTextResponse("ok")
        self.app = Starlette(routes=[Route("/{path:path}", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        self.taken.append((request.headers["host"], str(request.url.path), body))
        return self.answer


@contextlib.asynccontextmanager
async def receiving(**allowed: Any) -> AsyncIterator[tuple[Receiver, Outgoing]]:  # noqa: ANN401
    receiver, outgoing = Receiver(), Outgoing(allowed.get("allowed", LOOPBACK))
    async with listening(receiver.app, "127.0.0.1", PORT):
        yield receiver, outgoing
        await outgoing.close()


def names() -> dict[str, list[str]]:
    """What host names lead to in this test's network."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.network.names


def connections() -> int:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.network.accepted(PORT)


@virtually
async def test_the_connection_goes_to_the_address_that_was_judged_under_its_own_name() -> None:
    async with receiving() as (receiver, outgoing):
        names()["hook.example"] = ["127.0.0.1"]
        answered = await outgoing.post(f"http://hook.example:{PORT}/a", b"{}", {"x": "y"})
        assert answered.is_taken
        assert receiver.taken == [(f"hook.example:{PORT}", "/a", b"{}")]


@virtually
async def test_a_name_that_leads_elsewhere_the_next_time_is_judged_again() -> None:
    async with receiving() as (receiver, outgoing):
        names()["hook.example"] = ["127.0.0.1"]
        assert (await outgoing.post(f"http://hook.example:{PORT}/", b"1", {})).is_taken
        names()["hook.example"] = ["10.0.0.7"]
        refused = await outgoing.post(f"http://hook.example:{PORT}/", b"2", {})
        assert refused.status is None
        assert "plain http" in refused.why
        assert [body for *_, body in receiver.taken] == [b"1"]
        assert connections() == 1


@virtually
async def test_of_several_addresses_only_those_that_may_be_are_connected_to() -> None:
    async with receiving() as (receiver, outgoing):
        names()["hook.example"] = ["169.254.169.254", "::ffff:10.0.0.1", "127.0.0.1"]
        assert [str(a) for a in await outgoing.resolve(f"http://hook.example:{PORT}/")] == [
            "127.0.0.1"
        ]
        assert (await outgoing.post(f"http://hook.example:{PORT}/", b"", {})).is_taken
        assert len(receiver.taken) == 1


@virtually
async def test_no_connection_is_made_to_an_address_that_is_refused() -> None:
    async with receiving(allowed=()) as (receiver, outgoing):
        for host in ("127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"):
            answered = await outgoing.post(f"https://{host}:{PORT}/", b"", {})
            assert "loopback" in answered.why
        assert receiver.taken == []
        assert connections() == 0


@virtually
async def test_a_redirect_is_not_followed() -> None:
    async with receiving() as (receiver, outgoing):
        receiver.answer = RedirectResponse(f"http://127.0.0.1:{PORT}/inside", 307)
        answered = await outgoing.post(f"http://127.0.0.1:{PORT}/a", b"", {})
        assert (answered.status, answered.is_taken) == (307, False)
        assert "redirects are not followed" in answered.why
        assert [path for _, path, _ in receiver.taken] == ["/a"]


@virtually
async def test_who_never_answers_is_given_up() -> None:
    async with receiving() as (_, outgoing):
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.network.hold(PORT)
        began = loop.time()
        answered = await outgoing.post(f"http://127.0.0.1:{PORT}/", b"", {})
        assert answered.status is None
        assert loop.time() - began <= 16
        loop.network.heal(PORT)


@virtually
async def test_an_answer_that_never_ends_is_left() -> None:
    left = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 60_000)
                await writer.drain()
        left.set()

    outgoing = Outgoing(LOOPBACK)
    async with await asyncio.start_server(endless, "127.0.0.1", PORT):
        answered = await outgoing.post(f"http://127.0.0.1:{PORT}/", b"", {})
        assert answered.is_taken
        await outgoing.close()
        await left.wait()


@virtually
async def test_a_pause_that_is_asked_for_is_told() -> None:
    async with receiving() as (receiver, outgoing):
        receiver.answer = Response(status_code=429, headers={"retry-after": "120"})
        answered = await outgoing.post(f"http://127.0.0.1:{PORT}/", b"", {})
        assert (answered.status, answered.pause) == (429, timedelta(seconds=120))
        receiver.answer = Response(
            status_code=503,
            headers={
                "date": "Fri, 20 Nov 2026 12:00:00 GMT",
                "retry-after": "Fri, 20 Nov 2026 12:01:30 GMT",
            },
        )
        answered = await outgoing.post(f"http://127.0.0.1:{PORT}/", b"", {})
        assert answered.pause == timedelta(seconds=90)


@virtually
async def test_headers_that_make_no_sense_end_nothing() -> None:
    async with receiving() as (receiver, outgoing):
        for status, headers in (
            (302, {"location": "//:80"}),
            (503, {"retry-after": "Fri, 31 Dec 99999999999 23:59:59 GMT"}),
        ):
            receiver.answer = Response(status_code=status, headers=headers)
            answered = await outgoing.post(f"http://127.0.0.1:{PORT}/", b"", {})
            assert (answered.is_taken, answered.pause) == (False, None)


async def test_the_certificate_is_that_of_the_name_and_not_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On real sockets: the name is asked for by SNI, and the certificate is checked by it."""
    asked: list[str | None] = []
    certificate = self_signed(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda _, name, __: asked.append(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    outgoing = Outgoing(LOOPBACK)
    async with server:
        assert (await outgoing.post(f"https://localhost:{port}/", b"", {})).is_taken
        other = await outgoing.post(f"https://127.0.0.1:{port}/", b"", {})
        assert other.status is None
        assert asked[0] == "localhost"
    await outgoing.close()


def self_signed(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


# --- The setting --------------------------------------------------------------------------------


def built(tmp_path: Path, section: dict[str, Any]) -> settings.Settings:
    content = {
        "database": {"url": "sqlite:///bot.db"},
        "orders": {
            "table": "trades",
            "id": "id",
            "venue_order_id": "order_id",
            "status": "status",
            "created_at": "created_at",
            "account": "main",
            "status_words": {"pending": ["open"]},
        },
        "accounts": {"main": {"venue": "coinbase", "key_file": "coinbase.json"}},
        "subscriptions": section,
    }
    return settings.build(tmp_path / "ordersync.toml", content)


def test_networks_that_are_allowed_are_written_as_addresses_or_networks(tmp_path: Path) -> None:
    allow = built(tmp_path, {"allow": ["127.0.0.1", "10.1.0.0/16", "::1"]}).subscriptions.allow
    assert [str(one) for one in allow] == ["127.0.0.1/32", "10.1.0.0/16", "::1/128"]
    assert built(tmp_path, {}).subscriptions.allow == ()


@pytest.mark.parametrize("wrong", ["localhost", "10.1.2.3/16", "", "300.0.0.1"])
def test_what_is_no_network_is_refused_with_its_mend(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        built(tmp_path, {"allow": [wrong]})
    assert "no address and no network" in caught.value.what
    assert "10.1.0.0/16" in caught.value.mend
