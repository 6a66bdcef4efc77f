"""`autoresearch show`: everything about one candidate, its diff, what a model was asked, its log. Reads only."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from evolve.client import Client
    from evolve.model import Candidate
    from evolve.provenance import Asking
    from evolve.view import Snapshot
    from tui.commands.parsing import Parser

COLUMNS = 100  # of the page, as no terminal may be there to fit into
LOG_READ = 1 << 20  # bytes; a log is kept shorter than that, so it is read whole
PARENT = "parent"  # --diff without another candidate


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `show`."""
    parser = add_command(
        commands,
        "show",
        _run,
        summary="everything about one candidate: facts, diff, prompt, log",
        description="Show a candidate: what it tries, where it comes from, how it did. With options, only what they name,\n"
        "in this order. A diff is a patch of train.py; without OTHER it is against the first parent.",
        example="autoresearch show 17 --diff | less",
    )
    parser.add_argument("candidate", metavar="CANDIDATE", help="its number, such as 17")
    parser.add_argument(
        "--diff", metavar="OTHER", nargs="?", const=PARENT, help="what differs from another one"
    )
    parser.add_argument("--prompt", action="store_true", help="what a language model was asked")
    parser.add_argument("--answer", action="store_true", help="what it answered, as it came")
    parser.add_argument("--log", action="store_true", help="what its last training printed")
    parser.add_argument("--source", action="store_true", help="its train.py")
    parser.add_argument("--json", action="store_true", help="for programs; texts to the character")


def _run(args: argparse.Namespace) -> int:
    from tui.arguments import Argument, Kind, read
    from tui.commands.live import run_in

    def number(text: str) -> int:
        who = Argument("candidate", Kind.CANDIDATE, "its number, such as 12")
        return int(read(who, text)["candidate"])

    wanted = number(args.candidate)
    with run_in(workspace(args)) as (client, snapshot):
        candidate = client.candidate(wanted)
        other = None if args.diff in (None, PARENT) else number(args.diff)
        if args.json:
            print(_as_json(args, client, candidate, other))
        else:
            print(_as_text(args, client, snapshot, candidate, other), end="")
    return 0


def _as_text(
    args: argparse.Namespace,
    client: Client,
    snapshot: Snapshot,
    candidate: Candidate,
    other: int | None,
) -> str:
    """What was asked for, one part after the other; lines cannot hide anything in a terminal."""
    from harness.process import clean

    parts = []
    if args.diff is not None:
        parts.append(_diff(client, candidate, other))
    if args.prompt:
        parts += [_prompt(asking) for asking in client.calls_of(candidate.id)]
    if args.answer:
        parts += [asking.answer for asking in client.calls_of(candidate.id)]
    if args.log and (log := client.log_of(candidate.id, LOG_READ)) is not None:
        parts.append(log.text)
    if args.source:
        parts.append(client.source(candidate.id))
    if any((args.diff, args.prompt, args.answer, args.log, args.source)):
        parts = [part for part in parts if part]
        if not parts:
            raise _nothing(args, candidate)
        return "".join(f"{clean(part).rstrip()}\n" for part in parts)
    return _page(client, snapshot, candidate)


def _nothing(args: argparse.Namespace, candidate: Candidate) -> Exception:
    """Nothing of what was asked for exists; says why."""
    from evolve.model import NothingToDo

    if args.prompt or args.answer:
        return NothingToDo(
            f"No language model was asked for {candidate.label}; {candidate.proposer} made it ({candidate.operator})."
        )
    if args.log:
        return NothingToDo(f"{candidate.label} has printed nothing: it has not been trained yet.")
    return NothingToDo(f"{candidate.label} is the same as the other one, line by line.")


def _page(client: Client, snapshot: Snapshot, candidate: Candidate) -> str:
    """The same page that the app shows."""
    from tui.feed import details_of
    from tui.state import ViewState
    from tui.widgets.details import details_page
    from tui.widgets.ink import text_of

    state = ViewState(snapshot=snapshot)
    lines = details_page(state, details_of(client, candidate.id), COLUMNS)
    head = f"{candidate.label} {candidate.title}\n\n"
    return head + "".join(f"{line.rstrip()}\n" for line in text_of(lines).rstrip().split("\n"))


def _diff(client: Client, candidate: Candidate, other: int | None) -> str:
    """A patch from the other candidate, or the first parent, to this one. Raises NothingToDo without a parent."""
    from evolve.model import NothingToDo
    from tui.widgets.diffing import patch

    if other is None and not candidate.parents:
        raise NothingToDo(
            f"{candidate.label} has no parent: the run began with it. Name another one: --diff OTHER."
        )
    left = candidate.parents[0] if other is None else client.candidate(other).id
    return patch(client.source(left), client.source(candidate.id), ("train.py", "train.py"))


def _prompt(asking: Asking) -> str:
    """The request as it was sent, each turn under its role."""
    head = f"=== {asking.call.model} {asking.call.operator}, {asking.options}\n"
    return head + "\n".join(f"--- {turn.role}\n{turn.text}" for turn in asking.turns)


def _as_json(
    args: argparse.Namespace, client: Client, candidate: Candidate, other: int | None
) -> str:
    from tui.feed import details_of
    from tui.plain import to_json

    details = details_of(client, candidate.id)
    worktree = client.worktree(candidate.id)
    found: dict[str, Any] = {
        "candidate": details.candidate,
        "belief": details.belief,
        "experiments": details.experiments,
        "smokes": details.smokes,
        "worktree": None if worktree is None else str(worktree),
    }
    if args.diff is not None:
        found["diff"] = _diff(client, candidate, other)
    if args.prompt or args.answer:
        found["calls"] = [_call(args, asking) for asking in client.calls_of(candidate.id)]
    if args.log:
        log = client.log_of(candidate.id, LOG_READ)
        found["log"] = None if log is None else {"path": str(log.path), "text": log.text}
    if args.source:
        found["source"] = client.source(candidate.id)
    return to_json(found)


def _call(args: argparse.Namespace, asking: Asking) -> dict[str, Any]:
    """One call; the texts only where they were asked for."""
    found: dict[str, Any] = {"call": asking.call, "options": asking.options}
    if args.prompt:
        found["turns"] = asking.turns
    if args.answer:
        found["answer"] = asking.answer
    return found
