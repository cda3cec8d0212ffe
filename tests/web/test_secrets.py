from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from ordersync.errors import ConfigError
from ordersync.web.secrets import read_secrets

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "whsec_" + base64.b64encode(b"k" * 32).decode()
WHERE = "ordersync.toml: webhooks.secret_file"


def written(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "webhooks.json"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_every_account_has_its_secrets(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"main": [GOOD, GOOD], "paper": [GOOD]}))
    read = read_secrets(path, ["main", "paper", "idle"], where=WHERE)
    assert {name: len(known) for name, known in read.items()} == {"main": 2, "paper": 1}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "is not JSON"),
        ("whsec_c2VjcmV0", "is not JSON"),
        ("[]", "names no account"),
        ("{}", "names no account"),
        (json.dumps({"other": [GOOD]}), "no row belongs to such an account"),
        (json.dumps({"main": GOOD}), "no list of secrets"),
        (json.dumps({"main": [7]}), "no list of secrets"),
        (json.dumps({"main": []}), "has no secret"),
        (json.dumps({"main": [GOOD, "whsec_c2VjcmV0"]}), "secret 2 cannot be used"),
        (json.dumps({"main": ["c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"]}), "secret 1 cannot be used"),
    ],
)
def test_a_mistake_is_named_with_its_mend_and_without_the_secret(
    text: str, what: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as raised:
        read_secrets(written(tmp_path, text), ["main"], where=WHERE)
    error = raised.value
    assert what in error.what
    assert error.where.startswith(WHERE)
    assert error.mend
    assert "c2VjcmV0" not in str(error)
    assert GOOD[6:] not in str(error)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="others may read"):
        read_secrets(written(tmp_path, json.dumps({"main": [GOOD]}), 0o640), ["main"], where=WHERE)


def test_a_file_that_is_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"webhooks\.json is not there") as refused:
        read_secrets(tmp_path / "webhooks.json", ["main"], where=WHERE)
    assert '{"main": ["whsec_' in refused.value.mend
