"""The description of the API: as a document for programs, as a page for people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.system.caller import calling, with_api
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path


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
