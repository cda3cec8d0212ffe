"""What is read out of events that are told again."""

from __future__ import annotations

import pytest

from ordersync.venues.alpaca.replay import messages


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b"", []),
        (b": connected\n\n", []),
        (b'data: {"a":1}\n\n', [b'{"a":1}']),
        (b'id: 7\nevent: fill\ndata:{"a":1}\n\n: keep-alive\n\ndata: 2\n\n', [b'{"a":1}', b"2"]),
        (b"data: one\ndata: more\n\n", [b"one\nmore"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b": internal server error\n\n", []),
        (b"<html>502</html>", []),
    ],
)
def test_events_are_told_apart_as_the_standard_says(body: bytes, data: list[bytes]) -> None:
    assert list(messages(body)) == data


def test_an_event_that_was_cut_off_is_none() -> None:
    assert list(messages(b"data: one\n\ndata: tw")) == [b"one"]
    assert list(messages(b"data: one\n\ndata: two\n")) == [b"one"]
