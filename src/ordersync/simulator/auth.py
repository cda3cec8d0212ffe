"""Whether a request carries a valid CDP token, and whose it is.

The real exchange answers every fault of a token with the same bare `Unauthorized`, so this says
only yes or no. Three shapes of token are in use and all are accepted: the official SDK's (`iss`
cdp, `uri`), ccxt's with an EC key (`aud`, `iss` coinbase-cloud, `uri`) and ccxt's with an Ed25519
key (`aud`, `iss` cdp, `uris`).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ordersync.simulator.account import Account

PRODUCTION_HOST = "api.coinbase.com"
LIFETIME = timedelta(seconds=120)
LEEWAY = timedelta(seconds=5)

_AUDIENCES = {"retail_rest_api_proxy": "coinbase-cloud", "cdp_service": "cdp"}


class UnauthorizedError(Exception):
    """The token is missing or wrong. The text is for the simulator's reader, not the wire's."""


def authenticate(
    accounts: Mapping[str, Account],
    *,
    header: str | None,
    method: str,
    host: str,
    path: str,
    now: datetime,
) -> Account:
    """Find the account that this request's token proves. Raises UnauthorizedError."""
    scheme, _, token = (header or "").partition(" ")
    if scheme != "Bearer" or not token:
        raise UnauthorizedError("no bearer token")
    account, claims = _verify(accounts, token)
    _check_uri(claims, method, host, path)
    return _prove(account, claims, now)


def authenticate_message(accounts: Mapping[str, Account], token: object, now: datetime) -> Account:
    """Find the account that a WebSocket message's token proves: the same token without a uri.

    Raises UnauthorizedError.
    """
    if not isinstance(token, str) or not token:
        raise UnauthorizedError("no jwt")
    return _prove(*_verify(accounts, token), now)


def _prove(account: Account, claims: Mapping[str, Any], now: datetime) -> Account:
    _check_issuer(claims)
    _check_age(claims, now)
    if claims.get("sub") != account.key.name:
        raise UnauthorizedError(f"sub is {claims.get('sub')!r}, kid is {account.key.name!r}")
    return account


def _verify(accounts: Mapping[str, Account], token: str) -> tuple[Account, dict[str, Any]]:
    try:
        header = jwt.get_unverified_header(token)
        account = accounts[header["kid"]]
        if not header.get("nonce"):
            raise UnauthorizedError("no nonce in the token's header")
        is_ec = isinstance(account.key.public_key, ec.EllipticCurvePublicKey)
        claims: dict[str, Any] = jwt.decode(
            token,
            account.key.public_key,
            algorithms=["ES256" if is_ec else "EdDSA"],
            # Time is judged by the world's clock, the audience together with the issuer.
            options={
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            },
        )
    except KeyError as error:
        raise UnauthorizedError(f"unknown key {error}") from error
    except jwt.PyJWTError as error:
        raise UnauthorizedError(str(error)) from error
    return account, claims


def _check_issuer(claims: Mapping[str, Any]) -> None:
    audience = claims.get("aud")
    if audience is None:
        expected: str | None = "cdp"
    elif isinstance(audience, list) and len(audience) == 1:
        expected = _AUDIENCES.get(audience[0])
    else:
        expected = None
    if expected is None or claims.get("iss") != expected:
        raise UnauthorizedError(f"aud {audience!r} with iss {claims.get('iss')!r}")


def _check_age(claims: Mapping[str, Any], now: datetime) -> None:
    begins, ends = claims.get("nbf"), claims.get("exp")
    if not isinstance(begins, int) or not isinstance(ends, int):
        raise UnauthorizedError(f"nbf {begins!r}, exp {ends!r}")
    if ends - begins > LIFETIME.total_seconds():
        raise UnauthorizedError(f"valid for {ends - begins} s")
    leeway = LEEWAY.total_seconds()
    if not begins - leeway <= now.timestamp() <= ends + leeway:
        raise UnauthorizedError(f"valid from {begins} to {ends}, now is {now.timestamp():.0f}")


def _check_uri(claims: Mapping[str, Any], method: str, host: str, path: str) -> None:
    uris = claims.get("uris") if "uris" in claims else [claims.get("uri")]
    # ccxt strips only https:// from its own address, so over plain http the scheme stays.
    places = (PRODUCTION_HOST, host, f"http://{host}")
    allowed = {f"{method} {place}{path}" for place in places}
    if not isinstance(uris, list) or not allowed.intersection(map(str, uris)):
        raise UnauthorizedError(f"uri {uris!r} is not for {method} {host}{path}")
