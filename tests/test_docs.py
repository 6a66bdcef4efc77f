"""Every page is held against the code: links lead somewhere, commands parse, settings exist, and examples are run.

In a page, a block of bash or Python below the line `<!-- run -->` is executed, in order, in one fresh workspace a page, by the
real command; `run` gets a small budget there. All other command lines are parsed only.
"""

from __future__ import annotations

import contextlib
import fnmatch
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from evolve import settings as config
from evolve.keys import field_of, sections
from tui import cli, reference
from tui.keys import KEYS, REPLAY

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)
FLOORS = ("bench", "docs", "evolve", "harness", "tests", "trainer", "tui")
# The rehearsal, cut to two trainings without audits and repeats: what is shown is that the commands work.
SMALL = (
    "budget.tokens=8192",
    "data.eval_tokens=2048",
    "data.local_mb=1",
    "data.vocabulary=300",
    "data.sequence_length=64",
    "acceptance.baseline_repeats=1",
    "acceptance.policy=greedy",
    "scoring.audit_probes=0",
    "scoring.champion_probes=0",
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    run: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(*languages: str) -> list[Block]:
    fence = re.compile(r"(<!-- run -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)
    return [
        Block(page, text(page)[: m.start(2)].count("\n") + 1, m[2], m[3], bool(m[1]))
        for page in PAGES
        for m in fence.finditer(text(page))
        if m[2] in languages
    ]


def prose(page: str) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", text(page), flags=re.M | re.S)


def spans(page: str) -> list[str]:
    """What stands between backticks."""
    return [
        " ".join(span.replace(r"\|", "|").split()) for span in re.findall(r"`([^`]+)`", prose(page))
    ]


# ---- links -----------------------------------------------------------------------------------------------


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    bare = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    kept = (c for c in bare if c in " -_" or unicodedata.category(c)[0] in "LN")
    return "".join(kept).replace(" ", "-")


@cache
def anchors(page: str) -> frozenset[str]:
    return frozenset(slug(heading) for heading in re.findall(r"^#+ (.+)$", prose(page), re.M))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (ROOT / page).parent / place if place else ROOT / page
        found = target.exists()
        if found and anchor:
            found = anchor in anchors(target.resolve().relative_to(ROOT).as_posix())
        if not found:
            dead.append(link)
    assert dead == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, next_ones = set(), {"README.md"}
    while next_ones:
        page = next_ones.pop()
        seen.add(page)
        for link in re.findall(r"\]\(([^)#\s:]+\.md)", prose(page)):
            target = ((ROOT / page).parent / link).resolve().relative_to(ROOT).as_posix()
            next_ones |= {target} & set(PAGES) - seen
    assert seen == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_in_a_page_is_only_here(page: str) -> None:
    """A reader has the repository and nothing else of ours."""
    assert not re.findall(r"/work/|\bshared/\w", text(page))


# ---- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_exist(page: str) -> None:
    path = re.compile(
        rf"(?<![\w/.-])((?:{'|'.join(FLOORS)})/[\w./-]+\.(?:py|md|svg|txt|toml|xz))\b"
    )
    assert [name for name in path.findall(text(page)) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_are_named_exist(page: str) -> None:
    named = re.findall(rf"python -m ((?:{'|'.join(FLOORS)})[\w.]*\w)", text(page))
    gone = [
        name
        for name in named
        if not any((ROOT / name.replace(".", "/")).with_suffix(end).exists() for end in ("", ".py"))
    ]
    assert gone == []


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_that_are_named_exist(page: str) -> None:
    targets = re.findall(r"^([a-z-]+):", text_of_makefile(), re.M)
    named = [s for s in spans(page) if s.startswith("make ")]
    named += [line for b in blocks("bash") if b.page == page for line in b.text.splitlines()]
    wanted = [m[1] for line in named if (m := re.match(r"make ([a-z-]+)", line))]
    assert [target for target in wanted if target not in targets] == []


@cache
def text_of_makefile() -> str:
    return (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_named_exist(page: str) -> None:
    said = "\n".join(spans(page))
    keys = re.findall(r"(?<![\w./])([a-z]+\.[a-z_]+)(?=$|[ =,])", said, re.M)
    keys += [f"{m[0]}.{m[1]}" for m in re.findall(r"\[([a-z]+)\] ([a-z_]+)", said)]
    mine = [key for key in keys if key.partition(".")[0] in sections()]
    assert [key for key in mine if field_of(key) is None and not is_file(key)] == []
    heads = [m for m in re.findall(r"(?m)^\[([a-z_]+)\]$", said) if m not in sections()]
    assert heads == []


def is_file(name: str) -> bool:
    """`budget.py` and its like are no settings."""
    return name.rpartition(".")[2] in ("py", "md", "db", "toml", "json", "tsv")


@pytest.mark.parametrize("block", blocks("toml"), ids=str)
@pytest.mark.parametrize("gpu", [False, True])
def test_settings_that_are_shown_can_be_loaded(block: Block, gpu: bool, tmp_path: Path) -> None:
    (tmp_path / "autoresearch.toml").write_text(block.text)
    config.load(tmp_path, gpu=gpu, overrides={})


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/app.md"])
def test_keys_that_are_named_exist(page: str) -> None:
    known = {name for key in (*KEYS, *REPLAY) for name in key.shown.split()}
    named = {span for span in spans(page) if re.fullmatch(r"[^\W\d_]|[?:/+<>-]", span)}
    assert named
    # Signs of the tree and of the log stand between backticks, too.
    assert named - known - {"+", "-"} == set()


# ---- commands --------------------------------------------------------------------------------------------

PLACEHOLDERS = {
    "WHAT": "results",
    "KEY": "population.size",
    "VALUE": "8",
    "COMMAND": "status",
    "CANDIDATE": "12",
}


def refusal(words: list[str]) -> str:
    """What the parser says against a command line; nothing where it takes it."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            cli.parse(words)
    except SystemExit as left:
        return said.getvalue() if left.code else ""
    return ""


def command_lines(shell: str) -> Iterator[list[str]]:
    """The calls of autoresearch in a script, as words."""
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;<>()"):
                if words[:1] == ["autoresearch"]:
                    yield words[1:]
                words = []
            else:
                words.append(word)


@pytest.mark.parametrize("block", blocks("bash", "sh"), ids=str)
def test_commands_in_blocks_are_understood(block: Block) -> None:
    said = {shlex.join(words): refusal(words) for words in command_lines(block.text)}
    assert {line: why for line, why in said.items() if why} == {}


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_sentences_are_understood(page: str) -> None:
    refused = {}
    for span in spans(page):
        # `…`, `[…]` and `a|b` stand for more than one line: of these the words up to there are looked at.
        whole = re.split(r" ?(?:…|\.\.\.|\[)|(?<=\w)\|", span)[0]
        words = next(command_lines(whole), []) if whole.startswith("autoresearch ") else []
        words = [PLACEHOLDERS.get(w, "1" if re.fullmatch(r"[A-Z]+", w) else w) for w in words]
        why = refusal(words) if words else ""
        named = whole != span or len(words) == 1  # a command is spoken of, not called
        if why and not (named and "required" in why):
            refused[span] = why
    assert refused == {}


def test_these_checks_find_what_is_wrong() -> None:
    script = "cd x && autoresearch run --hour 8 | tee log  # no such option\nA=1\nautoresearch pn 12; autoresearch status"
    lines = list(command_lines(script))
    assert lines == [["run", "--hour", "8"], ["pn", "12"], ["status"]]
    assert "There is no option --hour; did you mean “--hours”?" in refusal(lines[0])
    assert "There is no command “pn”; did you mean “pin”?" in refusal(lines[1])
    assert refusal(lines[2]) == ""
    assert slug("What `a_b` costs, and *why* ([here](x.md))") == "what-a_b-costs-and-why-here"


# ---- the reference ---------------------------------------------------------------------------------------


def test_the_reference_is_what_the_code_says() -> None:
    again = "make it anew with `python -m tui.reference --write docs/reference.md`"
    assert text("docs/reference.md") == reference.page(), again


def test_every_command_has_a_summary_and_stands_in_the_reference() -> None:
    below, page = reference.subcommands(cli.build_parser()), reference.page()
    assert {name for name in below if f"### autoresearch {name}\n" not in page} == set()
    assert all(parser.description for parser in below.values())


def test_every_variable_that_is_read_is_told_of() -> None:
    read = set()
    for floor in ("harness", "evolve", "tui"):
        for path in (ROOT / floor).rglob("*.py"):
            if path != Path(reference.__file__):
                read |= set(re.findall(r"\bAUTORESEARCH_[A-Z_]+\b", path.read_text()))
    # Those of our own processes among themselves, of the tests, and what a candidate finds.
    told = re.findall(r"\bAUTORESEARCH_[A-Z_]+\b", (ROOT / "harness" / "launch.py").read_text())
    inner = {
        "AUTORESEARCH_CRASH",
        "AUTORESEARCH_GIT",
        "AUTORESEARCH_RUNNER",
        "AUTORESEARCH_PROBE_SECRET",
    }
    names = {name for name, _ in reference.ENVIRONMENT}
    assert read - inner - set(told) == {name for name in names if name.startswith("AUTORESEARCH_")}


# ---- examples that are run -------------------------------------------------------------------------------

RUN_PAGES = sorted({block.page for block in blocks("bash", "python") if block.run})
SCRIPT = """from prepare import MAX_SEQ_LEN, TIME_BUDGET, Tokenizer, evaluate_bpb, make_dataloader
import torch

WIDTH = 8
LR = 0.1
tokenizer = Tokenizer.from_directory()
size = tokenizer.get_vocab_size()
model = torch.nn.Sequential(torch.nn.Embedding(size, WIDTH), torch.nn.Linear(WIDTH, size))
step = torch.optim.Adam(model.parameters(), lr=LR)
for x, y, epoch in make_dataloader(tokenizer, 8, MAX_SEQ_LEN, "train"):
    loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
    step.zero_grad()
    loss.backward()
    step.step()
print(f"val_bpb: {evaluate_bpb(model, tokenizer, 8):.6f}")
"""


def shim(folder: Path) -> None:
    """An `autoresearch` for the examples: the real one, whose runs are small and whose workspaces hold a small script."""
    sets = " ".join(f"--set {value}" for value in SMALL)
    (folder / "small.py").write_text(SCRIPT)
    (folder / "autoresearch").write_text(
        f"""#!/bin/bash
set -e
real() {{ exec {shlex.quote(sys.executable)} -m tui "$@"; }}
case "$1" in
  run) real "$@" --max 1 {sets} ;;
  init) (real "$@"); cp {shlex.quote(str(folder))}/small.py "$2/trainer/train.py"
        git -C "$2" commit -qam "A small script" ;;
  *) real "$@" ;;
esac
"""
    )
    (folder / "autoresearch").chmod(0o755)


@pytest.mark.e2e
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUN_PAGES)
def test_examples_work(page: str, tmp_path: Path) -> None:
    """Every marked block in turn, in the folder to which the one before it has gone."""
    tools, here = tmp_path / "bin", tmp_path / "work"
    tools.mkdir()
    here.mkdir()
    shim(tools)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
    }
    for block in blocks("bash", "python"):
        if block.page != page or not block.run:
            continue
        if block.language == "bash":
            line = ["bash", "-euo", "pipefail", "-c", f'{block.text}\npwd > "$HERE"']
        else:
            line = [sys.executable, "-c", block.text]
        told = {**environment, "HERE": str(tmp_path / "here")}
        code, said = carried_out(line, here, told)
        assert code == 0, f"{block}\n{said}"
        if block.language == "bash":
            here = Path((tmp_path / "here").read_text().strip())
    for state in here.rglob(".autoresearch"):
        assert untold(state) == []


def carried_out(line: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and output; nothing that it has started goes on behind it."""
    with subprocess.Popen(
        line,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as started:
        try:
            said, _ = started.communicate(timeout=250)
        finally:
            if started.poll() is None:
                os.killpg(started.pid, signal.SIGTERM)
    return started.returncode, said


def untold(state: Path) -> list[str]:
    """What lies in a workspace's state folder and not in the reference."""
    told = [path.removeprefix(".autoresearch/").rstrip("/") for path, _ in reference.FILES]
    names = [path.name for path in state.iterdir() if path.name != ".gitignore"]
    own = [re.sub(r"(\.db)-(wal|shm)$|(engine\.log)\.\d+$", r"\1\3", name) for name in names]
    return [name for name in own if not any(fnmatch.fnmatch(name, kind) for kind in told)]
