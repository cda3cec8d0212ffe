"""Somebody who asks a house over HTTP: a bot, a dashboard, a page that means no good."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import httpx2

from tests.system.house import built

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ordersync.service import Service
    from tests.system.house import House

PORT: Final = 8642
BASE: Final = f"http://127.0.0.1:{PORT}"


class Caller:
    """Asks over connections of its own; `token` goes with every call."""

    def __init__(
        self, house: House, service: Service, client: httpx2.AsyncClient, token: str | None = None
    ) -> None:
        self.house = house
        self.service = service
        self.client = client
        self.token = token

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - as httpx2 takes it
    ) -> httpx2.Response:
        sent = {"authorization": f"Bearer {self.token}"} if self.token else {}
        return await self.client.request(
            method, f"{BASE}{path}", headers={**sent, **(headers or {})}, **more
        )

    async def get(self, path: str, **params: Any) -> Any:  # noqa: ANN401 - JSON
        answer = await self.ask(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        answer = await self.ask(path, method="POST", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def problem(self, path: str, status: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401
        """What is said where something is wrong."""
        answer = await self.ask(path, **more)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = answer.json()
        assert found["status"] == status
        return found


@contextlib.asynccontextmanager
async def with_api(
    folder: Path,
    *,
    web: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    **house: Any,  # noqa: ANN401 - as `built`
) -> AsyncIterator[House]:
    """A house whose configuration says nothing of the API, or this."""
    async with built(folder, more={"web": web or {}, **(more or {})}, **house) as made:
        yield made


@contextlib.asynccontextmanager
async def calling(house: House, token: str | None = None) -> AsyncIterator[Caller]:
    """The service at work, with its first pass done, and somebody who asks it."""
    async with house.running() as service, httpx2.AsyncClient(timeout=60) as client:
        await house.wait(seconds=5)
        yield Caller(house, service, client, token)
