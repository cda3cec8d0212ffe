"""The words of events, orders, alerts, metrics, errors and logs."""

from __future__ import annotations

import ast
import inspect

from ordersync import errors
from ordersync.alerted import Alert
from ordersync.cli.output import Exit
from ordersync.truth.model import EventKind, Status
from ordersync.web import metrics as shown
from ordersync.web.api.problems import MEANINGS
from reference.lines import calls, lines_of_log, parsed
from reference.said import said_by, said_of
from reference.tables import table


def kinds() -> str:
    """Every kind of event."""
    said = {name: one for name, one in said_of(EventKind).items() if name in EventKind.__members__}
    rows = [
        (f"`{EventKind[name].value}`", one.text, one.more.get("To do", ""))
        for name, one in said.items()
    ]
    return table(("kind", "what happened", "what to do"), rows)


def statuses() -> str:
    """Every status of an order."""
    said = said_of(Status)
    rows = [
        (
            f"`{status.value}`",
            "final" if status.is_final else "neither" if status is Status.UNKNOWN else "open",
            said[status.name].text,
        )
        for status in Status
    ]
    return table(("name", "kind", "meaning"), rows)


def alerts() -> str:
    """Everything that a person may hear of."""
    said = said_of(Alert)
    rows = [
        (
            f"`{alert.value}`",
            alert.loudness.value,
            "yes" if alert.lasts else "no",
            said[alert.name].text,
        )
        for alert in Alert
    ]
    return table(("kind", "loudness", "lasts", "what is the case"), rows)


def metrics() -> str:
    """Everything that `/metrics` answers."""
    rows = [
        (f"`{name}`", kind, ", ".join(f"`{label}`" for label in labels), told)
        for name, (kind, told, labels) in sorted(shown.names().items())
    ]
    return table(("metric", "type", "labels", "what it is"), rows)


def exits() -> str:
    """Every exit status."""
    said = said_of(Exit)
    return table(("status", "meaning"), [(str(one.value), said[one.name].text) for one in Exit])


def failures() -> str:
    """Every error of ours. What to do is that of the one above it where it says nothing."""
    rows = []
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.OrdersyncError):
            told = [said_by(one.__doc__ or "") for one in kind.__mro__]
            to_do = next((one.more["To do"] for one in told if "To do" in one.more), "")
            what, *_ = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
            if kind is not errors.OrdersyncError:
                rows.append((f"`{name}`", " ".join(what.split()), to_do))
    return table(("error", "what is the case", "what to do"), rows)


def problems() -> str:
    """Every problem that the API answers with, and the statuses that it comes with."""
    made: dict[str, set[str]] = {}
    for call in calls(parsed()):
        if ast.unparse(call.func) == "Refusal" and isinstance(call.args[1], ast.Constant):
            made.setdefault(str(call.args[1].value), set()).add(ast.unparse(call.args[0]))
    rows = [(f"`{name}`", ", ".join(sorted(made[name])), MEANINGS[name]) for name in made]
    rows.sort(key=lambda row: (row[1], list(MEANINGS).index(row[0].strip("`"))))
    return table(("problem", "status", "meaning"), rows)


def lines() -> str:
    """Every line of the log."""
    levels = ("error", "warning", "info", "debug")
    found = sorted(lines_of_log(), key=lambda one: (levels.index(one[0]), one[1]))
    return table(("level", "line"), [(level, f"`{text}`") for level, text in found])
