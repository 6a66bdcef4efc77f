"""What the Tune view lists: every setting, template, scratchpad and change as one row, by group. Pure.

A row holds what it is about; how it looks is `tui.widgets.tune`, what its keys do `tui.screens.tune`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from evolve.changes import person
from evolve.model import CommandState, UsageError
from evolve.toml_text import text_of

if TYPE_CHECKING:
    from evolve.keys import Described
    from evolve.model import Command, Note, SettingChange
    from evolve.promptbook import Prompt
    from evolve.tunable import Tuning
    from tui.feed import Source
    from tui.state import ViewState

PROMPTS, SCRATCHPAD, DIRECTIONS, CHANGES = "prompts", "scratchpad", "directions", "changes"
FIRST = ("population", "operators", "bandit", "llm", "stop", "approval")  # what is turned most
TITLES = {"llm": "Model", "stop": "Stop rules", "prompts": "Prompts"}
FIXED, FIXED_TITLE = "fixed", "Fixed while it runs"
ABOUT = {
    DIRECTIONS: "What you want the language model to look at, in your own words.",
    FIXED: "What gives a score its meaning is frozen in a run; the rest is read when an engine starts.",
    CHANGES: "Who changed what, and from which candidate on; and what the engine refused.",
}
PADS_LISTED = 6
CHANGES_LISTED = 200


class Kind(StrEnum):
    """What a row is about."""

    GROUP = "group"
    SETTING = "setting"
    PROMPT = "prompt"
    PAD = "pad"
    DIRECTIONS = "directions"
    CHANGE = "change"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    kind: Kind
    name: str  # unique: "population.size", "prompts.mutate 04ab…", "change 12"
    label: str
    group: str  # a section, or one of the names above
    setting: Described | None = None
    prompt: Prompt | None = None
    note: Note | None = None
    newest: bool = False  # of its notes, or of the versions of its template the one in force
    change: SettingChange | None = None
    request: Command | None = None

    @property
    def id(self) -> int:
        """The same for the same row of another moment."""
        return hash(self.name)

    @property
    def key(self) -> str:
        """The setting that it stands for; empty when it stands for none."""
        if self.setting is not None:
            return self.setting.key
        return f"{PROMPTS}.{self.prompt.operator}" if self.prompt is not None else ""


@dataclass(frozen=True, slots=True)
class Told:
    """What the journal told the view, and what the person has put aside."""

    tuning: Tuning | None = None
    live: Mapping[str, str] = field(
        default_factory=dict
    )  # settings in force, of the newest snapshot
    prompts: tuple[Prompt, ...] = ()
    seen: frozenset[int] = frozenset()  # refused requests that need no more showing

    def value(self, key: str) -> str:
        """A setting in force as TOML; the default for what an older run does not know."""
        if self.tuning is None:
            return ""
        older = self.tuning.values.get(key, self.tuning.defaults.get(key, ""))
        return self.live.get(key, older)

    def default(self, key: str) -> str:
        """What it would be, had nobody set it."""
        return (
            self.value(key)
            if self.tuning is None
            else self.tuning.defaults.get(key, self.value(key))
        )

    def changed(self, key: str) -> bool:
        """Was it set to something else than its default?"""
        return self.value(key) != self.default(key)

    def refusal(self, key: str, who: str) -> Command | None:
        """The last request of this person about a setting, if it was refused and nothing has changed since."""
        if self.tuning is None:
            return None
        last = next((c for c in self.tuning.asked if _is_about(c, key)), None)
        if last is None or last.state is not CommandState.REFUSED or last.id in self.seen:
            return None
        change = self.tuning.last_change(key)
        newer = change is None or change.time < last.time
        return last if newer and person(last.who) == person(who) else None


def rows_of(told: Told) -> tuple[Row, ...]:
    """Every row in the order of the list; empty before the journal was asked."""
    return tuple(_rows(told, told.tuning)) if told.tuning is not None else ()


def wished(state: ViewState, told: Told, key: str) -> str:
    """A setting once everything that this app asked for is done: bare text or TOML."""
    asked = [entry.value for entry in state.asked if entry.key == key]
    return asked[-1] if asked else told.value(key)


def shown(value: str) -> str:
    """A value for people: text without its quotes, unless it is empty."""
    return text_of(value) or '""'


def fresh(told: Told, change: SettingChange) -> bool:
    """Has no candidate been made since a change?"""
    return told.tuning is not None and change.applied_from > told.tuning.candidates


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the engine's rules say about a value."""

    fits: bool
    said: str  # the value as TOML, or the engine's sentence


def verdict(source: Source, key: str, value: str) -> Verdict:
    """Ask the source, in the reading thread, whether a setting may have a value."""
    try:
        return Verdict(True, source.checked(key, value))
    except UsageError as error:
        return Verdict(False, str(error))


# ---- private ---------------------------------------------------------------------------------------------


def _is_about(command: Command, key: str) -> bool:
    if key == SCRATCHPAD:
        return command.verb == "scratchpad"
    return command.verb == "set" and command.args.get("key") == key


def _rows(told: Told, tuning: Tuning) -> Iterator[Row]:
    live = dict.fromkeys(row.key.partition(".")[0] for row in tuning.described if row.live)
    last = (PROMPTS, SCRATCHPAD)
    middle = [name for name in live if name not in (*FIRST, *last)]
    for section in [*(name for name in FIRST if name in live), *middle]:
        yield _group(section)
        yield from _settings(tuning, section)
    yield _group(PROMPTS)
    yield from _prompts(told)
    yield _group(SCRATCHPAD)
    yield from _settings(tuning, SCRATCHPAD)
    for place, note in enumerate(tuning.pads[:PADS_LISTED]):
        name = "learned so far" if place == 0 else "earlier"
        yield Row(Kind.PAD, f"pad {note.id}", name, SCRATCHPAD, note=note, newest=place == 0)
    if not tuning.pads:
        yield Row(Kind.PAD, "pad", "none yet", SCRATCHPAD, newest=True)
    yield _group(DIRECTIONS)
    yield Row(Kind.DIRECTIONS, "directions file", tuning.program.name, DIRECTIONS)
    yield _group(CHANGES)
    yield from _changes(tuning)
    yield Row(Kind.GROUP, f"group {FIXED}", FIXED_TITLE, FIXED)
    for setting in tuning.described:
        if not setting.live:
            yield Row(Kind.SETTING, setting.key, setting.key, FIXED, setting=setting)


def _group(name: str) -> Row:
    return Row(Kind.GROUP, f"group {name}", TITLES.get(name, name.capitalize()), name)


def _settings(tuning: Tuning, section: str) -> Iterator[Row]:
    for setting in tuning.described:
        if setting.live and setting.key.startswith(f"{section}."):
            label = setting.key.partition(".")[2]
            yield Row(Kind.SETTING, setting.key, label, section, setting=setting)


def _prompts(told: Told) -> Iterator[Row]:
    for prompt in told.prompts:
        label = prompt.operator if prompt.in_force else f"  {prompt.version}"
        name = f"{PROMPTS}.{prompt.operator} {'' if prompt.in_force else prompt.version}"
        yield Row(Kind.PROMPT, name, label, PROMPTS, prompt=prompt, newest=prompt.in_force)


def _changes(tuning: Tuning) -> Iterator[Row]:
    """Changes, and requests that were refused or changed no setting, newest first."""
    made = [
        (c.time, Row(Kind.CHANGE, f"change {c.id}", c.key, CHANGES, change=c))
        for c in tuning.changes
    ]
    other = [c for c in tuning.asked if c.verb != "set" or c.state is not CommandState.DONE]
    made += [
        (c.time, Row(Kind.REQUEST, f"request {c.id}", c.verb, CHANGES, request=c)) for c in other
    ]
    made.sort(key=lambda pair: -pair[0])
    yield from (row for _, row in made[:CHANGES_LISTED])
