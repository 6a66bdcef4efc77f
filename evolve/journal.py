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

from evolve.machines import COMMAND, RUN, IllegalMove
from evolve.model import (
    CommandState,
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
from evolve.trials import Trials
from evolve.wishes import Wishes

__all__ = ["IllegalMove", "Journal", "Reader", "Tally", "state_folder"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ENDED = ("stopped", "finished", "failed")


class Journal(Trials, Precautions, Wishes, Ratchets, Notes):
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
            self._forget()
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
            RUN.check("the run", self.run().state, state)
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

    # ---- commands of clients -------------------------------------------------------------------------------

    def answer_command(self, number: int, state: CommandState, answer: str) -> None:
        """Answer a request in its row, and tell who asked for what."""
        with self._transaction():
            command = self.command(number)
            COMMAND.check(f"request {number}", command.state, state)
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
