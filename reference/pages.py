"""Where each list goes: between its marks, in a page that has prose around it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from reference import words
from reference.configuration import section

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
PAGES = sorted(FOLDER.glob("*.md"))
END = "<!-- end -->"

LISTS: Mapping[str, Callable[[], str]] = {
    "alerts": words.alerts,
    "errors": words.failures,
    "events": words.kinds,
    "exits": words.exits,
    "lines": words.lines,
    "metrics": words.metrics,
    "problems": words.problems,
    "statuses": words.statuses,
}
SETTINGS = "settings "

_MARKED = re.compile(r"<!-- begin: (?P<name>[a-z ]+), by \./dev reference -->.*?" + END, re.DOTALL)


def renewed(text: str) -> str:
    """The page with every list as the code has it now. KeyError where there is no such list."""
    return _MARKED.sub(lambda found: marked(found["name"]), text)


def marked(name: str) -> str:
    """One list between its marks."""
    made = section(name[len(SETTINGS) :]) if name.startswith(SETTINGS) else LISTS[name]()
    return f"<!-- begin: {name}, by ./dev reference -->\n{made}\n{END}"


def named() -> list[str]:
    """The lists that the pages have, in order."""
    return [
        found["name"]
        for path in PAGES
        for found in _MARKED.finditer(path.read_text(encoding="utf-8"))
    ]
