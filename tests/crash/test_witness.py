"""What the judge of a crash lets pass once every row is true."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from crash.witness import Said, Seen, is_news, restless

FIRST = Said(1, 0, "changed", "pending", "completed", "filled", "1", None)
SEEN = Seen(
    row="r1",
    order="v1",
    word="completed",
    filled_qty=Decimal(1),
    avg_price=Decimal(100),
    fee=None,
    filled_at=None,
    note=None,
    row_mark="700",
    version=1,
    final=1,
    status="filled",
    true_qty="1",
    truth_mark="700",
    said=(FIRST,),
)


def later(*kinds: str, **cells: object) -> Seen:
    """The same after these events, each of which told of a new version."""
    fresh = tuple(
        msgspec.structs.replace(FIRST, log_id=2, n=n, kind=k) for n, k in enumerate(kinds)
    )
    moved = {"version": 1 + len(kinds), "truth_mark": "701", "said": (FIRST, *fresh)}
    return msgspec.structs.replace(SEEN, **{**moved, **cells})


def test_what_was_not_written_is_at_rest() -> None:
    assert restless(SEEN, SEEN) == []


def test_a_truth_may_learn_what_its_row_says_already() -> None:
    for after in (later("confirmed"), later("changed", "confirmed")):
        assert restless(SEEN, after)
        assert is_news(SEEN, after)


def test_a_row_that_is_true_is_not_written_again() -> None:
    assert not is_news(SEEN, later("confirmed", row_mark="701"))
    assert not is_news(SEEN, later("repaired", row_mark="701", version=1))


def test_a_truth_is_not_written_without_its_event() -> None:
    assert not is_news(SEEN, later(version=2))
    assert not is_news(SEEN, later(truth_mark="701"))
    assert not is_news(SEEN, later("confirmed", version=1))


def test_a_row_does_not_go() -> None:
    assert restless(SEEN, None)
    assert not is_news(SEEN, None)
