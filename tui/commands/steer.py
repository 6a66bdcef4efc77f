"""`pause`, `set`, `pin`, `boost` …: requests to the engine, one command for each order in `tui.orders`.

A request is a row in the journal; what is printed is the engine's own answer. Nothing here changes a run.
"""

from __future__ import annotations

import argparse
import getpass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.arguments import REST, Argument, Kind
from tui.commands.parsing import PROGRAM, add_command, workspace
from tui.orders import ORDERS, Order, wish

if TYPE_CHECKING:
    from tui.commands.parsing import Parser

ANSWER = 10.0  # seconds to wait for the engine's answer; it looks four times a second


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add the family: every order that acts."""
    for order in ORDERS:
        if not order.acting:
            continue
        parser = add_command(
            commands,
            order.name,
            partial(_run, order),
            summary=order.summary,
            description=order.help,
            example=f"{PROGRAM} {order.example}",
        )
        for argument in order.arguments:
            _add_argument(parser, argument)


def _add_argument(parser: Parser, argument: Argument) -> None:
    """One argument as argparse knows it; its text is read by the order."""
    option = f"--{argument.name}"
    if argument.kind is Kind.FLAG:
        parser.add_argument(option, action="store_true", help=argument.help)
    elif argument.option:
        parser.add_argument(option, metavar=str(argument.kind).upper(), help=argument.help)
    elif argument.kind is Kind.TEXT:
        many = "*" if argument.optional else "+"
        parser.add_argument(argument.name, metavar=argument.metavar, nargs=many, help=argument.help)
    else:
        one = "?" if argument.optional else None
        parser.add_argument(argument.name, metavar=argument.metavar, nargs=one, help=argument.help)


def _run(order: Order, args: argparse.Namespace) -> int:
    from tui.commands.texts import enclosed

    asked = enclosed(wish(order, _given(order, args)), Path())
    folder = workspace(args)
    if order.name == "set":
        return put(folder, asked.args["key"], asked.args["value"], args.value)
    return ask(folder, asked.verb, asked.args)


def _given(order: Order, args: argparse.Namespace) -> dict[str, str]:
    """What was written for each argument, as the order reads it."""
    written = {argument.name: getattr(args, argument.name) for argument in order.arguments}
    for argument in order.arguments:
        if isinstance(written[argument.name], list):
            written[argument.name] = " ".join(written[argument.name])
    absent = (None, False, "")
    kept = {a.name for a in order.arguments if a.kind in REST and not a.optional}
    return {k: str(v) for k, v in written.items() if k in kept or v not in absent}


def put(folder: Path, key: str, value: str, written: str = "") -> int:
    """Ask the engine for a setting, or where none works write it down for the next one; `written`: the value as given."""
    from tui.commands.live import ALIVE, run_in
    from tui.commands.texts import PROMPTS

    with run_in(folder) as (_, snapshot):
        alive = snapshot.engine.state in ALIVE
    if alive:
        return ask(folder, "set", {"key": key, "value": value})
    from evolve import settings as config
    from harness.device import detect

    current = config.load(folder, gpu=bool(detect().gpus), overrides={})
    changed = config.change(current, key, value)
    config.save_live(folder, {key: value})
    shown = config.flatten(changed)[key]
    if key.startswith(PROMPTS):  # pages long
        shown = f"the text of {written}" if written.startswith("@") else "your template"
    print(f"{key} = {shown}; no engine runs now, it counts when the run goes on.")
    return 0


def ask(folder: Path, verb: str, args: dict[str, Any]) -> int:
    """Send a request to the live engine and print its answer. Raises UsageError when it refuses."""
    from evolve.model import CommandState, EvolveError, NothingToDo, UsageError
    from tui.commands.live import ALIVE, run_in

    with run_in(folder) as (client, snapshot):
        if snapshot.engine.state not in ALIVE:
            raise NothingToDo(
                f"No engine works in {folder}; `autoresearch run` goes on with its run."
            )
        answer = client.wait_for(client.send(verb, args, who()), timeout=ANSWER)
    if answer is None or answer.state is CommandState.PENDING:
        raise EvolveError(
            f"The engine has not answered within {ANSWER:.0f} seconds; the request waits for it, "
            "and `autoresearch status` shows when it is taken up."
        )
    if answer.state is CommandState.REFUSED:
        raise UsageError(answer.answer)
    print(answer.answer)
    return 0


def who() -> str:
    """The person for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without an entry in passwd
        return "someone"
