"""Everything of one run at one instant, whatever an engine writes meanwhile: what all exports are made from.

What is small is here as frozen values; what may be large (curves, events, texts) is read row by row while the transaction
lasts, so that ten thousand candidates fit into a small memory. It writes nothing.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from evolve import rows
from evolve.acceptance import gain_probability
from evolve.beliefs import Belief, samples
from evolve.evidence import Evidence
from evolve.export.book import Book
from evolve.export.selection import EVERYTHING, Selection, chosen
from evolve.model import (
    Candidate,
    Command,
    Event,
    EvolveError,
    Experiment,
    LlmCall,
    Note,
    RatchetStep,
    Run,
    SettingChange,
    Smoke,
    Template,
)
from evolve.noise import Noise
from evolve.outlook import POLICY
from evolve.provenance import Asking, askings, script
from evolve.reader import Tally
from evolve.seeds import Table, difference
from harness.spec import CurvePoint


@dataclass(frozen=True, slots=True)
class Step:
    """One step of main's way: from when on a candidate was main, and by how much it is better than the main before."""

    candidate: int
    time: float  # unix seconds, of the verdict
    trainings: int  # of the whole run that had ended by then
    before: int | None  # the main before; None for the baseline
    gain: (
        float | None
    )  # over the main before by all scores known now, in the unit of fitness (bpb); None for the baseline
    sd: float | None  # one standard deviation of `gain`
    better: float | None  # P(better than the main before), sceptical, by all scores known now; 0…1
    n: int  # trainings of it that count
    n_before: int  # of the main before

    @property
    def confirmed(self) -> bool:
        """Both sides were trained more than once, so the gain is no single draw."""
        return self.before is not None and self.n > 1 and self.n_before > 1


@dataclass(frozen=True)
class Gathered:
    """One run at one instant. Iterators and sources may be asked for only as long as `gather` lasts."""

    at: float  # unix seconds at which it was read
    run: Run
    tally: Tally
    everybody: tuple[Candidate, ...]  # by number, without gaps
    beliefs: Mapping[int, Belief]  # of all that have a score that counts
    memory: Mapping[int, float]  # MB at its largest, by candidate
    noise: Noise  # of one training
    policy: str  # of acceptance: "confirmed" or "greedy"
    path: tuple[Step, ...]  # main's way, the baseline first
    journal: Book  # at the same instant
    workspace: Path | None = (
        None  # where git and the folders of trainings are; None = a journal alone
    )
    selection: Selection = EVERYTHING

    @cached_property
    def candidates(self) -> tuple[Candidate, ...]:
        """Those of the selection, by number; everybody unless something was selected."""
        return chosen(self.everybody, self.selection)

    @cached_property
    def numbers(self) -> frozenset[int]:
        """The numbers of `candidates`."""
        return frozenset(c.id for c in self.candidates)

    def candidate(self, number: int) -> Candidate:
        """One of everybody; raises KeyError when there is none of that number."""
        if not 1 <= number <= len(self.everybody):
            raise KeyError(number)
        return self.everybody[number - 1]

    def selected(self, selection: Selection) -> Gathered:
        """The same with only some of the candidates, and of the rows that belong to candidates only theirs."""
        return replace(self, selection=selection)

    @cached_property
    def trained(self) -> frozenset[int]:
        """The numbers of the trainings of `candidates`."""
        return frozenset(experiment.id for experiment in self.experiments())

    @cached_property
    def settings(self) -> dict[str, str]:
        """Dotted key to TOML: the settings in force at this instant."""
        return self.journal.settings_in_force()

    @cached_property
    def main(self) -> tuple[int, ...]:
        """The candidates that were main, in order."""
        return tuple(step.candidate for step in self.path)

    @cached_property
    def scores(self) -> dict[int, dict[int, float]]:
        """Candidate to seed to fitness, of every score that counts."""
        return self.journal.fitness_tables()

    # ---- rows, streamed ------------------------------------------------------------------------------------

    def experiments(self, *, texts: bool = False) -> Iterator[Experiment]:
        """Trainings of the candidates, oldest first, without curves; `texts`: with tracebacks and ends of logs."""
        wanted = rows.EXPERIMENT if texts else rows.EXPERIMENT_BRIEF
        for row in self._each(wanted):
            yield rows.experiment(row)

    def curves(self) -> Iterator[tuple[int, tuple[CurvePoint, ...]]]:
        """Number of a training and its whole curve, oldest training first; those without one are left out."""
        number, points = 0, list[CurvePoint]()
        for experiment, candidate, *point in self.journal.each_point():
            if candidate not in self.numbers:
                continue
            if experiment != number and points:
                yield number, tuple(points)
                points = []
            number = experiment
            points.append(CurvePoint(*point))
        if points:
            yield number, tuple(points)

    def smokes(self) -> Iterator[Smoke]:
        """Smoke runs of the candidates, oldest first."""
        return map(rows.smoke, self._each(rows.SMOKE))

    def calls(self) -> Iterator[LlmCall]:
        """Calls to language models, oldest first; with a selection only those that became one of its candidates."""
        return map(rows.call, self._each(rows.CALL, loose=True))

    def askings(self, number: int) -> tuple[Asking, ...]:
        """The calls that a candidate came of, with what was said, without credentials."""
        return askings(self.journal, number)

    def events(self) -> Iterator[Event]:
        """The story of the run and of what came before it, oldest first; those of no candidate are always told."""
        since = self.selection.time
        for row in self.journal.each_event():
            if row["candidate"] is not None and row["candidate"] not in self.numbers:
                continue
            if since is None or row["time"] >= since:
                yield rows.event(row)

    def setting_changes(self) -> Iterator[SettingChange]:
        """Every change of a live setting, oldest first."""
        return (SettingChange(**dict(row)) for row in self.journal.each_row(rows.CHANGE))

    def prompts(self) -> tuple[Template, ...]:
        """Every template of a prompt that was ever in force here, oldest first."""
        return self.journal.templates()

    def scratchpads(self) -> tuple[Note, ...]:
        """Every version of the scratchpad, oldest first."""
        return self.journal.scratchpads(-1)[::-1]

    def commands(self) -> tuple[Command, ...]:
        """What people asked for since the run began, oldest first."""
        return self.journal.commands(-1)[::-1]

    def moves(self) -> Iterator[RatchetStep]:
        """Every move of the branch, oldest first."""
        return map(rows.ratchet, self.journal.each_row(rows.RATCHET))

    # ---- scripts -------------------------------------------------------------------------------------------

    def source(self, number: int) -> str | None:
        """The text of a candidate's train.py; None where git does not have it, or there is a journal alone."""
        if self.workspace is None:
            return None
        try:
            return script(self.workspace, self.run, self.candidate(number))
        except EvolveError:
            return None

    # ---- private -------------------------------------------------------------------------------------------

    def _each(self, sql: str, *, loose: bool = False) -> Iterator[sqlite3.Row]:
        """Rows of the run that belong to the candidates; `loose`: rows of none too, unless some were selected."""
        everybody = not self.selection.chooses
        for row in self.journal.each_row(sql):
            if row["candidate"] in self.numbers or (loose and everybody):
                yield row


@contextmanager
def gather(journal: Path, workspace: Path | None = None) -> Iterator[Gathered]:
    """The newest run in a journal at one instant, as long as the `with` lasts; it has a connection of its own.

    Raises NothingToDo where there is no run, EvolveError when the journal cannot be read.
    """
    with Book.open(journal) as reader, reader.instant():
        yield at_instant(reader, workspace)


def at_instant(journal: Book, workspace: Path | None) -> Gathered:
    """The same of a reader that stands at one instant."""
    run, now = journal.run(), time.time()
    evidence = Evidence()
    evidence.update(journal)
    everybody = journal.candidates()
    noise = evidence.noise
    return Gathered(
        at=now,
        run=run,
        tally=journal.tally(),
        everybody=everybody,
        beliefs=evidence.beliefs(journal, run.incumbent),
        memory=journal.peak_memory(),
        noise=noise,
        policy=journal.meta(POLICY.format(run.name))
        or run.settings.get("acceptance", {}).get("policy", "confirmed"),
        path=_path(journal, everybody, noise),
        journal=journal,
        workspace=workspace,
    )


def _path(journal: Book, everybody: tuple[Candidate, ...], noise: Noise) -> tuple[Step, ...]:
    steps: list[Step] = []
    ends = journal.ends()
    for moment, number in journal.crowned():
        before = steps[-1].candidate if steps else None
        trainings = bisect_right(ends, moment)
        ours = journal.fitness_by_seed(number)
        theirs: Table = {} if before is None else journal.fitness_by_seed(before)
        gain = sd = better = None
        if before is not None and ours and theirs:
            seen = difference(ours, theirs, noise)
            gain, sd = seen.gain, seen.sd
            two = (everybody[number - 1], everybody[before - 1])
            tables = {number: ours, before: theirs}
            better = gain_probability(samples(two[0], tables), samples(two[1], tables), noise)
        steps.append(
            Step(number, moment, trainings, before, gain, sd, better, len(ours), len(theirs))
        )
    return tuple(steps)
