"""What an HTTP answer is worth: one judge for all venues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx2
import msgspec
import pytest

from ordersync.venues.answers import (
    RAW_LIMIT,
    Blame,
    NotFound,
    Payload,
    Unusable,
    decode,
    excerpt,
    judge,
    no_answer,
    retry_after,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def judged(status: int, body: bytes = b"words", **headers: str) -> Payload | NotFound | Unusable:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(httpx2.Response(status, content=body, headers=spelled), NOW)


def unusable(status: int, body: bytes = b"words", **headers: str) -> Unusable:
    answer = judged(status, body, **headers)
    assert isinstance(answer, Unusable), answer
    return answer


def test_only_a_plain_200_is_a_payload() -> None:
    """Every status there is, and some that are not: none but 200 may be read as orders."""
    payloads = [status for status in range(100, 600) if isinstance(judged(status), Payload)]
    assert payloads == [200]
    assert judged(200, b'{"orders": []}') == Payload(b'{"orders": []}')


def test_only_a_404_may_be_an_absence() -> None:
    found = [status for status in range(100, 600) if isinstance(judged(status), NotFound)]
    assert found == [404]
    assert judged(404, b"gone") == NotFound(b"gone")


@pytest.mark.parametrize(
    ("statuses", "blame"),
    [
        (range(500, 600), Blame.SILENT),
        ((429,), Blame.SILENT),
        ((401, 403), Blame.KEY),
        ((400, 422), Blame.REQUEST),
        ((201, 202, 204, 206, 301, 302, 304, 307, 405, 408, 409, 410, 418, 451), Blame.GARBLED),
    ],
    ids=lambda each: str(each)[:20],
)
def test_each_refusal_is_blamed_on_what_helps(statuses: range, blame: Blame) -> None:
    for status in statuses:
        answer = unusable(status, b"the page")
        assert answer.blame is blame, status
        assert str(status) in answer.why
        assert answer.raw == "the page"


def test_a_429_asks_for_a_pause_even_without_saying_how_long() -> None:
    assert unusable(429).pause == timedelta(seconds=1)
    assert unusable(429, retry_after="7").pause == timedelta(seconds=7)
    assert unusable(429, retry_after="0").pause == timedelta(seconds=1)


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_other_refusals_are_asked_to_pause_only_by_the_venue(status: int) -> None:
    assert unusable(status).pause is None
    assert unusable(status, retry_after="30").pause == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("", None),
        ("0", 0.0),
        ("5", 5.0),
        (" 5 ", 5.0),
        ("1.5", 1.5),
        ("99999999999999999999", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("-5", None),
        ("1e3", None),
        ("soon", None),
        ("\xb2", None),
        ("nan", None),
        ("Fri, 20 Nov 2026 12:00:30 GMT", 30.0),
        ("Friday, 20-Nov-26 12:00:30 GMT", 30.0),
        ("Fri Nov 20 12:00:30 2026", None),
        ("Fri, 20 Nov 2026 13:00:30 +0100", 30.0),
        ("Fri, 20 Nov 2026 11:59:30 GMT", 0.0),
        ("Fri, 99 Nov 2026 11:59:30 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Fri, 31 Dec 99999999999 23:59:59 GMT", None),
    ],
)
def test_every_form_of_retry_after_is_understood_or_left_alone(
    text: str, pause: float | None
) -> None:
    found = retry_after({"retry-after": text}, NOW)
    assert (found.total_seconds() if found is not None else None) == pause


def test_no_header_is_no_pause() -> None:
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (httpx2.ConnectTimeout("x"), "in time"),
        (httpx2.ReadTimeout("x"), "in time"),
        (httpx2.PoolTimeout("x"), "in time"),
        (TimeoutError("x"), "in time"),
        (httpx2.ConnectError("x"), "reached"),
        (httpx2.ReadError("x"), "broke"),
        (httpx2.RemoteProtocolError("x"), "broke"),
        (httpx2.DecodingError("x"), "broke"),
    ],
    ids=repr,
)
def test_no_answer_is_silence_and_may_be_asked_again(
    error: httpx2.RequestError | TimeoutError, word: str
) -> None:
    answer = no_answer(error)
    assert answer.blame is Blame.SILENT
    assert word in answer.why
    assert ("rest_url" in answer.mend) is (word == "reached")


class Numbers(msgspec.Struct):
    numbers: list[int]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"numbers": [1, 2',
        b'{"numbers": [1, "2"]}',
        b'{"numbers": "1"}',
        b'{"numbers": [NaN]}',
        b"<html>200 OK</html>",
        b'{"numbers": ["\xff"]}',
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_200_that_cannot_be_read_is_garbled_and_its_text_is_kept(body: bytes) -> None:
    found = decode(Payload(body), msgspec.json.Decoder(Numbers))
    assert isinstance(found, Unusable)
    assert found.blame is Blame.GARBLED
    assert found.raw == excerpt(body)


def test_a_200_that_can_be_read_is_typed() -> None:
    found = decode(Payload(b'{"numbers": [1], "more": 2}'), msgspec.json.Decoder(Numbers))
    assert found == Numbers([1])


def test_evidence_has_an_end_and_is_text_whatever_came() -> None:
    assert len(excerpt(b"x" * 1_000_000)) == RAW_LIMIT
    assert excerpt(b"\xff\xfe") == "\ufffd\ufffd"
