"""What the store finds about itself, for `doctor`: words, indexes, rights, each with its mend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.ports import Finding, Meaning, Severity
from ordersync.store.mapping import WRITABLE
from ordersync.store.statement import Ask
from ordersync.store.words import WITH_FILLS

if TYPE_CHECKING:
    from ordersync.store.database import Database, Session
    from ordersync.store.mapping import Mapping
    from ordersync.store.sql import RowStatements


def look_for_findings(
    session: Session, database: Database, mapping: Mapping, statements: RowStatements
) -> list[Finding]:
    """All findings about the table and its mapping. Reads only."""
    read = list(dict.fromkeys(mapping.columns.values()))
    written = [mapping.columns[field] for field in WRITABLE if field in mapping.columns]
    return [
        *_about_table(mapping),
        *_about_words(session, mapping, statements),
        *_about_indexes(statements),
        *database.findings(session, mapping.shape, read, written),
    ]


def _about_table(mapping: Mapping) -> list[Finding]:
    found = [
        Finding(
            severity=Severity.OK,
            about="table",
            what=f"{mapping.shape.name} has all {len(mapping.columns)} mapped columns.",
        )
    ]
    if "created_at" not in mapping.columns:
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="created_at",
                what="no creation time is mapped; an order's age counts from our first sight.",
                mend="Map created_at if the table has such a column.",
            )
        )
    venue_ids = mapping.columns["venue_order_id"]
    if "INT" in mapping.shape.columns[venue_ids].declared.upper():
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="venue_order_id",
                what=f"the column {venue_ids!r} holds whole numbers; ids of venues have letters.",
                mend="Map the column that holds the exchange's own id of the order.",
            )
        )
    return found


def _about_words(session: Session, mapping: Mapping, statements: RowStatements) -> list[Finding]:
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
    counts = session.fetch(Ask(statements.count_words))
    for word, count in counts:
        if mapping.words.meaning(word) is Meaning.UNMAPPED:
            name = "NULL" if word is None else repr(str(word))
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    about="words",
                    what=f"{count} {'row says' if count == 1 else 'rows say'} {name}, "
                    "which is outside the mapping: left alone.",
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


def _about_indexes(statements: RowStatements) -> list[Finding]:
    proposals = statements.index_proposals()
    if not proposals:
        return [Finding(severity=Severity.OK, about="indexes", what="every look-up has its index.")]
    return [
        Finding(severity=Severity.WARNING, about="indexes", what=f"{why}.", mend=f"{ddl};")
        for _, why, ddl in proposals
    ]
