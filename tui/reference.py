"""docs/reference.md, made from the code: commands, settings, environment, exit codes, files, exports.

`python -m tui.reference` prints the page and `--write FILE` writes it there; tests/test_docs.py holds it against the code.
Usage lines are made here and not by argparse, whose wording differs from one Python to the next.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evolve.export.registry import KINDS
from evolve.keys import FROZEN, Described, reference, sections
from evolve.settings import defaults
from tui.cli import build_parser
from tui.commands.parsing import EXIT_CODES, PROGRAM, Parser

HEAD = f"""# Reference

Written by `python -m tui.reference --write docs/reference.md` from the code itself: the parsers of the commands, the
settings with their limits, the list of exports. How to use all this is told in the [guide](guide.md); the keys of the app
stand in [keys.md](keys.md).

[Commands](#commands) · [Settings](#settings) · [Exports](#exports) · [Environment](#environment) ·
[Exit codes](#exit-codes) · [Files and folders](#files-and-folders)

## Commands

Every command takes `-C DIR` (`--workspace`): the workspace to work in, by default the nearest folder upwards with a run or
a repository. `{PROGRAM} COMMAND --help` says the same as this page, `{PROGRAM} --version` the version.
"""

# Name of the variable, what it does. Those that the harness sets for a candidate are no business of a person's.
ENVIRONMENT = (
    ("ANTHROPIC_API_KEY", "the key of the language model; `[llm] api_key_env` names another variable. Read by the engine only"),
    ("ANTHROPIC_AUTH_TOKEN", "a token in its place; `[llm] auth_token_env` names another variable"),
    ("AUTORESEARCH_CACHE", "where downloads, data sets and compiled kernels are kept, instead of `~/.cache/autoresearch`"),
    ("AUTORESEARCH_DEBUG", "`1`: a fault of a command shows its traceback"),
    ("CUDA_VISIBLE_DEVICES", "which GPUs there are; `[device] device = \"cuda:1\"` is the second of these"),
    ("HF_ENDPOINT", "another server than huggingface.co for the shards of climbmix"),
    ("HF_TOKEN", "sent with these downloads, and with nothing else"),
    ("HTTP_PROXY", "and `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`: for downloads and for the language model, as usual"),
    ("NO_COLOR", "no colours; `--color` wins over it"),
    ("VISUAL", "or else `EDITOR`: the editor for prompts and scripts; without one the app has its own"),
    ("SHELL", "what `w` opens in the app"),
)  # fmt: skip

# Path below the workspace (or below the cache), what it is.
FILES = (
    ("autoresearch.toml", "your settings; read, never written"),
    ("program.md", "your research directions (`[workspace] program`); read before every proposal"),
    ("results.tsv", "the ancestor's five columns, kept up to date; not tracked by git"),
    (".autoresearch/", "all state of a run, for your eyes only (0700), ignored by git"),
    (".autoresearch/journal.db", "the run itself, an SQLite file: candidates, trainings, calls, events. Everything else can be made from it"),
    (".autoresearch/journal.backup.db", "its last copy, looked at; `journal.backup.1.db` is one of the day before"),
    (".autoresearch/journal.damaged-*.db", "what `doctor --repair` put aside"),
    (".autoresearch/live.toml", "settings changed by `set` and by the app; wins over autoresearch.toml"),
    (".autoresearch/engine.lock", "held by the live engine"),
    (".autoresearch/keeper.lock", "held by the keeper whose engine died"),
    (".autoresearch/engine.log", "what engines in the background said, 5 MB a file; `autoresearch logs`"),
    (".autoresearch/crash.log", "the traceback of a fault of ours in a command"),
    (".autoresearch/experiments/", "a folder a training: what was asked, progress, log, result; the last 500"),
    (".autoresearch/worktrees/", "a git worktree for each living candidate, with its log"),
    (".autoresearch/train/", "the log of the last `autoresearch train`"),
    ("refs/autoresearch/RUN/NUMBER", "in git: the commit of each candidate, for ever"),
)  # fmt: skip
CACHE = (
    ("shards/", "downloaded text"),
    ("datasets/", "a folder a data set: tokenizer and packed rows"),
    ("compile/", "compiled kernels"),
)


def page() -> str:
    """docs/reference.md as a whole."""
    return "\n".join(
        [HEAD, *commands(), *settings(), *exports(), *environment(), *exit_codes(), *files()]
    )


# ---- commands --------------------------------------------------------------------------------------------


def subcommands(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """Name to parser of what stands below a parser."""
    return {
        name: below
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, below in action.choices.items()
    }


def commands() -> Iterator[str]:
    """One section a command, in the order of `--help`."""
    parser = build_parser()
    below = subcommands(parser)
    yield f"{', '.join(f'[`{name}`](#{PROGRAM}-{name})' for name in below)}\n"
    yield from _command(PROGRAM, parser)
    for name, command in below.items():
        yield from _command(f"{PROGRAM} {name}", command)


def _command(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    own = [a for a in parser._actions if _is_told(a)]
    yield f"### {name}\n"
    # Indented lines are lists that this page has as tables.
    told = " ".join(x for x in (parser.description or "").splitlines() if x[:1] != " ")
    yield f"{_sentences(told).replace(': ', ': ').replace(':.', '.')}\n"
    yield f"```text\n{' '.join([name, *(_usage(a) for a in own)])}\n```\n"
    if own:
        yield "| option | meaning |"
        yield "|---|---|"
        for action in own:
            yield f"| {_name(action)} | {_cell(action.help or '')} |"
        yield ""
    example = re.search(r"^example:\n {2}(.+)$", parser.epilog or "", re.MULTILINE)
    if example:
        yield f"Example: `{example[1]}`\n"


def _is_told(action: argparse.Action) -> bool:
    general = {"help", "workspace", "version"}
    return (
        action.dest not in general
        and action.help is not argparse.SUPPRESS
        and not isinstance(action, argparse._SubParsersAction)
    )


def _usage(action: argparse.Action) -> str:
    """`[--max N]`, `FILE`, `[FILE]` or `REASON …`."""
    value = _value(action)
    if not action.option_strings:
        ends = " …" if action.nargs in ("+", "*") else ""
        return f"[{value}{ends}]" if action.nargs in ("?", "*") else f"{value}{ends}"
    word = action.option_strings[-1]
    given = f"[{value}]" if action.nargs == "?" else value
    words = f"{word} {given}" if value else word
    return words if action.required else f"[{words}]"


def _value(action: argparse.Action) -> str:
    """What stands for the value; nothing for a switch."""
    if action.nargs == 0:
        return ""
    if action.metavar is not None:
        return action.metavar if isinstance(action.metavar, str) else " ".join(action.metavar)
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return action.dest.upper()


def _name(action: argparse.Action) -> str:
    value = _value(action)
    names = ", ".join(action.option_strings)
    return f"`{_cell(' '.join(part for part in (names, value) if part))}`"


# ---- settings --------------------------------------------------------------------------------------------


def settings() -> Iterator[str]:
    """A table a section, in the order of autoresearch.toml."""
    yield "## Settings\n"
    yield (
        "In `autoresearch.toml`, on the command line (`autoresearch run --set KEY=VALUE`), and while a run goes on by "
        "`autoresearch set KEY VALUE`,\nin the app (view 5) or by saving the file. Later layers win: defaults, profile, "
        "`autoresearch.toml`, `.autoresearch/live.toml`, command line.\n"
    )
    yield (
        "*live*: may change while a run goes on. *start*: read when an engine starts. *frozen*: fixed for a run, because "
        "its scores would not be\ncomparable any more; it takes a new run (`autoresearch run --name NAME`). Where the two "
        "profiles differ, the default of the\nrehearsal on a CPU stands behind the one of the GPU.\n"
    )
    told = reference()
    yield from _settings_table([row for row in told if "." not in row.key])
    for section, about in sections().items():
        yield f"### [{section}]\n"
        yield f"{about}\n"
        yield from _settings_table([row for row in told if row.key.startswith(f"{section}.")])


def _settings_table(rows: Iterable[Described]) -> Iterator[str]:
    gpu, cpu = defaults("gpu"), defaults("cpu")
    yield "| setting | type | default | changes | meaning |"
    yield "|---|---|---|---|---|"
    for row in rows:
        default = row.default if row.kind == "table" or row.key == "profile" else gpu[row.key]
        here = f"`{default}`" if row.kind != "table" else default
        if row.key != "profile" and cpu.get(row.key, default) != default:
            here += f"; CPU `{cpu[row.key]}`"
        kind = "a text of this form" if row.type == row.doc else row.type
        yield f"| `{row.key}` | {_cell(kind)} | {_cell(here)} | {when(row)} | {_cell(row.doc)} |"
    yield ""


def when(row: Described) -> str:
    """When a setting may change, in one word."""
    if row.live:
        return "live"
    return "frozen" if row.key.partition(".")[0] in FROZEN else "start"


# ---- the rest --------------------------------------------------------------------------------------------


def exports() -> Iterator[str]:
    """What `autoresearch export` can write."""
    yield "## Exports\n"
    yield "`autoresearch export WHAT FILE`; the end of the file's name decides on the form, the first is the usual one.\n"
    yield "| what | it is | form | |"
    yield "|---|---|---|---|"
    for kind in KINDS:
        for number, form in enumerate(kind.forms):
            first = (f"`{kind.name}`", kind.about) if number == 0 else ("", "")
            suffix = f"`{form.suffix}`" if form.suffix else "a folder"
            yield f"| {first[0]} | {first[1]} | {suffix} | {_cell(form.about)} |"
    yield ""


def environment() -> Iterator[str]:
    """The variables that are read."""
    yield "## Environment\n"
    yield "| variable | meaning |"
    yield "|---|---|"
    yield from (f"| `{name}` | {about} |" for name, about in ENVIRONMENT)
    yield ""


def exit_codes() -> Iterator[str]:
    """What the status of a command tells."""
    yield "## Exit codes\n"
    yield "| code | meaning |"
    yield "|---|---|"
    for entry in EXIT_CODES.removeprefix("exit codes: ").split(", "):
        code, _, meaning = entry.partition(" ")
        yield f"| {code} | {meaning} |"
    yield ""


def files() -> Iterator[str]:
    """What lies where."""
    yield "## Files and folders\n"
    yield "In the workspace:\n"
    yield "| path | what it is |"
    yield "|---|---|"
    yield from (f"| `{path}` | {about} |" for path, about in FILES)
    yield "\nIn the cache, `~/.cache/autoresearch` (`AUTORESEARCH_CACHE`), all of which may be deleted between runs:\n"
    yield "| path | what it is |"
    yield "|---|---|"
    yield from (f"| `{path}` | {about} |" for path, about in CACHE)
    yield "\nNothing else is written, but for temporary folders, which the next start sweeps up.\n"


def _sentences(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _sentences(text).replace("%%", "%").replace("|", r"\|")


def main(argv: Sequence[str]) -> int:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tui.reference", description=page.__doc__)
    parser.add_argument("--write", metavar="FILE", type=Path, help="write it there")
    wanted: Path | None = parser.parse_args(argv).write
    if wanted is None:
        sys.stdout.write(page())
    else:
        wanted.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
