"""The command `autoresearch`: parses, hands over to one command, and turns every fault into a sentence.

Nothing heavy is imported here or by the parsers, so `--help` is there at once. No fault that a person can
mend may show a traceback; AUTORESEARCH_DEBUG=1 shows them all.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.commands import (
    attach,
    changes,
    doctor,
    export,
    import_,
    init,
    logs,
    prepare,
    prompts,
    replay,
    results,
    run,
    scratchpad,
    show,
    status,
    steer,
    train,
    trends,
)
from tui.commands.parsing import (
    EXIT_CODES,
    MENDABLE,
    PROGRAM,
    Parser,
    add_look,
    add_workspace,
    workspace,
)

if TYPE_CHECKING:
    from types import TracebackType

INTERRUPTED = 130
DESCRIPTION = """Evolve train.py: a small population of variants, one trusted score, and what is
confirmed better moves main. Without a command it opens the app here; where
stdout is no terminal it runs headless."""
EPILOG = f"""examples:
  autoresearch                         open the app; offers to start a run
  autoresearch run --max 50 --hours 8  search, and stop by whichever comes first
  autoresearch status --watch          follow a run in plain text

{EXIT_CODES}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; `argv` without the program's name."""
    args = parse(sys.argv[1:] if argv is None else argv)
    debug = os.environ.get("AUTORESEARCH_DEBUG") == "1"
    if debug:
        return int(args.run(args))
    sys.excepthook = _report_unexpected
    return _guarded(args)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments with `run` set to the command's function; leaves with code 2 and a sentence otherwise."""
    parser = build_parser()
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.reject(unknown)
    return args


def build_parser() -> Parser:
    """The whole command line."""
    parser = Parser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    add_workspace(parser, default=None)
    add_look(parser, nested=False)
    parser.set_defaults(run=attach.open_or_run, parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    families = (run, status, show, results, export, import_, trends, scratchpad)
    for family in (
        *families,
        prompts,
        changes,
        replay,
        steer,
        prepare,
        train,
        doctor,
        init,
        logs,
        attach,
    ):
        family.add(commands)
    return parser


class _Version(argparse.Action):
    """Looks the version up only when it is asked for: the look-up costs 20 ms."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"{PROGRAM} {version(PROGRAM)}")
        parser.exit()


def _guarded(args: argparse.Namespace) -> int:
    from evolve.model import EvolveError
    from harness.spec import HarnessError

    try:
        code = int(args.run(args))
        sys.stdout.flush()
        return code
    except EvolveError as error:
        return _say(str(error), error.exit_code)
    except HarnessError as error:
        return _say(str(error), 1)
    except KeyboardInterrupt:
        return _say("Interrupted.", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read the output has had enough, as in `autoresearch results | head`.
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        _drop_output()
        return _say(_in_words(error), 1)


def _say(sentence: str, code: int) -> int:
    print(f"{PROGRAM}: {sentence}", file=sys.stderr)
    return code


def _in_words(error: OSError) -> str:
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{place}; free some space, then run the same command again."
    return f"{error.strerror or error}{place}; check whose file it is, and its permissions."


def _drop_output() -> None:
    """What is still buffered goes nowhere; else Python would fail once more at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """The last resort (`sys.excepthook`): a fault of ours in one sentence, its traceback in a log."""
    import time
    import traceback

    text = "".join(traceback.format_exception(kind, error, trace))
    first = f"{kind.__name__}: {error}".splitlines()[0]
    try:
        log = _crash_log()
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}\n{text}\n")
        where = f"the details are in {log}"
    except (OSError, ImportError):
        where = "run it again with AUTORESEARCH_DEBUG=1 to see the details"
    print(f"{PROGRAM}: A fault in autoresearch itself ({first}); {where}.", file=sys.stderr)


def _crash_log() -> Path:
    """The workspace's state folder when there is one, else the cache: no other place is written."""
    state = workspace(parse(sys.argv[1:])) / ".autoresearch"
    if state.is_dir():
        return state / "crash.log"
    from harness.places import cache_dir

    return cache_dir() / "crash.log"
