"""Opening a WebSocket at a venue: one place for the rules, and for what it means to be refused.

What is said once it is open, and what shows that it lives, each venue knows for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidProxy, InvalidStatus, WebSocketException

from ordersync.errors import VenueRefused, VenueSilent
from ordersync.venues.answers import FORBIDDEN, UNAUTHORIZED, retry_after

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from websockets.asyncio.client import ClientConnection
    from websockets.exceptions import ConnectionClosed

CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 0.5
LARGEST_MESSAGE = 32 * 1024 * 1024
"""A message beyond this ends the connection, and the gap is read."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class TurnedAway(VenueSilent):
    """The handshake was answered, and not with a stream; `status` is the answer's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the venue does not open the stream ({status}).")
        self.status = status


class _Connect(connect):
    """A handshake that goes where it was sent: a key is not for whoever else answers."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_web_socket(
    url: str, *, mend: str, venue_now: Callable[[], datetime]
) -> ClientConnection:
    """A connection on which nothing was said yet.

    Raises VenueRefused with this mend where the key is refused, TurnedAway where anything else
    is, VenueSilent where nobody answers. `venue_now` is the venue's clock.
    """
    is_local = urlsplit(url).hostname in _LOOPBACK
    try:
        return await _Connect(
            url,
            proxy=None if is_local else True,
            compression=None,
            user_agent_header="ordersync",
            open_timeout=CONNECT_SECONDS,
            # Whether the other end lives is for each venue to tell, and sooner than by this.
            ping_interval=None,
            close_timeout=CLOSE_SECONDS,
            max_size=LARGEST_MESSAGE,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        if status in {UNAUTHORIZED, FORBIDDEN}:
            raise VenueRefused(f"the venue refuses the stream ({status}).", mend=mend) from None
        away = TurnedAway(status)
        away.pause = retry_after(error.response.headers, venue_now())
        raise away from None
    except (InvalidProxy, ImportError, ValueError) as error:
        # Silence, not an end: asking over HTTP may know a way round, and takes the stream's place.
        # Only what is missing is quoted: the others quote the address, which may hold a password.
        why = str(error) if isinstance(error, ImportError) else "its address cannot be read"
        raise VenueSilent(
            f"the stream cannot be opened through the proxy ({why}).",
            mend="Write HTTPS_PROXY as http://host:port, or list the venue in NO_PROXY.",
        ) from None
    except (OSError, TimeoutError, WebSocketException, EOFError) as error:
        why = "in time" if isinstance(error, TimeoutError) else f"({type(error).__name__})"
        raise VenueSilent(f"the stream cannot be opened {why}.") from None


def how_it_closed(closed: ConnectionClosed) -> str:
    """The code with which the other end closed, 1006 where it just went."""
    return str(closed.rcvd.code) if closed.rcvd is not None else "1006"
