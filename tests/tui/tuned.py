"""What can be tuned in a recorded run: the real settings, two changes, a scratchpad and an older template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evolve import settings as config
from evolve.model import Command, CommandState, Note, SettingChange, Template
from evolve.promptbook import Prompt, versions
from evolve.promptbook import prompts as together
from evolve.propose.placeholders import prompt_version
from evolve.trends import Trend
from evolve.tunable import Tuning, described

START = 1_790_000_000.0
OLD = "{parents}\n\nBe bold on {budget}.\n"
PAD = "# Summary\n\nRates matter.\n\n# Insights\n\n- up is good (#2)\n\n# Recommendations\n\n1. go on\n"


def tuning(values: Mapping[str, str], asked: Sequence[Command] = ()) -> Tuning:
    """A rehearsal in which ann has set the size from 6 to 12 before #9, and bob asked for something frozen."""
    defaults = config.defaults("cpu")
    refused = Command(
        7, START + 300, "bob", "set", {"key": "budget.tokens", "value": "1"}, CommandState.REFUSED,
        "budget.tokens is frozen in a run.",
    )  # fmt: skip
    return Tuning(
        described=described({**defaults, **values}),
        sections=config.sections(),
        values={**defaults, **values},
        defaults=defaults,
        changes=(
            SettingChange(2, START + 200, "ann on gpu-a", "population.size", "6", "12", 9),
            SettingChange(
                1, START + 100, "autoresearch.toml", "llm.effort", '"medium"', '"high"', 5
            ),
        ),
        asked=(*reversed(asked), refused),
        pads=(Note(1, START + 50, "model", "claude", 10, PAD),),
        program=Path("/w/program.md"),
        directions="Look at attention.\n",
        candidates=35,
    )


def prompts() -> tuple[Prompt, ...]:
    """The built-in templates in force; a person's own one of mutate was in force before."""
    kept = [Template(prompt_version(OLD), "mutate", START, OLD)]
    trend = Trend(prompt_version(OLD), 12, 11, 1, 1, 2, 0.4, 3.1, "P..k...x.k", 1)
    return together({}, versions({}, kept, [trend]))
