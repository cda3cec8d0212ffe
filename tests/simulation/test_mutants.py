"""The list of planted mistakes cannot rot; whether each is found, `make mutants` tells."""

from __future__ import annotations

import ast

import pytest

from mutants.planted import MUTANTS, SOURCE, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_planted_mistake_still_has_its_place_and_can_be_run(mutant: Mutant) -> None:
    assert mutant.stands() == 1
    text = (SOURCE / mutant.path).read_text(encoding="utf-8")
    changed = text.replace(mutant.old, mutant.new)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text))


def test_each_has_a_name_of_its_own_and_there_are_enough() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20
