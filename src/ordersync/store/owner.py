"""What `schema --sql` prints for whoever owns the database: our tables, rights, the trigger.

Where tables of an earlier version are there, only what brings them forward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ordersync.store import schema
from ordersync.store.mapping import WRITABLE
from ordersync.store.own import OwnStatements

if TYPE_CHECKING:
    from ordersync.store.database import Database
    from ordersync.store.mapping import Mapping
    from ordersync.store.spelling import Spelling


def version_there(database: Database, mapping: Mapping) -> int:
    """The version of the tables that are there. Raises StoreBusy or StoreRefused."""
    own = OwnStatements(database.spelling, mapping.shape.schema)
    try:
        session = database.connect(writes=False)
        try:
            return schema.check_version(session, own, where=database.where)
        finally:
            session.close()
    except database.errors as error:
        raise database.explain(error) from error


def statements_for_owner(
    spelling: Spelling, mapping: Mapping, role: str | None, *, notify: bool, since: int = 0
) -> list[str]:
    """The statements, in order, each to be run as it stands.

    `since` is the version of the tables that are there, 0 where there are none.
    """
    own = OwnStatements(spelling, mapping.shape.schema)
    made = schema.tables_since(since) if since < schema.VERSION else []
    texts = schema.statements(spelling, own.prefix, since) if made else []
    if made:
        texts += [f"DELETE FROM {own.table('schema')}"] if since else []
        texts.append(f"INSERT INTO {own.table('schema')} VALUES ({schema.VERSION}, 'by hand')")
    if role is not None:
        written = [mapping.columns[field] for field in WRITABLE if field in mapping.columns]
        read = list(dict.fromkeys(mapping.columns.values()))
        # Where all is there already, the rights are what is asked for.
        ours = made or schema.tables_since(0)
        texts += spelling.grants(role, own.prefix, mapping.shape, read, written, ours)
    if notify:
        texts += spelling.notifying_trigger(mapping.shape)
    return [spelling.as_typed(text) for text in texts]
