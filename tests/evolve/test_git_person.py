"""A person works in the repository while a run goes on: whatever they do, the run goes on and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evolve import nursery, projecting, recreating
from evolve.gitfaults import ObjectsMissing
from evolve.lineage import Lineage
from evolve.model import EvolveError, Operator
from evolve.nursery import Nursery
from evolve.places import EXPERIMENTS, STATE
from evolve.propose.builtin import BuiltinProposer
from evolve.propose.operators import Proposal
from harness.rundir import write_spec
from harness.spec import Budget, ExperimentSpec
from tests.evolve.gitplace import SCRIPT, SEED, Place, git, new_repository


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(new_repository(tmp_path / "work")).begin()
    yield made
    made.journal.close()


def objects_of(repo: Path, commit: str) -> list[Path]:
    """The loose objects of a commit that its parent lacks."""
    listed = git(repo, "rev-list", "--objects", commit, f"^{commit}~1")
    names = [line.split()[0] for line in listed.splitlines()]
    return [repo / ".git" / "objects" / name[:2] / name[2:] for name in names]


# ---- refs and objects ----------------------------------------------------------------------------------------


def _by_hand(repo: Path) -> None:
    git(repo, "update-ref", "-d", "refs/autoresearch/try/2")
    git(repo, "update-ref", "refs/autoresearch/try/3", "main")


def _all_of_them(repo: Path) -> None:
    shutil.rmtree(repo / ".git" / "refs" / "autoresearch")


@pytest.mark.parametrize("spoil", [_by_hand, _all_of_them])
def test_refs_that_a_person_removed_are_made_again_while_the_run_goes_on(
    place: Place, spoil: Callable[[Path], None]
) -> None:
    for number in range(3):
        place.child(f"A = {number}\n")
    projecting.look(place.context, now=True)
    assert "made again" not in " ".join(place.told())
    spoil(place.repo)
    projecting.look(place.context)  # not yet: it looked a moment ago
    assert "made again" not in " ".join(place.told())
    projecting.look(place.context, now=True)
    assert "of this run were missing or wrong in git, and made again" in place.told()[-1]
    assert place.is_whole()


def test_many_refs_are_packed_and_a_person_s_stay_what_they_were(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evolve import refs

    monkeypatch.setattr(refs, "_LOOSE", 3)
    for number in range(4):
        place.child(f"A = {number}\n")
    before = git(place.repo, "for-each-ref")
    projecting.look(place.context, now=True)
    assert not list((place.repo / ".git" / "refs" / "autoresearch").rglob("2"))
    assert git(place.repo, "for-each-ref") == before
    assert place.is_whole()


def test_what_is_journalled_has_a_ref_so_no_collection_takes_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person collects at the worst moment, between the commit and the journal's row."""
    add = place.journal.add_candidate

    def collecting(*given: object, **more: object) -> int:
        git(place.repo, "gc", "-q", "--prune=now")
        return add(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(place.journal, "add_candidate", collecting)
    child = place.child()
    assert place.line.source(child.commit) == SEED + "A = 1\n"
    assert place.is_whole()


def collecting_once(place: Place, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """A person's `git gc --prune=now` comes just before our next git of this name."""
    execute = place.line._git._execute
    done = []

    def collect(argv: tuple[str, ...], *given: object) -> tuple[int, bytes, str]:
        if argv[0] == command and not done:
            done.append(argv)
            git(place.repo, "gc", "-q", "--prune=now")
        return execute(argv, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(place.line._git, "_execute", collect)


@pytest.mark.parametrize("command", ["mktree", "commit-tree", "update-ref"])
async def test_a_collection_between_two_steps_of_a_commit_is_made_good(
    place: Place, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    collecting_once(place, monkeypatch, command)
    monkeypatch.setattr(nursery, "FIRST_PAUSE", 0.01)
    assert await make(place)
    assert place.line.source(place.journal.candidate(2).commit) == SEED + "PAID = 1\n"
    assert place.is_whole()


async def make(place: Place) -> bool:
    """The nursery takes up a child that was paid for."""
    paid = Proposal(
        source=SEED + "PAID = 1\n", operator=Operator.MUTATE, proposer="claude", parents=(1,),
        title="paid for", hypothesis="It may help.", category="other",
    )  # fmt: skip
    return await Nursery(place.context, BuiltinProposer(), {})._enrol(paid, "digest")


async def test_a_child_that_git_cannot_take_now_is_kept_until_it_can(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "FIRST_PAUSE", 0.05)
    objects = place.repo / ".git" / "objects"
    objects.rename(objects.with_name("hidden"))
    waiting = asyncio.create_task(make(place))
    while not place.context.proposer_doing.startswith("waits for git"):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    objects.with_name("hidden").rename(objects)
    assert await asyncio.wait_for(waiting, 30)
    assert sum("“paid for” waits, because git cannot take it" in t for t in place.told()) == 1
    assert place.is_whole()


def trained_with(place: Place, source: str) -> None:
    """The folder of the training under way, as the slot leaves it."""
    experiment = place.journal.running_experiment()
    assert experiment is not None
    folder = place.repo / STATE / EXPERIMENTS / place.journal.directory(experiment.id)
    folder.mkdir(parents=True)
    write_spec(folder, ExperimentSpec("t", source, 0, "/nowhere", Budget("tokens", 1.0)))


def test_a_lost_commit_is_made_again_from_the_folder_of_its_training(place: Place) -> None:
    child = place.child()
    place.train(2)
    trained_with(place, SEED + "A = 1\n")
    for lost in objects_of(place.repo, child.commit):
        lost.unlink()
    git(place.repo, "update-ref", "-d", "refs/autoresearch/try/2")
    after = place.again()
    assert after.line.source(child.commit) == SEED + "A = 1\n"
    assert after.is_whole()
    after.journal.close()


def test_a_lost_commit_is_made_again_from_its_worktree(place: Place) -> None:
    child = place.child()
    place.line.worktree(2, child.commit)
    for lost in objects_of(place.repo, child.commit):
        lost.unlink()
    git(place.repo, "update-ref", "-d", "refs/autoresearch/try/2")
    assert recreating.missing(place.context) == [2]
    assert place.line.source(child.commit) == SEED + "A = 1\n"


def test_a_lost_commit_whose_script_is_nowhere_is_named(place: Place) -> None:
    child = place.child()
    for lost in objects_of(place.repo, child.commit):
        lost.unlink()
    (place.repo / ".git" / "refs" / "autoresearch" / "try" / "2").unlink()
    with pytest.raises(ObjectsMissing, match=r"lost the commit of #2 .*git fsck --lost-found"):
        place.again()


# ---- worktrees -----------------------------------------------------------------------------------------------


def _deleted(repo: Path, tree: Path) -> None:
    shutil.rmtree(tree)


def _removed(repo: Path, tree: Path) -> None:
    git(repo, "worktree", "remove", "--force", str(tree))


def _deleted_and_pruned(repo: Path, tree: Path) -> None:
    shutil.rmtree(tree)
    git(repo, "worktree", "prune")


def _administration_gone(repo: Path, tree: Path) -> None:
    shutil.rmtree(repo / ".git" / "worktrees" / "2")


def _pointer_gone(repo: Path, tree: Path) -> None:
    (tree / ".git").unlink()


def _pointer_broken(repo: Path, tree: Path) -> None:
    (tree / ".git").write_text("gitdir: /nowhere/at/all\n")


def _half_made(repo: Path, tree: Path) -> None:
    """As a killed `git worktree add` leaves it: its own lock, no files, a lock on the index."""
    (repo / ".git" / "worktrees" / "2" / "locked").write_text("initializing")
    (repo / ".git" / "worktrees" / "2" / "index.lock").write_text("")
    shutil.rmtree(tree / "trainer")


@pytest.mark.parametrize(
    "spoil",
    [
        *(_deleted, _removed, _deleted_and_pruned, _administration_gone, _pointer_gone),
        *(_pointer_broken, _half_made),
    ],
)
def test_a_worktree_in_whatever_state_is_whole_after_the_next_start(
    place: Place, spoil: Callable[[Path, Path], None]
) -> None:
    child = place.child()
    tree = place.line.worktree(2, child.commit)
    spoil(place.repo, tree)
    place.line.sweep()
    assert place.line.sync_worktrees({2: child.commit}) == []
    assert (tree / SCRIPT).read_text() == SEED + "A = 1\n"
    assert git(tree, "status", "--porcelain") == ""
    assert place.line.sync_worktrees({}) == []
    assert not tree.exists()
    assert "worktrees/2" not in git(place.repo, "worktree", "list")
    assert place.is_whole()


def test_what_a_person_wrote_in_a_worktree_that_git_forgot_is_kept(place: Place) -> None:
    child = place.child()
    tree = place.line.worktree(2, child.commit)
    (tree / SCRIPT).write_text("my idea")
    _administration_gone(place.repo, tree)
    place.line.sync_worktrees({2: child.commit})
    assert (tree / SCRIPT).read_text() == SEED + "A = 1\n"
    assert (tree.with_name("2-edited-1") / SCRIPT).read_text() == "my idea"


def test_a_worktree_that_a_person_has_locked_stays_and_stops_nothing(place: Place) -> None:
    child = place.child()
    tree = place.line.worktree(2, child.commit)
    git(place.repo, "worktree", "lock", str(tree))
    assert place.line.sync_worktrees({}) == []
    assert tree.is_dir()
    git(place.repo, "worktree", "unlock", str(tree))
    place.line.sync_worktrees({})
    assert not tree.exists()


def test_a_person_s_worktree_on_a_disk_that_is_away_is_not_forgotten(place: Place) -> None:
    away = place.repo.parent / "usb"
    git(place.repo, "worktree", "add", "-q", "--detach", str(away))
    away.rename(away.with_name("unplugged"))
    place.line.sync_worktrees({2: place.child().commit})
    assert str(away) in git(place.repo, "worktree", "list")


def test_a_fault_of_worktrees_is_said_once_and_ends_nothing(place: Place) -> None:
    place.child()
    place.train(2)
    folder = place.repo / STATE / "worktrees"
    folder.write_text("a file where the folder should be")
    place.journal._db.execute("UPDATE candidate SET alive = 1 WHERE id = 2")
    for _ in range(2):
        projecting.worktrees(place.context)
    assert sum("worktree" in words for words in place.told()) == 1


# ---- kinds of repositories -----------------------------------------------------------------------------------


def _sha256(repo: Path) -> None:
    shutil.rmtree(repo / ".git")
    git(repo, "init", "-q", "-b", "main", "--object-format=sha256")
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "seed")


def _shallow(repo: Path) -> None:
    for number in range(3):
        git(repo, "commit", "-qm", f"more {number}", "--allow-empty")
    clone(repo, "--depth=1")


def _partial(repo: Path) -> None:
    git(repo, "config", "uploadpack.allowFilter", "true")
    clone(repo, "--filter=blob:none")


def clone(repo: Path, *how: str) -> None:
    other = repo.parent / "origin"
    repo.rename(other)
    git(repo.parent, "clone", "-q", *how, f"file://{other}", str(repo))


def _autocrlf(repo: Path) -> None:
    git(repo, "config", "core.autocrlf", "true")
    (repo / SCRIPT).unlink()
    git(repo, "checkout", "-q", "--", SCRIPT)
    assert b"\r\n" in (repo / SCRIPT).read_bytes()


def _filtered(repo: Path) -> None:
    git(repo, "config", "filter.shout.smudge", "tr a-z A-Z")
    git(repo, "config", "filter.shout.clean", "tr A-Z a-z | sed s/depth/DEPTH/")
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "attributes").write_text("README filter=shout\n")


def _sparse(repo: Path) -> None:
    git(repo, "sparse-checkout", "set", "--no-cone", "/README")
    assert not (repo / SCRIPT).exists()


def _submodule(repo: Path) -> None:
    inner = new_repository(repo.parent / "inner")
    flags = ("-c", "protocol.file.allow=always")
    git(repo, *flags, "submodule", "add", "-q", str(inner), "inner")
    git(repo, "commit", "-qm", "a submodule")
    (repo / "inner" / "README").write_text("work in progress inside")


def _watched(repo: Path) -> None:
    """A file system monitor, signatures, a template of messages, and every kind of automatic work."""
    for key, value in (
        ("core.fsmonitor", "true"), ("commit.gpgSign", "true"), ("merge.verifySignatures", "true"),
        ("gc.auto", "1"), ("merge.ff", "false"), ("core.logAllRefUpdates", "always"),
        ("submodule.recurse", "true"), ("status.showUntrackedFiles", "all"),
        ("core.untrackedCache", "true"), ("feature.manyFiles", "true"), ("color.ui", "always"),
    ):  # fmt: skip
        git(repo, "config", key, value)


KINDS = [
    *(_sha256, _shallow, _partial, _autocrlf, _filtered, _sparse, _submodule, _watched),
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_repository_carries_a_run(
    tmp_path: Path, kind: Callable[[Path], None]
) -> None:
    repo = new_repository(tmp_path / "work")
    kind(repo)
    lines = Lineage(repo, "auto", "auto", "try")
    lines.check()
    place = Place(repo).begin()
    first = place.child()
    place.line.worktree(2, first.commit)
    assert place.follow(first) == ""
    second = place.child("A = 1\nB = 2\n", parent=2)
    assert place.follow(second) == ""
    after = place.again()
    assert git(repo, "rev-parse", "main") == second.commit
    assert after.line.source(second.commit) == SEED + "A = 1\nB = 2\n"
    listed = git(repo, "status", "--porcelain", "--ignore-submodules=dirty")
    assert [entry for entry in listed.splitlines() if not entry.startswith("??")] == []
    if kind is _sparse:
        assert not (repo / SCRIPT).exists()
    if kind is _watched:
        daemon = subprocess.run(
            ["git", "-C", str(repo), "fsmonitor--daemon", "status"],
            check=False,
            capture_output=True,
        )
        assert daemon.returncode != 0
    after.journal.close()


def test_a_script_in_large_file_storage_is_refused_with_the_way_out(tmp_path: Path) -> None:
    repo = new_repository(tmp_path / "work")
    (repo / SCRIPT).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    git(repo, "commit", "-qam", "large")
    with pytest.raises(EvolveError, match=r"kept in Git LFS.*git add --renormalize"):
        Lineage(repo, "auto", "auto", "try").check()


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_COMMON_DIR", "GIT_QUARANTINE_PATH"])
def test_an_environment_of_another_repository_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/elsewhere")
    with pytest.raises(EvolveError, match=f"unset {name}"):
        Lineage(place.repo, "auto", "auto", "try")


def test_a_replaced_commit_shows_what_its_id_says(place: Place) -> None:
    child, other = place.child(), place.child("B = 2\n")
    git(place.repo, "replace", child.commit, other.commit)
    assert place.line.source(child.commit) == SEED + "A = 1\n"


def test_a_start_that_goes_on_asks_nothing_of_the_checkout(place: Place) -> None:
    from evolve.boot import goes_on

    assert goes_on(place.repo, None)
    assert not goes_on(place.repo, "another")
    assert not goes_on(place.repo.parent, None)


def test_no_credential_reaches_a_git(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-never-seen")
    place.journal.close()
    fresh = Place(place.repo)
    child, told = fresh.child(), place.repo.parent / "environment"
    git(place.repo, "config", "filter.tell.smudge", f"env > {told}; cat")
    (place.repo / ".git" / "info").mkdir(exist_ok=True)
    (place.repo / ".git" / "info" / "attributes").write_text(f"{SCRIPT} filter=tell\n")
    assert fresh.follow(child) == ""
    assert "AUTORESEARCH_GIT=" in told.read_text()
    assert "never-seen" not in told.read_text()
    assert os.environ["ANTHROPIC_API_KEY"] == "sk-ant-never-seen"
    fresh.journal.close()
