"""The key that signs: in a file that nobody else may read, and a secret for each subscription."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from ordersync.errors import ConfigError
from ordersync.standard_webhooks import Secret, is_signed
from ordersync.web.signing import SigningKey

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "hear-of-events.md"
WHERE = "ordersync.toml: subscriptions.key_file"


def key_in(folder: Path) -> SigningKey:
    return SigningKey(folder / "subscriptions.key", where=WHERE)


def test_the_key_is_made_once_and_for_this_user_alone(tmp_path: Path) -> None:
    one, other = key_in(tmp_path), key_in(tmp_path)
    one.make()
    text = (tmp_path / "subscriptions.key").read_text()
    other.make()
    assert (tmp_path / "subscriptions.key").read_text() == text
    assert (tmp_path / "subscriptions.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["subscriptions.key"]
    assert one.mark == other.mark
    assert one.text_for("sub_1") == other.text_for("sub_1")


def test_every_subscription_has_a_secret_of_its_own_and_of_this_key(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = key_in(tmp_path / "a"), key_in(tmp_path / "b")
    one.make()
    other.make()
    texts = {key.text_for(name) for key in (one, other) for name in ("sub_1", "sub_2")}
    assert len(texts) == 4
    assert one.mark != other.mark
    signature = one.secret_for("sub_1").sign("1-0", "5", b"{}")
    told = Secret(one.text_for("sub_1"))
    assert is_signed([told], signature, webhook_id="1-0", timestamp="5", body=b"{}")
    assert "secret" not in repr(one).lower()


@pytest.mark.parametrize("text", ["", "short", "a2V5", "no base64!!", "a\nb"])
def test_a_file_that_holds_no_key_is_refused_without_quoting_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "subscriptions.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        _ = key_in(tmp_path).mark
    assert caught.value.where == WHERE
    assert len(text) < 4 or text not in str(caught.value)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    key_in(tmp_path).make()
    (tmp_path / "subscriptions.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        _ = key_in(tmp_path).mark


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    key = SigningKey(tmp_path / "nowhere" / "subscriptions.key", where=WHERE)
    with pytest.raises(ConfigError, match="cannot be made"):
        key.make()


def test_the_check_in_the_how_to_takes_what_is_genuine_and_nothing_else(tmp_path: Path) -> None:
    (text,) = [
        block
        for block in re.findall(r"```python\n(.*?)```", HOW_TO.read_text(), flags=re.DOTALL)
        if "is_genuine" in block
    ]
    found: dict[str, Any] = {}
    exec(text, found)  # noqa: S102 - what the page tells people to run
    key = key_in(tmp_path)
    key.make()
    at = str(int(time.time()))  # noqa: TID251 - the page's code asks the machine
    secret, body = key.text_for("sub_1"), b'{"id":"1-0"}'
    headers = {
        "webhook-id": "1-0",
        "webhook-timestamp": at,
        "webhook-signature": "v1,AAAA " + key.secret_for("sub_1").sign("1-0", at, body),
    }
    is_genuine = found["is_genuine"]
    assert is_genuine(secret, headers, body)
    assert not is_genuine(secret, headers, body + b" ")
    assert not is_genuine(key.text_for("sub_2"), headers, body)
    assert not is_genuine(secret, {**headers, "webhook-timestamp": str(int(at) - 400)}, body)
