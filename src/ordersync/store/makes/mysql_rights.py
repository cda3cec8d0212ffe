"""What `doctor` asks a MariaDB or MySQL: rights, engine, zero dates, settings, each with its mend.

A right is asked about by EXPLAIN: the server checks all of them for it, roles included, and
runs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymysql import MySQLError

from ordersync.ports import Finding, Severity
from ordersync.store.makes.mysql_errors import code_of
from ordersync.store.makes.mysql_literals import literal
from ordersync.store.schema import first_column, tables_since
from ordersync.store.shape import Kind
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ordersync.store.database import Session
    from ordersync.store.makes.mysql_spelling import MysqlSpelling
    from ordersync.store.shape import TableShape

_DENIED = frozenset({1044, 1142, 1143, 1227, 1370})
_ONLY_READS = frozenset({1290, 1836})


def look_at_rights(
    session: Session,
    spelling: MysqlSpelling,
    account: str,
    table: TableShape,
    read: Sequence[str],
    written: Sequence[str],
) -> list[Finding]:
    """All that can be wrong with the server, the user and the table."""
    found = [
        *_about_rights(session, spelling, account, table, read, written),
        *_about_engine(session, spelling, table),
        *_about_zero_dates(session, spelling, table),
        *_about_server(session),
    ]
    if not any(one.about == "rights" for one in found):
        what = "this user may read the table, write its mapped columns, and use our tables."
        found.insert(0, Finding(severity=Severity.OK, about="rights", what=what))
    return found


def _about_rights(
    session: Session,
    spelling: MysqlSpelling,
    account: str,
    table: TableShape,
    read: Sequence[str],
    written: Sequence[str],
) -> list[Finding]:
    name = spelling.table(table)
    prefix = f"{spelling.quote(table.schema)}." if table.schema else ""
    unwritable = [
        column
        for column in map(spelling.quote, written)
        if not _may(session, f"UPDATE {name} SET {column} = {column} WHERE 1 = 0")
    ]
    lacks: list[tuple[str, str]] = []
    seen = ", ".join(map(spelling.quote, read))
    if not _may(session, f"SELECT {seen} FROM {name} WHERE 1 = 0"):
        lacks.append((f"read {seen} of {name}", f"GRANT SELECT ON {name}"))
    if unwritable:
        listed = ", ".join(unwritable)
        lacks.append((f"write {listed} of {name}", f"GRANT UPDATE ({listed}) ON {name}"))
    if not session.has_table(table.schema, "ordersync_schema"):
        if not _may_create(session, table.schema):
            mend = "Let the database's owner run what `ordersync schema --sql` prints."
            what = "this user sees no tables of ours, and cannot make them."
            return [*(_lack(*one, account) for one in lacks), _error("rights", what, mend)]
    else:
        for one in (*tables_since(0), "log_ids"):
            ours = f"{prefix}ordersync_{one}"
            column = "log_id" if one == "log_ids" else first_column(one)
            deeds = (
                f"SELECT {column} FROM {ours}",
                f"INSERT INTO {ours} SELECT * FROM {ours} WHERE 1 = 0",
                f"UPDATE {ours} SET {column} = {column} WHERE 1 = 0",
                f"DELETE FROM {ours} WHERE 1 = 0",
            )
            if not all(_may(session, deed) for deed in deeds):
                grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {ours}"
                lacks.append((f"use our own table {ours}", grant))
    return [_lack(what, grant, account) for what, grant in lacks]


def _may(session: Session, statement: str) -> bool:
    """Whether this user has the rights for a statement, which is not run."""
    try:
        session.run(Ask("START TRANSACTION READ WRITE"))
        session.fetch(Ask(f"EXPLAIN {statement}"))
    except MySQLError as error:
        if code_of(error) in _ONLY_READS:
            return True  # nobody may, and that is told of the server
        if code_of(error) not in _DENIED:
            raise
        return False
    finally:
        session.rollback()
    return True


def _may_create(session: Session, schema: str | None) -> bool:
    """As far as it can be seen: what a role may is listed nowhere, so it is taken to be enough."""
    place = literal(schema).replace("%", "%%") if schema else "DATABASE()"
    text = (
        "SELECT 1 FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = 'CREATE'"
        " UNION SELECT 1 FROM information_schema.SCHEMA_PRIVILEGES"
        f" WHERE PRIVILEGE_TYPE = 'CREATE' AND {place} LIKE TABLE_SCHEMA ESCAPE '\\'"
        " UNION SELECT 1 FROM DUAL WHERE coalesce(CURRENT_ROLE(), 'NONE') <> 'NONE'"
    )
    return bool(session.fetch(Ask(text)))


def _about_engine(session: Session, spelling: MysqlSpelling, table: TableShape) -> list[Finding]:
    place = literal(table.schema) if table.schema else "DATABASE()"
    text = (
        f"SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {place}"
        f" AND TABLE_NAME = {literal(table.name)}"
    )
    return [
        _error(
            "engine",
            f"the table is kept by {engine}, which knows no transactions.",
            f"ALTER TABLE {spelling.as_typed(spelling.table(table))} ENGINE = InnoDB;",
        )
        for (engine,) in session.fetch(Ask(spelling.verbatim(text)))
        if str(engine).lower() != "innodb"
    ]


def _about_zero_dates(
    session: Session, spelling: MysqlSpelling, table: TableShape
) -> list[Finding]:
    found = []
    name = spelling.table(table)
    for column in table.columns.values():
        if column.kind is not Kind.TIME:
            continue
        cell = spelling.quote(column.name)
        ((count,),) = session.fetch(Ask(f"SELECT count(*) FROM {name} WHERE {cell} = 0"))
        if count:
            mend = f"UPDATE {name} SET {cell} = NULL WHERE {cell} = 0;"
            if not column.nullable:
                mend = f"Let the column be NULL, then: {mend}"
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    about="zero dates",
                    what=f"{count} rows hold 0000-00-00 in {column.name!r}, which is no time.",
                    mend=spelling.as_typed(mend),
                )
            )
    return found


def _about_server(session: Session) -> list[Finding]:
    names = "'sql_mode', 'read_only', 'log_bin', 'binlog_format'"
    # Not by name: newer servers no longer have all of them.
    is_set = dict(session.fetch(Ask(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")))
    found = []
    if is_set.get("read_only") == "ON":
        mend = "Name the primary in database.url."
        found.append(_error("server", "the server only reads: it is a replica.", mend))
    if is_set.get("log_bin") == "ON" and is_set.get("binlog_format") == "STATEMENT":
        what = "the server's binary log (STATEMENT) cannot record what ordersync writes."
        found.append(_error("server", what, "SET GLOBAL binlog_format = MIXED;"))
    if "STRICT" not in is_set.get("sql_mode", "STRICT"):
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="server",
                what="the server is not strict: what does not fit is cut and written all the same"
                " (not by ordersync, which is strict).",
                mend="Add STRICT_TRANS_TABLES to sql_mode.",
            )
        )
    return found


def _lack(what: str, grant: str, account: str) -> Finding:
    mend = f"{grant} TO {account};".replace("%%", "%")
    return _error("rights", f"this user cannot {what}.".replace("%%", "%"), mend)


def _error(about: str, what: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, about=about, what=what, mend=mend)
