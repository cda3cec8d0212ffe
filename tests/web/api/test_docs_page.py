"""The description of the API: as a document for programs, as a page for people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from ordersync.web.api.application import routes
from tests.system.caller import calling, with_api
from tests.virtual import virtually

if TYPE_CHECKING:
    from ordersync.web.api.faces import Faces

ROOT: Final = Path(__file__).parents[3]


@virtually
async def test_the_page_tells_of_every_call_and_asks_nobody_else(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        document = await caller.get("/openapi.json")
        answer = await caller.ask("/docs")
        assert answer.headers["content-type"].startswith("text/html")
        text = answer.text
        for path in document["paths"]:
            assert path in text
        for name in document["components"]["schemas"]:
            assert f"id='{name}'" in text
        assert re.findall(r"<script|src=|https?://|@import", text) == []
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        # Every link on it leads somewhere on it.
        for anchor in re.findall(r"href='#([^']+)'", text):
            assert f"id='{anchor}'" in text, anchor


def test_every_call_and_every_field_is_in_the_reference_and_no_other() -> None:
    """What is missing there: the table of a call or a shape, as `/docs` shows it."""
    text = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    calls, shapes = text.split("\n## Shapes\n")
    document = routes(cast("Faces", None)).openapi()
    expected = {
        f"{method.upper()} {path}": sorted(one["name"] for one in call.get("parameters", []))
        for path, methods in document["paths"].items()
        for method, call in methods.items()
    }
    assert tables(calls.split("\n## Calls\n")[1]) == expected
    assert tables(shapes) == {
        name: sorted(shape.get("properties", {}))
        for name, shape in document["components"]["schemas"].items()
    }


def tables(text: str) -> dict[str, list[str]]:
    """By heading, what the first cells of its table name."""
    found = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        heading = part.split("\n")[0].strip("`")
        found[heading] = sorted(re.findall(r"^\| `([^`]+)`", part, re.MULTILINE))
    return found
