"""How the figures of a search read: beliefs, noise, calls, pruning, trends and operators, in the same words everywhere.

Pure: values in, short texts out, for `status`, the tables of the commands and the painters of the app. Numbers that rest
on one training say so; what is not known is a dash or left out, never a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from evolve.bandit import by_operator

if TYPE_CHECKING:
    from evolve.beliefs import Belief
    from evolve.callbook import CallFigures
    from evolve.model import Candidate
    from evolve.noise import Noise
    from evolve.outlook import Outlook, Pruned
    from evolve.trends import Trend

GREEDY = "greedy: one better training moves main, so some of its gains are luck"
UNSURE = 0.005  # a chance nearer to 0 or 1 than this is not spelled out


def times(number: int, noun: str, plural: str = "") -> str:
    """`1 training`, `3 trainings`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def percent(share: float | None) -> str:
    """`97 %`, or a dash."""
    return "-" if share is None else f"{share:.0%}".replace("%", " %")


def chance(better: float | None) -> str:
    """P(better than main): `97 %`, `<1 %`, `>99 %`; a dash for main itself."""
    if better is None:
        return "-"
    if better < UNSURE:
        return "<1 %"
    return ">99 %" if better > 1 - UNSURE else percent(better)


def corrected(belief: Belief | None, digits: int = 5, sign: str = "±") -> str:
    """`0.97150 ± 0.00020`: the score without luck, and how sure that is."""
    if belief is None:
        return "-"
    return f"{belief.mean:.{digits}f} {sign} {belief.sd:.{digits}f}"


def bpb(value: float | None) -> str:
    """A score in bits per byte, or a dash."""
    return "-" if value is None else f"{value:.5f}"


def score(candidate: Candidate, belief: Belief | None, *, composite: bool = False) -> str:
    """`0.97120 in 3 trainings, corrected 0.97150 ± 0.00030, confirmed`: as measured, and as believed.

    `composite`: what is corrected is the fitness, so that is told too.
    """
    if candidate.mean is None:
        return "not scored yet"
    raw = f"{bpb(candidate.mean)} in {times(len(candidate.scores), 'training')}"
    if composite:
        raw += f", fitness {bpb(candidate.mean_fitness)}"
    if belief is None:
        return raw
    return f"{raw}, corrected {corrected(belief)}, {belief.word}"


def belief_head(*, composite: bool) -> tuple[str, ...]:
    """The heads over the cells of `believed`."""
    fitness = ("fitness",) if composite else ()
    return ("val_bpb", *fitness, "corrected", "P(better)", "n", "state")


def believed(
    candidate: Candidate, belief: Belief | None, *, composite: bool = False
) -> tuple[str, ...]:
    """As measured, without luck, better than main, trainings, provisional or confirmed.

    `composite`: selection goes by more than val_bpb; then fitness is shown too, and is what is corrected.
    """
    return (
        bpb(candidate.mean),
        *((bpb(candidate.mean_fitness),) if composite else ()),
        corrected(belief),
        "-" if belief is None else chance(belief.better),
        str(len(candidate.scores)),
        "-" if belief is None else belief.word,
    )


def noise(found: Noise | None) -> str:
    """`0.00210 bpb a training, from 12 repeats; its seed explains 40 % of the variance`."""
    if found is None:
        return "not measured yet"
    words = f"{found.sigma:.5f} bpb a training, from {times(found.n, 'repeat')}"
    if not found.pairs:
        return words
    return f"{words}; its seed explains {percent(found.share)} of the variance"


def calls(found: Sequence[CallFigures], dollars: float) -> str:
    """`$1.42 in 31 model calls, 2 refused, 1 failed, 74 % of the input from the cache`."""
    parts = [f"${dollars:.2f} in {times(sum(c.calls for c in found), 'model call')}"]
    for word, number in (
        ("refused", sum(c.refused for c in found)),
        ("failed", sum(c.failed for c in found)),
    ):
        if number:
            parts.append(f"{number} {word}")
    if (share := cached_share(found)) is not None:
        parts.append(f"{percent(share)} of the input from the cache")
    return ", ".join(parts)


def cached_share(found: Iterable[CallFigures]) -> float | None:
    """Share of all input tokens that was read from the cache, 0…1; None before any was counted."""
    read = [(c.cached_tokens, c.input_tokens) for c in found]
    total = sum(tokens for _, tokens in read)
    return sum(cached for cached, _ in read) / total if total else None


def pruning(found: Pruned | None) -> str:
    """`4 pruned, 2 of 2 spared rightly doomed`, or that the rule is off; empty while nothing was stopped early."""
    if found is None:
        return ""
    audit = f", {found.spared - found.wrong} of {found.spared} spared rightly doomed"
    words = f"{found.stopped} pruned{audit if found.spared else ''}"
    return f"{words}; PRUNING OFF, wrong too often" if found.failed else words


def asked(candidate: Candidate) -> tuple[str, ...]:
    """What people asked for this candidate, a word or two each: `pinned`, `boosted 3`, `measured again 2`."""
    parts = (
        "pinned" if candidate.pinned else "",
        "banned" if candidate.banned else "",
        f"boosted {candidate.boosted}" if candidate.boosted else "",
        f"measured again {candidate.wanted}" if candidate.wanted else "",
    )
    return tuple(part for part in parts if part)


def goes_by(outlook: Outlook) -> str:
    """`val_bpb, 0.01 for twice the speed; memory softly limited to 77,462 MB …`; empty for val_bpb alone."""
    parts = [outlook.goes_by] if outlook.composite else []
    if outlook.memory_limit != "none":
        parts.append(f"memory softly limited to {outlook.memory_limit}")
    return "; ".join(parts)


def operators(outlook: Outlook) -> str:
    """`mutate 45 %, tune 30 %, crossover 25 %`: how the next proposals are shared out."""
    shares = by_operator(outlook.operators)
    return ", ".join(f"{name} {percent(share)}" for name, share in shares.items())


def sigmas(value: float | None) -> str:
    """`+1.4`, or a dash."""
    return "-" if value is None else f"{value:+.1f}"


def tried(found: Sequence[Trend], most: int = 5) -> str:
    """`optimizer 3 of 12, size 0 of 5`: successes of attempts of the kinds tried most."""
    counted = [t for t in found if t.attempts]
    names = [f"{t.key} {t.promoted + t.kept} of {t.attempts}" for t in counted[:most]]
    more = f" and {len(counted) - most} more" if len(counted) > most else ""
    return ", ".join(names) + more
