"""The user's status words and what they stand for. Pure.

A word maps to statuses, to `open` (every status that is not final) or to `final`. A status
named itself beats a group; among equals the first in the file is the one written, later ones
are only read. `canceled+fills` is a canceled order that has fills; where only it has a word,
that word stands for every end with fills.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ordersync.errors import ConfigError
from ordersync.ports import Meaning, Overlay
from ordersync.truth.model import Order, Status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUPS = ("open", "final")
WITH_FILLS = tuple(
    f"{status}+fills"
    for status in (Status.CANCELED, Status.EXPIRED, Status.REPLACED, Status.REJECTED)
)
TOKENS = (*(status.value for status in Status), *GROUPS, *WITH_FILLS)
ANY_END_WITH_FILLS = f"{Status.CANCELED}+fills"
_GROUP_MEANINGS = {"open": Meaning.OPEN, "final": Meaning.FINAL}
INTENTIONS = frozenset(status.value for status in Status if status.is_intention)


def label_of(order: Order | None, overlay: Overlay | None) -> str | None:
    """What a row of this order should say, in our words; None where nothing is known."""
    if overlay is Overlay.UNKNOWN and not (order and order.is_final):
        return Status.UNKNOWN.value
    status = order.status if order else None
    if order is None or status is None:
        return None
    has_fills = order.filled_qty is not None and order.filled_qty > 0
    if has_fills and status is not Status.FILLED and status.is_final:
        return f"{status}+fills"
    return status


class Words:
    """The mapping of words, checked. Raises ConfigError where it cannot be used."""

    def __init__(self, words: Mapping[str, Sequence[str]], *, where: str) -> None:
        self._words_of: dict[str, list[str]] = {}
        self._meaning: dict[str, Meaning] = {}
        self._intentions: set[str] = set()
        self._found: dict[str, Sequence[str]] = {}
        for word, tokens in words.items():
            place = f"{where}.{word}"
            self._check_tokens(place, tokens)
            self._meaning[word] = _meaning_of(place, tokens)
            if set(tokens) <= INTENTIONS:
                self._intentions.add(word)
            for token in tokens:
                self._words_of.setdefault(token, []).append(word)
        missing = [
            status.value
            for status in Status
            if status is not Status.UNKNOWN and self.word_for(status.value) is None
        ]
        if missing:
            raise ConfigError(
                f"no word stands for: {', '.join(missing)}.",
                where=where,
                mend="Add each to the list of one of your words (open and final stand for groups).",
            )

    @staticmethod
    def _check_tokens(place: str, tokens: Sequence[str]) -> None:
        if not tokens:
            raise ConfigError(
                "the word stands for nothing.", where=place, mend='Write what it means: ["open"].'
            )
        for token in tokens:
            if token not in TOKENS:
                near = difflib.get_close_matches(token, TOKENS, n=1)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                raise ConfigError(
                    f"{token!r} is no known status.",
                    where=place,
                    mend=f"{hint}Known: {', '.join(TOKENS)}.",
                )

    @property
    def all_words(self) -> tuple[str, ...]:
        """Every word of the mapping, in the file's order."""
        return tuple(self._meaning)

    def words_meaning(self, meaning: Meaning) -> tuple[str, ...]:
        """The words that stand for open statuses, for final ones, or for unknown."""
        return tuple(word for word, held in self._meaning.items() if held is meaning)

    @property
    def covers_fills(self) -> bool:
        """Whether a canceled order with fills has a word of its own."""
        return ANY_END_WITH_FILLS in self._words_of

    def meaning(self, word: str | None) -> Meaning:
        """What a row's word stands for; UNMAPPED where the mapping does not have it."""
        return self._meaning.get(word, Meaning.UNMAPPED) if word is not None else Meaning.UNMAPPED

    def is_intention(self, word: str | None) -> bool:
        """Whether the word only says what the bot has asked for (a cancel, a replace)."""
        return word in self._intentions

    def word_for(self, label: str) -> str | None:
        """The word to write for a label, None where the mapping has none."""
        winners = self._words_for(label)
        return winners[0] if winners else None

    def is_true(self, word: str | None, label: str) -> bool:
        """Whether a row that says `word` already says what `label` means (synonyms do)."""
        return word in self._words_for(label)

    def _words_for(self, label: str) -> Sequence[str]:
        if label not in self._found:
            tokens = _tokens_for(label)
            found = (self._words_of[token] for token in tokens if token in self._words_of)
            self._found[label] = next(found, ())
        return self._found[label]


def _tokens_for(label: str) -> tuple[str, ...]:
    """The tokens that can give a label its word, the strongest first."""
    plain = label.removesuffix("+fills")
    if plain == Status.UNKNOWN:
        return (plain,)
    group = "final" if Status(plain).is_final else "open"
    if label == plain:
        return (plain, group)
    return (label, ANY_END_WITH_FILLS, plain, group)


def _meaning_of(place: str, tokens: Sequence[str]) -> Meaning:
    meanings = {_meaning_of_token(token) for token in tokens}
    if len(meanings) > 1:
        raise ConfigError(
            "one word cannot stand for orders that live and orders that have ended.",
            where=place,
            mend="Give each its own word; a bot cannot tell them apart otherwise.",
        )
    return meanings.pop()


def _meaning_of_token(token: str) -> Meaning:
    if token in GROUPS:
        return _GROUP_MEANINGS[token]
    plain = Status(token.removesuffix("+fills"))
    if plain is Status.UNKNOWN:
        return Meaning.UNKNOWN
    return Meaning.FINAL if plain.is_final else Meaning.OPEN
