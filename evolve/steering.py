"""Applies what people ask for while the engine runs: command rows, and edits of the TOML and of program.md.

Every request is validated, answered in its row, and told in the event log with who asked. A refused request
changes nothing. Settings that would make scores incomparable are refused with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from evolve import goingon
from evolve import settings as config
from evolve.acts import Acts
from evolve.model import Command, CommandState, EvolveError, Operator, Passing, UsageError
from evolve.nursery import enrol
from evolve.propose.operators import Proposal
from evolve.propose.placeholders import BUILT_IN, prompt_version, versions_in_force
from evolve.propose.vetting import code_hash, vet
from evolve.scratchpad import by_person
from evolve.slotbook import PAUSED
from harness.crashpoints import reached

if TYPE_CHECKING:
    from pathlib import Path

    from evolve.context import Context
    from evolve.writer import Effect

Answer = str
Stamp = tuple[int, int, int] | None  # time of change in ns, bytes, inode; None: no file

QUIET = 0.5  # seconds without a change, after which an edited file is taken to be whole
ABSENT = 3.0  # the same for an empty file, or none at all: most often another one is on its way


class Steering:
    """The hands of the people at the wheel."""

    def __init__(
        self,
        context: Context,
        *,
        on_settings: Callable[[Sequence[str]], None],
        on_trim: Callable[[], None],
        on_kill: Callable[[str], None],
    ) -> None:
        """`on_settings`: these live settings changed, or were set anew; `on_trim`: the population may have to
        change; `on_kill`: end the training in the slot."""
        self._context = context
        later = context.journal.afterwards  # not before the answer is durable
        self._on_settings = on_settings
        self._on_trim = on_trim = partial(later, on_trim)
        end = on_kill

        def kill_later(reason: str) -> None:
            later(partial(end, reason))

        self._on_kill = on_kill = kill_later
        self._seen: int | None = None  # a journal that goes on may hold requests
        self._files = {path: _Watched(_stamp(path)) for path in self._watched()}
        self._verbs: dict[str, Callable[[Command], Answer]] = {
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "set": self._set,
            "inject": self._inject,
            "scratchpad": self._scratchpad,
        } | Acts(context, on_trim=on_trim, on_kill=on_kill).verbs

    def poll(self) -> None:
        """Look for commands and edited files; cheap when nothing happened."""
        version = self._context.journal.data_version()
        if version != self._seen:
            self._seen = version
            self.answer_all()
        for path, watched in self._files.items():
            if watched.is_new(_stamp(path)):
                self._edited(path)

    def answer_all(self) -> None:
        """Apply every pending command in the order in which it was given.

        What the journal is told of an act and the answer are one transaction: a request is carried out and answered, or
        neither, so an engine that goes on after a kill does it exactly once.
        """
        for command in self._context.journal.pending_commands():
            try:
                effects = self._grant(command)
            except Passing:
                raise  # nothing can be written now, no refusal either
            except EvolveError as error:
                self._context.journal.answer_command(command.id, CommandState.REFUSED, str(error))
            else:
                for effect in effects:
                    effect()
            self._context.wake()

    def close(self) -> None:
        """The loops have ended: whoever asked in the meantime is told, and waits no longer."""
        journal = self._context.journal
        for command in journal.pending_commands():
            if command.verb == "stop":
                journal.answer_command(command.id, CommandState.DONE, "The run has ended.")
        journal.refuse_pending(
            "The run has ended; `autoresearch run` goes on with it, then ask again."
        )

    def _grant(self, command: Command) -> list[Effect]:
        """Carry out one request and answer it; returns what is to happen now outside the journal."""
        journal, apply = self._context.journal, self._verbs.get(command.verb)
        if apply is None:
            raise UsageError(f"“{command.verb}” is no command of this engine.")
        with journal.together() as effects:
            reached("command.before-effect")
            answer = apply(command)
            reached("command.before-answer")
            journal.answer_command(command.id, CommandState.DONE, answer)
        return effects

    # ---- verbs -----------------------------------------------------------------------------------------

    def _pause(self, command: Command) -> Answer:
        self._context.paused = True
        self._context.journal.set_run_state("paused", PAUSED.format(command.who))
        return "Paused; the training in the slot goes on to its end."

    def _resume(self, command: Command) -> Answer:
        stopping = self._context.stopping
        if stopping and not self._context.take_stop_back():
            raise UsageError("The run is ending now; `autoresearch run` goes on with it.")
        self._context.paused = False
        self._context.journal.set_run_state("running", f"Resumed by {command.who}.")
        return "Running; the stop is taken back." if stopping else "Running."

    def _stop(self, command: Command) -> Answer:
        now = bool(command.args.get("now"))
        self._context.stop(f"Stopped by {command.who}.", now=now)
        if now:
            self._on_kill(f"stopped by {command.who}")
            return "Stopping now; the training in the slot will be repeated on resume."
        return "Stopping after the training in the slot."

    def _set(self, command: Command) -> Answer:
        key, value = str(command.args.get("key", "")), str(command.args.get("value", ""))
        changed = config.change(self._context.settings, key, value)
        config.check_live(self._context.workspace)
        goingon.set_live(self._context, changed, key, value)
        before, after = config.flatten(self._context.settings), config.flatten(changed)
        self._context.settings = changed
        self._record_changes(before, after, command.who, key)
        return f"{self._in_words(key, after.get(key, value))}, from the next proposal on."

    def _in_words(self, key: str, value: str) -> str:
        """What a setting is now; of a template, which is pages long, only its version."""
        section, _, operator = key.partition(".")
        if section != "prompts":
            return f"{key} = {value}"
        own = self._context.settings.prompts.model_dump()[operator]
        whose = "your template" if own else "the built-in template"
        return f"{key} is {whose}, version {prompt_version(own or BUILT_IN[operator])}"

    def _inject(self, command: Command) -> Answer:
        source = str(command.args.get("source", ""))
        title = " ".join(str(command.args.get("title") or "hand-written").split())[:72]
        incumbent = self._context.incumbent()
        if incumbent is None:
            raise UsageError("The baseline is not measured yet; inject again once it is.")
        problems = vet(source, [self._context.lineage.source(incumbent.commit)])
        if problems:
            raise UsageError(f"That file cannot be trained: {problems[0]}")
        digest = code_hash(source)
        if (twin := self._context.journal.candidate_like(digest)) is not None:
            raise UsageError(f"That is the same code as {twin.label}.")
        proposal = Proposal(
            source=source,
            operator=Operator.HUMAN,
            proposer="human",
            parents=(incumbent.id,),
            title=title,
            hypothesis=f"Injected by {command.who}.",
            category="other",
        )
        return f"Queued as #{enrol(self._context, proposal, digest)}."

    def _scratchpad(self, command: Command) -> Answer:
        pad = by_person(self._context, str(command.args.get("text", "")), command.who)
        count = len(pad.recommendations)
        words = "1 recommendation" if count == 1 else f"{count} recommendations"
        return f"The scratchpad is yours now, with {words}; it counts from the next proposal on."

    # ---- files -----------------------------------------------------------------------------------------

    def _watched(self) -> list[Path]:
        workspace, settings = self._context.workspace, self._context.settings
        return [workspace / "autoresearch.toml", workspace / settings.workspace.program]

    def _edited(self, path: Path) -> None:
        """A person saved a watched file: take over what may change live, say what may not."""
        journal = self._context.journal
        gone = _stamp(path) is None
        if path.suffix != ".toml":
            what = "is gone; proposals do without it" if gone else "was edited; it counts"
            journal.record_event("setting", f"{path.name} {what} from the next proposal on.")
            return
        if gone:  # by a slip more likely than on purpose, in the middle of a run
            words = f"{path.name} is gone; the settings stay as they are until this engine ends."
            journal.record_event("error", words)
            return
        before = config.flatten(self._context.settings)
        try:
            self._context.settings, ignored = config.reload(
                self._context.workspace, self._context.settings
            )
        except EvolveError as error:
            journal.record_event("error", f"The edited {path.name} was not taken over: {error}")
            return
        self._record_changes(before, config.flatten(self._context.settings), "autoresearch.toml")
        if ignored:
            journal.record_event(
                "setting",
                f"Frozen in this run, so not taken over from {path.name}: {', '.join(ignored)}. "
                "A new run (`autoresearch run --name NAME`) uses them.",
            )

    def _record_changes(
        self, before: dict[str, str], after: dict[str, str], who: str, anew: str = ""
    ) -> None:
        """Journal what differs and say so to the rooms; `anew` was set by a person, changed or not."""
        changed = [key for key in after if after[key] != before.get(key)]
        for key in changed:
            self._context.journal.change_setting(key, before.get(key, ""), after[key], who)
        if any(key.startswith("prompts.") for key in changed):
            templates = self._context.settings.prompts.model_dump()
            self._context.journal.keep_templates(versions_in_force(templates))
        if changed or anew:
            self._on_settings([*changed, anew])
            self._on_trim()
            self._context.wake()


class _Watched:
    """A file that people edit: new once it has been left alone for a while, so that no half of it is ever taken.

    Editors truncate and then write, or put another file in its place, and between the two there is an empty file or none.
    """

    def __init__(self, stamp: Stamp, clock: Callable[[], float] = time.monotonic) -> None:
        """`stamp`: of what is in force."""
        self._taken = self._seen = stamp
        self._clock = clock
        self._since = 0.0  # when it was first seen as it is

    def is_new(self, stamp: Stamp) -> bool:
        """Has it changed since it was taken, and is it whole? Then it counts as taken. To be asked again and again."""
        now = self._clock()
        if stamp != self._seen:
            self._seen, self._since = stamp, now
        if stamp == self._taken or now - self._since < (QUIET if stamp and stamp[1] else ABSENT):
            return False
        self._taken = stamp
        return True


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
