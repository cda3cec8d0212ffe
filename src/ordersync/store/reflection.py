"""A look at a database that exists: its tables, columns, keys, indexes. Reads the schema only."""

from __future__ import annotations

import re
import warnings
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import inspect, types
from sqlalchemy import text as statement
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, NoSuchTableError, SAWarning

from ordersync.errors import ConfigError
from ordersync.store.shape import ColumnShape, IndexShape, Kind, TableShape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine.reflection import Inspector

    from ordersync.store.database import Database


SHOWN = 40
"""How many names of tables an error lists at most."""

_NOT_USERS = ("information_schema", "mysql", "performance_schema", "sys")


def look_at_tables(database: Database) -> dict[str, TableShape]:
    """Every table and view of the connection's own schema, but ours. Raises OrdersyncError."""
    try:
        with database.look() as connection:
            inspector = inspect(connection)
            names = [*inspector.get_table_names(), *inspector.get_view_names()]
            return {
                name: _exact(database, connection, _shape(inspector, name, None))
                for name in names
                if not name.startswith("ordersync_")
            }
    except DatabaseError as error:
        raise database.explain(error.orig or error) from error


def look_at_table(database: Database, table: str) -> TableShape | None:
    """One table or view, None where there is none of that name. Raises OrdersyncError.

    `trading.orders` is the table of that very name, else `orders` in the schema `trading`.
    """
    try:
        with database.look() as connection:
            inspector = inspect(connection)
            schema, _, name = table.rpartition(".")
            for where, what in ((None, table), (schema or None, name)):
                try:
                    return _exact(database, connection, _shape(inspector, what, where))
                except NoSuchTableError:
                    continue
            return None
    except DatabaseError as error:
        raise database.explain(error.orig or error) from error


def list_table_names(database: Database) -> list[str]:
    """The names of the user's tables; those of other schemas with their schema, at the end."""
    try:
        with database.look() as connection:
            inspector = inspect(connection)
            own = inspector.default_schema_name
            others = [one for one in inspector.get_schema_names() if one not in {own, *_NOT_USERS}]
            found = [(name, name) for name in inspector.get_table_names()]
            for schema in others if own else ():
                found += [(name, f"{schema}.{name}") for name in inspector.get_table_names(schema)]
    except DatabaseError as error:
        raise database.explain(error.orig or error) from error
    return [whole for name, whole in found if not name.startswith("ordersync_")]


def no_such_table(database: Database, table: str, *, where: str) -> ConfigError:
    """The mistake of naming a table that is not there, with what may have been meant."""
    names = list_table_names(database)
    last = table.rpartition(".")[2].lower()
    meant = [name for name in names if name.rpartition(".")[2].lower() == last]
    meant = meant or get_close_matches(table, names, n=1)
    hint = f"Did you mean {' or '.join(map(repr, meant))}? " if meant else ""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ConfigError(
        f"the database {database.where} has no table {table!r}.",
        where=where,
        mend=f"{hint}Its tables: {', '.join(names[:SHOWN]) or 'none'}{more}.",
    )


def view_refused(shape: TableShape, *, where: str) -> ConfigError:
    """The mistake of naming a view."""
    return ConfigError(
        f"{shape.name!r} is a view; ordersync cannot know what a write to it does.",
        where=where,
        mend="Name the table behind the view.",
    )


def _exact(database: Database, connection: Connection, shape: TableShape) -> TableShape:
    """The shape with the types as the database itself spells them."""
    exact = database.declared_types(connection, shape)
    columns = {}
    for name, column in shape.columns.items():
        declared = exact.get(name, column.declared)
        # Where its extension is off the search path, SQLAlchemy does not know it.
        kind = Kind.TEXT if declared.endswith(".citext") else column.kind
        columns[name] = msgspec.structs.replace(column, declared=declared, kind=kind)
    return msgspec.structs.replace(shape, columns=columns)


def _shape(inspector: Inspector, table: str, schema: str | None) -> TableShape:
    with warnings.catch_warnings():
        # An index on an expression, a CHECK that is not enforced: none that we could use.
        warnings.simplefilter("ignore", SAWarning)
        listed = inspector.get_indexes(table, schema)
        uniques = inspector.get_unique_constraints(table, schema)
        checks = _checks(inspector, table, schema)
        found = inspector.get_columns(table, schema)
    failed = _failed_indexes(inspector, table, schema)
    key = inspector.get_pk_constraint(table, schema)
    indexes = [
        IndexShape(
            columns=_leading(index["column_names"]),
            unique=bool(index["unique"]) and None not in index["column_names"],
            where=_condition(index.get("dialect_options", {})),
        )
        for index in listed
        if index["name"] not in failed
    ]
    indexes += [
        IndexShape(columns=tuple(unique["column_names"]), unique=True)
        for unique in uniques
        if unique["name"] not in failed
    ]
    columns = {column["name"]: _column(inspector, column, checks) for column in found}
    return TableShape(
        name=table,
        schema=schema,
        columns=columns,
        primary_key=() if key["name"] in failed else tuple(key["constrained_columns"]),
        indexes=tuple(indexes),
        is_view=table in _view_names(inspector, schema),
    )


_FAILED_INDEXES = """
SELECT c.relname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(:name) AND NOT i.indisvalid"""


def _failed_indexes(inspector: Inspector, table: str, schema: str | None) -> frozenset[str]:
    """What CREATE INDEX CONCURRENTLY leaves where it fails: it keeps no two rows apart, finds none.

    A table's own index that its partitions lack is another. SQLAlchemy lists them like all others.
    """
    if inspector.dialect.name != "postgresql" or not isinstance(inspector.bind, Connection):
        return frozenset()
    quote = inspector.dialect.identifier_preparer.quote_identifier
    name = ".".join(quote(part) for part in (schema, table) if part)
    asked = statement(_FAILED_INDEXES).bindparams(name=name)
    return frozenset(inspector.bind.scalars(asked))


_BESIDE_A_COLUMN = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = coalesce(:place, DATABASE()) AND TABLE_NAME = :name
  AND LEVEL = 'Column'"""


def _checks(inspector: Inspector, table: str, schema: str | None) -> list[str]:
    found = [check["sqltext"] for check in inspector.get_check_constraints(table, schema)]
    is_mariadb = getattr(inspector.dialect, "is_mariadb", False)
    if is_mariadb and isinstance(inspector.bind, Connection):
        # SQLAlchemy sees only those of the table.
        asked = statement(_BESIDE_A_COLUMN).bindparams(place=schema, name=table)
        found += [clause for (clause,) in inspector.bind.execute(asked)]
    # MySQL names the set of letters before each text.
    return [re.sub(r"\b_(?:utf8mb[34]|latin1|ascii)(?=')", "", check) for check in found]


def _leading(names: Sequence[str | None]) -> tuple[str, ...]:
    """The columns before the first expression, which stands as None: behind it nothing is found."""
    end = names.index(None) if None in names else len(names)
    return tuple(name for name in names[:end] if name)


def _condition(options: dict[str, object]) -> str | None:
    # No `or`: SQLAlchemy's clauses refuse to be true or false.
    where = options.get("sqlite_where", options.get("postgresql_where"))
    return None if where is None else str(where)


def _view_names(inspector: Inspector, schema: str | None) -> list[str]:
    names = inspector.get_view_names(schema)
    if inspector.dialect.name == "postgresql":
        names = [*names, *inspector.get_materialized_view_names(schema)]
    return names


def _column(inspector: Inspector, column: Any, checks: list[str]) -> ColumnShape:  # noqa: ANN401 - SQLAlchemy's own dict
    kind = column["type"]
    if _is_domain(kind):
        kind, checks = _behind(kind, column["name"], checks)
    length = getattr(kind, "length", None)
    is_enum = isinstance(kind, types.Enum)
    digits = getattr(kind, "precision", None)
    digits = getattr(kind, "fsp", None) if digits is None else digits
    zoned = bool(getattr(kind, "timezone", False))
    if inspector.dialect.name == "mysql":
        # A DATETIME without a number holds whole seconds; a TIMESTAMP is kept in UTC.
        digits, zoned = getattr(kind, "fsp", None) or 0, isinstance(kind, types.TIMESTAMP)
    return ColumnShape(
        name=column["name"],
        declared=_declared(kind, inspector),
        nullable=bool(column["nullable"]),
        kind=_kind(kind, inspector.dialect.name),
        length=length if isinstance(length, int) and not is_enum else None,
        scale=getattr(kind, "scale", None) if isinstance(kind, types.Numeric) else None,
        digits=6 if digits is None or not isinstance(kind, types.DateTime) else digits,
        zoned=zoned,
        # An identity column is computed too, and only the database writes it.
        generated="computed" in column,
        is_enum=is_enum,
        words=tuple(kind.enums) if is_enum else _allowed_words(column["name"], checks),
    )


def _is_domain(kind: types.TypeEngine[Any]) -> bool:
    """By its name: its class is in the dialect of PostgreSQL, which the others need not load."""
    return bool(kind.__visit_name__ == "DOMAIN")


def _behind(domain: types.TypeEngine[Any], column: str, checks: list[str]) -> tuple[Any, list[str]]:
    """What a domain is made of in the end, and its conditions as if they were the column's."""
    found = list(checks)
    kind: Any = domain
    while _is_domain(kind):
        check = str(kind.check) if kind.check is not None else ""
        found.append(re.sub(r"\bVALUE\b", f'"{column}"', check))
        kind = kind.data_type
    return kind, found


_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (types.Enum, Kind.TEXT),
    (types.String, Kind.TEXT),
    (types.Integer, Kind.WHOLE),
    (types.REAL, Kind.SINGLE),
    (types.Float, Kind.DOUBLE),
    (types.Numeric, Kind.EXACT),
    (types.DateTime, Kind.TIME),
    (types.Date, Kind.DAY),
    (types.Uuid, Kind.UUID),
)


def _kind(kind: Any, dialect: str) -> Kind:  # noqa: ANN401 - a TypeEngine of any kind
    if dialect == "sqlite":
        return Kind.ANY
    if dialect == "mysql" and type(kind).__name__ == "FLOAT":
        return Kind.SINGLE
    return next((found for one, found in _KINDS if isinstance(kind, one)), Kind.OTHER)


def _declared(kind: Any, inspector: Inspector) -> str:  # noqa: ANN401 - a TypeEngine of any kind
    text: str = kind.__class__.__name__
    return text if text == "NullType" else str(kind.compile(dialect=inspector.dialect))


def _as_written(check: str) -> str:
    """A CHECK as a person wrote it: PostgreSQL shows an IN as = ANY of an array, with casts."""
    check = re.sub(
        r"= ANY \(+'\{([^'{}\"\\]*)\}'[^)]*\)+",
        lambda found: "IN ('" + "', '".join(found[1].split(",")) + "')",
        check,
    )
    plain = re.sub(r"::(?:character varying|[a-z]+)(?:\(\d+\))?(?:\[\])?", "", check)
    plain = re.sub(r"= ANY \(+ARRAY\[([^\]]*)\]\)+", r"IN (\1)", plain)
    return re.sub(r"\((\"[^\"]+\"|\w+)\) (IN|=)", r"\1 \2", plain)


def _allowed_words(column: str, checks: list[str]) -> tuple[str, ...]:
    """The words that a CHECK (column IN ('a', 'b')) allows, empty where none limits it."""
    word = r"'(?:[^']|'')*'"
    name = rf"""(?:["`\[]{re.escape(column)}["`\]]|\b{re.escape(column)}\b)"""
    one_of = rf"(?:IS\s+NULL|=\s*{word}|IN\s*\(\s*{word}(?:\s*,\s*{word})*\s*\))"
    part = rf"\(*\s*{name}\s*{one_of}\s*\)*"
    limit = re.compile(rf"{part}(?:\s*\bOR\b\s*{part})*", re.IGNORECASE)
    for text in checks:
        check = _as_written(text)
        if limit.fullmatch(check.strip()) and (words := re.findall(word, check)):
            return tuple(found[1:-1].replace("''", "'") for found in words)
    return ()
