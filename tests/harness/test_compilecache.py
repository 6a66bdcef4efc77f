"""The compile cache: a warm start for whoever compiled before, and no way from one candidate to another."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import compilecache, sandbox
from harness.compilecache import TooLarge, borrow, copy, source_key
from harness.spec import Budget, Outcome, Result

Run = Callable[..., Result]


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def borrowed(tmp_path: Path) -> Callable[..., compilecache.Loan]:
    """Borrow for a source, each time into a folder of its own."""
    numbers = iter(range(99))

    def borrow_it(
        source: str, *, trusted: bool = False, kin: tuple[str, ...] = ()
    ) -> compilecache.Loan:
        folder = tmp_path / f"copy{next(numbers)}"
        keys = tuple(source_key(other) for other in kin)
        return borrow(tmp_path / "compile", source, folder, trusted=trusted, kin=keys)

    return borrow_it


def test_what_a_candidate_writes_only_its_own_source_finds_again(
    borrowed: Callable[..., compilecache.Loan],
) -> None:
    first = borrowed("a")
    assert (contents(first.folder), first.warm) == ({}, False)
    write(first.folder, inductor__ab__k="kernel of a")
    first.keep()
    again = borrowed("a")
    assert (contents(again.folder), again.warm) == ({"inductor/ab/k": "kernel of a"}, True)
    other = borrowed("b")
    assert (contents(other.folder), other.warm) == ({}, False)


def test_everybody_starts_from_what_a_trusted_source_compiled(
    borrowed: Callable[..., compilecache.Loan],
) -> None:
    baseline = borrowed("baseline", trusted=True)
    write(baseline.folder, triton__k="good")
    baseline.keep()
    assert borrowed("baseline", trusted=True).warm
    hostile = borrowed("hostile")
    assert contents(hostile.folder) == {"triton/k": "good"}
    write(hostile.folder, triton__k="poison", triton__new="poison")
    hostile.keep()
    assert contents(borrowed("child").folder) == {"triton/k": "good"}
    # Not even itself: a file of the base is nobody's to replace.
    assert contents(borrowed("hostile").folder) == {"triton/k": "good", "triton/new": "poison"}


def test_a_child_starts_from_its_parents_kernels_and_hands_them_on(
    borrowed: Callable[..., compilecache.Loan],
) -> None:
    parent = borrowed("parent")
    write(parent.folder, k__parent="1")
    parent.keep()
    child = borrowed("child", kin=("parent", "nobody"))
    assert (contents(child.folder), child.warm) == ({"k/parent": "1"}, False)
    write(child.folder, k__child="2")
    child.keep()
    grandchild = borrowed("grandchild", kin=("child",))
    assert contents(grandchild.folder) == {"k/parent": "1", "k/child": "2"}
    assert contents(borrowed("stranger").folder) == {}


def test_a_lineage_with_too_many_kernels_keeps_the_new_ones(
    borrowed: Callable[..., compilecache.Loan], monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = borrowed("parent")
    write(parent.folder, k__parent="1" * 60)
    parent.keep()
    child = borrowed("child", kin=("parent",))
    write(child.folder, k__child="2" * 60)
    monkeypatch.setattr(copy, "__kwdefaults__", {**copy.__kwdefaults__, "size": 100})
    child.keep()
    assert contents(borrowed("child").folder) == {"k/child": "2" * 60}


def test_a_key_that_is_none_is_not_a_path(borrowed: Callable[..., compilecache.Loan]) -> None:
    loan = borrowed("a")
    write(loan.root, base__secret="x", other__file="y")
    folder = loan.root.parent / "copy"
    assert contents(borrow(loan.root, "b", folder, trusted=False, kin=("../other",)).folder) == {
        "secret": "x"
    }


def test_a_trusted_run_adds_to_the_base_and_replaces_nothing(
    borrowed: Callable[..., compilecache.Loan],
) -> None:
    for source, text in (("one", "first"), ("two", "second")):
        loan = borrowed(source, trusted=True)
        write(loan.folder, **{"k": text, source: text})
        loan.keep()
    assert contents(borrowed("three").folder) == {"k": "first", "one": "first", "two": "second"}


def test_a_layer_is_written_once_so_that_it_is_no_memory(
    borrowed: Callable[..., compilecache.Loan],
) -> None:
    for text in ("of the first training", "of the second"):
        loan = borrowed("a")
        write(loan.folder, k=text)
        loan.keep()
    assert contents(borrowed("a").folder) == {"k": "of the first training"}


def test_only_regular_files_are_taken(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write(secret, key="sk-secret")
    source = tmp_path / "source"
    write(source, sub__k="kernel")
    (source / "link").symlink_to(secret / "key")
    (source / "folder").symlink_to(secret)
    os.mkfifo(source / "pipe")
    copy(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {"sub/k": "kernel"}


def test_more_than_a_layer_may_have_is_not_taken(
    borrowed: Callable[..., compilecache.Loan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "source", a="1234", b="5678")
    with pytest.raises(TooLarge):
        copy(tmp_path / "source", tmp_path / "t1", size=7)
    with pytest.raises(TooLarge):
        copy(tmp_path / "source", tmp_path / "t2", files=1)
    loan = borrowed("a")
    with (loan.folder / "weights").open("wb") as file:
        file.truncate(compilecache.LAYER_LIMIT + 1)
    loan.keep()
    again = borrowed("a")
    assert (contents(again.folder), again.warm) == ({}, False)


def test_the_layers_that_were_not_used_for_longest_go_first(
    borrowed: Callable[..., compilecache.Loan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilecache, "LAYERS_LIMIT", 25)
    for time, source in enumerate("abc"):
        loan = borrowed(source)
        write(loan.folder, k=source * 10)
        loan.keep()
        layer = loan.root / "layers" / loan.key
        if layer.exists():
            os.utime(layer, (time, time))
    assert [borrowed(source).warm for source in "abc"] == [False, True, True]


def test_a_base_that_has_grown_too_large_begins_anew(
    borrowed: Callable[..., compilecache.Loan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilecache, "BASE_LIMIT", 5)
    for source in ("one", "two"):
        loan = borrowed(source, trusted=True)
        write(loan.folder, **{source: "123456"})
        loan.keep()
    assert contents(borrowed("three").folder) == {"two": "123456"}
    assert not borrowed("one", trusted=True).warm


# ---- inside the sandbox ----------------------------------------------------------------------------------

WRITES = """
import os
from pathlib import Path
from prepare import MAX_SEQ_LEN, make_dataloader
folder = Path(os.environ['TORCHINDUCTOR_CACHE_DIR']).parent
print('finds', sorted((str(p.relative_to(folder)), p.read_text()) for p in folder.rglob('*') if p.is_file()))
(folder / 'inductor').mkdir(exist_ok=True)
(folder / 'inductor' / 'kernel').write_text({text!r})
for _ in make_dataloader(None, 1, MAX_SEQ_LEN, 'train'):
    pass
(folder / 'inductor' / 'weights').write_text('learned')
"""


@pytest.mark.skipif(
    sandbox.probe().level != "bubblewrap",
    reason=sandbox.probe().advice,
)
@pytest.mark.usefixtures("own_cache")
def test_a_candidate_cannot_poison_the_next_and_repeats_start_warm(run: Run) -> None:
    def finds(text: str, cache: str = "read") -> str:
        result = run(
            WRITES.format(text=text),
            sandbox="bubblewrap",
            cache=cache,
            budget=Budget("seconds", 1.0),
        )
        assert result.outcome is Outcome.INVALID, result.log_tail  # it is not scored
        return result.log_tail.splitlines()[0]

    assert finds("garbage") == "finds []"
    assert finds("other") == "finds []"
    # Its own, without what it wrote once it could have learned something.
    assert finds("garbage") == "finds [('inductor/kernel', 'garbage')]"
    assert finds("mine", cache="write") == "finds []"
    assert finds("a child") == "finds [('inductor/kernel', 'mine')]"
