"""A real Chromium before a real service. Without the one these tests are skipped, loudly."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.dashboard.house import House

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page


def without(reason: str) -> NoReturn:
    """Skip loudly, or fail where a browser is demanded."""
    if "browser" in os.environ.get("ORDERSYNC_DEMAND", "").split(","):
        pytest.fail(f"NO BROWSER: {reason}")
    pytest.skip(f"NO BROWSER: {reason}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, one for the tests of a module; each test has a profile of its own in it.

    Not one for all: as long as it is driven, its loop runs in this thread, and no other can.
    """
    found = os.environ.get("ORDERSYNC_CHROMIUM") or shutil.which("chromium")
    if found is None:
        without("chromium is not on PATH. Debian: apt install chromium; or ORDERSYNC_CHROMIUM.")
    expect.set_options(timeout=60_000)  # other workers have the processor too
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Build the one house of a test, whose service is not started yet: `open` starts it."""
    with contextlib.ExitStack() as built:

        def one(**settings: Any) -> House:  # noqa: ANN401
            return built.enter_context(contextlib.closing(House(tmp_path, **settings)))

        yield one


@pytest.fixture
def house(build: Callable[..., House]) -> House:
    """A house as most tests want it."""
    return build()


@pytest.fixture
def visit(browser: Browser, build: Callable[..., House]) -> Iterator[Callable[..., Page]]:
    """Open a page in a profile of its own; nothing on it may fail or be refused by its policy."""
    del build  # closed after the pages: they would knock at a house that is being closed
    contexts = []
    complaints: list[str] = []

    def opened(address: str, **profile: object) -> Page:
        profile.setdefault("viewport", {"width": 1280, "height": 800})
        context = browser.new_context(**profile)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text)
                if "Content Security Policy" in said.text or "TrustedHTML" in said.text
                else None
            ),
        )
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
