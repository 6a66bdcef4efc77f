"""`pause`, `resume`, `stop`, `set` and `inject`: requests to the engine, which validates, applies and answers.

A request is a row in the journal; what is printed is the engine's own answer. Nothing here changes a run.
"""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.commands.parsing import add_command, workspace

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

ANSWER = 10.0  # seconds to wait for the engine's answer; it looks four times a second
LARGEST = 1 << 20  # bytes of an injected script
LARGEST_TEMPLATE = (
    1 << 17
)  # bytes of a prompt's template; the settings say how many characters it may have
PROMPTS = "prompts."


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the family."""
    add_command(
        commands,
        "pause",
        lambda args: ask(workspace(args), "pause", {}),
        summary="let the training in the slot end, then wait",
        description="Pause the search after the training that runs now. The engine stays; nothing is lost.",
        example="autoresearch pause",
    )
    add_command(
        commands,
        "resume",
        lambda args: ask(workspace(args), "resume", {}),
        summary="go on after a pause",
        description="Go on after `autoresearch pause`. A run whose engine has ended goes on with\n"
        "`autoresearch run`.",
        example="autoresearch resume",
    )
    stop = add_command(
        commands,
        "stop",
        lambda args: ask(workspace(args), "stop", {"now": args.now}),
        summary="end the engine; `run` goes on later",
        description="End the engine after the training that runs now, or at once with --now (that training\n"
        "is then repeated). `autoresearch run` goes on from there.",
        example="autoresearch stop --now",
    )
    stop.add_argument("--now", action="store_true", help="do not wait for the end of the training")
    change = add_command(
        commands,
        "set",
        _set,
        summary="change a setting while the search runs",
        description="Change a setting of a live section (population, operators, bandit, prompts, scratchpad, llm,\n"
        "stop) from the next proposal on. Budget, data and scoring are frozen in a run: scores would not\n"
        'compare. A template of a prompt may come from a file: `set prompts.mutate @FILE`; "" puts the\n'
        "built-in one back.",
        example="autoresearch set population.size 12",
    )
    change.add_argument("key", metavar="KEY", help="section and name, such as population.size")
    change.add_argument(
        "value", metavar="VALUE", help="the new value; @FILE for a prompt's template"
    )
    inject = add_command(
        commands,
        "inject",
        _inject,
        summary="let the engine train a script of yours",
        description="Put your own variant of train.py into the queue. It is vetted, committed, trained and\n"
        "judged like any other candidate.",
        example='autoresearch inject my_train.py --title "wider MLP"',
    )
    inject.add_argument("file", metavar="FILE", help="a complete train.py")
    inject.add_argument(
        "--title", metavar="TEXT", default="", help="one line that says what is new"
    )


def _set(args: argparse.Namespace) -> int:
    from tui.commands.live import ALIVE, run_in

    folder, value = workspace(args), _value(args.key, args.value)
    with run_in(folder) as (_, snapshot):
        alive = snapshot.engine.state in ALIVE
    if alive:
        return ask(folder, "set", {"key": args.key, "value": value})
    from evolve import settings as config
    from harness.device import detect

    current = config.load(folder, gpu=bool(detect().gpus), overrides={})
    changed = config.change(current, args.key, value)
    config.save_live(folder, {args.key: value})
    shown = config.flatten(changed)[args.key]
    if args.key.startswith(PROMPTS):  # pages long
        shown = f"the text of {args.value}" if args.value.startswith("@") else "your template"
    print(f"{args.key} = {shown}; no engine runs now, it counts when the run goes on.")
    return 0


def _value(key: str, value: str) -> str:
    """The value itself; of a template also `@FILE`, whose text it then is."""
    if not (key.startswith(PROMPTS) and value.startswith("@")):
        return value
    from tui.commands.texts import read_text

    return read_text(Path(value[1:]), LARGEST_TEMPLATE, "a template")


def _inject(args: argparse.Namespace) -> int:
    from tui.commands.texts import read_text

    path = Path(args.file)
    source = read_text(path, LARGEST, "a complete train.py")
    return ask(workspace(args), "inject", {"source": source, "title": args.title or path.stem})


def ask(folder: Path, verb: str, args: dict[str, Any]) -> int:
    """Send a request to the live engine and print its answer. Raises UsageError when it refuses."""
    from evolve.model import CommandState, EvolveError, NothingToDo, UsageError
    from tui.commands.live import ALIVE, run_in

    with run_in(folder) as (client, snapshot):
        if snapshot.engine.state not in ALIVE:
            raise NothingToDo(
                f"No engine works in {folder}; `autoresearch run` goes on with its run."
            )
        answer = client.wait_for(client.send(verb, args, _who()), timeout=ANSWER)
    if answer is None or answer.state is CommandState.PENDING:
        raise EvolveError(
            f"The engine has not answered within {ANSWER:.0f} seconds; the request waits for it, "
            "and `autoresearch status` shows when it is taken up."
        )
    if answer.state is CommandState.REFUSED:
        raise UsageError(answer.answer)
    print(answer.answer)
    return 0


def _who() -> str:
    """The person for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in passwd
        return "someone"
