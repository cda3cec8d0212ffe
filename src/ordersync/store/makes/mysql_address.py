"""Where a MariaDB or MySQL is, as a URL says it, and how a connection to it is secured."""

from __future__ import annotations

import os
import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from ordersync.errors import ConfigError

PORT = 3306

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_TLS = frozenset({"ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity"})
_KNOWN = _TLS | {"unix_socket", "charset"}
_SHOWN = "Write it as mysql://user@host:3306/database; encode special letters (@ is %40, / is %2F)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """A database on a server. The password is never shown."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)
    unix_socket: str | None
    tls: ssl.SSLContext | None

    @property
    def where(self) -> str:
        """The address without secrets."""
        place = self.unix_socket or f"{self.host}:{self.port}"
        return f"mysql://{self.user}@{place}/{self.database}"


def address_of(url: str, password: str | None) -> Address:
    """What a URL says; `password` beats the one in it, and that beats MYSQL_PWD.

    Raises ConfigError, without the URL: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or PORT
    except ValueError:
        raise _unreadable("the URL of the database cannot be read.") from None
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    database = unquote(parts.path.removeprefix("/"))
    if parts.fragment or re.search("[/@]", parts.path.removeprefix("/")):
        raise _unreadable("the URL of the database has a #, a / or an @ that is not encoded.")
    if not database or not (parts.hostname or "unix_socket" in query):
        raise _unreadable("the URL of the database lacks the host or the database's name.")
    for name in query:
        if name not in _KNOWN:
            raise _unreadable(f"the URL of the database has a key that is not known: {name!r}.")
    if query.get("charset", "utf8mb4") not in {"utf8mb4", "utf8"}:
        raise _unreadable("the letters that travel are always utf8mb4.", "Take charset out of it.")
    known = password or unquote(parts.password or "") or os.environ.get("MYSQL_PWD", "")
    return Address(
        host=parts.hostname or "localhost",
        port=port,
        user=unquote(parts.username or ""),
        database=database,
        password=known,
        unix_socket=query.get("unix_socket"),
        tls=_tls({name: value for name, value in query.items() if name in _TLS}),
    )


def _tls(query: dict[str, str]) -> ssl.SSLContext | None:
    """The TLS that these keys ask for; None leaves it to the server, and verifies nothing.

    Who names a certificate or asks for a check has both checked, the signature and the name.
    """
    if not query:
        return None
    checks = {
        name: _flag(name, query.get(name)) for name in ("ssl_verify_cert", "ssl_verify_identity")
    }
    try:
        context = ssl.create_default_context(cafile=query.get("ssl_ca"))
        if "ssl_cert" in query:
            context.load_cert_chain(query["ssl_cert"], query.get("ssl_key"))
    except OSError as error:  # an SSLError is one
        raise _unreadable(
            f"a certificate that the URL of the database names cannot be read ({error}).",
            "Check the paths in ssl_ca, ssl_cert and ssl_key.",
        ) from None
    # The certificates that a server makes for itself do not keep to all that X.509 asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if checks["ssl_verify_cert"] is False:
        if checks["ssl_verify_identity"]:
            raise _unreadable("a name that nobody vouches for cannot be verified.")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif checks["ssl_verify_identity"] is False:
        context.check_hostname = False
    return context


def _flag(name: str, text: str | None) -> bool | None:
    if text is not None and text.lower() not in _FLAGS:
        raise _unreadable(f"{name} in the URL of the database is neither true nor false.")
    return None if text is None else _FLAGS[text.lower()]


def _unreadable(what: str, mend: str = _SHOWN) -> ConfigError:
    return ConfigError(what, where="database.url", mend=mend)
