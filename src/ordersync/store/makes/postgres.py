"""PostgreSQL, Supabase included: an address, and what its errors mean to a person."""

from __future__ import annotations

import re
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import NullPool, create_engine, text

from ordersync.errors import ConfigError, OrdersyncError, StoreBusy, StoreRefused
from ordersync.store.makes.postgres_listener import Listener
from ordersync.store.makes.postgres_rights import look_at_rights
from ordersync.store.makes.postgres_session import PostgresSession
from ordersync.store.makes.postgres_settings import leads_to_one_server
from ordersync.store.makes.postgres_spelling import PostgresSpelling

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy.engine import Connection

    from ordersync.ports import Finding
    from ordersync.store.database import Session
    from ordersync.store.shape import TableShape
    from ordersync.store.spelling import Spelling

_FOREIGN = frozenset({"pgbouncer", "connection_limit", "pool_timeout", "sslaccept"})
"""What other clients write into a URL; libpq knows none of it, and we need none of it."""

_HOST = r"([^@/:#,]*|\[[^\]@/]*\])(:\d*)?"
_IS_WHOLE = re.compile(rf"([^@/#]*@)?{_HOST}(,{_HOST})*(/[^@/#]*)?")
"""The address of a URL in which nothing stands where it would be taken for something else."""

_CONNECTION = {
    "application_name": "ordersync",
    "connect_timeout": 10,
    # Whatever the database is in: what we send and read is UTF-8.
    "client_encoding": "utf8",
    # A server that is gone without a word is noticed by these.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

_TYPES = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
WHERE a.attrelid = to_regclass(:name) AND a.attnum > 0 AND NOT a.attisdropped"""


class PostgresServer:
    """Implements `database.Database`. Raises ConfigError where the URL cannot be used."""

    errors: tuple[type[Exception], ...] = (psycopg.Error,)
    # Beyond the server's own time-out: a pooler whose server is away lets its clients wait.
    deadline: float | None = 65.0
    has_one_writer = False

    def __init__(self, url: str, password: str | None = None) -> None:
        self._parameters = _parameters(url)
        if password is not None:
            self._parameters["password"] = password
        self.where = _where(self._parameters)
        self._spelling = PostgresSpelling()
        self.spelling: Spelling = self._spelling

    def __repr__(self) -> str:
        return f"PostgresServer({self.where!r})"

    def connect(self, *, writes: bool, table: TableShape | None = None) -> Session:
        """A connection, and where it writes for long, one that hears of new rows."""
        connection = self._connect()
        name = self._spelling.as_typed(self._spelling.table(table)) if table is not None else ""
        try:
            is_direct = leads_to_one_server(connection)
            listener = Listener(self._connect, connection, name) if writes and name else None
        except BaseException:
            # Nobody else has it yet, so nobody else could close it.
            connection.close()
            raise
        return PostgresSession(
            connection,
            self._spelling,
            listener.revision if listener else lambda: None,
            listener.close if listener else lambda: None,
            is_direct=is_direct,
        )

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            **{**_CONNECTION, **self._parameters},
            autocommit=True,
            # A pooler gives each transaction another connection: what was prepared is not there.
            prepare_threshold=None,
        )

    @contextmanager
    def look(self) -> Iterator[Connection]:
        """A SQLAlchemy connection whose transactions only read."""
        engine = create_engine(
            "postgresql+psycopg://", poolclass=NullPool, creator=self._connect_to_look
        )
        try:
            with engine.connect() as connection:
                yield connection.execution_options(postgresql_readonly=True)
        finally:
            engine.dispose()

    def _connect_to_look(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = self._connect()
        connection.autocommit = False
        return connection

    def declared_types(self, connection: Connection, table: TableShape) -> dict[str, str]:
        """The types as the server spells them, to cast to; and where our tables are to be."""
        quote = self._spelling.bare_quote
        prefix = f"{quote(table.schema)}." if table.schema else ""
        found = connection.execute(text(_TYPES), {"name": prefix + quote(table.name)})
        return {str(name): self._spelling.verbatim(str(kind)) for name, kind in found}

    def explain(self, error: BaseException) -> OrdersyncError:
        """What a driver's error means to a person."""
        state = getattr(error, "sqlstate", None) or ""
        what = str(error).partition("\n")[0].strip() or type(error).__name__
        for states, signs, make, sentence, mend in _EXPLAINED:
            by_state = any(state.startswith(one) for one in states) if state else False
            by_sign = not state and any(sign in str(error) for sign in signs)
            if by_state or by_sign:
                grant = self._granting(what) if state == "42501" else ""
                return make(sentence.format(what=what), where=self.where, mend=grant or mend)
        if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return StoreBusy(
                f"the database cannot be reached ({what}).",
                where=self.where,
                mend="Check host and port in database.url, and that the server runs.",
            )
        return StoreRefused(f"the database refuses: {what}.", where=self.where, mend="")

    def _granting(self, what: str) -> str:
        """What gives this role the right that it lacks.

        Without USAGE nothing of a schema can be looked at, by `doctor` neither. The same words are
        said to who may look and not make tables.
        """
        schema, role = what.partition("permission denied for schema ")[2], self._role()
        if not schema or not role:
            return (
                f"`ordersync schema --sql --role {role or 'ROLE'}`, with the address of the "
                "table's owner in database.url, prints each GRANT it needs; the owner runs them."
            )
        quote = self._spelling.bare_quote
        grant = f"GRANT USAGE ON SCHEMA {quote(schema)} TO {quote(role)};"
        return (
            f"To look at its tables it needs: {grant}"
            " What else, `ordersync schema --sql` prints for the owner."
        )

    def _role(self) -> str:
        # Supabase's pooler is told the project behind the role.
        return str(self._parameters.get("user", "")).partition(".")[0]

    def findings(
        self, session: Session, table: TableShape, read: Sequence[str], written: Sequence[str]
    ) -> list[Finding]:
        """Rights, and whether new rows are heard of or looked for."""
        return look_at_rights(
            session,
            self._spelling,
            table,
            read,
            written,
            why_unheard=lambda: self._why_unheard(table),
        )

    def _why_unheard(self, table: TableShape) -> str:
        """Why notifications do not reach us, "" where they do: who only looks has no listener."""
        with closing(self._connect()) as sender:
            name = self._spelling.as_typed(self._spelling.table(table))
            listener = Listener(self._connect, sender, name)
            listener.close()
            return listener.why_not


_Explained = tuple[tuple[str, ...], tuple[str, ...], type[OrdersyncError], str, str]
_EXPLAINED: tuple[_Explained, ...] = (
    (
        ("28P01", "28000"),
        ("authentication failed", "no such user", "no password supplied", "no pg_hba.conf entry"),
        StoreRefused,
        "the server does not let this user in ({what}).",
        "Check the user in database.url and password_file, PGPASSWORD or PGPASSFILE.",
    ),
    (
        ("3D000",),
        ("does not exist",),
        StoreRefused,
        "the server has no such database or user ({what}).",
        "Check the names in database.url.",
    ),
    (
        (),
        (
            "invalid port number",
            "invalid integer value",
            "invalid sslmode value",
            "bad value for",
            "invalid value for parameter",
            "unrecognized configuration parameter",
        ),
        ConfigError,
        "the URL of the database cannot be used ({what}).",
        "Mend it in database.url.",
    ),
    (
        (),
        ("server does not support SSL", "SSL error", "certificate"),
        StoreRefused,
        "no secure connection to the server can be made ({what}).",
        "Mend sslmode or sslrootcert in database.url, or the server's certificate.",
    ),
    (
        (),
        ("unsupported startup parameter",),
        StoreRefused,
        "the pooler takes no such setting ({what}).",
        "Take `options` out of database.url.",
    ),
    (
        ("40001", "40P01", "55P03", "57014"),
        (),
        StoreBusy,
        "another transaction was in the way ({what}).",
        "It is tried again; where it stays so, look for long transactions in pg_stat_activity.",
    ),
    (
        # 26000, 42P05: a pooler that passed for a server; from here on nothing is prepared.
        ("53", "57P", "08", "58", "25P03", "25P04", "26000", "42P05"),
        (),
        StoreBusy,
        "the database cannot serve at the moment ({what}).",
        "It is tried again; see the server's log.",
    ),
    (
        ("25006",),
        (),
        StoreBusy,
        "the server only reads at the moment (a failover, or default_transaction_read_only).",
        "Point database.url at the primary; a provider may have set it because the disk is full.",
    ),
    (
        ("42501",),
        (),
        StoreRefused,
        "this user lacks a right ({what}).",
        "",
    ),
    (
        ("3F000", "42P01"),
        (),
        StoreRefused,
        "something that was there at the start is gone ({what}).",
        "Run `ordersync doctor`.",
    ),
)


def _parameters(url: str) -> dict[str, Any]:
    """What libpq reads in a URL. Raises ConfigError, without the URL: it may hold a password."""
    _, _, rest = url.partition("://")
    address, mark, query = rest.partition("?")
    if not _IS_WHOLE.fullmatch(address):
        # libpq would take what follows for the host, and that part of the password would be shown.
        raise ConfigError(
            "the URL of the database cannot be read: its password has signs that are not encoded, "
            "or its port is no number.",
            where="database.url",
            mend="Encode them (@ is %40, / is %2F, ? is %3F, # is %23), or leave the password out "
            "and give it as PGPASSWORD or database.password_file.",
        )
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] not in _FOREIGN)
    try:
        return {
            name: value
            for name, value in conninfo_to_dict(
                f"postgresql://{address}{mark if kept else ''}{kept}"
            ).items()
            if value is not None
        }
    except psycopg.ProgrammingError as error:
        raise ConfigError(
            f"the URL of the database cannot be read ({_named(str(error))}).",
            where="database.url",
            mend="Write it as postgresql://user@host:5432/database; encode special letters "
            "(@ is %40).",
        ) from None


def _named(error: str) -> str:
    """Libpq's complaint without what it quotes, which may be part of a password."""
    return error.partition('"')[0].strip(" :\n") or "not understood"


def _where(parameters: dict[str, Any]) -> str:
    user = f"{parameters['user']}@" if "user" in parameters else ""
    port = f":{parameters['port']}" if "port" in parameters else ""
    host = parameters.get("host", "")
    return f"postgresql://{user}{host}{port}/{parameters.get('dbname', '')}"
