"""Signatures, against values that others made.

KNOWN: the vector that the reference implementations of Standard Webhooks share (Go's
TestWebhookSign, JavaScript's "sign function works", C#, Java; repository standard-webhooks). The
specification 1.0.0 itself prints headers and no secret, so its own signature cannot be checked.
"""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ordersync.clock import SystemClock
from ordersync.standard_webhooks import Secret, is_signed, is_timely

SDK = Path(__file__).parent / "simulator" / "referees" / "webhooks_sdk.py"
KNOWN_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - a published one
KNOWN_ID, KNOWN_TIME, KNOWN_BODY = (
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "1614265330",
    b'{"test": 2432232314}',
)
KNOWN_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
NOT_OURS = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="


def is_known(signatures: str, body: bytes = KNOWN_BODY, *, timestamp: str = KNOWN_TIME) -> bool:
    secrets = [Secret(KNOWN_SECRET)]
    return is_signed(secrets, signatures, webhook_id=KNOWN_ID, timestamp=timestamp, body=body)


def test_the_published_vector_is_signed_as_published() -> None:
    assert Secret(KNOWN_SECRET).sign(KNOWN_ID, KNOWN_TIME, KNOWN_BODY) == KNOWN_SIGNATURE
    assert is_known(KNOWN_SIGNATURE)


def test_one_of_several_signatures_is_enough() -> None:
    assert is_known(f"{NOT_OURS} v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGz= {KNOWN_SIGNATURE}")
    assert not is_known(f"{NOT_OURS} v2,{KNOWN_SIGNATURE[3:]}")


@pytest.mark.parametrize(
    "signatures",
    ["", "v1", "v1,", ",", KNOWN_SIGNATURE[3:], KNOWN_SIGNATURE[:-1], f"V{KNOWN_SIGNATURE[1:]}"],
)
def test_what_only_looks_like_a_signature_is_none(signatures: str) -> None:
    assert not is_known(signatures)


def test_body_and_time_are_signed() -> None:
    assert not is_known(KNOWN_SIGNATURE, KNOWN_BODY + b" ")
    assert not is_known(KNOWN_SIGNATURE, timestamp="1614265331")


def test_letters_outside_ascii_fit_nothing() -> None:
    assert not is_known("v1,\u00e9\u00e9")


def test_any_of_the_secrets_may_have_signed() -> None:
    other = Secret("whsec_" + base64.b64encode(b"k" * 32).decode())
    secrets = [other, Secret(KNOWN_SECRET)]
    about = {"webhook_id": KNOWN_ID, "timestamp": KNOWN_TIME, "body": KNOWN_BODY}
    assert is_signed(secrets, KNOWN_SIGNATURE, **about)  # type: ignore[arg-type]
    assert not is_signed([], KNOWN_SIGNATURE, **about)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!!"])
def test_what_is_no_secret_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="not whsec_ and base64") as refusal:
        Secret(text)
    assert not text.removeprefix("whsec_") or text.removeprefix("whsec_") not in str(refusal.value)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter than 24 bytes"):
        Secret("whsec_" + base64.b64encode(b"k" * 23).decode())


def test_a_secret_shows_in_no_text_of_it() -> None:
    assert "MfKQ" not in f"{Secret(KNOWN_SECRET)!r} {Secret(KNOWN_SECRET)}"


@pytest.mark.parametrize(
    ("timestamp", "timely"),
    [
        ("1614265330", True),
        ("1614265030", True),
        ("1614265029", False),
        ("1614265630", True),
        ("1614265631", False),
        ("1614265330.0", False),
        ("-1614265330", False),
        (" 1614265330", False),
        ("\u0661\u0666\u0661\u0664\u0662\u0666\u0665\u0663\u0663\u0660", False),
        ("9" * 5_000, False),
        ("", False),
    ],
)
def test_five_minutes_to_both_sides_are_timely(timestamp: str, timely: bool) -> None:  # noqa: FBT001 - what is due
    assert is_timely(timestamp, datetime.fromtimestamp(1614265330, UTC)) is timely


@pytest.mark.referee
def test_the_official_library_signs_what_we_believe_and_believes_what_we_sign(
    referees: Path,
) -> None:
    secret, now = Secret(KNOWN_SECRET), int(SystemClock().now().timestamp())
    bodies = [KNOWN_BODY.decode(), "", "a.b", '{"order_id": "\u00fc\u20ac"}', "x" * 100_000]
    cases = [
        {"id": f"msg_{n}", "at": now, "body": body, "signature": ""}
        for n, body in enumerate(bodies)
    ]
    for one in cases:
        one["signature"] = secret.sign(str(one["id"]), str(now), str(one["body"]).encode())
    forged = {**cases[0], "id": "msg_9"}
    several = {**cases[0], "signature": f"{NOT_OURS} v1a,AAAA {cases[0]['signature']}"}
    answer = subprocess.run(
        [referees, SDK, KNOWN_SECRET],
        input=json.dumps([*cases, forged, several]),
        capture_output=True,
        check=True,
        text=True,
    )
    judged = json.loads(answer.stdout)
    assert [one["believes"] for one in judged] == [True] * len(cases) + [False, True]
    for one, said in zip(cases, judged, strict=False):
        body, webhook_id = str(one["body"]).encode(), str(one["id"])
        its = said["signs"]
        assert is_signed([secret], its, webhook_id=webhook_id, timestamp=str(now), body=body)
