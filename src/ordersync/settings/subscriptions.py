"""`[subscriptions]`: where outgoing webhooks may go, and what signs them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field

from ordersync.settings.values import Section


def _as_network(text: object) -> object:
    if isinstance(text, IPv4Network | IPv6Network):
        return text
    try:
        return ip_network(str(text).strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is no address and no network. Write it as 127.0.0.1 or 10.1.0.0/16."
        ) from None


Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_as_network)]


class Subscriptions(Section):
    """`[subscriptions]`: addresses inside that may be sent to, and the file of the key.

    A name is not enough to be allowed: whoever answers for it decides where it leads.
    """

    allow: tuple[Network, ...] = ()
    key_file: str = Field(default="subscriptions.key", min_length=1)
