"""The commands on a real journal: what they print, for people and for programs, and what they ask of an engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evolve.journal import Journal
from evolve.lock import EngineLock
from evolve.model import CandidateState, Command, CommandState, Operator, Purpose, Verdict
from evolve.places import JOURNAL, LOCK, state_folder
from evolve.propose.operators import Proposal
from harness.spec import Outcome, Result
from tests.tui.pty_harness import Terminal

Answer = Callable[[Command], tuple[CommandState, str]]


def line(*argv: str) -> list[str]:
    return [sys.executable, "-m", "tui", *argv]


def autoresearch(folder: Path, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        line("-C", str(folder), *argv),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
    )


def proposal(operator: Operator, parents: tuple[int, ...], title: str) -> Proposal:
    return Proposal(
        source=f"# {title}\n",
        operator=operator,
        proposer="builtin",
        parents=parents,
        title=title,
        hypothesis="it may help",
        category="optimizer",
    )


def trained(journal: Journal, number: int, purpose: Purpose, result: Result) -> None:
    experiment = journal.start_experiment(number, purpose, seed=0)
    journal.finish_experiment(experiment.id, result, CandidateState.JUDGED)


def ok(bpb: float) -> Result:
    return Result(Outcome.OK, "scored", val_bpb=bpb, total_seconds=12.0, sandbox="bubblewrap")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of four candidates: baseline, promoted, out of memory, and a crossover that waits."""
    state = state_folder(tmp_path)
    with Journal.open(state / JOURNAL) as journal:
        journal.create_run(
            name="nov21",
            branch="main",
            base_commit="0" * 40,
            settings={
                "profile": "cpu",
                "stop": {"candidates": 12},
                "operators": {"mutate": 4.0, "rewrite": 0.0, "crossover": 0.0, "tune": 3.0},
            },
            fingerprint={},
        )

        def add(operator: Operator, parents: tuple[int, ...], title: str) -> int:
            number = journal.next_candidate_id()
            child = proposal(operator, parents, title)
            return journal.add_candidate(number, child, commit=f"{number:040x}", code_hash=title)

        trained(journal, add(Operator.SEED, (), "the start"), Purpose.BASELINE, ok(1.25))
        journal.crown_baseline(1)
        trained(journal, add(Operator.TUNE, (1,), "MATRIX_LR \x1b[31mup"), Purpose.SCREEN, ok(1.2))
        journal.promote(2, "better by 0.05")
        out = Result(Outcome.OOM, "out of memory")
        trained(journal, add(Operator.MUTATE, (1,), "depth 40"), Purpose.SCREEN, out)
        journal.judge(3, Verdict.FAILED, "out of memory", alive=False)
        add(Operator.CROSSOVER, (1, 2), "both")
        journal.set_sigma(0.004)
        journal.set_meta("sandbox", "bubblewrap")
        journal.set_run_state("stopped", "Stopped by ann.")
    return tmp_path


@contextmanager
def engine(folder: Path, answer: Answer) -> Iterator[list[Command]]:
    """A stand-in that holds the real lock and answers in the real journal; yields what it was asked."""
    asked: list[Command] = []
    done = threading.Event()

    def work() -> None:
        with Journal.open(folder / ".autoresearch" / JOURNAL) as journal:
            while not done.wait(0.02):
                for command in journal.pending_commands():
                    asked.append(command)
                    journal.answer_command(command.id, *answer(command))

    with EngineLock(folder / ".autoresearch" / LOCK):
        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield asked
        finally:
            done.set()
            thread.join()


def agree(command: Command) -> tuple[CommandState, str]:
    return CommandState.DONE, f"Done: {command.verb}."


def refuse(command: Command) -> tuple[CommandState, str]:
    return CommandState.REFUSED, f"Not {command.verb}."


# ---- status ---------------------------------------------------------------------------------------------


def test_status_for_people(folder: Path) -> None:
    shown = autoresearch(folder, "status")
    assert (shown.returncode, shown.stderr) == (0, "")
    for words in (
        "REHEARSAL",
        "nov21, stopped: Stopped by ann.",
        "not running; `autoresearch run` goes on from here",
        "#2 1.20000 in 1 training, corrected 1.2",
        ", provisional  MATRIX_LR",
        "#4 crossover",
        "4 candidates, 3 trainings, 1 failed (1 oom), 1 promoted",
        "12 candidates",
        "bubblewrap",
        "#3 failed: out of memory",
    ):
        assert words in shown.stdout
    assert "\x1b" not in shown.stdout


def test_status_for_programs(folder: Path) -> None:
    data = json.loads(autoresearch(folder, "status", "--json").stdout)
    assert data["run"]["state"] == "stopped"
    assert data["incumbent"]["scores"] == [1.2]
    assert data["engine"]["state"] == "none"
    assert [candidate["id"] for candidate in data["queue"]] == [4]


def test_watching_ends_with_the_engine(folder: Path) -> None:
    shown = autoresearch(folder, "status", "--watch")
    assert shown.returncode == 0
    assert shown.stdout.count("Incumbent") == 1


def test_watching_prints_again_when_something_happened_and_only_then(folder: Path) -> None:
    watching = subprocess.Popen(
        line("-C", str(folder), "status", "--watch"), stdout=subprocess.PIPE, text=True
    )
    assert watching.stdout is not None
    with engine(folder, agree):
        first = [watching.stdout.readline() for _ in range(3)]
        assert autoresearch(folder, "pause").returncode == 0
    rest = watching.stdout.read()
    watching.stdout.close()
    assert watching.wait(30) == 0
    text = "".join(first) + rest
    assert "asked to pause: Done: pause." in text
    assert 2 <= text.count("Incumbent") <= 4  # at the start, at the answer, at the end
    assert "\x1b" not in text  # no cursor games where nobody sees a cursor


def test_interrupting_the_watching_leaves_the_engine_alone(folder: Path) -> None:
    with engine(folder, agree) as asked:
        watching = subprocess.Popen(
            line("-C", str(folder), "status", "--watch"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watching.stdout is not None
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=30)
    assert watching.returncode == 130
    assert said == "autoresearch: Interrupted.\n"
    assert asked == []


def test_a_dead_engine_is_called_dead(folder: Path) -> None:
    with Journal.open(folder / ".autoresearch" / JOURNAL) as journal:
        journal.set_run_state("running", "Started.")
    assert "gone without a word" in autoresearch(folder, "status").stdout


# ---- results and logs -----------------------------------------------------------------------------------


def test_results_for_people(folder: Path) -> None:
    shown = autoresearch(folder, "results", "--sort", "bpb")
    assert shown.returncode == 0
    _, first, second, *rest = shown.stdout.splitlines()
    assert first.split()[:2] == ["*#2", "1.20000"]
    assert first.split()[5:9] == ["-", "1", "provisional", "promoted"]
    assert second.split()[0] == "#1"
    assert {row.split()[0] for row in rest} == {"#3", "#4"}
    assert "\x1b" not in shown.stdout


def test_results_for_programs(folder: Path) -> None:
    data = json.loads(autoresearch(folder, "results", "--kept-only", "--json").stdout)
    assert [(row["id"], row["mean"], row["verdict"]) for row in data] == [
        (1, 1.25, "baseline"),
        (2, 1.2, "promoted"),
    ]
    assert data[1]["title"].startswith("MATRIX_LR")


def test_results_tell_how_sure_a_score_is(folder: Path) -> None:
    baseline, promoted = json.loads(autoresearch(folder, "results", "--kept-only", "--json").stdout)
    belief = promoted["belief"]
    assert (belief["n"], belief["word"], belief["better"]) == (1, "provisional", None)
    assert 1.2 < belief["mean"] < 1.25  # the best of several is taken to have been lucky
    assert baseline["belief"]["better"] < 0.5


def test_trends_say_what_each_kind_of_idea_came_to(folder: Path) -> None:
    head, *rows = autoresearch(folder, "trends", "--by", "operator").stdout.splitlines()
    assert head.split()[0] == "operator"
    assert {row.split()[0] for row in rows} == {"tune", "mutate", "crossover"}
    data = json.loads(autoresearch(folder, "trends", "--json").stdout)
    (only,) = data
    assert (only["key"], only["attempts"], only["pending"]) == ("optimizer", 2, 1)
    assert (only["latest"], only["success"]) == ("Px", 0.5)
    assert only["gain"] > 0
    shown = autoresearch(folder, "trends", "--by", "nonsense")
    assert (shown.returncode, shown.stdout) == (2, "")


def test_operators_show_their_shares_of_the_next_proposals(folder: Path) -> None:
    data = json.loads(autoresearch(folder, "operators", "--json").stdout)
    assert {share["arm"]["operator"] for share in data} == {"mutate", "tune"}
    assert sum(share["share"] for share in data) == pytest.approx(1.0)
    text = autoresearch(folder, "operators").stdout
    assert text.splitlines()[0].split()[:3] == ["operator", "by", "share"]
    status = json.loads(autoresearch(folder, "status", "--json").stdout)
    assert status["outlook"]["operators"] == [
        {k: v for k, v in share.items() if k != "rate"} for share in data
    ]


def test_results_of_a_category_that_nobody_tried(folder: Path) -> None:
    shown = autoresearch(folder, "results", "--category", "nonsense")
    assert (shown.returncode, shown.stdout) == (3, "")
    assert (
        json.loads(autoresearch(folder, "results", "--category", "nonsense", "--json").stdout) == []
    )


def test_results_to_a_full_disk(folder: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            line("-C", str(folder), "results"), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert ended.returncode == 1
    assert ended.stderr.startswith("autoresearch: The disk is full")
    assert ended.stderr.count("\n") == 1


def test_results_to_somebody_who_has_seen_enough(folder: Path) -> None:
    script = f"{' '.join(line('-C', str(folder), 'results'))} | head -1; exit ${{PIPESTATUS[0]}}"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_logs_tell_the_story_in_order(folder: Path) -> None:
    shown = autoresearch(folder, "logs").stdout.splitlines()
    kinds = (
        "begins at",
        "#1 the start",
        "#1 scored 1.25",
        "#2 promoted",
        "#3 ended without",
        "#4 both",
    )
    places = [next(i for i, row in enumerate(shown) if words in row) for words in kinds]
    assert places == sorted(places)


def test_following_the_logs_ends_with_the_engine_and_misses_nothing(folder: Path) -> None:
    with engine(folder, agree):
        following = subprocess.Popen(
            line("-C", str(folder), "logs", "-f"), stdout=subprocess.PIPE, text=True
        )
        assert following.stdout is not None
        following.stdout.readline()
        assert autoresearch(folder, "resume").returncode == 0
    shown = following.stdout.read()
    following.stdout.close()
    assert following.wait(30) == 0
    assert shown.rstrip().endswith("asked to resume: Done: resume.")


# ---- asking the engine ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "verb", "args"),
    [
        (["pause"], "pause", {}),
        (["resume"], "resume", {}),
        (["stop"], "stop", {"now": False}),
        (["stop", "--now"], "stop", {"now": True}),
        (["set", "population.size", "12"], "set", {"key": "population.size", "value": "12"}),
        (["set", "prompts.tune", ""], "set", {"key": "prompts.tune", "value": ""}),
        (["pin", "#2"], "pin", {"candidate": 2}),
        (["move", "4", "first"], "move", {"candidate": 4, "to": "first"}),
        (["move", "4", "-1"], "move", {"candidate": 4, "by": -1}),
        (["kill"], "kill", {"again": False}),
        (["kill", "--again"], "kill", {"again": True}),
        (["boost", "2"], "boost", {"candidate": 2}),
        (["boost", "2", "0"], "boost", {"candidate": 2, "times": 0}),
        (["reject", "4", "too", "slow"], "reject", {"candidate": 4, "reason": "too slow"}),
        (["reject", "4"], "reject", {"candidate": 4}),
    ],
)
def test_a_request_reaches_the_engine_and_its_answer_comes_back(
    argv: list[str], verb: str, args: dict[str, object], folder: Path
) -> None:
    with engine(folder, agree) as asked:
        ended = autoresearch(folder, *argv)
    assert (ended.returncode, ended.stdout) == (0, f"Done: {verb}.\n")
    assert [(command.verb, command.args) for command in asked] == [(verb, args)]
    assert asked[0].who


def test_inject_sends_the_script_as_it_is(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    script.write_text("# grüße\nDEPTH = 3\n")
    with engine(folder, agree) as asked:
        ended = autoresearch(folder, "inject", str(script), "--title", "deeper")
    assert ended.returncode == 0
    assert asked[0].args == {"source": "# grüße\nDEPTH = 3\n", "title": "deeper"}


def test_a_refusal_is_wrong_usage(folder: Path) -> None:
    with engine(folder, refuse):
        ended = autoresearch(folder, "pause")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "autoresearch: Not pause.\n"


def test_a_candidate_that_is_none_is_asked_of_nobody(folder: Path) -> None:
    with engine(folder, agree) as asked:
        ended = autoresearch(folder, "pin", "twelve")
    assert (ended.returncode, ended.stdout, asked) == (2, "", [])
    assert ended.stderr.startswith("autoresearch: “twelve” is no candidate")


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
def test_without_an_engine_there_is_nobody_to_ask(verb: str, folder: Path) -> None:
    ended = autoresearch(folder, verb)
    assert ended.returncode == 3
    assert "`autoresearch run` goes on" in ended.stderr


# ---- settings of a run that rests -------------------------------------------------------------------------


def test_a_setting_of_a_resting_run_is_kept_for_later(folder: Path) -> None:
    ended = autoresearch(folder, "set", "population.size", "12")
    assert ended.returncode == 0, ended.stderr
    assert "population.size = 12" in ended.stdout
    assert "size = 12" in (folder / ".autoresearch" / "live.toml").read_text()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("population.sise", "3", ("population.sise", "population.size")),
        ("population.size", "many", ("population.size", "many")),
        ("population.size", "0", ("population.size",)),
        ("budget.seconds", "60", ("budget.seconds", "compar", "new run")),
        ("data.vocabulary", "1024", ("data.vocabulary", "new run")),
    ],
)
def test_a_setting_that_cannot_be(
    key: str, value: str, words: tuple[str, ...], folder: Path
) -> None:
    ended = autoresearch(folder, "set", key, value)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    for word in words:
        assert word in ended.stderr
    assert not (folder / ".autoresearch" / "live.toml").exists()


# ---- a fresh workspace ------------------------------------------------------------------------------------


def test_init_makes_a_workspace_that_is_committed(tmp_path: Path) -> None:
    fresh = tmp_path / "new" / "search"
    made = autoresearch(tmp_path, "init", str(fresh))
    assert made.returncode == 0, made.stderr
    assert f"cd {fresh} && autoresearch run" in made.stdout
    tracked = subprocess.run(
        ["git", "-C", str(fresh), "ls-files"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(tracked) == {".gitignore", "autoresearch.toml", "program.md", "trainer/train.py"}


# ---- in a terminal ----------------------------------------------------------------------------------------


def test_without_a_run_it_offers_one_and_takes_no_for_an_answer(tmp_path: Path) -> None:
    with Terminal(line("-C", str(tmp_path))) as terminal:
        terminal.expect(b"[Y/n]")
        terminal.type(b"n\r")
        assert terminal.wait() == 3
    assert "There is no run in" in terminal.written.decode()
    assert list(tmp_path.iterdir()) == []


def test_the_app_opens_on_a_run_that_rests(folder: Path) -> None:
    with Terminal(line("-C", str(folder)), columns=100) as terminal:
        terminal.expect(b"nov21")
        terminal.type(b"q")
        assert terminal.wait() == 0


def test_a_dumb_terminal_is_told_of_the_run_in_plain_text(folder: Path) -> None:
    for command in ((), ("attach",)):
        with Terminal(
            line("-C", str(folder), *command), columns=200, env={"TERM": "dumb"}
        ) as terminal:
            assert terminal.wait() == 0  # no engine works here, so there is nothing to wait for
            assert b"this is `status --watch`" in terminal.written
            assert b"Incumbent" in terminal.written
            assert b"\x1b[?1049h" not in terminal.written


def test_a_dumb_terminal_without_a_run_is_told_how_to_start_one(tmp_path: Path) -> None:
    with Terminal(line("-C", str(tmp_path)), columns=200, env={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 2
        assert b"autoresearch run --headless" in terminal.written


def test_a_pipe_follows_the_engine_that_works_here(folder: Path) -> None:
    with engine(folder, agree):
        process = subprocess.Popen(
            line("-C", str(folder)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        with process:
            assert process.stdout is not None
            said = process.stdout.readline()
            process.terminate()  # it would follow the engine for as long as that works
        assert said.startswith("REHEARSAL")


def test_watching_repaints_where_there_is_a_cursor(folder: Path) -> None:
    with Terminal(line("-C", str(folder), "status", "--watch")) as terminal:
        assert terminal.wait() == 0
    assert terminal.written.startswith(b"\x1b[H\x1b[2J")


def test_watching_a_dumb_terminal_plays_no_cursor_games(folder: Path) -> None:
    with Terminal(line("-C", str(folder), "status", "--watch"), env={"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
    assert b"\x1b" not in terminal.written
