"""What the app knows at one instant, as one frozen value, and the pure functions that make the next one.

The feed brings readings of the journal, keys bring wishes; both are reduced here, and the screens only show
the result. Nothing in this module reads a file, a clock or the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from evolve.beliefs import Belief
from evolve.model import Candidate, CandidateState, Command, CommandState, Event, Experiment, Smoke
from evolve.roster import Roster
from evolve.view import EngineView, Playback, Snapshot
from tui.widgets.ink import UNICODE, Glyphs, Ink, plain

STALE_AFTER = 5.0  # seconds without a heartbeat
EVENTS_KEPT = 5000
CARDS_KEPT = 1000  # candidates whose texts are remembered


@dataclass(frozen=True, slots=True)
class Details:
    """Everything about one candidate."""

    candidate: Candidate
    experiments: tuple[Experiment, ...]
    belief: Belief | None = None  # None before it has a score
    smokes: tuple[Smoke, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the journal. None means: not asked for, or unchanged."""

    snapshot: Snapshot | None = None
    roster: Roster | None = None
    events: tuple[Event, ...] = ()  # those after the last one known
    answers: tuple[Command, ...] = ()  # to commands of this app
    error: str = ""  # why the journal could not be read


@dataclass(frozen=True, slots=True)
class Asked:
    """A command of this app that the engine has not answered yet."""

    id: int
    words: str  # "pause", "population 24 → 25"
    key: str = ""  # the setting that it changes
    value: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """The last thing that the app has to say to the person at the keys."""

    text: str = ""
    ink: Ink = Ink.PLAIN
    short: str = ""  # what to do, where there is no room for why


Moment = tuple[int, int, int | None]  # run, trainings, incumbent: what beliefs depend on


@dataclass(frozen=True, slots=True)
class ViewState:
    """Everything that is painted from."""

    snapshot: Snapshot | None = None
    error: str = ""
    read_only: bool = False
    who: str = ""  # as this app's requests are signed
    glyphs: Glyphs = UNICODE
    attach: str = "autoresearch"  # the command that opens this app again
    asked: tuple[Asked, ...] = ()
    notice: Notice = field(default_factory=Notice)
    roster: Roster = field(default_factory=Roster)  # every candidate, without texts
    cards: Mapping[int, Candidate] = field(
        default_factory=dict
    )  # those that were on the screen, with texts
    outdated: frozenset[int] = frozenset()  # cards of candidates that were touched since
    beliefs: Mapping[int, Belief | None] = field(default_factory=dict)  # of these, as of `believed`
    believed: Moment | None = None
    events: tuple[Event, ...] = ()
    marks: tuple[int, ...] = ()  # candidates that the person marked, oldest mark first
    pair: tuple[int | None, int] | None = (
        None  # what the Diff view compares; left None = first parent
    )
    wanted: tuple[str, int] | None = None  # the view and the candidate that its cursor should go to


# ---- what is going on ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A state in one word, with how to paint it."""

    text: str
    ink: Ink


def engine_word(state: ViewState) -> Word:
    """What the engine is at."""
    if state.snapshot is None:
        return Word("...", Ink.DIM)
    engine = state.snapshot.engine
    run = state.snapshot.run
    if state.snapshot.playback is not None:
        return Word("REPLAY", Ink.BOLD)
    if engine.state == "none" and run is not None and run.state in {"finished", "failed"}:
        return Word(run.state.upper(), Ink.BAD if run.state == "failed" else Ink.BOLD)
    return {
        "running": Word("RUNNING", Ink.GOOD),
        "paused": Word("PAUSED", Ink.WARN),
        "stopping": Word("STOPPING", Ink.WARN),
        "restarting": Word("RESTARTING", Ink.WARN),
        "dead": Word("DEAD", Ink.BAD),
        "none": Word("STOPPED", Ink.WARN),
    }.get(engine.state, Word(engine.state.upper(), Ink.PLAIN))


def connection_word(state: ViewState) -> Word:
    """Whether what is on the screen is of now: live, stale with its age, or gone."""
    if state.error:
        return Word("lost", Ink.BAD)
    if state.snapshot is None:
        return Word("reading", Ink.DIM)
    if (played := state.snapshot.playback) is not None:
        return _played(played, state.snapshot.time, state.glyphs)
    engine = state.snapshot.engine
    if engine.state == "none":
        return Word("no engine", Ink.WARN)
    if engine.state == "dead":
        return Word("dead", Ink.BAD)
    if (age := stale_for(state)) is not None:
        return Word(f"stale {age:.0f}s", Ink.WARN)
    return Word("live", Ink.GOOD)


def stale_for(state: ViewState) -> float | None:
    """Seconds without a sign of life from an engine that lives, once they are too many; else None."""
    engine = state.snapshot.engine if state.snapshot is not None else None
    if engine is None or not engine_alive(engine) or replaying(state):
        return None
    age = engine.heartbeat_age
    return age if age is not None and age >= STALE_AFTER else None


def _played(played: Playback, moment: float, glyphs: Glyphs) -> Word:
    if played.over(moment):
        return Word("end of the recording", Ink.WARN)
    speed = f"{glyphs.times}{played.speed:g}"
    return (
        Word(f"replay {speed}", Ink.GOOD) if played.playing else Word(f"stopped {speed}", Ink.WARN)
    )


def replaying(state: ViewState) -> bool:
    """Is this a recording?"""
    return state.snapshot is not None and state.snapshot.playback is not None


def only_watches(state: ViewState) -> str:
    """Why this app changes nothing, a sentence; empty when it may."""
    if replaying(state):
        return "This is a recording, so nothing in it can be changed."
    return "This app only watches (read-only)." if state.read_only else ""


def engine_alive(engine: EngineView) -> bool:
    """True when somebody will answer a command."""
    return engine.state not in {"none", "dead"}


def advice(state: ViewState, clock_of: Callable[[float], str]) -> Notice | None:
    """What to do when nobody is searching, or None when all is well."""
    if state.error:
        return Notice(plain(state.error), Ink.BAD)
    snapshot = state.snapshot
    if snapshot is None:
        return None
    if snapshot.playback is not None:
        over = snapshot.playback.over(snapshot.time)
        return Notice("The recording ends here; p plays it again.", Ink.WARN) if over else None
    start = f"{state.attach} run"
    if snapshot.run is None:
        return Notice(f"This workspace has never run. Start a search with: {start}", Ink.WARN)
    engine = snapshot.engine
    if engine.state == "dead":
        since = ""
        if engine.heartbeat_age is not None:
            since = f" since {clock_of(snapshot.time - engine.heartbeat_age)}"
        why = f", {plain(engine.why).rstrip('.')}" if engine.why else " without a word"
        return Notice(
            f"The engine is dead{since}{why}; nothing is lost. Resume with: {start}",
            Ink.BAD,
            f"Dead{since}. Resume with: {start}",
        )
    if engine.state == "restarting":
        return Notice(plain(engine.why), Ink.WARN, "The engine died and is started again.")
    if engine.state == "none":
        reason = plain(snapshot.run.reason)
        how = f"Search on with: {start}"
        return Notice(f"{reason} {how}".strip(), Ink.WARN, how)
    return None


def trouble(state: ViewState) -> str:
    """Why nothing goes on, in a word; empty while something does."""
    if state.error:
        return "lost"
    if (snapshot := state.snapshot) is None:
        return ""
    if snapshot.playback is not None:
        return "over" if snapshot.playback.over(snapshot.time) else ""
    return "" if engine_alive(snapshot.engine) else snapshot.engine.state


def setting(state: ViewState, key: str) -> str | None:
    """A live setting as the engine has it in force."""
    if state.snapshot is None:
        return None
    return dict(state.snapshot.settings).get(key)


def population_size(state: ViewState) -> int | None:
    """The population size in force."""
    text = setting(state, "population.size")
    return int(text) if text is not None and text.isdigit() else None


def wished_size(state: ViewState) -> int | None:
    """The population size once everything asked for is done."""
    for asked in reversed(state.asked):
        if asked.key == "population.size":
            return int(asked.value)
    return population_size(state)


def pending(state: ViewState) -> tuple[str, ...]:
    """What the engine has not answered yet, of this app and of others, in words."""
    mine = tuple(asked.words for asked in state.asked)
    return mine or (state.snapshot.pending if state.snapshot is not None else ())


# ---- reducers ------------------------------------------------------------------------------------------


def with_reading(state: ViewState, reading: Reading) -> ViewState:
    """Take in one look at the journal. When it brought nothing, the very same state comes back.

    What was said before must not hide that the engine has died, or that a recording is over.
    """
    after = _with_reading(state, reading)
    if (now := trouble(after)) and now != trouble(state):
        return replace(after, notice=Notice())
    return after


def _with_reading(state: ViewState, reading: Reading) -> ViewState:
    if reading.error:
        return state if reading.error == state.error else replace(state, error=reading.error)
    if reading == Reading() and not state.error:
        return state
    known = state.snapshot
    events = state.events
    if reading.events:
        newest = events[-1].id if events else 0
        fresh = tuple(event for event in reading.events if event.id > newest)
        events = (events + fresh)[-EVENTS_KEPT:]
    state = replace(
        state,
        error="",
        snapshot=reading.snapshot or state.snapshot,
        events=events,
    )
    if reading.roster is not None:
        state = with_roster(state, reading.roster)
    if reading.snapshot is not None and known is not None:
        state = with_changes_of_others(state, known.recent[-1].id if known.recent else 0)
    for answer in reading.answers:
        state = with_answer(state, answer)
    return state


def with_changes_of_others(state: ViewState, newest: int) -> ViewState:
    """Say when a setting changed that this app did not ask for; `newest` is the last event that was known before."""
    recent = state.snapshot.recent if state.snapshot is not None else ()
    mine = {(state.who, asked.key) for asked in state.asked}
    others = [
        event
        for event in recent
        if event.id > newest
        and event.kind == "setting"
        and (event.data.get("who"), event.data.get("key")) not in mine
    ]
    return with_notice(state, others[-1].text) if others else state


def with_asked(state: ViewState, asked: Asked) -> ViewState:
    """A command was sent: it is pending until the engine answers."""
    return replace(state, asked=(*state.asked, asked), notice=Notice())


def with_answer(state: ViewState, command: Command) -> ViewState:
    """The engine answered one of this app's commands."""
    if command.state is CommandState.PENDING:
        return state
    left = tuple(asked for asked in state.asked if asked.id != command.id)
    refused = command.state is CommandState.REFUSED
    words = plain(command.answer) or ("Refused." if refused else "Done.")
    return replace(
        state,
        asked=left,
        notice=Notice(f"Refused: {words}" if refused else words, Ink.BAD if refused else Ink.GOOD),
    )


def with_notice(state: ViewState, text: str, ink: Ink = Ink.PLAIN) -> ViewState:
    """Say something to the person."""
    return replace(state, notice=Notice(plain(text), ink))


def with_mark(state: ViewState, number: int) -> ViewState:
    """Mark a candidate, or take its mark away."""
    if number in state.marks:
        return replace(state, marks=tuple(n for n in state.marks if n != number))
    return replace(state, marks=(*state.marks, number))


def unread(state: ViewState, numbers: Iterable[int]) -> tuple[int, ...]:
    """Those whose texts are not known, or are older than what the roster tells of them."""
    return tuple(n for n in numbers if n not in state.cards or n in state.outdated)


def with_roster(state: ViewState, roster: Roster) -> ViewState:
    """The roster is this one now; texts of those that were touched are to be read again."""
    changed = roster.since(state.roster.version) if roster.run == state.roster.run else None
    touched = state.cards.keys() if changed is None else state.cards.keys() & set(changed)
    return replace(state, roster=roster, outdated=state.outdated | touched)


def with_cards(state: ViewState, found: Iterable[Candidate]) -> ViewState:
    """These candidates were read; the ones that were read longest ago are forgotten."""
    cards, read = dict(state.cards), set[int]()
    for candidate in found:
        cards.pop(candidate.id, None)
        cards[candidate.id] = candidate
        read.add(candidate.id)
    for number in tuple(cards)[: max(0, len(cards) - CARDS_KEPT)]:
        del cards[number]
    return replace(state, cards=cards, outdated=state.outdated & cards.keys() - read)


def moment_of(state: ViewState) -> Moment:
    """What beliefs of now depend on."""
    snapshot = state.snapshot
    if snapshot is None or snapshot.run is None:
        return 0, 0, None
    return snapshot.run.id, snapshot.experiments, snapshot.run.incumbent


def unbelieved(state: ViewState, numbers: Iterable[int]) -> tuple[int, ...]:
    """Those of which it is not known what is believed of them now."""
    known = state.beliefs if state.believed == moment_of(state) else {}
    return tuple(n for n in numbers if n not in known)


def with_beliefs(
    state: ViewState, moment: Moment, asked: Iterable[int], found: Mapping[int, Belief]
) -> ViewState:
    """This was believed of the candidates that were asked about; None is told of those without a score."""
    before = dict(state.beliefs) if state.believed == moment else {}
    before |= {number: found.get(number) for number in asked}
    for number in tuple(before)[: max(0, len(before) - CARDS_KEPT)]:
        del before[number]
    return replace(state, beliefs=before, believed=moment)


# ---- facts about candidates -----------------------------------------------------------------------------


def candidate_of(state: ViewState, number: int) -> Candidate:
    """A candidate as far as it is known: with its texts where they were read, else without them."""
    roster, card = state.roster, state.cards.get(number)
    if number > len(roster):
        snapshot = state.snapshot
        near = () if snapshot is None else (*snapshot.population, *snapshot.queue)
        return card or next(c for c in near if c.id == number)
    if card is None:
        return roster.candidate(number)
    return card


def belief(state: ViewState, candidate: Candidate) -> Belief | None:
    """What is believed of a candidate's score, as far as this app knows; the snapshot is the newest look."""
    outlook = state.snapshot.outlook.beliefs if state.snapshot is not None else {}
    return outlook.get(candidate.id) or state.beliefs.get(candidate.id)


def waiting(candidate: Candidate) -> bool:
    """True while a candidate can still be dropped."""
    return candidate.state is CandidateState.READY
