"""What the store finds about itself, for `doctor`: words, indexes, rights, each with its mend."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ordersync.ports import Finding, Meaning, Severity
from ordersync.store.words import WITH_FILLS

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from ordersync.store.mapping import Mapping
    from ordersync.store.sql import Statements


def look_for_findings(
    connection: sqlite3.Connection, mapping: Mapping, statements: Statements, path: Path
) -> list[Finding]:
    """All findings about the table and its mapping. Reads only."""
    return [
        *_about_table(mapping),
        *_about_words(connection, mapping, statements),
        *_about_indexes(statements),
        *_about_file(connection, path),
    ]


def _about_table(mapping: Mapping) -> list[Finding]:
    absent = [f for f in ("created_at", "client_order_id") if f not in mapping.columns]
    found = [
        Finding(
            severity=Severity.OK,
            about="table",
            what=f"{mapping.shape.name} has all {len(mapping.columns)} mapped columns.",
        )
    ]
    if "created_at" in absent:
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="created_at",
                what="no creation time is mapped; an order's age counts from our first sight.",
                mend="Map created_at if the table has such a column.",
            )
        )
    return found


def _about_words(
    connection: sqlite3.Connection, mapping: Mapping, statements: Statements
) -> list[Finding]:
    found: list[Finding] = []
    status = mapping.shape.columns[mapping.columns["status"]]
    for word in mapping.words.all_words:
        if not mapping.fits(status, word):
            limit = (
                f"only {', '.join(status.words)}" if status.words else f"{status.length} letters"
            )
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    about="words",
                    what=f"the column {status.name!r} cannot hold {word!r} (it holds {limit}).",
                    mend="Take the word out of orders.status_words, or widen the column.",
                )
            )
    counts = connection.execute(statements.count_words).fetchall()
    for word, count in counts:
        if mapping.words.meaning(word) is Meaning.UNMAPPED:
            name = "NULL" if word is None else repr(str(word))
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    about="words",
                    what=f"{count} rows say {name}, which is outside the mapping: left alone.",
                    mend="Add the word to orders.status_words with what it stands for.",
                )
            )
    if not mapping.words.covers_fills:
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="words",
                what="a canceled order that has fills has no word of its own: "
                "a bot that reads the plain word loses track of what it owns.",
                mend=f'Add "{WITH_FILLS[0]}" to the word for orders that hold something.',
            )
        )
    if not mapping.writes_unknown:
        found.append(
            Finding(
                severity=Severity.OK,
                about="words",
                what="unknown has no word: rows of orders proven absent are left as they are; "
                "audit and history tell of them.",
            )
        )
    if not any(f.severity is Severity.WARNING for f in found):
        found.insert(
            0,
            Finding(
                severity=Severity.OK,
                about="words",
                what=f"all {len(counts)} words in use are mapped, every status has a word.",
            ),
        )
    return found


def _about_indexes(statements: Statements) -> list[Finding]:
    proposals = statements.index_proposals()
    if not proposals:
        return [Finding(severity=Severity.OK, about="indexes", what="every look-up has its index.")]
    return [
        Finding(severity=Severity.WARNING, about="indexes", what=f"{why}.", mend=f"{ddl};")
        for _, why, ddl in proposals
    ]


def _about_file(connection: sqlite3.Connection, path: Path) -> list[Finding]:
    found: list[Finding] = []
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        found.append(
            Finding(
                severity=Severity.ERROR,
                about="rights",
                what=f"{path} or its folder cannot be written.",
                mend="Give this user the right to write both.",
            )
        )
    else:
        found.append(
            Finding(severity=Severity.OK, about="rights", what="the database can be written.")
        )
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    if journal != "wal":
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="journal",
                what=f"the journal mode is {journal}: the bot waits while ordersync writes.",
                mend="PRAGMA journal_mode = WAL; (once, by you; ordersync never changes it)",
            )
        )
    return found
