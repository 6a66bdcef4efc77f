"""`autoresearch replay`: a recorded run in the app, as it happened, at any speed. The recording is only ever read."""

from __future__ import annotations

import argparse
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands.parsing import add_command, add_look, look, workspace

if TYPE_CHECKING:
    from evolve.replay import Replay
    from tui.commands.parsing import Parser

_TIME = re.compile(r"\d{1,2}:\d\d(:\d\d)?")


def add(commands: argparse._SubParsersAction[Parser]) -> None:
    """Add `replay`."""
    parser = add_command(
        commands,
        "replay",
        _run,
        summary="play a recorded run in the app; without a journal, a demo",
        description="Play a recorded run in the app, as it happened. The recording is only read, whoever writes it,\n"
        "and may lie on a medium that cannot be written. Without one, a short demo is played.\n"
        "p stops and goes on, + and - change the speed, the arrows jump, 0 begins anew.",
        example="autoresearch replay ~/runs/nov21 --at 17 --speed 240",
    )
    parser.add_argument(
        "journal",
        nargs="?",
        type=_path,
        help="a journal.db, or the workspace of a run, also of one that is going on",
    )
    parser.add_argument(
        "--speed",
        type=_speed,
        metavar="N",
        help="played seconds a second (default: so that all of it takes about two minutes)",
    )
    parser.add_argument(
        "--at",
        metavar="TIME|CANDIDATE",
        help="begin there: a time of day (02:30), a date and time (2026-11-22T02:30), or a candidate (17)",
    )
    parser.add_argument("--loop", action="store_true", help="begin anew at the end")
    add_look(parser)


def _given(args: argparse.Namespace) -> Path | None:
    """The workspace of -C; the one around here is not meant unless it is named."""
    return workspace(args) if args.workspace is not None else None


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _speed(text: str) -> float:
    from tui.replaying import FASTEST, SLOWEST

    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not SLOWEST <= speed <= FASTEST:
        raise argparse.ArgumentTypeError(
            f"a speed is a number from {SLOWEST} to {FASTEST:g}, not {text}"
        )
    return speed


def _run(args: argparse.Namespace) -> int:
    from evolve.recordings import DEMO
    from evolve.replay import Replay
    from tui.app import run_app
    from tui.replaying import Player

    with Replay(args.journal or _given(args) or DEMO) as replay:
        at = None if args.at is None else moment(replay, args.at)
        player = Player(replay, speed=args.speed, at=at, loop=args.loop)
        try:
            return run_app(replay.workspace, read_only=True, ascii_only=look(args), player=player)
        finally:
            player.close()


def moment(replay: Replay, text: str) -> float:
    """Where to begin, unix seconds. Raises UsageError when that is neither a time nor a candidate of the recording."""
    from evolve.model import UsageError

    if text.removeprefix("#").isdigit():
        return replay.start_of(int(text.removeprefix("#")))
    begins = datetime.fromtimestamp(replay.begins).astimezone()
    try:
        if _TIME.fullmatch(text):
            hour, minute, *second = (int(part) for part in text.split(":"))
            then = begins.replace(
                hour=hour, minute=minute, second=second[0] if second else 0, microsecond=0
            )
            then += (
                timedelta(days=1) if then < begins.replace(second=0, microsecond=0) else timedelta()
            )
        else:
            then = datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise UsageError(
            f"“{text}” is no moment; give a time (02:30), a date and time (2026-11-22T02:30), or a candidate (17)."
        ) from None
    if not replay.begins - 60 <= then.timestamp() <= replay.ends:
        until = datetime.fromtimestamp(replay.ends).astimezone()
        raise UsageError(
            f"“{text}” is not in the recording, which goes from {begins:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}."
        )
    return then.timestamp()
