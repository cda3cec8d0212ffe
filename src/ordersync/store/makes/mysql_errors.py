"""What the errors of MariaDB and MySQL mean: who refuses, who is in the way, who is away."""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING

from pymysql import MySQLError

from ordersync.errors import OrdersyncError, StoreBusy, StoreRefused

if TYPE_CHECKING:
    from collections.abc import Collection

ILLEGAL_MIX = frozenset({1267, 1270, 1271, 3854})
"""A literal and a column that cannot be compared in any set of letters."""

# 1290 and 1836: it only reads by now, and another has taken its place.
_AWAY = frozenset({0, 1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1927})
_AWAY |= {2002, 2003, 2006, 2013, 2014, 2027, 2055, 4031}
GONE = _AWAY | {1290, 1836}
"""After these the connection is of no use any longer."""

_REFUSED = frozenset({1048, 1062, 1169, 1216, 1217, 1264, 1265, 1292, 1364, 1366, 1369, 1406})
_REFUSED |= {1411, 1451, 1452, 1525, 1526, 1557, 1586, 1644, 1690, 1748, 3819, 4025}
_REFUSED_CLASSES = frozenset({"22", "23", "44", "45"})

_Explained = tuple["Collection[int]", type[OrdersyncError], str, str]
_EXPLAINED: tuple[_Explained, ...] = (
    (
        {1045, 1698, 1130, 1129, 1251, 2059, 3118, 4151},
        StoreRefused,
        "the server does not let this user in ({what}).",
        "Check the user in database.url and the password (password_file or MYSQL_PWD).",
    ),
    (
        {1049},
        StoreRefused,
        "the server has no such database ({what}).",
        "Check the name in database.url.",
    ),
    (
        {2026},
        StoreRefused,
        "the server speaks no TLS, and database.url asks for it ({what}).",
        "Let the server have a certificate, or take the ssl_ keys out of database.url.",
    ),
    (
        {1040, 1203, 1226},
        StoreBusy,
        "the server has no connection left ({what}).",
        "It is tried again; where it stays so, raise max_connections.",
    ),
    (
        {1205, 1213, 1317, 1969, 3024, 3572},
        StoreBusy,
        "another transaction was in the way ({what}).",
        "It is tried again; where it stays so, look for a long one in SHOW PROCESSLIST.",
    ),
    (
        {1836},
        StoreBusy,
        "the server only reads at the moment ({what}).",
        "A failover ends by itself; where it is a replica, name the primary in database.url.",
    ),
    (
        {1792},
        StoreRefused,
        "this connection only reads ({what}).",
        "Let `ordersync run` write.",
    ),
    (
        {1665},
        StoreRefused,
        "the server's binary log cannot record what is written in READ COMMITTED ({what}).",
        "SET GLOBAL binlog_format = MIXED; (or ROW, which MySQL has by default)",
    ),
    (
        {1153},
        StoreRefused,
        "one order is more than the server takes at once ({what}).",
        "Raise max_allowed_packet: 16M is enough.",
    ),
    (
        {1021, 1114},
        StoreRefused,
        "the server has no room left ({what}).",
        "Make room on its disk.",
    ),
    (
        {1051, 1054, 1146},
        StoreRefused,
        "something that was there at the start is gone, or may not be seen ({what}).",
        "Run `ordersync doctor`.",
    ),
    (
        _AWAY,
        StoreBusy,
        "the database cannot be reached ({what}).",
        "Check host and port in database.url, and that the server runs.",
    ),
)

_DENIED = re.compile(r"(?P<right>[A-Z ,]+?) command denied to user .*? for (?P<on>.+)")
_TABLE = re.compile(r"table (?P<table>\S+)")
_COLUMN = re.compile(r"column '(?P<column>.+)' in table '(?P<table>.+)'")


def code_of(error: BaseException) -> int:
    """The number of a driver's error; -1 where it has none."""
    code = error.args[0] if error.args else -1
    return code if isinstance(code, int) else -1


def is_refusal(error: BaseException) -> bool:
    """Whether the database refuses what was to be written: it would again."""
    if not isinstance(error, MySQLError) or len(error.args) <= 1:
        return False
    state = str(getattr(error, "sqlstate", None) or "")
    return code_of(error) in _REFUSED or state[:2] in _REFUSED_CLASSES


def explain(error: BaseException, where: str, account: str) -> OrdersyncError:
    """What a driver's error means to a person; `account` is whom rights are granted to."""
    code, what = code_of(error), str(error.args[-1] if error.args else error).rstrip(".")
    origin = getattr(error, "original_exception", None)
    if isinstance(origin, ssl.SSLError):
        return StoreRefused(
            f"the server's certificate is not trusted ({origin}).",
            where=where,
            mend="Name who signed it (?ssl_ca=ca.pem); where it bears another name than the"
            " host's, add ssl_verify_identity=false.",
        )
    if code in {1044, 1142, 1143, 1227, 1370}:
        return StoreRefused(
            f"this user lacks a right ({what}).", where=where, mend=_grant(code, what, account)
        )
    if code == 1290 and "read-only" not in what and "read_only" not in what:  # noqa: PLR2004
        return StoreRefused(f"the database refuses: {what}.", where=where, mend="")
    for codes, make, sentence, mend in _EXPLAINED:
        if code in codes or (code == 1290 and 1836 in codes):  # noqa: PLR2004 - see GONE
            return make(sentence.format(what=what), where=where, mend=mend)
    return StoreRefused(f"the database refuses: {what}.", where=where, mend="")


def _grant(code: int, what: str, account: str) -> str:
    """The GRANT that is missing, as far as the error tells."""
    denied = _DENIED.search(what)
    if denied is None:
        return f"GRANT ALL ON the database TO {account};" if code == 1044 else "See SHOW GRANTS."  # noqa: PLR2004
    column, table = _COLUMN.search(denied["on"]), _TABLE.search(denied["on"])
    if column is not None:
        return f"GRANT {denied['right']} (`{column['column']}`) ON {column['table']} TO {account};"
    return f"GRANT {denied['right']} ON {table['table'] if table else '…'} TO {account};"
