"""Why a step of a knob may help, in words for the hypothesis of a proposal."""

from __future__ import annotations

from evolve.propose.lessons import number
from evolve.propose.moves import Kind

_REASONS: dict[str, tuple[str, str]] = {  # kind -> when it grows, when it shrinks
    "rate": (
        "a higher learning rate gets further in a short budget, as long as it stays stable.",
        "a lower learning rate may end in a better place if the present one is too hot.",
    ),
    "decay": (
        "more weight decay keeps the effective learning rate up.",
        "less weight decay leaves more capacity to a run this short.",
    ),
    "fraction": (
        "a larger share of the budget for this phase.",
        "a smaller share of the budget for this phase.",
    ),
    "phase": (
        "a larger share of the budget for this phase.",
        "a smaller share of the budget for this phase.",
    ),
    "momentum": (
        "a longer horizon averages more gradient noise away.",
        "a shorter horizon follows a fast-moving optimum.",
    ),
    "count": (
        "more of it buys capacity, if the steps that it costs are worth it.",
        "less of it makes each step cheaper, so that more fit into the budget.",
    ),
    "width": (
        "a wider model learns more from each token.",
        "a narrower model takes more steps in the same budget.",
    ),
    "batch": (
        "a larger batch makes each step less noisy.",
        "a smaller batch takes more optimizer steps from the same tokens.",
    ),
    "angle": (
        "a larger rotary base keeps distant positions apart more gently.",
        "a smaller rotary base resolves near positions better.",
    ),
    "gain": ("a stronger effect of it.", "a weaker effect of it."),
}
_PLAIN = ("more of it.", "less of it.")


def reason(kind: Kind, old: str, new: str) -> str:
    """Why such a step may help, in words."""
    if kind.name == "pattern":
        return "another mix of short and full attention windows trades context for speed."
    before, after = number(old), number(new)
    if before is None or after is None:
        return "the other way round."
    return _REASONS.get(kind.name, _PLAIN)[0 if after > before else 1]
