"""`scratchpad`, `prompts` and `set prompts.X @FILE` on a real journal, and on an engine that answers in it."""

from __future__ import annotations

import getpass
import json
import stat
from pathlib import Path

import pytest

from evolve.model import Operator, Verdict
from evolve.propose.placeholders import BUILT_IN, prompt_version, versions_in_force
from evolve.propose.scratchpad import parse
from evolve.toml_text import literal
from tests.evolve.workbench import add, baseline, open_journal, train
from tests.tui.test_commands import agree, autoresearch, engine, refuse

TEXT = "# Summary\n\nRates matter.\n\n# Insights\n\n- up is good \x1b[31m(#2)\n\n# Recommendations\n\n1. go on\n"
OLD = "{parents} Be bold.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with two versions of a template and two of the scratchpad; no engine works in it."""
    with open_journal(tmp_path) as journal:
        baseline(journal, 1.0, 1.01)
        journal.keep_templates([(prompt_version(OLD), "mutate", OLD)])
        journal.keep_templates(versions_in_force({}))
        version = prompt_version(BUILT_IN["mutate"])
        for score, verdict in ((0.9, Verdict.KEPT), (1.2, Verdict.REJECTED)):
            number = add(journal, 1, operator=Operator.MUTATE, prompt_version=version)
            train(journal, number, score)
            journal.judge(number, verdict, "So it is.", alive=verdict is Verdict.KEPT)
        journal.write_scratchpad(TEXT, source="builtin", who="builtin", settled=1)
        journal.write_scratchpad(TEXT, source="human", who="ann", settled=2)
    return tmp_path


# ---- the scratchpad --------------------------------------------------------------------------------------------


def test_the_scratchpad_is_shown_with_who_wrote_it_and_when(folder: Path) -> None:
    shown = autoresearch(folder, "scratchpad")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith("# Summary\n\nRates matter.\n")
    assert "\x1b" not in shown.stdout
    assert "\nWritten by ann on 20" in shown.stdout
    assert shown.stdout.endswith(", after 2 children.\n")
    listed = autoresearch(folder, "scratchpad", "--history").stdout.splitlines()
    assert [line.split()[2:4] for line in listed[1:]] == [["ann", "2"], ["builtin", "1"]]
    notes = json.loads(autoresearch(folder, "scratchpad", "--json").stdout)
    assert [note["source"] for note in notes] == ["human", "builtin"]
    assert notes[0]["text"] == TEXT


def test_without_one_or_without_an_engine_it_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    edited = autoresearch(folder, "scratchpad", "--edit")
    assert edited.returncode == 3
    assert "`autoresearch run` goes on with its run" in edited.stderr
    (tmp_path / "other").mkdir()
    with open_journal(tmp_path / "other") as journal:
        baseline(journal)
    bare = autoresearch(tmp_path / "other", "scratchpad")
    assert bare.returncode == 3
    assert "There is no scratchpad yet" in bare.stderr


def test_a_person_s_text_goes_to_the_engine_as_it_is(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text(TEXT)
    with engine(folder, agree) as asked:
        done = autoresearch(folder, "scratchpad", "--set", str(mine))
        assert (done.returncode, done.stdout) == (0, "Done: scratchpad.\n")
    assert [(c.verb, c.args) for c in asked] == [("scratchpad", {"text": TEXT})]
    lost = autoresearch(folder, "scratchpad", "--set", "nowhere.md")
    assert lost.returncode == 2
    assert "There is no file nowhere.md; name a scratchpad." in lost.stderr


def editor(tmp_path: Path, script: str) -> dict[str, str]:
    path = tmp_path / "editor"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return {"EDITOR": str(path), "VISUAL": "", "TMPDIR": str(tmp_path)}


def test_an_editor_opens_on_the_newest_version(folder: Path, tmp_path: Path) -> None:
    change = editor(tmp_path, 'grep -q "Rates matter" "$1" && echo "2. another" >> "$1"')
    with engine(folder, agree) as asked:
        done = autoresearch(folder, "scratchpad", "--edit", **change)
        assert (done.returncode, done.stdout) == (0, "Done: scratchpad.\n"), done.stderr
        nothing = autoresearch(folder, "scratchpad", "--edit", **editor(tmp_path, "true"))
        assert (nothing.returncode, nothing.stdout) == (0, "Nothing was changed.\n")
        failed = autoresearch(folder, "scratchpad", "--edit", **editor(tmp_path, "exit 7"))
        assert failed.returncode == 1
        assert "ended with 7, so nothing was changed" in failed.stderr
    assert [parse(c.args["text"]).recommendations for c in asked] == [("go on", "another")]
    assert len(list(tmp_path.glob("scratchpad-*.md"))) == 1  # of the editor that failed


def test_a_refused_text_is_not_lost(folder: Path, tmp_path: Path) -> None:
    with engine(folder, refuse):
        refused = autoresearch(folder, "scratchpad", "--edit", **editor(tmp_path, 'echo x > "$1"'))
    assert refused.returncode == 2
    kept = refused.stderr.split("Your text is in ")[1].strip().rstrip(".")
    assert Path(kept).read_text() == "x\n"


# ---- templates ---------------------------------------------------------------------------------------------------


def test_prompts_lists_versions_with_what_came_of_them(folder: Path) -> None:
    shown = autoresearch(folder, "prompts")
    assert (shown.returncode, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    mutate = [line.split() for line in lines if line.startswith("mutate")]
    assert [line[1] for line in mutate] == [prompt_version(BUILT_IN["mutate"]), prompt_version(OLD)]
    assert mutate[0][2:4] == ["in", "force"]
    assert mutate[0][7:12] == ["2", "1", "0", "50", "%"]
    assert mutate[1][-5:] == ["-"] * 5
    assert sum(line.startswith("rewrite (") for line in lines) == 5
    data = json.loads(autoresearch(folder, "prompts", "mutate", "--json").stdout)
    assert [(row["in_force"], row["success"]) for row in data] == [(True, 0.5), (False, None)]


def test_a_template_is_printed_bare_and_explained_beside_it(folder: Path) -> None:
    shown = autoresearch(folder, "prompts", "repair")
    assert shown.stdout.strip() == BUILT_IN["repair"].strip()
    assert "This is the built-in one, version" in shown.stderr
    assert "{traceback}: what the crashed version left behind, quoted (needed)" in shown.stderr
    assert "{ancestor}" not in shown.stderr
    old = autoresearch(folder, "prompts", "--version", prompt_version(OLD)[:6])
    assert old.stdout == OLD
    assert "no longer in force" in old.stderr
    unknown = autoresearch(folder, "prompts", "--version", "zzz")
    assert unknown.returncode == 2
    assert "There is no template of version zzz here" in unknown.stderr


def test_a_template_is_set_from_a_file_with_and_without_an_engine(
    folder: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text(OLD)
    with engine(folder, agree) as asked:
        assert autoresearch(folder, "set", "prompts.mutate", f"@{mine}").returncode == 0
    assert asked[0].args == {"key": "prompts.mutate", "value": OLD}
    mine.write_text("no parents here")
    refused = autoresearch(folder, "set", "prompts.mutate", f"@{mine}")
    assert refused.returncode == 2
    assert "lacks {parents}, without which the model sees no parents; add it." in refused.stderr
    assert not (folder / ".autoresearch" / "live.toml").exists()
    mine.write_text(OLD)
    done = autoresearch(folder, "set", "prompts.mutate", f"@{mine}")
    assert done.stdout.startswith(f"prompts.mutate = the text of @{mine}; no engine runs now")
    assert autoresearch(folder, "prompts", "mutate").stdout == OLD
    assert "your own, version" in autoresearch(folder, "prompts", "mutate").stderr


def test_beside_a_live_engine_its_own_settings_count(folder: Path) -> None:
    (folder / "autoresearch.toml").write_text('[prompts]\nmutate = "{parents} of the file"\n')
    with open_journal(folder) as journal:
        journal.change_setting("prompts.mutate", '""', literal(OLD), "ann")
    with engine(folder, agree):
        assert autoresearch(folder, "prompts", "mutate").stdout == OLD
    assert autoresearch(folder, "prompts", "mutate").stdout == "{parents} of the file\n"


def test_prompts_work_before_any_run(tmp_path: Path) -> None:
    shown = autoresearch(tmp_path, "prompts")
    assert shown.returncode == 0
    assert shown.stdout.count("in force") == len(BUILT_IN) - 1 + 5


def test_a_template_is_edited_checked_and_kept_where_it_does_not_fit(
    folder: Path, tmp_path: Path
) -> None:
    wrong = editor(tmp_path, 'echo "{parnets}" >> "$1"')
    with engine(folder, agree) as asked:
        refused = autoresearch(folder, "prompts", "mutate", "--edit", **wrong)
        assert refused.returncode == 2
        assert "an unknown placeholder {parnets}; did you mean {parents}?" in refused.stderr
        kept = Path(refused.stderr.split("Your text is in ")[1].strip().rstrip("."))
        assert kept.read_text() == BUILT_IN["mutate"] + "{parnets}\n"
        version = prompt_version(OLD)[:6]
        untouched = editor(tmp_path, "true")
        back = autoresearch(folder, "prompts", "--version", version, "--edit", **untouched)
        assert back.returncode == 0, back.stderr
    assert [c.args for c in asked] == [{"key": "prompts.mutate", "value": OLD}]
    nothing = autoresearch(folder, "prompts", "mutate", "--edit", **editor(tmp_path, "true"))
    assert nothing.stdout == "Nothing was changed.\n"
    which = autoresearch(folder, "prompts", "--edit", **untouched)
    assert which.returncode == 2
    assert "Which template?" in which.stderr


# ---- who changed what --------------------------------------------------------------------------------------------


def test_changes_are_listed_and_ones_own_is_taken_back(folder: Path) -> None:
    none = autoresearch(folder, "changes")
    assert none.returncode == 3
    me = getpass.getuser()
    with open_journal(folder) as journal:
        journal.change_setting("population.size", "6", "9", f"{me} on gpu-a")
        journal.change_setting("llm.effort", '"medium"', '"high\x1b[31m"', "bob")
    listed = autoresearch(folder, "changes").stdout.splitlines()
    assert [line.split()[3:] for line in listed[1:]] == [
        [me, "on", "gpu-a", "population.size", "6", "9", "#4"],
        ["bob", "llm.effort", "medium", "high", "#4"],
    ]
    data = json.loads(autoresearch(folder, "changes", "--json").stdout)
    assert [row["key"] for row in data] == ["llm.effort", "population.size"]
    with engine(folder, agree) as asked:
        assert autoresearch(folder, "changes", "--undo").returncode == 0
    assert asked[0].args == {"key": "population.size", "value": "6"}
    with open_journal(folder) as journal:
        journal.change_setting("population.size", "9", "12", "bob")
    late = autoresearch(folder, "changes", "--undo")
    assert late.returncode == 2
    assert "bob has changed population.size since you did" in late.stderr
