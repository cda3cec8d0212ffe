"""A look at a database that ends in a proposal for `init`, or in a question."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from ordersync.errors import ConfigError
from ordersync.store.guess import Guess, Unsure, guess_columns, guess_table, guess_words
from ordersync.store.reflection import TableShape, explain, look_at_tables
from ordersync.store.sql import quote as quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What `init` writes, with a reason for each line."""

    table: str
    table_why: str
    columns: tuple[Guess, ...]
    words: dict[str, list[str]]
    word_reasons: tuple[Guess, ...]


def propose(path: Path, answers: Mapping[str, str], unknown_word: str | None) -> Proposal | Unsure:
    """The proposal for this file; the first question that is open where there is one.

    `answers` are by the question's key. Raises ConfigError, StoreBusy or StoreRefused.
    """
    tables = look_at_tables(path)
    table = answers.get("orders.table") or guess_table(tables)
    if isinstance(table, Unsure):
        return table
    shape = tables.get(table)
    if shape is None:
        raise ConfigError(
            f"the database {path} has no table {table!r}.",
            where="--table",
            mend=f"Its tables: {', '.join(tables) or 'none'}.",
        )
    columns: list[Guess] = []
    for found in guess_columns(shape):
        if isinstance(found, Unsure):
            answer = answers.get(found.key)
            if answer is None:
                return found
            columns.append(Guess(found.key.removeprefix("orders."), answer, "your word"))
        else:
            columns.append(found)
    status = next(guess.value for guess in columns if guess.key == "status")
    allowed = shape.columns[status].words if status in shape.columns else ()
    counts = _count_words(path, shape, status)
    if unknown_word and allowed and unknown_word not in allowed:
        raise ConfigError(
            f"the schema does not let {status!r} hold {unknown_word!r}.",
            where="--unknown-word",
            mend=f"It allows: {', '.join(allowed)}. Leave the option out, or widen the schema.",
        )
    prefix = "orders.status_words."
    spoken = {k.removeprefix(prefix): v for k, v in answers.items() if k.startswith(prefix)}
    words, reasons, unsure = guess_words(counts, allowed, unknown_word, spoken)
    if unsure is not None:
        return unsure
    asked = "orders.table" in answers
    return Proposal(
        table=table,
        table_why="your word" if asked else "it has a status and an order's id",
        columns=tuple(columns),
        words=words,
        word_reasons=tuple(reasons),
    )


def _count_words(path: Path, shape: TableShape, status: str) -> dict[str, int]:
    if status not in shape.columns:
        raise ConfigError(
            f"the table {shape.name!r} has no column {status!r}.",
            where="orders.status",
            mend=f"Its columns: {', '.join(shape.columns)}.",
        )
    text = f"SELECT {quoted(status)}, count(*) FROM {quoted(shape.name)} GROUP BY 1"
    try:
        url = f"file:{quote(str(path))}?mode=ro"
        with closing(sqlite3.connect(url, uri=True, timeout=5.0)) as connection:
            rows = connection.execute(text).fetchall()
    except sqlite3.Error as error:
        raise explain(error, path) from error
    return {str(word): count for word, count in rows if word is not None}
