"""docs/integrity.md says of every case what the case says; what it reports was run by `python -m tests.cheats`."""

from __future__ import annotations

import pytest

from tests.cheats.case import Edit, apply
from tests.cheats.catalogue import KINDS, cheats
from tests.cheats.document import DOCUMENT, rows
from tests.cheats.honest import VARIANTS
from tests.cheats.stand import SOURCE

CHEATS = cheats()


def test_there_are_enough_of_every_class() -> None:
    assert len(CHEATS) >= 45
    assert {cheat.kind for cheat in CHEATS.values()} == set(KINDS)


def test_the_document_has_every_case_with_its_class_and_verdict() -> None:
    wanted = {name: (cheat.kind, cheat.verdict) for name, cheat in CHEATS.items()}
    found = {
        row[0]: (row[2], row[4])
        for row in rows(DOCUMENT.read_text(encoding="utf-8"))
        if len(row) == 6
    }
    assert found == wanted, "run `python -m tests.cheats --write`, and look at what has changed"


def test_the_document_has_every_honest_variant() -> None:
    found = {row[0]: row[1] for row in rows(DOCUMENT.read_text(encoding="utf-8")) if len(row) == 4}
    assert found == dict.fromkeys(VARIANTS, "2 of 2")


@pytest.mark.parametrize("name", [*CHEATS, *VARIANTS])
def test_every_edit_fits_train_py(name: str) -> None:
    edits = VARIANTS[name] if name in VARIANTS else CHEATS[name].edits
    compile(apply(SOURCE, edits), "train.py", "exec")
    if name in CHEATS:
        compile(apply(SOURCE, CHEATS[name].second), "train.py", "exec")


def test_an_edit_that_no_longer_fits_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 places like this"):
        apply(SOURCE, (Edit("no such line", ""),))
