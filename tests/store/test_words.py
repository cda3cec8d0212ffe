"""The user's words: what each stands for, which is written, what is refused at the start."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ordersync.errors import ConfigError
from ordersync.ports import Meaning, Overlay
from ordersync.store.words import ANY_END_WITH_FILLS, GROUPS, TOKENS, WITH_FILLS, Words, label_of
from ordersync.truth.model import FINAL_PRECEDENCE, OPEN_RANK, Order, Standing, Status
from tests.contracts.bench import NOON, WORDS

WHERE = "ordersync.toml: orders.status_words"


def words(**mapping: list[str]) -> Words:
    return Words(mapping, where=WHERE)


def order(status: Status | None, filled: str | None = None) -> Order:
    standing = Standing(status, NOON) if status else None
    return Order(as_of=NOON, standing=standing, filled_qty=Decimal(filled) if filled else None)


# --- coverage ---------------------------------------------------------------------------------


def test_two_groups_cover_every_status() -> None:
    both = words(a=["open"], b=["final"])
    for status in Status:
        word = both.word_for(status.value)
        assert word == ("a" if status in OPEN_RANK else "b" if status in FINAL_PRECEDENCE else None)


def test_a_status_without_a_word_is_refused_and_named() -> None:
    with pytest.raises(ConfigError) as caught:
        words(pending=["open"], completed=["filled"], failed=["rejected", "canceled"])
    assert caught.value.what == "no word stands for: replaced, expired."
    assert caught.value.where == WHERE


def test_open_statuses_named_one_by_one_are_enough() -> None:
    named = words(live=[s.value for s in OPEN_RANK], over=["final"])
    assert named.word_for("held") == "live"
    with pytest.raises(ConfigError, match="no word stands for: held"):
        words(live=[s.value for s in OPEN_RANK if s is not Status.HELD], over=["final"])


def test_an_end_with_fills_is_no_word_for_that_end() -> None:
    with pytest.raises(ConfigError, match="no word stands for: canceled"):
        words(a=["open"], b=["filled", "canceled+fills", "expired", "rejected", "replaced"])


@pytest.mark.parametrize(
    ("token", "near"),
    [
        ("cancelled", "canceled"),
        ("fillled", "filled"),
        ("Open", "open"),
        ("canceled + fills", "canceled+fills"),
        ("done", ""),
    ],
)
def test_a_misspelled_status_is_refused_with_what_was_probably_meant(token: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        words(a=["open"], b=["final", token])
    assert caught.value.where == f"{WHERE}.b"
    assert f"Did you mean '{near}'?" in caught.value.mend or not near
    assert "Known: held" in caught.value.mend


@pytest.mark.parametrize("tokens", [["open", "filled"], ["new", "final"], ["unknown", "open"]])
def test_one_word_does_not_stand_for_living_and_ended_orders(tokens: list[str]) -> None:
    with pytest.raises(ConfigError, match="cannot stand for orders that live"):
        words(a=["open"], b=["final"], c=tokens)


def test_a_word_stands_for_something() -> None:
    with pytest.raises(ConfigError, match="stands for nothing"):
        words(a=["open"], b=["final"], c=[])


# --- which word is written --------------------------------------------------------------------


def test_a_status_named_itself_beats_a_group_wherever_it_stands() -> None:
    for mapping in (
        {"a": ["open"], "b": ["final"], "c": ["new"], "d": ["expired"]},
        {"c": ["new"], "d": ["expired"], "a": ["open"], "b": ["final"]},
    ):
        some = Words(mapping, where=WHERE)
        assert [some.word_for(s) for s in ("new", "accepted", "expired", "filled")] == list("cadb")


def test_among_equals_the_first_is_written_and_the_others_are_true() -> None:
    some = words(first=["open"], second=["open"], end=["final"])
    assert some.word_for("new") == "first"
    assert some.is_true("second", "new")
    assert not some.is_true("end", "new")


def test_a_group_is_not_true_where_the_status_has_its_own_word() -> None:
    some = words(live=["open"], part=["partially_filled"], end=["final"])
    assert some.is_true("part", "partially_filled")
    assert not some.is_true("live", "partially_filled")
    assert some.is_true("live", "new")


FILLS_CASES = [
    (["canceled+fills"], "canceled+fills", "x"),
    (["canceled+fills"], "expired+fills", "x"),
    (["canceled+fills"], "rejected+fills", "x"),
    (["canceled+fills"], "replaced+fills", "x"),
    (["expired+fills"], "expired+fills", "x"),
    (["expired+fills"], "canceled+fills", "over"),
    (["filled"], "canceled+fills", "over"),
    (["canceled"], "canceled+fills", "x"),
]


@pytest.mark.parametrize(("tokens", "label", "word"), FILLS_CASES)
def test_an_end_with_fills_falls_back_to_canceled_with_fills_then_to_the_plain_end(
    tokens: list[str], label: str, word: str
) -> None:
    assert words(live=["open"], over=["final"], x=tokens).word_for(label) == word


def test_unknown_has_a_word_only_where_one_is_named() -> None:
    assert words(a=["open"], b=["final"]).word_for("unknown") is None
    assert words(a=["open"], b=["final"], u=["unknown"]).word_for("unknown") == "u"


def test_words_know_what_they_mean() -> None:
    some = Words({**WORDS, "stopping": ["pending_cancel", "pending_replace"]}, where=WHERE)
    assert some.words_meaning(Meaning.OPEN) == ("pending", "active", "stopping")
    assert some.words_meaning(Meaning.FINAL) == ("completed", "failed", "cancelled")
    assert some.words_meaning(Meaning.UNKNOWN) == ("unknown",)
    assert some.meaning("Pending") is Meaning.UNMAPPED
    assert some.meaning(None) is Meaning.UNMAPPED
    assert some.is_intention("stopping")
    assert not some.is_intention("pending")
    assert not some.is_intention(None)
    assert some.covers_fills
    assert not words(a=["open"], b=["final"], c=["expired+fills"]).covers_fills


def test_a_word_that_stands_for_more_than_an_intention_is_none() -> None:
    some = words(a=["open"], b=["final"], c=["pending_cancel", "new"])
    assert not some.is_intention("c")


# --- labels -----------------------------------------------------------------------------------

LABELS = [
    (order(Status.NEW, "0"), None, "new"),
    (order(Status.NEW, "1"), None, "partially_filled"),
    (order(None, "1"), None, "partially_filled"),
    (order(None, None), None, None),
    (order(Status.FILLED, "1"), None, "filled"),
    (order(Status.CANCELED, "0"), None, "canceled"),
    (order(Status.CANCELED, "1"), None, "canceled+fills"),
    (order(Status.REJECTED, "1"), None, "rejected+fills"),
    (order(Status.NEW), Overlay.SUSPECT, "new"),
    (order(Status.NEW), Overlay.UNKNOWN, "unknown"),
    (order(Status.FILLED), Overlay.UNKNOWN, "filled"),
    (None, Overlay.UNKNOWN, "unknown"),
    (None, Overlay.SUSPECT, None),
    (None, None, None),
]


@pytest.mark.parametrize(("truth", "overlay", "label"), LABELS)
def test_a_label_is_derived_from_the_facts_and_the_overlay(
    truth: Order | None, overlay: Overlay | None, label: str | None
) -> None:
    assert label_of(truth, overlay) == label


def test_every_label_is_a_token_that_a_word_may_stand_for() -> None:
    for status in Status:
        if status is Status.UNKNOWN:
            continue
        for filled in (None, "0", "1"):
            assert label_of(order(status, filled), None) in TOKENS


# --- laws -------------------------------------------------------------------------------------

_OPEN_TOKENS = [s.value for s in OPEN_RANK] + ["open"]
_FINAL_TOKENS = [s.value for s in FINAL_PRECEDENCE] + ["final", *WITH_FILLS]
_lists = st.lists(st.sampled_from(_OPEN_TOKENS), min_size=1, max_size=4) | st.lists(
    st.sampled_from(_FINAL_TOKENS), min_size=1, max_size=4
)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(mapping=st.dictionaries(st.text(max_size=4), _lists, max_size=6))
def test_the_word_written_is_true_and_means_what_the_label_means(
    mapping: dict[str, list[str]],
) -> None:
    some = Words({**mapping, "open!": ["open"], "end!": ["final"]}, where=WHERE)
    for label in (*(t for t in TOKENS if t not in GROUPS), ANY_END_WITH_FILLS):
        if label == "unknown":
            continue
        word = some.word_for(label)
        assert word is not None
        assert some.is_true(word, label)
        is_final = Status(label.removesuffix("+fills")).is_final
        assert some.meaning(word) is (Meaning.FINAL if is_final else Meaning.OPEN)
