"""`[web]`: where programs and people ask, and who may."""

from __future__ import annotations

import re

from pydantic import field_validator

from ordersync.settings.values import Listening

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://[^/\s@?#*]+")


class Web(Listening):
    """`[web]`: the API and the dashboard. Without the section they are served on loopback.

    `hosts` are names by which it may be called beside addresses and localhost, `origins` pages
    of other hosts that a browser may let ask.
    """

    enabled: bool = True
    """whether `run` answers at all"""
    listen: str = "127.0.0.1:8642"
    """host and port, of IPv6 in brackets; plain http

    Error when: no host or port; another address than loopback while nobody has a token (`run`)
    """
    require_token: bool = False
    """on loopback, too, nobody gets in without a token. For machines that several people use, and
    behind a proxy on the same machine

    Error when: it is set and nobody has a token (`run`)
    """
    hosts: tuple[str, ...] = ()
    """names by which it may be called, beside addresses and `localhost`: what a proxy passes on as
    Host. Who uses one of them needs a token

    Error when: a scheme, a port or a path in it
    """
    origins: tuple[str, ...] = ()
    """pages of other hosts that a browser may let ask, as `"https://desk.example"`

    Error when: a path, or no `http` or `https` before it
    """

    @field_validator("hosts")
    @classmethod
    def _are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _NAME.fullmatch(host):
                raise ValueError(f"{host!r} is no host's name. Write it without scheme and port.")
        return tuple(host.lower() for host in hosts)

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin. Write it as https://host, no path.")
        return tuple(origin.lower() for origin in origins)
