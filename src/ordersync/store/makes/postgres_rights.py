"""What a role may do with the user's table and ours, for `doctor`: each lack with its GRANT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ordersync.ports import Finding, Severity
from ordersync.store.makes.postgres_spelling import TRIGGER
from ordersync.store.schema import tables_since
from ordersync.store.statement import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ordersync.store.database import Session
    from ordersync.store.makes.postgres_spelling import PostgresSpelling
    from ordersync.store.shape import TableShape

_RIGHTS = """
SELECT current_user::text,
  ARRAY(SELECT j FROM jsonb_array_elements_text(%(read)s::jsonb) AS j
    WHERE NOT has_column_privilege(c.oid, j, 'SELECT')),
  ARRAY(SELECT j FROM jsonb_array_elements_text(%(written)s::jsonb) AS j
    WHERE NOT has_column_privilege(c.oid, j, 'UPDATE')),
  n.nspname::text, has_schema_privilege(n.oid, 'CREATE'),
  c.relrowsecurity AND (c.relforcerowsecurity OR NOT pg_has_role(c.relowner, 'USAGE'))
    AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user),
  ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'UPDATE']) AS p WHERE NOT EXISTS (
    SELECT FROM pg_policy WHERE polrelid = c.oid AND polpermissive
      AND polcmd IN ('*', CASE p WHEN 'SELECT' THEN 'r' ELSE 'w' END)
      AND (polroles = '{0}' OR EXISTS (
        SELECT FROM unnest(polroles) AS r WHERE pg_has_role(r, 'USAGE'))))),
  EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = %(trigger)s)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass(%(table)s)"""

_LACKING = """
SELECT j FROM jsonb_array_elements_text(%(tables)s::jsonb) AS j
WHERE to_regclass(j) IS NOT NULL AND NOT CASE WHEN j = %(log_ids)s
  THEN has_sequence_privilege(to_regclass(j), 'USAGE')
  ELSE (SELECT bool_and(has_table_privilege(to_regclass(j), p))
    FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p) END"""


def look_at_rights(
    session: Session,
    spelling: PostgresSpelling,
    table: TableShape,
    read: Sequence[str],
    written: Sequence[str],
    *,
    why_unheard: Callable[[], str],
) -> list[Finding]:
    """Whether this role can do all that ordersync does, and hears of new rows.

    `why_unheard` tries to listen, and says why that does not work, "" where it does.
    """
    quote = spelling.bare_quote
    prefix = f"{quote(table.schema)}." if table.schema else ""
    name = prefix + quote(table.name)
    listed = [msgspec.json.encode(list(columns)).decode() for columns in (read, written)]
    arguments = {"table": name, "read": listed[0], "written": listed[1], "trigger": TRIGGER}
    ((role, unreadable, unwritable, schema, creates, policed, closed, notifies),) = session.fetch(
        Ask(_RIGHTS, arguments)
    )
    found: list[Finding] = []
    for deed, right, lacking in (("read", "SELECT", unreadable), ("write", "UPDATE", unwritable)):
        if lacking:
            names = ", ".join(quote(column) for column in lacking)
            grant = f"GRANT {right} ({names}) ON {name} TO {quote(role)};"
            found.append(_lack(f"cannot {deed} {names} of {name}", grant))
    has_tables = session.has_table(table.schema, "ordersync_schema")
    if not has_tables and not creates:
        mend = "Let the database's owner run what `ordersync schema --sql` prints."
        found.append(_lack(f"cannot make tables in the schema {schema}", mend))
    log_ids = f"{prefix}ordersync_log_ids"
    ours = [*(f"{prefix}ordersync_{one}" for one in tables_since(0)), log_ids]
    about = {"tables": msgspec.json.encode(ours).decode(), "log_ids": log_ids}
    lacking = [one for (one,) in session.fetch(Ask(_LACKING, about))]
    tables = [one for one in lacking if one != log_ids]
    if tables:
        grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(tables)} TO {quote(role)};"
        found.append(_lack("cannot use all of our own tables", grant))
    if log_ids in lacking:
        grant = f"GRANT USAGE ON SEQUENCE {log_ids} TO {quote(role)};"
        found.append(_lack(f"cannot use the sequence {log_ids}", grant))
    if not found:
        what = f"{role} may read the table, write its mapped columns, and use our tables."
        found.append(Finding(severity=Severity.OK, about="rights", what=what))
    if policed and closed:
        found.append(_shown_nothing(name, quote(role), closed))
    elif policed:
        found.append(
            Finding(
                severity=Severity.WARNING,
                about="rights",
                what=f"policies of row-level security decide which rows {role} sees and writes.",
                mend="A row that no policy shows is no row for ordersync: give the role a policy "
                "for SELECT and UPDATE, or BYPASSRLS.",
            )
        )
    return [*found, _about_listening(why_unheard() if notifies else None)]


def _shown_nothing(name: str, role: str, closed: Sequence[str]) -> Finding:
    """Row-level security without a policy for this role: every row is hidden, and none refused."""
    deeds = " or ".join("sees" if right == "SELECT" else "may write" for right in closed)
    policies = (
        f"CREATE POLICY ordersync_{right.lower()} ON {name} FOR {right} TO {role} USING (true);"
        for right in closed
    )
    return Finding(
        severity=Severity.ERROR,
        about="rights",
        what=f"row-level security is on and no policy is for {role}: it {deeds} no row of {name}.",
        mend=" ".join(policies),
    )


def _about_listening(unheard: str | None) -> Finding:
    """How `run` learns of new rows; None where there is no trigger that tells of them."""
    if unheard == "":
        what = "new rows are heard of at once (LISTEN)."
    elif unheard is not None:
        what = f"new rows are looked for every second: notifications do not reach us ({unheard})."
    else:
        what = (
            "new rows are looked for every second; `ordersync schema --sql --notify` prints a"
            " trigger that tells of them at once."
        )
    return Finding(severity=Severity.OK, about="new rows", what=what)


def _lack(what: str, mend: str) -> Finding:
    return Finding(severity=Severity.ERROR, about="rights", what=f"the role {what}.", mend=mend)
