"""The ways to a person that a configuration names.

One that cannot be used ends nothing: whoever would be told by it is told by the others, and the
log, `status` and `alert test` say what is wrong with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import TYPE_CHECKING

import msgspec

from ordersync.alerted import Alert
from ordersync.alerts.carriers import ByApprise
from ordersync.alerts.channels import Refused, Way
from ordersync.alerts.messages import Message, Part
from ordersync.clock import SystemClock
from ordersync.errors import ConfigError, OrdersyncError
from ordersync.metered import Unmetered
from ordersync.ports import Finding, Severity
from ordersync.secret_files import read_line
from ordersync.service.build import build_told
from ordersync.standard_webhooks import ID, SIGNATURE, TIMESTAMP, Secret
from ordersync.web.outgoing import Outgoing

if TYPE_CHECKING:
    from ordersync.alerted import AlertLog, Loudness
    from ordersync.alerts.channels import Carrier
    from ordersync.metered import Meter
    from ordersync.ports import Clock
    from ordersync.settings import Channel, Settings


class Unusable:
    """A channel whose address is none. Implements `alerts.channels.Carrier`."""

    def __init__(self, why: str) -> None:
        self.defect = why

    async def carry(self, title: str, text: str, loudness: Loudness, messages: bytes) -> None:
        """It cannot be delivered. Raises Refused."""
        del title, text, loudness, messages
        raise Refused(self.defect)


class ByWebhook:
    """Implements `alerts.channels.Carrier`: signed, by the sender of all webhooks."""

    defect = ""

    def __init__(self, url: str, secret: Secret, outgoing: Outgoing, clock: Clock) -> None:
        self._url = url
        self._secret = secret
        self._outgoing = outgoing
        self._clock = clock

    async def carry(self, title: str, text: str, loudness: Loudness, messages: bytes) -> None:
        """Deliver it. Raises Refused."""
        about = {"title": title, "text": text, "loudness": loudness.value}
        body = msgspec.json.encode({**about, "alerts": msgspec.Raw(messages)})
        # The same again is known by its id: an answer may have been lost.
        webhook_id = f"alert-{hashlib.sha256(body).hexdigest()[:24]}"
        timestamp = str(int(self._clock.now().timestamp()))
        headers = {
            "content-type": "application/json",
            ID: webhook_id,
            TIMESTAMP: timestamp,
            SIGNATURE: self._secret.sign(webhook_id, timestamp, body),
        }
        answered = await self._outgoing.post(self._url, body, headers)
        if not answered.is_taken:
            raise Refused(answered.why)


async def send_test(settings: Settings, clock: Clock | None = None) -> dict[str, str]:
    """Send a message to every channel; by its name why it did not take it, "" where it did."""
    clock, told = clock or SystemClock(), build_told(settings)
    ways = await open_ways(settings, clock, Unmetered(), _IfThere(told))
    accounts = ", ".join(settings.served_accounts)
    part = Part(kind=Alert.TEST, count=1, note="Nothing is wrong; whoever reads it is reached.")
    message = Message(account=accounts, at=clock.now(), parts=(part,))
    whys = await asyncio.gather(*(way.send([message]) for way in ways))
    return {way.channel.name: why for way, why in zip(ways, whys, strict=True)}


async def examine_channels(settings: Settings) -> list[Finding]:
    """Whether each channel's address can be used, for `doctor`; nothing is sent."""
    found = []
    for channel in settings.alerts.channels:
        carrier = await _carrier(settings, channel, SystemClock())
        about = f"alerts: {channel.name}"
        severity, what = Severity.OK, "its address can be used."
        if carrier.defect:
            severity, what = Severity.ERROR, carrier.defect
        mend = "" if severity is Severity.OK else "Then try it: ordersync alert test"
        found.append(Finding(severity=severity, about=about, what=what, mend=mend))
    return found


class _IfThere:
    """A test needs no database; where there is one, it knows the outcome. Implements `AlertLog`."""

    def __init__(self, told: AlertLog) -> None:
        self._told = told

    async def read(self) -> dict[str, bytes]:
        """What was told before."""
        return await self._told.read()

    async def keep(self, name: str, body: bytes) -> None:
        """Keep it, where that can be done."""
        with contextlib.suppress(OrdersyncError):
            await self._told.keep(name, body)


async def open_ways(settings: Settings, clock: Clock, meter: Meter, told: AlertLog) -> list[Way]:
    """Every channel, those that cannot be used among them."""
    return [
        Way(
            channel,
            await _carrier(settings, channel, clock),
            clock=clock,
            meter=meter,
            told=told,
            link=settings.alerts.link,
            per_hour=settings.alerts.per_hour,
        )
        for channel in settings.alerts.channels
    ]


async def _carrier(settings: Settings, channel: Channel, clock: Clock) -> Carrier:
    where = f"{settings.path}: alerts.channels ({channel.name})"
    try:
        if channel.webhook is not None and channel.secret_file is not None:
            line = read_line(settings.resolve(channel.secret_file), where=where)
            outgoing = Outgoing(settings.subscriptions.allow)
            return ByWebhook(channel.webhook, _secret(line, where), outgoing, clock)
        url = _address(settings, channel, where)
        # The library takes a second to load.
        return await asyncio.to_thread(ByApprise, url, where=where)
    except ConfigError as error:
        return Unusable(f"{error.what} {error.mend}".strip())


def _secret(line: str, where: str) -> Secret:
    try:
        return Secret(line)
    except ValueError as error:
        mend = "Write whsec_ and at least 24 bytes as base64."
        raise ConfigError(str(error), where=where, mend=mend) from None


def _address(settings: Settings, channel: Channel, where: str) -> str:
    """The address, which may hold a secret. Raises ConfigError."""
    if channel.url_file is not None:
        return read_line(settings.resolve(channel.url_file), where=where)
    if url := channel.address():
        return url
    raise ConfigError(
        f"the variable {channel.url_env} is not set.",
        where=where,
        mend=f"Export {channel.url_env} with the channel's address.",
    )
