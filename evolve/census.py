"""Who lives, carried out: the population shrinks to its size, worktrees and logs follow, weak islands begin anew.

Decisions come from `population` and `islands`; this module writes them down and lets git follow.
"""

from __future__ import annotations

import random
import re
import shutil
from typing import TYPE_CHECKING

from evolve import islands, projecting
from evolve.places import EXPERIMENTS, WORKTREES
from evolve.population import survivors
from evolve.standing import Founded, founded, founders_key, members

if TYPE_CHECKING:
    from evolve.context import Context

KEPT = 500  # folders of trainings, and as many of smoke runs: several nights at five minutes each
THINNED = 25  # trainings after which it is looked whether there are more
_KINDS = (("", re.compile(r"([0-9]{1,18})")), ("smoke-", re.compile(r"smoke-([0-9]{1,18})")))


def trim(context: Context) -> None:
    """Let the population shrink or grow to its size; leaving it costs a candidate nothing but its worktree."""
    population = members(context)
    incumbent = context.journal.run().incumbent
    stay = survivors(population, context.settings.population.size, incumbent)
    for member in population:
        if member.id not in stay:
            context.journal.set_alive(member.id, False)
    projecting.worktrees(context)
    keep_logs(context)


def keep_logs(context: Context) -> None:
    """Put the last training's log beside each living train.py, where the ancestor's users look for it."""
    for candidate in context.journal.living():
        worktree = context.state / WORKTREES / str(candidate.id)
        directory = context.journal.last_directory(candidate.id)
        if directory is None or not worktree.is_dir():
            continue
        log, copy = context.state / EXPERIMENTS / directory / "run.log", worktree / "run.log"
        if log.is_file() and (not copy.exists() or copy.stat().st_mtime < log.stat().st_mtime):
            shutil.copyfile(log, copy)


def thin(context: Context, *, now: bool = False) -> None:
    """Let go of the folders of old trainings and smoke runs, every so many trainings or `now`.

    All that counts of them is in the journal: figures, curve, the end of the log. The last `KEPT` stay as they are, and
    so does the last training of whoever lives and of main, however old it is.
    """
    journal, folder = context.journal, context.state / EXPERIMENTS
    trained = journal.tally().experiments
    if not folder.is_dir() or (trained % THINNED and not now):
        return
    stay = {journal.last_directory(c.id) for c in journal.living()}
    if main := context.incumbent():
        stay.add(journal.last_directory(main.id))
    for prefix, pattern in _KINDS:
        numbers = sorted(int(m[1]) for p in folder.iterdir() if (m := pattern.fullmatch(p.name)))
        for number in numbers[: max(0, len(numbers) - KEPT)]:
            if f"{prefix}{number}" not in stay:
                shutil.rmtree(folder / f"{prefix}{number}", ignore_errors=True)  # next time, then


def renew_islands(context: Context) -> None:
    """When nothing was gained anywhere for long, let the weaker half of the islands begin anew."""
    rules, journal = context.settings.population, context.journal
    if rules.islands == 1:
        return
    tally, before = journal.tally(), founded(context)
    since = tally.settled - before.settled
    if not islands.due(tally.settled, tally.since_promotion, since, rules.reset_after):
        return
    population = members(context)
    rng = random.Random(f"{journal.run().name}:{tally.settled}")  # noqa: S311 - a search, not a secret
    founders = islands.reset(population, rules.islands, rng)
    if not founders:
        return
    # First the leaving, then the word of it: an engine killed in between does the rest of it again.
    incumbent = journal.run().incumbent
    for member in population:
        weak = member.island in founders and not member.guest
        if weak and not member.pinned and member.id != incumbent:
            journal.set_alive(member.id, False)
    after = Founded(before.founders | founders, tally.settled)
    journal.tell(
        "islands",
        f"Nothing was gained for {min(since, tally.since_promotion)} children: "
        + "; ".join(f"island {i} begins anew from #{f}" for i, f in sorted(founders.items()))
        + ".",
        {"founders": founders, "settled": tally.settled},
        founders_key(context),
        after.as_text(),
    )
    trim(context)
