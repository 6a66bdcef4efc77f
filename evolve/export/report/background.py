"""What shaped the run: every version of every prompt, the settings and who changed them, the scratchpad, the machine."""

from __future__ import annotations

import re

from evolve.concealing import conceal_keys
from evolve.export.report import words
from evolve.export.report.facts import Facts
from evolve.export.report.headline import note
from evolve.export.report.html import Child, Markup, escaped, paragraph, section, table, tag
from evolve.export.report.roster import diff
from evolve.model import Template
from evolve.text import one_line

_PROMPT = 30_000  # characters of one template
_USERINFO = re.compile(r"//[^/@\s\"]+@")  # of an address: https://name:password@host


def prompts(facts: Facts) -> Markup:
    """Every version of every template, each with what changed since the one before and what its children came to."""
    came_to = {trend.key: trend for trend in facts.trends("prompt")}
    known: dict[str, list[Template]] = {}
    for template in facts.gathered.prompts():
        known.setdefault(template.operator, []).append(template)
    if not known:
        return section("prompts", "Prompts", paragraph("No prompt was in force: no language model wrote a candidate."))  # fmt: skip
    made: list[Child] = []
    for operator, versions in sorted(known.items()):
        made.append(tag("h3", one_line(operator, 40)))
        before = ""
        for place, one in enumerate(versions):
            trend = came_to.get(one.version)
            lived = f", {trend.kept + trend.promoted} of {trend.attempts} children lived" if trend and trend.attempts else ""  # fmt: skip
            summary = tag("summary", tag("code", one.version), f" since {words.moment(one.time)}{lived}")  # fmt: skip
            changed = diff(before, one.text, most=400) if place else None
            title = paragraph("Changed since the version before:", "note") if changed else None
            text = tag("pre", escaped(conceal_keys(one.text), _PROMPT), tabindex=0)
            made.append(tag("details", summary, title, changed, text))
            before = one.text
    about = note("A version is named by the first digits of its SHA-256; its placeholders are filled in anew for each call.")  # fmt: skip
    return section("prompts", "Prompts", about, *made)


def settings(facts: Facts) -> Markup:
    """Every setting in force at this instant, and every change of one."""
    rows: list[list[Child]] = [
        [tag("code", key), _value(value)] for key, value in sorted(facts.gathered.settings.items())
    ]  # fmt: skip
    changes: list[list[Child]] = [
        [words.moment(c.time), one_line(c.who, 40), tag("code", one_line(c.key, 60)), _value(c.old),
         _value(c.new), f"from #{c.applied_from} on"]
        for c in facts.gathered.setting_changes()
    ]  # fmt: skip
    heads = ("When", "Who", "Setting", "Before", "After", "Took hold")
    changed = table("Changes while the run went on", heads, changes) if changes else paragraph("Nobody changed a setting while the run went on.")  # fmt: skip
    everything = tag(
        "details",
        tag("summary", f"All {len(rows)} settings in force"),
        table("Settings in force", ("Setting", "Value"), rows, name="small"),
    )
    return section("settings", "Settings", changed, everything, _scratchpad(facts))


def environment(facts: Facts) -> Markup:
    """The fingerprint: what scores of another run must share to be compared with these."""
    rows: list[list[Child]] = [
        [one_line(key, 60), tag("code", one_line(str(value), 300))]
        for key, value in sorted(facts.run.fingerprint.items())
    ]
    about = note("Scores of two runs are comparable only where all of this is the same.")
    shown = table("Fingerprint of the run", ("What", "Value"), rows, name="small") if rows else paragraph("The run keeps no fingerprint.")  # fmt: skip
    return section("environment", "Environment", shown, about)


def reproduce(facts: Facts) -> Markup:
    """Commands that lead to the same numbers, as near as the device allows."""
    run, main = facts.run, facts.main
    commands = [("The seed that the run began with", f"git checkout {run.base_commit[:12]}")]
    if main is not None:
        commands += [
            ("The best script", f"git show {main.commit[:12]}:{_script(facts)} > train.py"),
        ]
        if scores := facts.gathered.journal.scores_by_seed(main.id):
            seed, score = next(iter(scores.items()))
            told = f"Its training with seed {seed}, which scored {score:.6f}, once more"
            commands.append((told, f"autoresearch train train.py --seed {seed}"))
    commands += [
        ("All data of this run", "autoresearch export all"),
        ("A run of your own, with the settings above in autoresearch.toml", "autoresearch run"),
    ]
    made = [
        tag("div", tag("dt", about), tag("dd", tag("code", command), tag("button", "Copy", type="button", class_="copy", hidden=True)))
        for about, command in commands
    ]  # fmt: skip
    told = paragraph(
        f"The run began at {words.moment(run.created)} on the branch {run.branch}. On a GPU a budget in seconds gives scores that "
        f"repeat within the noise, not to the digit."
    )
    return section("reproduce", "How to reproduce it", told, tag("dl", *made, class_="commands"))


# ---- private ---------------------------------------------------------------------------------------------


def _value(value: str) -> Markup:
    """A setting's value without credentials, which an address may carry too."""
    return tag("code", one_line(_USERINFO.sub("//…@", conceal_keys(value)), 400))


def _script(facts: Facts) -> str:
    wanted = str(facts.run.settings.get("workspace", {}).get("script", "auto"))
    return "trainer/train.py" if wanted == "auto" else one_line(wanted, 80)


def _scratchpad(facts: Facts) -> Markup | None:
    notes = facts.gathered.scratchpads()
    if not notes:
        return None
    last = notes[-1]
    summary = f"The scratchpad in force, version {len(notes)}, by {one_line(last.who, 40)}, {words.moment(last.time)}"
    return tag("details", tag("summary", summary), tag("pre", escaped(conceal_keys(last.text), _PROMPT), tabindex=0))  # fmt: skip
