"""What a model sees of the parents: why they were tried, their figures beside main's, their code, how they came apart.

Pure. Hypotheses and titles are quoted as data; failures have no figures.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from evolve.propose.operators import Brief, ParentView
from evolve.propose.quoting import fenced, inline

DIFF = 6000  # characters of a difference to the ancestor
TITLE = 72
HYPOTHESIS = 400
SHARES = (
    0.05,
    0.1,
    0.2,
    0.35,
    0.5,
    0.65,
    0.8,
    0.9,
    1.0,
)  # of the budget, at which losses are compared


def family(brief: Brief, name: str = "Parent") -> str:
    """Parents one after another, each with its story and its code, under one table of figures."""
    parts = [_figures(brief)] if brief.parents else []
    if len(brief.parents) == 1:
        parts.append(_parent(name, brief.parents[0]))
    else:
        letters = zip("AB", brief.parents, strict=False)
        parts += [_parent(f"{name} {a}", parent) for a, parent in letters]
    return "\n\n".join(parts)


def ancestry(brief: Brief) -> str:
    """How two parents came apart: the difference of each from their common ancestor, else from one another."""
    if len(brief.parents) < 2:
        return ""
    one, two = brief.parents[:2]
    if brief.ancestor is None:
        return f"# From parent A to parent B\n\n{_difference(one, two)}"
    past = brief.ancestor
    score = "no score" if past.mean_bpb is None else f"val_bpb {past.mean_bpb:.6f}"
    return (
        f"# Since their common ancestor #{past.id} ({score})\n\n"
        f"From the ancestor to parent A:\n\n{_difference(past, one)}\n\n"
        f"From the ancestor to parent B:\n\n{_difference(past, two)}"
    )


# ---- private ---------------------------------------------------------------------------------------------


def _parent(name: str, parent: ParentView) -> str:
    title = f" {inline(parent.title, TITLE)}" if parent.title else ""
    why = (
        f"It was tried because: {inline(parent.hypothesis, HYPOTHESIS)}\n\n"
        if parent.hypothesis
        else ""
    )
    return f"# {name}: #{parent.id}{title}\n\n{why}{fenced(parent.source, 'python')}"


def _figures(brief: Brief) -> str:
    """One column a version: the parents, and main unless it is one of them."""
    views = list(brief.parents)
    names = [f"#{view.id}" for view in views]
    if brief.incumbent is not None:
        main = brief.incumbent.id
        if main in (view.id for view in views):
            names = [f"{name} (main)" if name == f"#{main}" else name for name in names]
        else:
            views.append(brief.incumbent)
            names.append(f"#{main} (main)")
    head = f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}"
    return "\n".join(["# Figures", "", head, *_rows(views)])


def _rows(views: Sequence[ParentView]) -> list[str]:
    facts: tuple[tuple[str, Callable[[ParentView], str]], ...] = (
        ("val_bpb, mean", lambda v: "no score" if v.mean_bpb is None else f"{v.mean_bpb:.6f}"),
        ("of single trainings", lambda v: ", ".join(f"{score:.6f}" for score in v.scores[-8:])),
        ("steps", lambda v: _figure(v.steps, ",.0f")),
        ("tokens/s", lambda v: _figure(v.tokens_per_second, ",.0f")),
        ("peak memory, MB", lambda v: _figure(v.peak_memory_mb, ",.0f")),
        ("MFU, %", lambda v: _figure(v.mfu_percent, ".1f")),
        ("times the training rows were read", lambda v: _figure(v.passes, ".1f")),
    )
    rows = [(name, [say(view) for view in views]) for name, say in facts]
    rows += [
        (f"training loss, nats, at {share:.0%}", [_loss(view, share) for view in views])
        for share in SHARES
    ]
    return [f"| {name} | {' | '.join(cells)} |" for name, cells in rows if any(cells)]


def _figure(value: float | None, form: str) -> str:
    return format(value, form) if value else ""


def _loss(view: ParentView, share: float) -> str:
    """The last loss at or before a share of the budget; empty where the curve has not begun by then."""
    before = [loss for fraction, loss in view.curve if fraction <= share + 1e-9]
    return f"{before[-1]:.3f}" if before else ""


def _difference(old: ParentView, new: ParentView) -> str:
    lines = difflib.unified_diff(
        old.source.splitlines(), new.source.splitlines(), f"#{old.id}", f"#{new.id}", "", "", 2, ""
    )
    text = "\n".join(lines)
    if len(text) > DIFF:
        text = text[:DIFF].rsplit("\n", 1)[0] + "\n(cut here: the difference is longer)"
    return fenced(text or "(no difference)", "diff")
