"""Requests to addresses that somebody else has chosen: webhooks out, alerts.

A name is resolved for every request, each address it leads to is judged, and the connection
goes to an address that was judged: whoever answers for the name cannot lead us elsewhere in
between. No proxy is used, for it would resolve the name again; no redirect is followed; of an
answer nothing but its status and when to come again is kept.
"""

from __future__ import annotations

import asyncio
import re
import socket
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import SplitResult, urlsplit

import httpx2
import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from ipaddress import IPv4Network

Address: TypeAlias = "IPv4Address | IPv6Address"

URL_LIMIT = 2_000
CONNECT_WITHIN = timedelta(seconds=5)
WITHIN = timedelta(seconds=15)
"""In this time all of a request has to be over: name, connection, answer."""

READ_LIMIT = 16 * 1024
ADDRESSES_TRIED = 3

_OK = range(200, 300)
_REDIRECT = range(300, 400)
_SECONDS = re.compile(r"[0-9]{1,9}")

_INSIDE: tuple[tuple[str, tuple[IPv4Network | IPv6Network, ...]], ...] = tuple(
    (what, tuple(ip_network(one) for one in networks))
    for what, networks in (
        ("this machine (loopback)", ("127.0.0.0/8", "::1/128")),
        ("this machine", ("0.0.0.0/8", "::/128")),
        ("a private network", ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
        # Where clouds answer with a machine's credentials; 168.63.129.16 is Azure's.
        ("a cloud's metadata", ("169.254.169.254/32", "fd00:ec2::254/128", "168.63.129.16/32")),
        ("the local link", ("169.254.0.0/16", "fe80::/10", "fec0::/10")),
        ("a carrier's network (CGNAT)", ("100.64.0.0/10",)),
        # What carries an IPv4 address within: it can lead to any of the above.
        (
            "an IPv4 address in disguise",
            (
                "::/96",
                "::ffff:0:0:0/96",
                "64:ff9b::/96",
                "64:ff9b:1::/48",
                "2002::/16",
                "2001::/32",
            ),
        ),
        ("many machines (multicast)", ("224.0.0.0/4", "ff00::/8")),
        (
            "a reserved network",
            (
                "192.0.0.0/24",
                "192.0.2.0/24",
                "192.88.99.0/24",
                "198.18.0.0/15",
                "198.51.100.0/24",
                "203.0.113.0/24",
                "240.0.0.0/4",
                "100::/64",
                "2001:2::/48",
                "2001:10::/28",
                "2001:20::/28",
                "2001:db8::/32",
                "3fff::/20",
                "5f00::/16",
            ),
        ),
    )
)


class AddressRefused(Exception):
    """Nothing is sent there. Its text says why, without the address's path or query."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request: the status, None where there was no answer, and why not.

    `pause` is how long the other side asked to be left alone.
    """

    status: int | None = None
    why: str = ""
    pause: timedelta | None = None

    @property
    def is_taken(self) -> bool:
        """Whether the other side has it."""
        return self.status is not None and self.status in _OK


def check_url(url: str) -> SplitResult:
    """An address as far as it can be judged without asking for its name. Raises AddressRefused."""
    if len(url) > URL_LIMIT or not url.isascii() or re.search(r"[\x00-\x20\x7f\\]", url):
        raise AddressRefused(
            f"the address is longer than {URL_LIMIT} letters, or has letters that none may have."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise AddressRefused("it is no address.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AddressRefused("the address has to begin with https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("a name or a password stands in the address.")
    if parts.fragment:
        raise AddressRefused("a # stands in the address.")
    if port == 0:
        raise AddressRefused("there is no port 0.")
    return parts


def judge(text: str, allowed: Sequence[IPv4Network | IPv6Network], *, is_plain: bool) -> Address:
    """The address to connect to, where it may be. Raises AddressRefused.

    `is_plain`: without TLS, which is for loopback alone, and only where that is allowed.
    """
    try:
        # A zone is a way of this machine's, and no part of the address.
        address: Address = ip_address(text.partition("%")[0])
    except ValueError:
        raise AddressRefused("its name leads to no address.") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    is_allowed = any(address in network for network in allowed)
    if is_plain and not (address.is_loopback and is_allowed):
        raise AddressRefused(
            "plain http is only for this machine itself, where [subscriptions] allow has it: "
            "write https."
        )
    if is_allowed:
        return address
    for what, networks in _INSIDE:
        if any(address in network for network in networks):
            raise AddressRefused(
                f"it leads to {what}: {address}. Where that is meant, name it in "
                "[subscriptions] allow."
            )
    return address


class Outgoing:
    """Sends to the addresses of others; `allowed` are those inside that may be sent to."""

    def __init__(self, allowed: Sequence[IPv4Network | IPv6Network] = ()) -> None:
        self._allowed = tuple(allowed)
        self._made: httpx2.AsyncClient | None = None

    @property
    def _client(self) -> httpx2.AsyncClient:
        """Made when it is needed first: to read all certificates takes a while."""
        if self._made is None:
            self._made = _client()
        return self._made

    async def resolve(self, url: str) -> list[Address]:
        """The addresses that a URL leads to and that may be sent to, by the judgement of now.

        Raises AddressRefused where there is none.
        """
        parts = check_url(url)
        loop = asyncio.get_running_loop()
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise AddressRefused("its name cannot be resolved.") from None
        judged: list[Address] = []
        refusal = AddressRefused("its name leads to no address.")
        for *_, (text, *_) in found:
            try:
                address = judge(str(text), self._allowed, is_plain=parts.scheme == "http")
            except AddressRefused as error:
                refusal = error
            else:
                if address not in judged:
                    judged.append(address)
        if not judged:
            raise refusal
        return judged

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """One request, tried at each address of its name until one answers. Never raises."""
        try:
            async with asyncio.timeout(WITHIN.total_seconds()):
                addresses = await self.resolve(url)
                answered = Answered(why="nobody answers.")
                for address in addresses[:ADDRESSES_TRIED]:
                    answered = await self._post_to(address, url, body, headers)
                    if answered.status is not None:
                        break
                return answered
        except AddressRefused as refusal:
            return Answered(why=str(refusal))
        except TimeoutError:
            return Answered(why=f"no answer within {WITHIN.total_seconds():.0f} s.")

    async def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            await self._made.aclose()

    async def _post_to(
        self, address: Address, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Answered:
        parts = check_url(url)
        host = parts.netloc
        there = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        place = f"{there}:{parts.port}" if parts.port else there
        request = self._client.build_request(
            "POST",
            parts._replace(netloc=place).geturl(),
            content=body,
            headers={**headers, "host": host},
            # By this name the other side shows its certificate, and it is checked by it.
            extensions={"sni_hostname": parts.hostname},
        )
        try:
            response = await self._client.send(request, stream=True)
        except httpx2.TimeoutException:
            return Answered(why="no answer in time.")
        except (httpx2.RequestError, ValueError) as error:
            # A ValueError is a redirect to nowhere: the client reads it, though it is not followed.
            return Answered(why=f"no answer: {_brief(error)}")
        try:
            await _read_away(response)
        finally:
            await response.aclose()
        status = response.status_code
        if status in _REDIRECT:
            why = f"it answers {status}: redirects are not followed."
        else:
            why = "" if status in _OK else f"it answers {status}."
        return Answered(status=status, why=why, pause=_pause(response.headers))


def _client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        # Of the environment only which certificates are trusted, as at the venues.
        transport=httpx2.AsyncHTTPTransport(
            # A kept connection would be one that was judged for an earlier request.
            limits=httpx2.Limits(max_connections=200, max_keepalive_connections=0)
        ),
        timeout=httpx2.Timeout(WITHIN.total_seconds(), connect=CONNECT_WITHIN.total_seconds()),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": "ordersync"},
    )


async def _read_away(response: httpx2.Response) -> None:
    """Some of the body, so that who sends it sees it taken; nothing of it is kept."""
    dropped = 0
    try:
        async for part in response.aiter_raw():
            dropped += len(part)
            if dropped > READ_LIMIT:
                return
    except httpx2.RequestError:
        return  # the status has come: what breaks off after it changes nothing


def _brief(error: Exception) -> str:
    """A driver's error in a few letters; its address may be a secret, so none is in it."""
    text = str(error).partition("\n")[0]
    return text[:120] if text and "/" not in text else type(error).__name__


def _pause(headers: httpx2.Headers) -> timedelta | None:
    """What `retry-after` says: seconds, or a date; by the other side's own clock."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    try:
        until = parsedate_to_datetime(text)
        said_at = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    aware = [t if t.tzinfo else t.replace(tzinfo=UTC) for t in (until, said_at)]
    return max(aware[0] - aware[1], timedelta())
