"""What each transaction may wait for, and how values are spelled in it; set where it lasts.

A pooler in transaction mode gives each transaction another connection: there it is set in each
transaction, and goes with it. On a server's own connection once is enough.
"""

from __future__ import annotations

from typing import Any

import psycopg

_SETTINGS = {
    "lock_timeout": "5s",
    "statement_timeout": "60s",
    # We never think in the middle of one: who is silent for that long was stopped, or is cut off,
    # and holds rows that the bot and whoever serves the account now have to write.
    "idle_in_transaction_session_timeout": "5s",
    # What a role or a database may have set otherwise: all digits of a float, a NULL in an array
    # that is none, and a backslash in a word that is nothing but a backslash.
    "extra_float_digits": "1",
    "array_nulls": "on",
    "standard_conforming_strings": "on",
}


def _set(*, locally: bool) -> str:
    return "SELECT " + ", ".join(
        f"set_config('{name}', '{value}', {str(locally).lower()})"
        for name, value in _SETTINGS.items()
    )


LIMITS = _set(locally=True)
_IS_DIRECT = f"{_set(locally=False)}, pg_backend_pid()"


def leads_to_one_server(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    """Whether this is a server's own connection; its settings are made for good then.

    A pooler makes up the number of the process that it names when it lets a client in.
    """
    with connection.transaction() as transaction:
        ((*_, process),) = connection.execute(_IS_DIRECT.encode()).fetchall()
        is_direct = bool(process == connection.pgconn.backend_pid)
        if not is_direct:
            # What was set goes with the transaction: this connection is another's next.
            raise psycopg.Rollback(transaction)
    return is_direct
