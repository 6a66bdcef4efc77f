"""The catalogue of known code patterns: small structural changes with a source, for the operator `mutate`.

Each pattern finds its place in the syntax tree and edits just that, or says that it does not fit. What is known
to hurt at this scale (SwiGLU, grouped queries, weight tying, parallel blocks, mixtures of experts) is left out;
what mostly failed elsewhere has a low weight. Pure.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from evolve.propose import patterns_model as model
from evolve.propose import patterns_training as training
from evolve.propose.lessons import Lessons
from evolve.propose.spans import Code, Edit, parsed

Matcher = Callable[[Code], Sequence[Edit] | None]


@dataclass(frozen=True, slots=True)
class Pattern:
    """One known change of code."""

    name: str  # what is changed: "activation"
    old: str  # from what, in a word
    new: str  # to what
    category: str  # one of operators.CATEGORIES
    hypothesis: str  # why it may help, with its source
    edits: Matcher
    weight: float = 1.0  # how promising it is before anything is known

    def apply(self, source: str) -> str | None:
        """The changed source; None when the pattern does not fit it or the outcome would not parse."""
        return _apply(self, source)

    @property
    def title(self) -> str:
        """`activation: relu2 -> silu`, which is also its line among a proposal's changes."""
        return f"{self.name}: {self.old} -> {self.new}"


@lru_cache(maxsize=64)
def _apply(pattern: Pattern, source: str) -> str | None:
    code = parsed(source)
    edits = pattern.edits(code)
    outcome = code.apply(edits) if edits else None
    return None if outcome == source else outcome


def choose_patterns(rng: random.Random, lessons: Lessons) -> list[Pattern]:
    """The whole catalogue in a random order that favours the promising and sinks what failed before."""
    left = list(CATALOGUE)
    order: list[Pattern] = []
    while left:
        weights = [pattern.weight * _promise(pattern, lessons) for pattern in left]
        chosen = rng.choices(left, weights)[0]
        left.remove(chosen)
        order.append(chosen)
    return order


def _promise(pattern: Pattern, lessons: Lessons) -> float:
    failures = sum(
        trial.weight
        for trial in lessons.of(pattern.name)
        if trial.new == pattern.new and not trial.helped
    )
    return 0.1**failures


CATALOGUE: tuple[Pattern, ...] = (
    Pattern(
        "activation",
        "relu2",
        "silu",
        "architecture",
        "A smooth gate keeps gradients where relu² is flat; cheap to try (Ramachandran et al. 2017).",
        model.activation("F.silu({x})"),
        0.6,
    ),
    Pattern(
        "activation",
        "relu2",
        "gelu",
        "architecture",
        "GELU trains more evenly than relu² on small models (Hendrycks and Gimpel 2016).",
        model.activation("F.gelu({x})"),
        0.6,
    ),
    Pattern(
        "activation",
        "relu2",
        "leaky relu2",
        "architecture",
        "Units that died under relu² get a small gradient; mostly neutral elsewhere (modded-nanogpt).",
        model.activation("F.leaky_relu({x}, 0.1).square()"),
        0.4,
    ),
    Pattern(
        "softcap",
        "tanh",
        "none",
        "regularisation",
        "In a run this short the logits stay small, so the cap may only cost (Gemma 2 introduced it).",
        model.uncapped,
        0.7,
    ),
    Pattern(
        "softcap",
        "as is",
        "doubled",
        "regularisation",
        "A wider cap distorts confident predictions less; modded-nanogpt moved it between 30 and 15.",
        model.softcap(2.0),
        0.6,
    ),
    Pattern(
        "qk_gain",
        "1.0",
        "1.2",
        "attention",
        "Sharper attention after QK norm: nanochat gained with 1.15, then 1.2; parameter-golf goes higher.",
        model.qk_gain(1.2),
        1.5,
    ),
    Pattern(
        "attention_norm",
        "none",
        "before projection",
        "attention",
        "A norm of the heads' output before the projection evens out their scales (sub-LN, Wang et al. 2022).",
        model.attention_norm,
        0.7,
    ),
    Pattern(
        "embedding_norm",
        "none",
        "after lookup",
        "architecture",
        "A norm right after the embedding keeps rare tokens from dominating the residual stream (nanochat).",
        model.embedding_norm,
        0.7,
    ),
    Pattern(
        "smear",
        "none",
        "0.1 of the previous token",
        "architecture",
        "Mixing in the previous token's embedding gives bigrams to the first layer (modded-nanogpt, nanochat).",
        model.smear(0.1),
        1.3,
    ),
    Pattern(
        "backout",
        "none",
        "0.2 of the middle",
        "architecture",
        "Taking a part of the middle layer's stream out before the head frees it for context (modded-nanogpt).",
        model.backout(0.2),
        1.0,
    ),
    Pattern(
        "mlp_expansion",
        "4",
        "3",
        "size",
        "A narrower MLP makes steps cheaper, and more steps fit into the budget.",
        model.mlp_expansion(3),
        0.6,
    ),
    Pattern(
        "mlp_expansion",
        "4",
        "6",
        "size",
        "Small models gain from a wider MLP when their steps are not compute-bound.",
        model.mlp_expansion(6),
        0.6,
    ),
    Pattern(
        "value_embeddings",
        "alternating",
        "every layer",
        "architecture",
        "Value embeddings on all layers add capacity at no compute; every third was worse (ancestor's log).",
        model.value_embeddings_everywhere,
        0.7,
    ),
    Pattern(
        "short_window",
        "as is",
        "half of it",
        "attention",
        "A shorter window is faster and local layers need little context: 1/8 beat 1/2 in the ancestor's log.",
        model.short_window(2),
        1.0,
    ),
    Pattern(
        "init_scale",
        "1.0",
        "0.7",
        "init",
        "Smaller initial matrices gained four times in the ancestor's log, best near 0.68.",
        model.init_scale(0.7),
        1.2,
    ),
    Pattern(
        "z_loss",
        "none",
        "1e-4",
        "regularisation",
        "A penalty on the log-normaliser keeps logits from drifting (PaLM; Chowdhery et al. 2022).",
        training.z_loss(1e-4),
        0.6,
    ),
    Pattern(
        "grad_clip",
        "none",
        "1.0",
        "optimizer",
        "Clipping protects early steps at high learning rates, though long runs did not need it (nanochat).",
        training.grad_clip(1.0),
        0.5,
    ),
    Pattern(
        "warmdown_shape",
        "linear",
        "1-sqrt",
        "schedule",
        "Falling fast at first and slowly at the end beat linear for short cooldowns (Hägele et al. 2024).",
        training.warmdown_shape("1 - max(0.0, 1 - {x}) ** 0.5"),
        1.2,
    ),
    Pattern(
        "warmdown_shape",
        "linear",
        "cosine-like",
        "schedule",
        "A smooth fall without corners; often no better than linear, but cheap to try (Loshchilov 2017).",
        training.warmdown_shape("({x}) ** 2 * (3 - 2 * {x})"),
        0.5,
    ),
    Pattern(
        "warmdown_shape",
        "linear",
        "square",
        "schedule",
        "More of the budget at small learning rates lets the weights settle further.",
        training.warmdown_shape("({x}) ** 2"),
        0.7,
    ),
    Pattern(
        "decay_schedule",
        "linear",
        "constant",
        "regularisation",
        "Weight decay that does not fade keeps the effective learning rate up to the end.",
        training.decay_schedule(keep=True),
        0.7,
    ),
    Pattern(
        "decay_schedule",
        "linear",
        "square",
        "regularisation",
        "Decay that fades earlier leaves the last steps to the loss alone (nanochat uses a cosine).",
        training.decay_schedule(keep=False),
        0.8,
    ),
    Pattern(
        "momentum_peak",
        "0.95",
        "0.97",
        "optimizer",
        "nanochat raised Muon's momentum to 0.97 and gained.",
        training.momentum_peak(0.97),
        0.9,
    ),
    Pattern(
        "momentum_warmdown",
        "none",
        "by 0.05",
        "optimizer",
        "A shorter horizon near the end follows the falling learning rate; nanochat went from 0.97 to 0.90.",
        training.momentum_warmdown(0.05),
        0.8,
    ),
    Pattern(
        "muon_rows",
        "as they are",
        "equalised",
        "optimizer",
        "Rows of equal length let the orthogonalisation converge evenly (MuonEq; nanochat: very slight gain).",
        training.muon_rows,
        0.6,
    ),
    Pattern(
        "polar_steps",
        "5",
        "4",
        "optimizer",
        "One step less of the orthogonalisation is cheaper and blurs the update only a little.",
        training.fewer_polar_steps(4),
        0.5,
    ),
    Pattern(
        "resid_by_depth",
        "constant",
        "1.15 to 1.05",
        "init",
        "Residual weights that fall with depth let early layers speak up (nanochat, second agent round).",
        model.by_depth("resid", 1.15, 1.05),
        1.0,
    ),
    Pattern(
        "x0_by_depth",
        "constant",
        "0.2 to 0.05",
        "init",
        "Early layers profit more from the token embedding than late ones (nanochat, second agent round).",
        model.by_depth("x0", 0.2, 0.05),
        1.0,
    ),
    Pattern(
        "value_gate_range",
        "2",
        "3",
        "architecture",
        "A wider gate gives value embeddings more weight from the start (nanochat).",
        model.value_gate_range,
        0.8,
    ),
    Pattern(
        "momentum_warmup",
        "as is",
        "half as long",
        "optimizer",
        "A short run has no time for a long momentum warm-up: 200 steps beat 300 in the ancestor's log.",
        training.momentum_warmup(2),
        0.8,
    ),
    Pattern(
        "tail_average",
        "none",
        "last tenth",
        "optimizer",
        "Averaging the weights of the last steps removes noise that the warmdown leaves (modded-nanogpt track 3).",
        training.tail_average,
        0.8,
    ),
)
