"""An Alpaca key file: what it may hold, and how a refusal names the mend."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import ConfigError
from ordersync.venues.alpaca.key import AlpacaKey, read_key

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "very-secret"  # noqa: S105 - a test's own


def save(folder: Path, content: object, mode: int = 0o600) -> Path:
    path = folder / "alpaca.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_a_key_with_its_secret(tmp_path: Path) -> None:
    key = read_key(save(tmp_path, {"key_id": "PKX", "secret_key": SECRET}))
    assert key.headers() == {"apca-api-key-id": "PKX", "apca-api-secret-key": SECRET}
    said = {"action": "authenticate", "data": {"key_id": "PKX", "secret_key": SECRET}}
    assert key.first_message() == said
    assert (key.is_token, key.is_paper) == (False, True)


def test_a_token_takes_the_place_of_a_key(tmp_path: Path) -> None:
    key = read_key(save(tmp_path, {"access_token": SECRET}))
    assert key.headers() == {"authorization": f"Bearer {SECRET}"}
    assert key.first_message()["data"] == {"oauth_token": SECRET}
    assert (key.is_token, key.is_paper) == (True, None)


@pytest.mark.parametrize(("key_id", "is_paper"), [("PK1", True), ("AK1", False), ("CK1", None)])
def test_the_id_tells_paper_from_live(key_id: str, is_paper: bool | None) -> None:  # noqa: FBT001 - a case
    assert AlpacaKey(key_id=key_id, secret=SECRET).is_paper is is_paper


@pytest.mark.parametrize("key", [AlpacaKey(key_id="PK", secret=SECRET), AlpacaKey(token=SECRET)])
def test_no_text_of_a_key_shows_its_secret(key: AlpacaKey) -> None:
    assert SECRET not in f"{key} {key!r}"


@pytest.mark.parametrize(
    "content",
    [
        "not json " + SECRET,
        "[]",
        {},
        {"key_id": "PK"},
        {"secret_key": SECRET},
        {"key_id": "", "secret_key": SECRET},
        {"key_id": "PK", "secret_key": 7},
        {"access_token": ""},
        {"access_token": None, "key_id": None},
        {"access_token": SECRET, "key_id": "PK", "secret_key": SECRET},
        {"key_id": "PK", "secret_key": SECRET + "\n"},
        {"key_id": "PK", "secret_key": SECRET + "\xe9"},
        {"access_token": f"{SECRET} {SECRET}"},
    ],
)
def test_what_is_no_key_is_refused_with_the_mend_and_without_the_secret(
    tmp_path: Path, content: object
) -> None:
    path = save(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        read_key(path)
    assert refused.value.where == str(path)
    assert refused.value.mend
    assert SECRET not in str(refused.value)


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, {"key_id": "PK", "secret_key": SECRET}, 0o640)
    with pytest.raises(ConfigError) as refused:
        read_key(path)
    assert refused.value.mend == f"chmod 600 {path}"


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the key file is not there") as refused:
        read_key(tmp_path / "nobody.json")
    assert "Alpaca" in refused.value.mend
