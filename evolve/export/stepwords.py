"""Main's way in words: a table of its steps, and which of them still earn their place. Markdown, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from evolve.export.escaping import markdown
from evolve.export.saving import MARK
from evolve.export.steps import Stage, gain_of

if TYPE_CHECKING:
    from evolve.export.gather import Gathered
    from evolve.export.keeping import Kept

_HEAD = (
    *("step", "candidate", "title", "category", "by", "gain ± sd, P(better)", "today"),
    *("sealed gain", "trainings", "minutes", "lines still there"),
)
_NUMBERS = ("gain ± sd, P(better)", "sealed gain", "trainings", "minutes", "lines still there")


def summary(
    gathered: Gathered,
    series: Sequence[Stage],
    kept: Sequence[Kept],
    files: Mapping[int, str],
    path: str,
) -> str:
    """README.md of a folder of patches. `files`: step to the name of its patch; `path`: of the script in git."""
    run, last = gathered.run, series[-1].candidate
    parts = [
        f"{MARK}\n# Main's way in the run {markdown(run.name)}",
        _how(len(files), run.base_commit, path, last.id),
        steps_table(series, kept, files),
        _legend(),
        "## Which steps still earn their place",
        *earning(series, kept),
    ]
    return "\n\n".join(parts) + "\n"


def steps_table(series: Sequence[Stage], kept: Sequence[Kept], files: Mapping[int, str]) -> str:
    """A row a step. Titles link to their patches, where there are any."""
    rule = ["---:" if name in _NUMBERS else "---" for name in _HEAD]
    rows = [_HEAD, rule, *(_row(s, k, files.get(s.place)) for s, k in zip(series, kept, strict=True))]  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def earning(series: Sequence[Stage], kept: Sequence[Kept]) -> list[str]:
    """Paragraphs: steps that the last script could do without, and why; what the journal alone cannot say."""
    doubts = [
        f"- Step {stage.place}, #{stage.candidate.id} {markdown(stage.candidate.title)}: {'; '.join(why)}."
        for stage, left in zip(series, kept, strict=True)
        if stage.place and (why := _doubts(stage, left))
    ]
    if len(series) == 1:
        return ["Main is the baseline still; there is no step to ask about."]
    if not doubts:
        told = "Every step is more than noise by today's scores, and none was undone or overwritten by a later one."
    else:
        told = f"{len(doubts)} of {len(series) - 1} steps are in doubt:\n\n" + "\n".join(doubts)
    return [
        told,
        "This is read off the journal and the scripts; no training was made without a step. To measure one, take it out "
        "of the script by hand, let the run train that with `autoresearch inject FILE`, and compare it with main at "
        "the same seeds.",
    ]


# ---- private -------------------------------------------------------------------------------------------------


def _how(count: int, base: str, path: str, last: int) -> str:
    if not count:
        return f"Main holds the script with which it began (`{path}` at `{base}`), so there is no patch."
    many = "One patch leads" if count == 1 else f"{count} patches lead"
    return (
        f"{many} from the script with which the run began to the one that main holds (#{last}), a step each:\n\n"
        f"```\ngit switch --create improved {base}\ngit am /path/to/this/folder/*.patch\n```\n\n"
        f"They change `{path}` alone, and apply to any commit that holds the same script there. What was tried between "
        "two steps without becoming main is in the later one, named under “Squashed” in its message. With Windows line "
        "ends or settings of git that change blanks (`apply.whitespace`, `core.autocrlf`), use a fresh clone without them."
    )


def _legend() -> str:
    return (
        "A gain is how much lower the score is than that of the main before, in the unit of fitness (bits per byte "
        "unless [metric] says otherwise), from all scores known at the export, compared at equal seeds where there are such; ± is "
        "one standard deviation, P(better) the sceptical probability by which verdicts go. The sealed gain is the one on "
        "rows that only a promotion looks at, when it was judged. Minutes are those of the step's own trainings."
    )


def _row(stage: Stage, kept: Kept, file: str | None) -> Sequence[str]:
    candidate = stage.candidate
    title = markdown(candidate.title, 80)
    sealed = candidate.sealed_gain
    return (
        str(stage.place),
        f"#{candidate.id}",
        title if file is None else f"[{title}]({file})",
        markdown(candidate.category, 20),
        markdown(f"{candidate.operator}, {candidate.model or candidate.proposer}", 60),
        gain_of(stage) or "—",
        stage.verdict,
        "—" if sealed is None else f"{sealed:+.6f}",
        str(stage.trainings),
        f"{stage.minutes:.1f}",
        str(kept),
    )


def _doubts(stage: Stage, kept: Kept) -> list[str]:
    """Why a step may be one too many."""
    why: list[str] = []
    if kept.is_undone:
        why.append("nothing of it is left in the script, later steps wrote over it")
    elif kept.wrote and kept.left * 2 < kept.wrote:
        why.append(f"{kept.left} of the {kept.wrote} lines that it wrote are left")
    why += [f"set anew: {markdown(words)}" for words in kept.constants]
    if stage.verdict not in ("better", "better, not confirmed"):
        gain = gain_of(stage)
        why.append(stage.verdict if gain == "not known" else f"{stage.verdict} ({gain})")
    elif not stage.step.confirmed:
        why.append("its gain rests on a single training of it or of the main before")
    return why
