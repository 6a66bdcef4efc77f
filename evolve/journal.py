"""The journal: the one authority on what has happened in a run. The engine is its only writer.

Each public method is one durable transaction that also tells its part of the story in the event log, so a
kill at any instant leaves either all of it or nothing. Nothing here touches git, processes or the clock of a
training; an illegal move of a candidate raises `IllegalMove`, and so does the database itself.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from evolve import rows
from evolve.model import (
    CandidateState,
    CommandState,
    Experiment,
    Purpose,
    Run,
    UsageError,
)
from evolve.notes import Notes
from evolve.places import state_folder
from evolve.precautions import Precautions
from evolve.propose.operators import Proposal
from evolve.ratchets import Ratchets
from evolve.reader import Reader, Tally
from evolve.rows import as_json
from evolve.text import check_run_name, one_line
from evolve.toml_text import is_live
from evolve.wishes import Wishes
from evolve.writer import IllegalMove
from harness.spec import Cause, CurvePoint, Outcome, Result

__all__ = ["IllegalMove", "Journal", "Reader", "Tally", "state_folder"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ENDED = ("stopped", "finished", "failed")


class Journal(Precautions, Wishes, Ratchets, Notes):
    """The steps of a run. Answers every question of `Reader`, books calls as `Spending`, judges as `Verdicts`."""

    @classmethod
    def reader(cls, path: Path) -> Reader:
        """A connection that cannot write, for clients."""
        return Reader.open(path)

    # ---- the run -------------------------------------------------------------------------------------------

    def create_run(
        self,
        *,
        name: str,
        branch: str,
        base_commit: str,
        settings: Mapping[str, Any],
        fingerprint: Mapping[str, str],
    ) -> Run:
        """Begin a run; `settings` nested as in the TOML. Raises UsageError when the name is taken or unfit."""
        check_run_name(name)
        if name in self.run_names():
            raise UsageError(
                f"There is a run “{name}” here already; choose another name, or leave --name out to go on."
            )
        with self._transaction():
            self._db.execute(
                """INSERT INTO run (name, created, state, reason, branch, base_commit, settings, fingerprint)
                VALUES (?, ?, 'running', 'It has just begun.', ?, ?, ?, ?)""",
                (name, time.time(), branch, base_commit, as_json(settings), as_json(fingerprint)),
            )
            self._event("run", f"Run “{name}” begins at {base_commit[:7]} on {branch}.")
        return self.run()

    def free_run_name(self) -> str:
        """Today's date as the ancestor writes it, `nov21`, or `nov21-2` when that is taken."""
        now = time.localtime()
        today = f"{_MONTHS[now.tm_mon - 1]}{now.tm_mday}"
        taken, name, count = self.run_names(), today, 1
        while name in taken:
            count += 1
            name = f"{today}-{count}"
        return name

    def set_run_state(self, state: str, reason: str) -> None:
        """Move the run to running, paused, stopped, finished or failed, with the reason in words."""
        with self._transaction():
            finished = time.time() if state in _ENDED else None
            self._db.execute(
                "UPDATE run SET state = ?, reason = ?, finished = ? WHERE id = ?",
                (state, reason, finished, self.run_id()),
            )
            self._event("run", reason, data={"state": state})

    def set_sigma(self, sigma: float | None) -> None:
        """Write down the measured noise of one training, bpb. Tells nothing: the scores do."""
        with self._transaction():
            self._db.execute("UPDATE run SET sigma = ? WHERE id = ?", (sigma, self.run_id()))

    def set_meta(self, key: str, value: str) -> None:
        """Write down a fact about the engine for clients, such as its sandbox."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def change_setting(self, key: str, old: str, new: str, who: str) -> None:
        """Record that a live setting changed (values as TOML); it counts from the next candidate on."""
        with self._transaction():
            first = self.next_candidate_id()
            self._db.execute(
                """INSERT INTO setting_change (run, time, who, key, old, new, applied_from)
                VALUES (?, ?, ?, ?, ?, ?, ?)""",
                (self.run_id(), time.time(), who, key, old, new, first),
            )
            # A template is pages long; the row above holds all of it.
            text = f"{key}: {one_line(old, 60)} → {one_line(new, 60)} ({who}), from #{first} on."
            self._event("setting", text, data={"key": key, "old": old, "new": new, "who": who})

    def note_settings(self, now: Mapping[str, str], who: str) -> None:
        """Record what differs between `now` (dotted key to TOML) and what was in force; for a resumed run."""
        before = self.settings_in_force()
        for key, value in now.items():
            if is_live(key) and before.get(key, "") != value:
                self.change_setting(key, before.get(key, ""), value, who)

    def record_event(
        self,
        kind: str,
        text: str,
        candidate: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a line to the story and return its number."""
        with self._transaction():
            return self._event(kind, text, candidate, data)

    def tell(self, kind: str, text: str, data: Mapping[str, Any], key: str, value: str) -> None:
        """Add a line to the story together with the fact that it tells of, as `set_meta` would write it."""
        with self._transaction():
            self._event(kind, text, data=data)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # ---- candidates ----------------------------------------------------------------------------------------

    def add_candidate(
        self,
        number: int,
        proposal: Proposal,
        *,
        commit: str,
        code_hash: str,
        island: int = 0,
        loss_form: str = "",
    ) -> int:
        """Queue a vetted, committed child under the number that `next_candidate_id` gave; returns it.

        `loss_form`: see `pruning.loss_form`; only losses of one form are compared.
        """
        with self._transaction():
            run = self.run_id()
            if number != self.next_candidate_id():
                raise IllegalMove(
                    f"#{number} is not the next number, #{self.next_candidate_id()} is"
                )
            parents = [self.candidate(p) for p in proposal.parents]
            last = self._one(
                "SELECT coalesce(max(priority), -1) FROM candidate WHERE run = ? AND state = 'ready'",
                (run,),
            )[0]
            text = proposal.source
            self._db.execute(
                """INSERT INTO candidate (run, id, operator, proposer, title, hypothesis, category, commit_oid,
                source_sha, code_hash, lines, created, state, generation, prompt_version, model, priority,
                changes, parents, recommendation, island, loss_form)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *(run, number, str(proposal.operator), proposal.proposer),
                    *(one_line(proposal.title), proposal.hypothesis, proposal.category, commit),
                    *(
                        sha256(text.encode()).hexdigest(),
                        code_hash,
                        len(text.splitlines()),
                        time.time(),
                    ),
                    1 + max((p.generation for p in parents), default=-1),
                    *(proposal.prompt_version, proposal.model, last + 1),
                    *(as_json(proposal.changes), as_json(proposal.parents)),
                    *(proposal.recommendation, island, loss_form),
                ),
            )
            self._link(run, number, proposal)
            self._stale.add(number)
            of = " × ".join(f"#{p}" for p in proposal.parents)
            words = f"{proposal.operator}{f' of {of}' if of else ''} by {proposal.proposer}"
            self._event("queued", f"#{number} {one_line(proposal.title)} ({words}).", number)
        return number

    def set_alive(self, number: int, alive: bool) -> None:
        """Let a candidate enter or leave the population."""
        with self._transaction():
            if self.candidate(number).alive != alive:
                ends = " Its boost ends." if self.candidate(number).boosted and not alive else ""
                self._update(number, alive=int(alive), **({} if alive else {"boosted": 0}))
                verb = "joins" if alive else "leaves"
                self._event("population", f"#{number} {verb} the population.{ends}", number)

    # ---- experiments ---------------------------------------------------------------------------------------

    def start_experiment(self, candidate: int, purpose: Purpose, seed: int) -> Experiment:
        """A training begins: the candidate takes the slot. One that was judged trains because a person wished so."""
        with self._transaction():
            before = self.candidate(candidate)
            wished = before.wanted > 0 and before.state is CandidateState.JUDGED
            self._move(candidate, CandidateState.TRAINING)
            number = 1 + int(self._one("SELECT coalesce(max(id), 0) FROM experiment")[0])
            self._db.execute(
                """INSERT INTO experiment (id, run, candidate, purpose, seed, directory, started, wished)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    *(number, self.run_id(), candidate, str(purpose), seed, str(number)),
                    *(time.time(), int(wished)),
                ),
            )
            asked = ", as somebody wished" if wished else ""
            self._event(
                "started",
                f"#{candidate} trains ({purpose}, seed {seed}{asked}).",
                candidate,
                {
                    "experiment": number,
                    "purpose": str(purpose),
                    "seed": seed,
                    "wished": wished,
                },
            )
        running = self.running_experiment()
        assert running is not None  # noqa: S101 - it was written a moment ago
        return running

    def finish_experiment(
        self,
        experiment: int,
        result: Result,
        next_state: CandidateState,
        fitness: float | None = None,
    ) -> None:
        """A training ended, with or without a score; the candidate moves on to `next_state`.

        `fitness` is what selection goes by; None = its val_bpb.
        """
        with self._transaction():
            row = self._one(
                "SELECT candidate, finished FROM experiment WHERE id = ?", (experiment,)
            )
            if row is None or row["finished"] is not None:
                raise IllegalMove(f"experiment {experiment} is not running")
            counted = result.val_bpb if fitness is None or result.val_bpb is None else fitness
            columns = rows.result_columns(result) | {"finished": time.time(), "fitness": counted}
            self._db.execute(
                f"UPDATE experiment SET {', '.join(f'{c} = :{c}' for c in columns)} WHERE id = :id",  # noqa: S608
                columns | {"id": experiment},
            )
            self._add_curve(experiment, result.curve)
            self._move(row["candidate"], next_state)
            self._count(row["candidate"], result, counted, columns["peak_memory_mb"])
            self._event(
                "finished",
                _ending(row["candidate"], result),
                row["candidate"],
                {
                    "experiment": experiment,
                    "outcome": str(result.outcome),
                    "val_bpb": result.val_bpb,
                    "seconds": round(result.total_seconds, 3),
                    "audit": None if result.audit is None else result.audit.passed,
                },
            )

    def void_experiment(self, experiment: int, reason: str, cause: Cause = Cause.NONE) -> None:
        """A training was lost to something outside it: its candidate goes back to where it came from."""
        running = self.running_experiment()
        if running is None or running.id != experiment:
            raise IllegalMove(f"experiment {experiment} is not running")
        if running.purpose is Purpose.CONFIRM and not running.wished:
            back = CandidateState.CONTENDER
        elif self.candidate(running.candidate).verdict is not None:
            back = CandidateState.JUDGED
        else:
            back = CandidateState.READY
        lost = Result(Outcome.VOID, reason, seed=running.seed, cause=cause)
        self.finish_experiment(experiment, lost, back)

    # ---- commands of clients -------------------------------------------------------------------------------

    def answer_command(self, number: int, state: CommandState, answer: str) -> None:
        """Answer a request in its row, and tell who asked for what."""
        with self._transaction():
            command = self.command(number)
            self._db.execute(
                "UPDATE command SET state = ?, answer = ?, answered = ? WHERE id = ?",
                (str(state), answer, time.time(), number),
            )
            refused = "refused: " if state is CommandState.REFUSED else ""
            self._event(
                "command",
                f"{command.who} asked to {command.verb}: {refused}{answer}",
                data={"command": number, "verb": command.verb, "state": str(state)},
            )

    def refuse_pending(self, answer: str) -> None:
        """Refuse every request that an earlier engine never answered, so that none surprises the next one."""
        for command in self.pending_commands():
            self.answer_command(command.id, CommandState.REFUSED, answer)

    # ---- private -------------------------------------------------------------------------------------------

    def _link(self, run: int, number: int, proposal: Proposal) -> None:
        """Parents learn of their child, and calls of the candidate that they made."""
        for position, parent in enumerate(proposal.parents):
            self._db.execute(
                "INSERT INTO parent VALUES (?, ?, ?, ?)", (run, number, position, parent)
            )
            self._db.execute(
                "UPDATE candidate SET children = children + 1, boosted = max(0, boosted - 1) "
                "WHERE run = ? AND id = ?",
                (run, parent),
            )
            self._stale.add(parent)
        for call in proposal.calls:
            self._db.execute("UPDATE llm_call SET candidate = ? WHERE id = ?", (number, call))

    def _add_curve(self, experiment: int, curve: tuple[CurvePoint, ...]) -> None:
        self._db.executemany(
            "INSERT INTO curve VALUES (?, ?, ?, ?, ?, ?)",
            [(experiment, i, p.fraction, p.seconds, p.tokens, p.loss) for i, p in enumerate(curve)],
        )

    def _count(
        self, number: int, result: Result, fitness: float | None, peak: float | None
    ) -> None:
        """Keep on the candidate what its trainings came to; a void one says nothing about it, and fulfils no wish."""
        if result.outcome is Outcome.VOID:
            return
        known = self.candidate(number)
        scores = known.scores if result.val_bpb is None else (*known.scores, result.val_bpb)
        counted = known.fitness if fitness is None else (*known.fitness, fitness)
        self._update(
            number,
            outcome=str(result.outcome),
            scores=as_json(scores),
            fitness=as_json(counted),
            wanted=max(0, known.wanted - 1),
        )
        if len(scores) > 1:
            self._update(number, provisional=0)
        if peak is not None:
            self._update(number, peak_memory_mb=peak)


def _ending(candidate: int, result: Result) -> str:
    if result.val_bpb is not None:
        return f"#{candidate} scored {result.val_bpb:.6f} bpb in {result.total_seconds:.0f} s."
    return f"#{candidate} ended without a score ({result.outcome}): {result.reason}"
