"""The progress as the PNG that the ancestor's repository shows, by matplotlib (the extra `plot`).

Its colours, its labels at 30 degrees and its title; but the line is the running *confirmed* main with the noise of one
training around it, not the running minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from evolve.export.progress import Plot, plot
from evolve.model import EvolveError, NothingToDo
from evolve.text import one_line

if TYPE_CHECKING:
    from evolve.export.gather import Gathered

_LABELS = 40  # names along main's way


def write_png(gathered: Gathered, file: BinaryIO) -> None:
    """The figure as a PNG of 2,400 x 1,200 pixels. Raises NothingToDo before the first score, EvolveError without matplotlib."""
    found = plot(gathered)
    if found.empty:
        raise NothingToDo("Nothing has a score yet, so there is no progress to draw.")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise EvolveError(
            "A PNG needs matplotlib: `pip install 'autoresearch[plot]'`; or name a file that ends with .svg, which needs nothing."
        ) from None
    figure = Figure(figsize=(16, 8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), found)
    figure.savefig(file, format="png", metadata={"Software": "autoresearch"})


def _draw(axes: Any, found: Plot) -> None:
    seen = [d for d in found.dots if d.level is not None and d.level <= found.high]
    lost = [d for d in seen if d.word == "rejected"]
    kept = [d for d in seen if d.word == "kept"]
    axes.scatter(
        [d.trainings for d in lost],
        [d.level for d in lost],
        c="#cccccc",
        s=12,
        alpha=0.6,
        label="Discarded",
    )
    axes.scatter(
        [d.trainings for d in kept],
        [d.level for d in kept],
        s=22,
        facecolors="none",
        edgecolors="#7f8c8d",
        label="In the population",
    )
    x = [r.trainings for r in found.rungs]
    y = [r.level for r in found.rungs]
    if x:
        ends, levels = [*x, found.trainings], [*y, y[-1]]
        axes.scatter(x, y, c="#2ecc71", s=50, zorder=4, edgecolors="black", linewidths=0.5, label="Kept")  # fmt: skip
        axes.step(ends, levels, where="post", color="#27ae60", linewidth=2, alpha=0.7, zorder=3, label="Running confirmed best")  # fmt: skip
        low, high = ([level + sign * 2 * found.sigma for level in levels] for sign in (-1, 1))
        axes.fill_between(ends, low, high, step="post", color="#27ae60", alpha=0.12, linewidth=0, label="Noise of one training (±2σ)")  # fmt: skip
    for rung in found.rungs[-_LABELS:]:
        axes.annotate(
            _safe(rung.title), (rung.trainings, rung.level), textcoords="offset points", xytext=(6, 6), fontsize=8.0,
            color="#1a7a3a", alpha=0.9, rotation=30, ha="left", va="bottom",
        )  # fmt: skip
    axes.set_xlabel("Experiment #", fontsize=12)
    axes.set_ylabel(f"Validation {found.unit} as believed (lower is better)", fontsize=12)
    title = f"Autoresearch Progress: {found.measured} Experiments, {found.kept} Kept Improvements"
    axes.set_title(title, fontsize=14)
    axes.set_ylim(found.low, found.high)
    axes.legend(loc="upper right", fontsize=9)
    axes.grid(visible=True, alpha=0.2)


def _safe(title: str) -> str:
    """A title as plain text: dollar signs would begin formulas, and glyphs that no font has only warn."""
    words = one_line(title, 45).replace("$", r"\$")
    return "".join(c if c.isprintable() and ord(c) < 0x2600 else "?" for c in words)
