"""A look at a database that ends in a proposal for `init`, or in a question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.errors import ConfigError
from ordersync.store.guess import Guess, Unsure, guess_columns, guess_table, guess_words
from ordersync.store.reflection import look_at_table, look_at_tables, no_such_table, view_refused
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.store.database import Database
    from ordersync.store.shape import TableShape


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What `init` writes, with a reason for each line."""

    table: str
    table_why: str
    columns: tuple[Guess, ...]
    words: dict[str, list[str]]
    word_reasons: tuple[Guess, ...]


def propose(
    database: Database, answers: Mapping[str, str], unknown_word: str | None
) -> Proposal | Unsure:
    """The proposal for this database; the first question that is open where there is one.

    `answers` are by the question's key. Raises ConfigError, StoreBusy or StoreRefused.
    """
    tables = look_at_tables(database)
    table = answers.get("orders.table") or guess_table(tables)
    if isinstance(table, Unsure):
        return table
    # A person may name one of another schema.
    shape = tables.get(table) or look_at_table(database, table)
    if shape is None:
        raise no_such_table(database, table, where="--table")
    if shape.is_view:
        raise view_refused(shape, where="--table")
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
    counts = _count_words(database, shape, status)
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


def _count_words(database: Database, shape: TableShape, status: str) -> dict[str, int]:
    if status not in shape.columns:
        raise ConfigError(
            f"the table {shape.name!r} has no column {status!r}.",
            where="orders.status",
            mend=f"Its columns: {', '.join(shape.columns)}.",
        )
    spelling, column = database.spelling, shape.columns[status]
    text = f"SELECT {spelling.read(column)}, count(*) FROM {spelling.table(shape)} AS t GROUP BY 1"
    try:
        session = database.connect(writes=False)
        try:
            rows = session.fetch(Ask(text))
        finally:
            session.close()
    except database.errors as error:
        raise database.explain(error) from error
    return {str(word): count for word, count in rows if word is not None}
