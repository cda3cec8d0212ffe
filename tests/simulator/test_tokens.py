"""Tokens: every make that the real exchange accepts, and no other."""

from __future__ import annotations

import base64
import json
from random import Random
from typing import TYPE_CHECKING, Any

import jwt
import pytest

from ordersync.simulator import KeyPair
from tests.simulator.asking import HOST, PREFIX, Exchange, claims_of, sign

if TYPE_CHECKING:
    from ordersync.simulator import Account
    from ordersync.simulator.account import KeyKind

PATH = "/key_permissions"
KINDS = ["ec", "ed25519"]


def variant(name: str, exchange: Exchange, account: Account, host: str) -> dict[str, Any]:
    """The claims of one make of client."""
    claims = claims_of(account, "GET", PATH, exchange.clock.now())
    claims["uri"] = f"GET {host}{PREFIX}{PATH}"
    if name == "sdk":
        return claims
    claims["iat"] = claims["nbf"]
    if name == "ccxt":
        return {**claims, "aud": ["retail_rest_api_proxy"], "iss": "coinbase-cloud"}
    uri = claims.pop("uri")
    return {**claims, "aud": ["cdp_service"], "uris": [uri]}


@pytest.mark.parametrize("host", ["api.coinbase.com", HOST, f"http://{HOST}"])
@pytest.mark.parametrize("name", ["sdk", "ccxt", "ccxt ed25519"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_make_of_token_is_accepted(
    exchange: Exchange, kind: KeyKind, name: str, host: str
) -> None:
    account = exchange.world.open_account(kind)
    token = sign(account, variant(name, exchange, account, host))

    response = await exchange.send("GET", PATH, token=token)

    assert response.status_code == 200
    assert response.json()["portfolio_uuid"] == account.portfolio


CHANGES: dict[str, dict[str, Any]] = {
    "expired": {"nbf": -200, "exp": -80},
    "not valid yet": {"nbf": 60, "exp": 180},
    "valid too long": {"nbf": 0, "exp": 121},
    "another path": {"uri": f"GET api.coinbase.com{PREFIX}/orders"},
    "another method": {"uri": f"POST api.coinbase.com{PREFIX}{PATH}"},
    "with a query": {"uri": f"GET api.coinbase.com{PREFIX}{PATH}?limit=1"},
    "with a scheme": {"uri": f"GET https://api.coinbase.com{PREFIX}{PATH}"},
    "another host": {"uri": f"GET evil.example{PREFIX}{PATH}"},
    "another issuer": {"iss": "coinbase-cloud"},
    "another audience": {"aud": ["cdp_service"], "iss": "coinbase-cloud"},
    "another subject": {"sub": "organizations/x/apiKeys/y"},
    "no uri": {"uri": None},
    "no nbf": {"nbf": None},
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_token_that_is_not_for_this_request_is_unauthorized(
    exchange: Exchange, change: str
) -> None:
    claims = claims_of(exchange.account, "GET", PATH, exchange.clock.now())
    begins = claims["nbf"]
    for name, value in CHANGES[change].items():
        if value is None:
            del claims[name]
        else:
            claims[name] = begins + value if isinstance(value, int) else value

    response = await exchange.send("GET", PATH, token=sign(exchange.account, claims))

    assert (response.status_code, response.text) == (401, "Unauthorized")
    assert response.headers["content-type"].startswith("text/plain")


async def test_a_small_difference_of_clocks_is_forgiven(exchange: Exchange) -> None:
    claims = claims_of(exchange.account, "GET", PATH, exchange.clock.now())
    token = sign(exchange.account, claims)

    exchange.clock.go_on(-4)
    assert (await exchange.send("GET", PATH, token=token)).status_code == 200
    exchange.clock.go_on(4 + 124)
    assert (await exchange.send("GET", PATH, token=token)).status_code == 200
    exchange.clock.go_on(2)
    assert (await exchange.send("GET", PATH, token=token)).status_code == 401


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_signed_by_another_key_is_unauthorized(
    exchange: Exchange, kind: KeyKind
) -> None:
    thief, owner = exchange.world.open_account(kind), exchange.world.open_account(kind)
    claims = claims_of(owner, "GET", PATH, exchange.clock.now())

    response = await exchange.send("GET", PATH, token=sign(thief, claims, kid=owner.key.name))

    assert response.status_code == 401


async def test_an_unsigned_an_unknown_and_a_senseless_token_are_unauthorized(
    exchange: Exchange,
) -> None:
    claims = claims_of(exchange.account, "GET", PATH, exchange.clock.now())
    header = {"kid": exchange.account.key.name, "nonce": "c0ffee"}
    tokens = [
        jwt.encode(claims, "", algorithm="none", headers=header),
        jwt.encode(claims, "s" * 32, algorithm="HS256", headers=header),
        sign(exchange.account, claims, kid="organizations/x/apiKeys/y"),
        sign(exchange.account, claims, nonce=""),
        "three.dotted.words",
        "",
    ]

    answers = [(await exchange.send("GET", PATH, token=token)).status_code for token in tokens]

    assert answers == [401] * len(tokens)


async def test_a_request_without_a_token_is_unauthorized(exchange: Exchange) -> None:
    response = await exchange.send("GET", PATH, headers={"authorization": "Basic eDp5"})

    assert response.status_code == 401


def test_a_key_file_names_its_key_as_cdp_does() -> None:
    """Under `name` where the name is a path of the organization, under `id` where it is a UUID."""
    dice = Random(1)  # noqa: S311 - reproducible on purpose
    name = "7a1c0c1e-6a0e-4f6c-9a57-0f5f3f1f7f10"

    path = json.loads(KeyPair.generate(dice).as_json())
    key = KeyPair.generate(dice, "ed25519", name=name)
    uuid = json.loads(key.as_json())

    assert path["name"].startswith("organizations/")
    assert uuid["id"] == name
    assert len(base64.b64decode(uuid["privateKey"])) == 64
    assert key.private_key not in repr(key)
