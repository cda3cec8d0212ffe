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
    """addresses and networks inside that outgoing webhooks and alerts may go to, as `"127.0.0.1"`
    or `"10.1.0.0/16"`; everything outside may be sent to. A name cannot be allowed: whoever
    answers for it decides where it leads

    Type: list of text

    Error when: no address and no network
    """
    key_file: str = Field(default="subscriptions.key", min_length=1)
    """the key from which every subscription's signing secret is made; a file of mode 0600, made
    with the first subscription. Every instance needs the same file

    Type: path

    Error when: it cannot be read or made; others may read it (when a subscription is made or
    delivered)
    """
