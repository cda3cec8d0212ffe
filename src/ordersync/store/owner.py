"""What `schema --sql` prints for whoever owns the database: our tables, rights, the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.store import schema
from ordersync.store.mapping import WRITABLE
from ordersync.store.own import OwnStatements

if TYPE_CHECKING:
    from ordersync.store.mapping import Mapping
    from ordersync.store.spelling import Spelling


def statements_for_owner(
    spelling: Spelling, mapping: Mapping, role: str | None, *, notify: bool
) -> list[str]:
    """The statements, in order, each to be run as it stands."""
    own = OwnStatements(spelling, mapping.shape.schema)
    texts = schema.statements(spelling, own.prefix)
    texts.append(f"INSERT INTO {own.table('schema')} VALUES ({schema.VERSION}, 'by hand')")
    if role is not None:
        written = [mapping.columns[field] for field in WRITABLE if field in mapping.columns]
        read = list(dict.fromkeys(mapping.columns.values()))
        texts += spelling.grants(role, own.prefix, mapping.shape, read, written)
    if notify:
        texts += spelling.notifying_trigger(mapping.shape)
    return [spelling.as_typed(text) for text in texts]
