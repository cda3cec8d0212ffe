"""A CDP key: every form that is handed out is read, and its secret shows nowhere."""

from __future__ import annotations

import base64
import json
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ordersync.errors import ConfigError
from ordersync.venues.coinbase.key import CdpKey, read_key

if TYPE_CHECKING:
    from pathlib import Path

NAME = "organizations/3f0e/apiKeys/9b1c"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EC = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
SEED = bytes(range(32))
ED = ed25519.Ed25519PrivateKey.from_private_bytes(SEED)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, form: PrivateFormat) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


SEC1 = pem(EC, PrivateFormat.TraditionalOpenSSL)
PKCS8 = pem(EC, PrivateFormat.PKCS8)
ED_PEM = ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ED_32 = base64.b64encode(SEED).decode()
ED_64 = base64.b64encode(SEED + ED.public_key().public_bytes_raw()).decode()


def written(folder: Path, content: object, mode: int = 0o600) -> Path:
    path = folder / "coinbase.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def made(folder: Path, secret: object) -> CdpKey:
    return read_key(written(folder, {"name": NAME, "privateKey": secret}))


@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [
        (SEC1, "ES256"),
        (PKCS8, "ES256"),
        (SEC1.replace("\n", "\\n"), "ES256"),
        (f"\n  {PKCS8}\n", "ES256"),
        (ED_32, "EdDSA"),
        (ED_64, "EdDSA"),
        (ED_PEM, "EdDSA"),
    ],
    ids=["sec1", "pkcs8", "escaped newlines", "blanks around", "32 bytes", "64 bytes", "ed pem"],
)
def test_every_form_of_secret_signs_a_token_that_verifies(
    tmp_path: Path, secret: str, algorithm: str
) -> None:
    token = made(tmp_path, secret).token("GET", "api.coinbase.com", "/api/v3/x", NOON)
    public = EC.public_key() if algorithm == "ES256" else ED.public_key()
    claims = jwt.decode(
        token, public, algorithms=[algorithm], options={"verify_exp": False, "verify_nbf": False}
    )
    begins, ends = claims.pop("nbf"), claims.pop("exp")
    assert ends - begins == 120, "the exchange takes no token that lives longer"
    assert 0 <= NOON.timestamp() - begins <= 30
    assert claims == {"sub": NAME, "iss": "cdp", "uri": "GET api.coinbase.com/api/v3/x"}
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["kid"], header["typ"]) == (algorithm, NAME, "JWT")


def test_no_two_tokens_are_alike(tmp_path: Path) -> None:
    key = made(tmp_path, ED_32)
    nonces = {
        jwt.get_unverified_header(key.token("GET", "h", "/p", NOON))["nonce"] for _ in range(50)
    }
    assert len(nonces) == 50


def test_the_older_name_of_the_name_is_read_too(tmp_path: Path) -> None:
    assert read_key(written(tmp_path, {"id": "9b1c", "privateKey": ED_32})).name == "9b1c"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644, 0o660, 0o666, 0o610, 0o601])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, {"name": NAME, "privateKey": ED_32}, mode)
    with pytest.raises(ConfigError) as refused:
        read_key(path)
    assert f"{mode:04o}" in str(refused.value)
    assert refused.value.mend == f"chmod 600 {path}"


def test_a_key_that_only_its_owner_may_read_is_taken(tmp_path: Path) -> None:
    assert read_key(written(tmp_path, {"name": NAME, "privateKey": ED_32}, 0o400)).name == NAME


def test_a_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        read_key(tmp_path / "nothing.json")
    assert refused.value.where == str(tmp_path / "nothing.json")
    with pytest.raises(ConfigError):
        read_key(tmp_path)


HOPELESS: list[object] = [
    "",
    SEC1,
    f'{{"privateKey": "{ED_32}"',
    [ED_32],
    {},
    {"name": NAME},
    {"privateKey": ED_32},
    {"name": "", "privateKey": ED_32},
    {"name": 7, "privateKey": ED_32},
    {"name": NAME, "privateKey": {"pem": ED_32}},
    {"name": NAME, "privateKey": ""},
    {"name": NAME, "privateKey": ED_32[:-8]},
    {"name": NAME, "privateKey": ED_32 + "!"},
    {"name": NAME, "privateKey": "SECRET" + ED_32},
    {"name": NAME, "privateKey": SEC1[:120]},
    {"name": NAME, "privateKey": SEC1.replace("M", "N", 3)},
    {
        "name": NAME,
        "privateKey": pem(ec.derive_private_key(7, ec.SECP384R1()), PrivateFormat.PKCS8),
    },
    {"name": NAME, "privateKey": pem(rsa.generate_private_key(65537, 2048), PrivateFormat.PKCS8)},
    {
        "name": NAME,
        "privateKey": EC.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
        ).decode(),
    },
]


@pytest.mark.parametrize("content", HOPELESS, ids=range(len(HOPELESS)))
def test_a_file_that_is_no_key_is_explained_and_never_quoted(
    tmp_path: Path, content: object
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        read_key(path)
    assert refused.value.where == str(path)
    assert refused.value.mend
    told = "".join(traceback.format_exception(refused.value))
    assert ED_32[:20] not in told
    assert refused.value.__cause__ is None
    assert not any(line in told for line in SEC1.splitlines()[1:-1])


def test_a_key_file_of_bytes_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "coinbase.json"
    path.write_bytes(b"\xff\xfe\x00")
    path.chmod(0o600)
    with pytest.raises(ConfigError):
        read_key(path)


@pytest.mark.parametrize("secret", [SEC1, PKCS8, ED_32, ED_64])
def test_the_secret_shows_in_no_text_of_the_key(tmp_path: Path, secret: str) -> None:
    key = made(tmp_path, secret)
    shown = f"{key!r} {key}"
    assert NAME in shown
    for line in secret.splitlines():
        assert line not in shown or line.startswith("-----")
