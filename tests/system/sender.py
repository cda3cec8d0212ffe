"""Somebody who sends webhooks to a house: a relay that signs by Standard Webhooks.

It shares no code with what it is sent to: the signature is made here by hand.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

import httpx2

from tests.system.house import House, built

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ordersync.service import Service

PORT: Final = 8643
KEY: Final = bytes(range(32))
SECRET: Final = f"whsec_{base64.b64encode(KEY).decode()}"


def secret_of(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def signed(webhook_id: str, at: int, body: bytes, *keys: bytes) -> dict[str, str]:
    """The headers of a webhook."""
    content = f"{webhook_id}.{at}.".encode() + body
    digests = [hmac.digest(key, content, hashlib.sha256) for key in keys or (KEY,)]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(d).decode()}" for d in digests),
    }


class Sender:
    """Sends webhooks over connections of its own."""

    def __init__(self, house: House, client: httpx2.AsyncClient) -> None:
        self.house = house
        self.client = client

    async def send(
        self,
        webhook_id: str,
        content: object,
        *keys: bytes,
        account: str = "main",
        late: float = 0,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        """One delivery; `late`: so many seconds ago it says to have been sent."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        at = int(self.house.clock.now().timestamp() - late)
        return await self.client.post(
            f"http://127.0.0.1:{PORT}/webhooks/{account}",
            content=body,
            headers={**signed(webhook_id, at, body, *keys), **(headers or {})},
        )

    async def hint(self, webhook_id: str, order_id: str) -> httpx2.Response:
        return await self.send(webhook_id, {"order_id": order_id})


@contextlib.asynccontextmanager
async def with_door(
    folder: Path,
    *,
    secrets: dict[str, Any] | None = None,
    **house: Any,  # noqa: ANN401 - as `built`
) -> AsyncIterator[House]:
    """A house whose configuration opens the door for webhooks."""
    file = folder / "webhooks.json"
    file.write_text(json.dumps(secrets or {"main": [SECRET]}), encoding="utf-8")
    file.chmod(0o600)
    listen = f"127.0.0.1:{PORT}"
    async with built(folder, more={"webhooks": {"listen": listen}}, **house) as made:
        yield made


@contextlib.asynccontextmanager
async def sending(house: House) -> AsyncIterator[tuple[Sender, Service]]:
    """The service at work, with its first pass done, and somebody who sends it webhooks."""
    client = httpx2.AsyncClient(timeout=60, limits=httpx2.Limits(max_connections=5_000))
    async with house.running() as service, client:
        await house.wait(seconds=210)
        house.forget_asked()
        yield Sender(house, client), service
