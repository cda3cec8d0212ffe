"""Who gets in, and who does not: tokens, names, origins, bodies."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import ConfigError
from ordersync.service import examine, list_tokens, new_token, revoke_token
from ordersync.simulator import Life
from ordersync.tokened import Scope, digest_of
from tests.system.caller import BASE, PORT, calling, with_api
from tests.virtual import virtually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.system.house import House

NEEDED = {"require_token": True}


async def token_of(
    house: House, name: str, scope: Scope = Scope.READ, lasts: timedelta | None = None
) -> str:
    secret = await new_token(house.settings(), name, scope, lasts, house.clock)
    assert secret is not None
    return secret


@virtually
async def test_beyond_loopback_it_does_not_start_while_nobody_has_a_token(tmp_path: Path) -> None:
    async with with_api(tmp_path, web={"listen": "0.0.0.0:8642"}) as house:
        with pytest.raises(ConfigError, match="there is no token") as refused:
            async with house.serving() as service:
                await service.run()
        assert "ordersync token new" in refused.value.mend
        await token_of(house, "bot")
        await revoke_token(house.settings(), "bot", house.clock)
        with pytest.raises(ConfigError, match="there is no token"):
            async with house.serving() as service:
                await service.run()


@virtually
async def test_where_a_token_is_needed_on_loopback_the_key_that_says_so_is_named(
    tmp_path: Path,
) -> None:
    async with with_api(tmp_path, web={"require_token": True}) as house:
        with pytest.raises(ConfigError, match="there is no token") as refused:
            async with house.serving() as service:
                await service.run()
        assert refused.value.where.endswith("web.require_token")
        assert "take this key out" in refused.value.mend


@virtually
async def test_a_token_opens_what_its_scope_covers(tmp_path: Path) -> None:
    async with with_api(tmp_path, web=NEEDED) as house:
        house.place(Life.open())
        read = await token_of(house, "reader")
        operate = await token_of(house, "operator", Scope.OPERATE)
        async with calling(house) as caller:
            missing = await caller.problem("/api/v1/orders", 401)
            assert "token" in missing["detail"]
            for forged in ("ost_forged", read[:-1], "x" * 5_000, digest_of(read)):
                headers = {"authorization": f"Bearer {forged}"}
                await caller.problem("/api/v1/orders", 401, headers=headers)
            caller.token = read
            assert len((await caller.get("/api/v1/orders"))["orders"]) == 1
            assert await caller.get("/api/v1/caller") == {"token": "reader", "scope": "read"}
            wrong = await caller.problem("/api/v1/sync", 403, method="POST")
            assert "operate" in wrong["detail"]
            caller.token = operate
            assert (await caller.get("/api/v1/caller"))["scope"] == "operate"
            assert len((await caller.get("/api/v1/orders"))["orders"]) == 1


@virtually
async def test_what_is_revoked_or_too_old_opens_nothing_within_seconds(tmp_path: Path) -> None:
    async with with_api(tmp_path, web=NEEDED) as house:
        short = await token_of(house, "short", lasts=timedelta(minutes=1))
        lost = await token_of(house, "lost")
        async with calling(house) as caller:
            for secret in (short, lost):
                caller.token = secret
                await caller.get("/api/v1/orders")
            assert await revoke_token(house.settings(), "lost", house.clock)
            await house.wait(seconds=6)
            await caller.problem("/api/v1/orders", 401)
            await house.wait(seconds=60)
            caller.token = short
            await caller.problem("/api/v1/orders", 401)


@virtually
async def test_a_token_made_while_it_runs_opens_at_once(tmp_path: Path) -> None:
    async with with_api(tmp_path, web=NEEDED) as house:
        await token_of(house, "first")
        async with calling(house) as caller:
            await caller.problem("/api/v1/orders", 401)
            await house.wait(seconds=1)
            caller.token = await token_of(house, "second")
            await caller.get("/api/v1/orders")


@virtually
async def test_no_secret_is_kept(tmp_path: Path) -> None:
    async with with_api(tmp_path, web=NEEDED) as house:
        secret = await token_of(house, "bot")
        assert secret.startswith("ost_")
        kept = house.sql("SELECT * FROM ordersync_tokens")
        assert secret not in repr(kept)
        assert secret.removeprefix("ost_") not in (house.database.read_bytes().decode("latin-1"))
        (token,) = await list_tokens(house.settings())
        assert token.digest == digest_of(secret)
        # Its name is never given again: what it did stays to be read.
        assert await new_token(house.settings(), "bot", Scope.READ, None, house.clock) is None


@virtually
async def test_on_loopback_no_token_is_needed_but_a_false_one_is_refused(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        await caller.get("/api/v1/orders")
        await caller.problem("/api/v1/orders", 401, headers={"authorization": "Bearer ost_x"})
        await caller.problem("/api/v1/orders", 401, headers={"authorization": "Basic eDp5"})


@virtually
async def test_who_comes_through_a_proxy_needs_a_token(tmp_path: Path) -> None:
    web = {"hosts": ["orders.example"]}
    async with with_api(tmp_path, web=web) as house, calling(house) as caller:
        for headers in (
            {"host": "orders.example"},
            {"x-forwarded-for": "203.0.113.7"},
            {"forwarded": "for=203.0.113.7"},
        ):
            await caller.problem("/api/v1/orders", 401, headers=headers)
        assert (await caller.ask("/healthz", headers={"host": "orders.example"})).is_success


@virtually
@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8642", "127.0.0.1.evil.example", "a@127.0.0.1"]
)
async def test_a_page_whose_name_was_bound_to_this_machine_gets_nothing(
    host: str, tmp_path: Path
) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        answer = await caller.ask("/api/v1/orders", headers={"host": host})
        assert answer.status_code in {400, 421}
        assert "orders" not in answer.json() or answer.json()["orders"] == []
        # Nor does the page itself come from here.
        assert (await caller.ask("/healthz", headers={"host": host})).status_code in {400, 421}


@virtually
async def test_pages_of_other_hosts_may_not_ask_unless_they_are_named(tmp_path: Path) -> None:
    web = {"origins": ["https://desk.example"]}
    async with with_api(tmp_path, web=web) as house, calling(house) as caller:
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://["},
            {"origin": "https://desk.example.evil.example"},
            {"sec-fetch-site": "cross-site"},
        ):
            answer = await caller.ask("/api/v1/orders", headers=headers)
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
        answer = await caller.ask("/api/v1/orders", headers={"origin": BASE})
        assert answer.is_success
        assert "access-control-allow-origin" not in answer.headers
        desk = {"origin": "https://desk.example"}
        answer = await caller.ask("/api/v1/orders", headers=desk)
        assert answer.headers["access-control-allow-origin"] == "https://desk.example"
        assert "access-control-allow-credentials" not in answer.headers
        asked = {**desk, "access-control-request-method": "POST"}
        answer = await caller.ask("/api/v1/sync", method="OPTIONS", headers=asked)
        assert answer.status_code == 204
        assert "authorization" in answer.headers["access-control-allow-headers"]


@virtually
async def test_a_body_that_is_too_long_or_no_json_is_refused(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        path = "/api/v1/sync"
        await caller.problem(path, 413, method="POST", json={"a": "x" * 70_000})
        await caller.problem(path, 415, method="POST", data={"a": "b"})
        typed = {"content-type": "application/json"}
        latin = b'{"dry_run": true, "reason": "\xe9"}'
        for body in (b"{", latin, latin.decode("latin1").encode("utf-16")):
            wrong = await caller.problem(
                "/api/v1/cleanup", 400, method="POST", content=body, headers=typed
            )
            assert "UTF-8" in wrong["mend"]


@virtually
async def test_what_is_no_request_gets_a_problem_too(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house):
        get = "GET / HTTP/1.1\r\n"
        for text in (f"{get}Host: a\r\nHost: b\r\n\r\n", f"{get}\r\n", "\x16\x03\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
            writer.write(text.encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 400 ")
            assert b"application/problem+json" in head
            assert json.loads(body)["status"] == 400
            writer.close()


@virtually
async def test_a_head_that_is_too_long_is_refused_though_it_comes_at_once(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house, calling(house) as caller:
        long = {f"x-{n}": "y" * 1_000 for n in range(20)}
        refused = await caller.problem("/api/v1/orders", 431, headers=long)
        assert refused["mend"]
        await caller.problem("/healthz", 431, headers={"x": "y" * 17_000})


@virtually
async def test_every_call_below_api_is_guarded(tmp_path: Path) -> None:
    async with with_api(tmp_path, web=NEEDED) as house:
        await token_of(house, "bot")
        async with calling(house) as caller:
            paths = (await caller.get("/openapi.json"))["paths"]
            asked = 0
            for path, methods in paths.items():
                for method in methods:
                    if path.startswith("/api/") or path == "/metrics":
                        asked += 1
                        await caller.problem(path, 401, method=method.upper())
            assert asked


@virtually
async def test_doctor_tells_who_may_ask(tmp_path: Path) -> None:
    async with with_api(tmp_path) as house:

        async def told() -> list[tuple[str, str]]:
            found = await examine(house.settings(), house.clock)
            return [(f.severity.value, f.what) for f in found if f.about == "web"]

        assert await told() == []
        house.more_settings["web"] = {"listen": "0.0.0.0:8642"}
        ((severity, what),) = await told()
        assert severity == "error"
        assert "there is no token" in what
        await token_of(house, "bot")
        (first, _), (second, plain) = await told()
        assert (first, second) == ("ok", "warning")
        assert "plain http" in plain
