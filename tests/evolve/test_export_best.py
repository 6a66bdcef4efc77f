"""Main's way as patches that `git am` takes, and a whole run as one folder or archive."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evolve.client import Client
from evolve.export.archives import pack_tar, pack_zip
from evolve.export.gather import Gathered
from evolve.export.keeping import kept_of
from evolve.export.patches import Place, diff
from evolve.export.patches import write_folder as write_patches
from evolve.export.registry import KINDS, ending
from evolve.export.steps import gain_of, stages
from evolve.export.writing import export
from evolve.journal import Journal
from evolve.lineage import Aim, Lineage
from evolve.model import (
    CandidateState,
    EvolveError,
    NothingToDo,
    Operator,
    Purpose,
    UsageError,
    Verdict,
)
from evolve.places import JOURNAL, state_folder
from evolve.propose.operators import Proposal
from evolve.propose.vetting import code_hash
from tests.evolve.gitplace import git
from tests.evolve.workbench import SETTINGS, result

SEED = "import torch\n\nDEPTH = 2\nLR = 0.1\nWARMUP = 5\n\n\ndef step(x):\n    return x + LR\n"
NASTY = '[PATCH] Re: "=?utf-8?q?x?=" | <script>alert(1)</script> \x1b[31m\u202e --- `$(touch x)` übergröße'
WORSE = "---\ndiff --git a/x b/x\nFrom: me@evil\n\nIndex: x\n--- a/train.py\n+++ b/train.py\nGain: 9\n>From x"
KEY = "sk-ant-api03-this-must-never-be-seen-0123456789"


class Story:
    """A real repository and journal in which candidates are committed, trained and promoted as an engine does it."""

    def __init__(self, folder: Path, script: str = "trainer/train.py", seed: str = SEED) -> None:
        self.folder, self.script = folder, script
        (folder / script).parent.mkdir(parents=True, exist_ok=True)
        (folder / script).write_bytes(seed.encode())
        (folder / ".gitignore").write_text(".autoresearch/\n")
        git(folder, "init", "-q", "-b", "main")
        self.commit_all("seed")
        self.line = Lineage(folder, "auto", "auto", "try")
        self.journal = Journal.open(state_folder(folder) / JOURNAL)
        self.base, source = self.line.head()
        self.journal.create_run(
            name="try", branch="main", base_commit=self.base, settings=SETTINGS, fingerprint={"device": "cpu"},
        )  # fmt: skip
        self.commits: dict[int, str] = {}
        self.add(source, title="baseline", operator=Operator.SEED, proposer="human")
        for place, score in enumerate((2.0, 2.001, 1.999)):
            self.train(1, score, place, Purpose.BASELINE, CandidateState.JUDGED)
        self.journal.crown_baseline(1)

    def commit_all(self, why: str) -> None:
        git(self.folder, "add", ".")
        git(self.folder, "-c", "user.name=p", "-c", "user.email=p@x", "commit", "-qm", why)

    def text(self, number: int) -> str:
        return self.line.source(self.commits[number])

    def add(self, source: str, *parents: int, **given: object) -> int:
        number = self.journal.next_candidate_id()
        plain: dict[str, object] = {
            "operator": Operator.CROSSOVER if len(parents) > 1 else Operator.MUTATE,
            "proposer": "builtin", "title": f"idea {number}", "hypothesis": "It may help.", "category": "optimizer",
        }  # fmt: skip
        proposal = Proposal(source=source, parents=parents, **(plain | given))  # type: ignore[arg-type]
        commit = self.base
        if parents:
            origin = [self.commits[p] for p in parents]
            commit = self.line.commit(number, source, origin, title="t", body="", trailers={})
            self.line.publish(number, commit)
        self.journal.add_candidate(number, proposal, commit=commit, code_hash=code_hash(source))
        self.commits[number] = commit
        return number

    def train(
        self, number: int, score: float, seed: int, purpose: Purpose = Purpose.SCREEN,
        then: CandidateState = CandidateState.CONTENDER,
    ) -> None:  # fmt: skip
        experiment = self.journal.start_experiment(number, purpose, seed)
        self.journal.finish_experiment(experiment.id, result(score, total_seconds=30.0), then)

    def promote(self, source: str, score: float, *parents: int, **given: object) -> int:
        """A child that becomes main, and main follows."""
        number = self.add(source, *parents, **given)
        for seed in range(2):
            self.train(number, score + seed * 0.001, seed)
        self.journal.promote(number, "It is better.")
        aim = self.line.aim(self.commits[number], f"#{number} t", {})
        assert isinstance(aim, Aim)
        assert self.line.move(aim).moved
        return number

    def keep(self, source: str, *parents: int) -> int:
        number = self.add(source, *parents)
        self.train(number, 1.99, 0)
        self.journal.judge(number, Verdict.KEPT, "As it is.", alive=True)
        return number


def applied(story: Story, folder: Path, into: Path) -> bytes:
    """The script after `git am` of a folder's patches on the commit at which the run began."""
    subprocess.run(["git", "clone", "-q", str(story.folder), str(into)], check=True)
    git(into, "switch", "-q", "--create", "improved", story.base)
    patches = sorted(map(str, folder.glob("*.patch")))
    who = ("-c", "user.name=t", "-c", "user.email=t@x", "-c", "core.hooksPath=/dev/null")
    git(into, *who, "am", "-q", *patches)
    assert git(into, "status", "--porcelain") == ""
    return (into / story.script).read_bytes()


def exported(story: Story, folder: Path, kind: str = "patches", *, replace: bool = False) -> Path:
    client = Client(story.folder)
    try:
        export(client, kind, folder, replace=replace)
    finally:
        client.close()
    return folder


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Three promotions: over an ancestor that main never held, after a commit of a person, and a crossover."""
    story = Story(tmp_path_factory.mktemp("story") / "work")
    kept = story.keep(SEED.replace("DEPTH = 2", "DEPTH = 3"), 1)
    first = story.promote(
        story.text(kept).replace("LR = 0.1", "LR = 0.2"), 1.9, kept,
        title=NASTY, hypothesis=WORSE, changes=("LR: 0.1 -> 0.2",),
    )  # fmt: skip
    (story.folder / "notes.txt").write_text("mine\n")
    story.commit_all("a person's own")
    other = story.keep(SEED.replace("WARMUP = 5", "WARMUP = 9"), 1)
    both = story.text(first).replace("WARMUP = 5", "WARMUP = 9")
    crossed = story.promote(both, 1.8, first, other, title="both")
    last = (
        story.text(crossed)
        .replace("LR = 0.2", "LR = 0.1")
        .replace("x + LR", "x * LR\n    # üß\u2028☃")
    )
    story.promote(last, 1.7999, crossed, title="[x] turn it back", changes=("LR: 0.2 -> 0.1",))
    yield story
    story.journal.close()


def test_git_am_of_the_patches_gives_mains_script(grown: Story, tmp_path: Path) -> None:
    folder = exported(grown, tmp_path / "patches")
    names = sorted(path.name for path in folder.iterdir())
    assert [name[:5] for name in names] == ["0001-", "0002-", "0003-", "READM"]
    main = git(grown.folder, "rev-parse", "main")
    shown = subprocess.run(
        ["git", "-C", str(grown.folder), "show", f"{main}:{grown.script}"], capture_output=True, check=True
    ).stdout  # fmt: skip
    assert applied(grown, folder, tmp_path / "clone") == shown == grown.text(6).encode()
    assert git(tmp_path / "clone", "diff", "--name-only", grown.base, "HEAD") == grown.script


def test_each_commit_says_who_why_and_how_much_and_no_text_poses_as_more(grown: Story, tmp_path: Path) -> None:  # fmt: skip
    folder = exported(grown, tmp_path / "patches")
    applied(grown, folder, tmp_path / "clone")
    told = git(tmp_path / "clone", "log", "--reverse", "--format=%an <%ae>|%s|%(trailers:key=Squashed,valueonly,separator=%x2C)|%(trailers:key=Gain,valueonly,separator=%x2C)", f"{grown.base}..HEAD").splitlines()  # fmt: skip
    assert len(told) == 3
    assert all(
        line.startswith("autoresearch <autoresearch@localhost>|candidate #") for line in told
    )
    assert '[PATCH] Re: "=?utf-8?q?x?="' in told[0]
    assert "übergröße" in told[0]
    assert told[0].split("|")[-2] == "#2"  # kept, never main
    assert told[1].split("|")[-2] == "#4"
    assert told[0].split("|")[-1].startswith("+0.09")
    assert "[x] turn it back" in told[2]
    body = git(tmp_path / "clone", "log", "-1", "--format=%B", "HEAD~2")
    assert "  diff --git a/x b/x" in body
    assert "  Gain: 9" in body


def test_the_summary_names_gains_and_the_steps_in_doubt(grown: Story, tmp_path: Path) -> None:
    text = (exported(grown, tmp_path / "patches") / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 4
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "within noise" in rows[-1]
    assert "set anew: LR by #6, back to 0.1" in text
    assert "within noise (+0.000100" in text
    assert "git am" in text


def test_a_series_is_the_same_twice(grown: Story, tmp_path: Path) -> None:
    one, two = (exported(grown, tmp_path / name) for name in "ab")
    assert [p.read_bytes() for p in sorted(one.iterdir())] == [
        p.read_bytes() for p in sorted(two.iterdir())
    ]


@pytest.mark.parametrize(
    ("seed", "last"),
    [
        (SEED.replace("\n", "\r\n"), SEED.replace("\n", "\r\n").replace("5", "7")),
        (SEED, SEED.rstrip("\n").replace("5", "7")),
        (SEED.rstrip("\n"), SEED.replace("5", "7")),
        (SEED.rstrip("\n"), SEED.replace("5", "7").rstrip("\n")),
        (SEED, SEED.replace("\n\n\n", "\n\f\n\r\n").replace("5", "7 # \x85 \u2028 ☃ From x")),
        (SEED, SEED + "From now = 1\n-- \n"[:0] + "A = '''\nFrom x\n-- \n---\n'''\n"),
    ],
    ids=["windows", "end lost", "end gained", "no end", "odd blanks", "looks like mail"],
)
def test_every_byte_arrives(seed: str, last: str, tmp_path: Path) -> None:
    story = Story(tmp_path / "work", "train.py", seed)
    story.promote(last, 1.9, 1)
    folder = exported(story, tmp_path / "patches")
    assert applied(story, folder, tmp_path / "clone") == last.encode()
    story.journal.close()


def test_a_diff_is_gits_own(tmp_path: Path) -> None:
    old, new = SEED, SEED.replace("DEPTH = 2", "DEPTH = 4").replace("x + LR", "x") + "end"
    (tmp_path / "a.py").write_text(old)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    (tmp_path / "a.py").write_text(new)
    theirs = git(tmp_path, "diff", "--full-index", "--no-color").splitlines()
    ours = diff(old, new, Place("a.py", "100644")).decode().splitlines()
    plain = [line.split(" @@ ")[0] + " @@" if line[:2] == "@@" else line for line in theirs]
    plain = [line.replace("@@ @@", "@@") for line in plain]
    assert ours == plain


def test_what_main_gave_up_is_no_step(grown: Story) -> None:
    with Client(grown.folder).gathered() as gathered:
        assert [s.candidate.id for s in stages(gathered)] == [1, 3, 5, 6]
        everybody = tuple(
            replace(c, voided="it looks ahead") if c.id == 5 else c for c in gathered.everybody
        )
        without = stages(replace(gathered, everybody=everybody))
        assert [s.candidate.id for s in without] == [1, 3, 6]
        assert (without[-1].verdict, gain_of(without[-1])) == ("cannot be compared", "not known")
        back = stages(replace(gathered, run=replace(gathered.run, incumbent=3)))
        assert [s.candidate.id for s in back] == [1, 3]
        assert (back[1].trainings, back[1].minutes, back[1].squashed) == (2, 1.0, (2,))


def test_what_is_left_of_each_step(grown: Story) -> None:
    with Client(grown.folder).gathered() as gathered:
        series = stages(gathered)
    texts = ["a\nb\nc\n", "a\nB\nc\nd\n", "a\nb\nc\nd\n", "a\nb\nd\n"]
    kept = kept_of(series, texts)
    assert [(k.wrote, k.left, k.removed, k.back) for k in kept] == [(3, 1, 0, 0), (2, 1, 1, 1), (1, 1, 1, 0), (0, 0, 1, 0)]  # fmt: skip
    assert [k.is_undone for k in kept] == [False, False, False, False]
    assert kept_of(series[:3], ["a\n", "b\n", "a\n"])[1].is_undone


def test_without_git_or_main_it_says_so_and_leaves_nothing(grown: Story, tmp_path: Path) -> None:
    with Client(grown.folder).gathered() as gathered:
        nothing = replace(gathered, run=replace(gathered.run, incumbent=None))
        with pytest.raises(NothingToDo):
            stages(nothing)
        with pytest.raises(EvolveError, match="git does not have"):
            write_patches(replace(gathered, workspace=None), tmp_path)
    assert not list(tmp_path.iterdir())


# ---- everything ----------------------------------------------------------------------------------------------


def test_all_of_a_run_is_one_folder_of_one_instant(grown: Story, tmp_path: Path) -> None:
    (grown.folder / "program.md").write_text(f"Be bold.\n{KEY}\n")
    grown.journal.change_setting("population.size", "6", "9", "maria")
    folder = exported(grown, tmp_path / "all", "all")
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    wanted = {
        "README.md", "SHA256SUMS", "train.py", "results.tsv", "results.csv", "lineage.json",
        "report.html", "data/manifest.json", "patches/README.md", "program.md", "autoresearch.toml",
    }  # fmt: skip
    assert wanted <= names
    assert not any(name.split("/")[-1].startswith(".") for name in names)
    for kind in KINDS:
        told = [n for n in names if n.split("/")[0].partition(".")[0] in (kind.name, "train")]
        assert told or kind.name == "all", kind.name
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == len([p for p in folder.rglob("*") if p.is_file()]) - 1  # fmt: skip
    assert (folder / "train.py").read_bytes() == grown.text(6).encode()
    assert KEY not in (folder / "program.md").read_text()
    settings = tomllib.loads((folder / "autoresearch.toml").read_text())
    assert settings["population"]["size"] == 9
    assert settings["llm"]["prices"]["m"] == SETTINGS["llm"]["prices"]["m"]
    assert "# maria, " in (folder / "autoresearch.toml").read_text()
    readme = (folder / "README.md").read_text()
    assert "Main holds #6" in readme
    assert "It is better than the baseline by 0.2" in readme
    assert all(f"[{name}](" in readme for name in ("train.py", "data/", "patches/", "report.html"))
    assert grown.base in readme


def test_an_archive_holds_what_the_folder_holds_and_is_the_same_twice(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "b").write_text("b" * 5000)
    (folder / "a ü").write_text("a")
    for pack, opened in ((pack_tar, _untarred), (pack_zip, _unzipped)):
        one, two = io.BytesIO(), io.BytesIO()
        pack(folder, "run-all", 1e9, one)
        (folder / "a ü").touch()
        pack(folder, "run-all", 1e9, two)
        assert one.getvalue() == two.getvalue()
        assert opened(one) == {"run-all/a ü": b"a", "run-all/sub/b": b"b" * 5000}


def _untarred(file: io.BytesIO) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def _unzipped(file: io.BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_only_a_folder_of_an_export_is_replaced(grown: Story, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("# My notes\n")
    with pytest.raises(UsageError, match="already"):
        exported(grown, mine)
    with pytest.raises(UsageError, match="no folder that an export has made"):
        exported(grown, mine, replace=True)
    assert [p.name for p in mine.iterdir()] == ["README.md"]
    folder = exported(grown, tmp_path / "patches")
    (folder / "SHA256SUMS").write_text("".join(f"0  {p.name}\n" for p in folder.iterdir()))
    exported(grown, folder, replace=True)
    (folder / "SHA256SUMS").write_text("".join(f"0  {p.name}\n" for p in folder.iterdir()))
    (folder / "thoughts.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"holds thoughts\.txt"):
        exported(grown, folder, replace=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "patches"]


def test_what_cannot_be_made_is_named_and_a_fault_leaves_nothing(
    grown: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(gathered: Gathered, file: io.BytesIO) -> None:
        file.write(b"half")
        raise EvolveError("the ink is out")

    monkeypatch.setattr("evolve.export.results.write_csv", broken)
    folder = exported(grown, tmp_path / "all", "all")
    assert not (folder / "results.csv").exists()
    assert "the ink is out" in (folder / "README.md").read_text()

    def full(gathered: Gathered, file: io.BytesIO) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("evolve.export.results.write_csv", full)
    for name in ("more", "more.zip", "more.tar.gz"):
        with pytest.raises(EvolveError, match="no space left"):
            exported(grown, tmp_path / name, "all")
    assert [path.name for path in tmp_path.iterdir()] == ["all"]


@pytest.mark.parametrize(
    ("name", "end"),
    [("a.TAR.gz", ".tar.gz"), ("a.b.csv", ".csv"), ("v0.2-data", ""), ("v0.2", ""), (".csv", ""), ("a", "")],
)  # fmt: skip
def test_how_a_name_ends(name: str, end: str) -> None:
    assert ending(Path(name)) == end
