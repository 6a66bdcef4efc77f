"""README.md of a whole run: its figures, what lies in the folder, and how to come to the same again. Markdown, pure."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evolve.acceptance import gain_probability
from evolve.beliefs import samples
from evolve.export.escaping import markdown
from evolve.export.report.words import count
from evolve.export.saving import MARK, SUMS
from evolve.seeds import difference

if TYPE_CHECKING:
    from evolve.export.gather import Gathered


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the folder."""

    name: str  # "lineage.svg", "data/"
    about: str
    missing: str = ""  # why it is not there; "" = it is


def overview(gathered: Gathered, entries: Sequence[Entry]) -> str:
    """The page. `entries`: what was written, and what could not be."""
    here = [f"| [{e.name}]({e.name}) | {e.about} |" for e in entries if not e.missing]
    lost = [f"- {e.name} ({e.about}): {markdown(e.missing, 400)}" for e in entries if e.missing]
    parts = [
        f"{MARK}\n# The run {markdown(gathered.run.name)}",
        _state(gathered),
        "\n".join(f"- {line}" for line in figures(gathered)),
        "## What is here",
        "\n".join(("| file | what it is |", "| --- | --- |", *here)),
        f"`sha256sum --check {SUMS}` tells whether every file is as it was written.",
        *(("Not here:", "\n".join(lost)) if lost else ()),
        "## The same again",
        _again(gathered),
        "## What a score of this run means",
        _fingerprint(gathered),
    ]
    return "\n\n".join(parts) + "\n"


def figures(gathered: Gathered) -> list[str]:
    """The headline, a sentence a line."""
    tally, run = gathered.tally, gathered.run
    return [
        *_best(gathered),
        f"{count(tally.candidates, 'candidate')}, {count(tally.experiments, 'training')}, "
        f"{count(tally.promotions, 'promotion')}, "
        f"{tally.failures} without a score, {tally.voided} of them voided by the audit.",
        f"{count(tally.llm_calls, 'call')} to language models for {tally.dollars:.2f} dollars; "
        f"{((run.finished or gathered.at) - run.created) / 3600:.1f} hours from its beginning.",
        f"One training scatters by {gathered.noise.sigma:.6f} (σ, from {count(gathered.noise.n, 'repeat')}).",
    ]


# ---- private -------------------------------------------------------------------------------------------------


def _state(gathered: Gathered) -> str:
    run = gathered.run
    reason = f" ({markdown(run.reason)})" if run.reason else ""
    return f"Began {_moment(run.created)}, {run.state}{reason}; everything here is of {_moment(gathered.at)}, at one instant."


def _best(gathered: Gathered) -> list[str]:
    main = gathered.run.incumbent
    if main is None or not gathered.path:
        return ["Main holds nothing yet: the baseline has no score."]
    best, first = gathered.candidate(main), gathered.path[0].candidate
    belief = gathered.beliefs.get(main)
    believed = (
        ""
        if belief is None
        else f", believed {belief.mean:.6f} ± {belief.sd:.6f} from {count(belief.n, 'training')}"
    )
    told = [f"Main holds #{main}, {markdown(best.title, 100)}{believed}."]
    ours, theirs = gathered.scores.get(main), gathered.scores.get(first)
    if main != first and ours and theirs:
        seen = difference(ours, theirs, gathered.noise)
        tables = {main: ours, first: theirs}
        better = gain_probability(
            samples(best, tables), samples(gathered.candidate(first), tables), gathered.noise
        )
        told.append(
            f"It is better than the baseline by {seen.gain:.6f} ± {seen.sd:.6f} (P(better) {better:.3f}), "
            f"after {count(len(gathered.path) - 1, 'step')} of main."
        )
    return told


def _again(gathered: Gathered) -> str:
    run = gathered.run
    seeds = sorted(gathered.scores.get(run.incumbent or 0, {}))
    trained = f" (main's own trainings had the seeds {', '.join(map(str, seeds))})" if seeds else ""
    return (
        f"- One score: take the settings, `autoresearch prepare`, then `autoresearch train train.py --seed N`{trained}.\n"
        f"- The search: in a clone of the repository at `{run.base_commit}`, on a branch `{markdown(run.branch)}`, with "
        "autoresearch.toml and program.md from here, `autoresearch run`. It is led by chance and by language models, so it "
        "comes to other candidates.\n"
        "- The gains alone: `git am patches/*.patch` at that commit.\n"
        "- The journal, to look at in the app: `autoresearch import` of this folder."
    )


def _fingerprint(gathered: Gathered) -> str:
    rows = [f"| {markdown(key)} | {markdown(value, 400)} |" for key, value in sorted(gathered.run.fingerprint.items())]  # fmt: skip
    if not rows:
        return "The journal noted nothing about the machine and the data."
    return "Scores are comparable only where all of this is the same.\n\n" + "\n".join(
        ("| what | value |", "| --- | --- |", *rows)
    )


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(when))
