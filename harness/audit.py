"""The blind audit: what a score is worth when the future is hidden. Plans the probes and judges the answers; pure.

A probe is a validation row up to a secret cut, with other text behind it. A fresh process that never saw the rest
predicts the token at the cut; the loss there, minus the loss that was claimed, is what seeing the future gained.
Predictions before the cut must not change at all. It starts nothing and believes no number that a candidate sent.

After the leak checks of karpathy/nanochat #844 (suffixes changed in place, in the same process), which a memory
beats; a second process and a hidden target do not share that weakness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MEAN_LIMIT = 0.002  # nats per token that seeing the future may seem to be worth, beyond three standard errors
SHARE_LIMIT = 0.005  # of the probes, that may show an earlier prediction change
# Mean sizes of differences, in tolerances: a candidate may choose its own spread, and hide a gain in it. Honest
# arithmetic differs by next to nothing: bfloat16 against float32 by 0.0004 nats in the mean.
SPREAD_LIMIT, EARLIER_LIMIT = 0.04, 0.012
AGAIN = 4  # times as many probes when one of them is beyond what arithmetic explains
APART = 5  # one row in so many is not probed, and lends the text behind the cuts
TRIES = 8  # draws for one place
CHUNK = 512  # probes compared at a time


@dataclass(frozen=True, slots=True)
class Probes:
    """Places at which the future is hidden."""

    rows: npt.NDArray[np.int64]  # [N] of the validation rows
    cuts: npt.NDArray[np.int64]  # [N] 1…T-1: the first token that is hidden
    shown: npt.NDArray[np.uint16]  # [N, T+1] the row before the cut, other text from there on


@dataclass(frozen=True, slots=True)
class Findings:
    """What the answers show; nats per token."""

    passed: bool
    undecided: bool  # one odd place: to be looked at more closely
    reason: str
    probes: int
    mean: float  # of blind minus seeing, at the cuts
    error: float  # standard error of it
    outliers: int  # cuts where the two differ by more than the tolerance
    stateful: float  # share of probes with an earlier prediction that changed by more than that
    largest: float  # change of an earlier prediction


def plan(
    rows: npt.NDArray[np.uint16],
    byte_table: npt.NDArray[np.int32],
    probes: int,
    generator: np.random.Generator,
) -> Probes:
    """Choose `probes` places in validation rows uint16[n, T+1], one a row, each at a token that counts.

    `byte_table`: int32[V] bytes of each token. Fewer come back where rows are too few or too much alike. A candidate
    may hold all probes at once, so none may show what another hides: no row is probed twice, and the text behind the
    cuts comes from rows that are not probed at all.
    """
    count, length = len(rows), rows.shape[1] - 1
    mixed = generator.permutation(count)
    apart = -(-count // APART)
    others, row = mixed[:apart], mixed[apart : apart + 2 * probes]
    if not len(row) or length < 2:
        return Probes(*(np.empty(0, np.int64),) * 2, np.empty((0, length + 1), np.uint16))
    # Some draws will not do: a special token at the cut, or the very token in the other text.
    cut = generator.integers(1, length, (TRIES, len(row)))
    other = others[generator.integers(0, apart, (TRIES, len(row)))]
    hidden = rows[row, cut]
    fit = (rows[other, cut] != hidden) & (byte_table[hidden] > 0)
    number = np.flatnonzero(fit.any(0))[:probes]
    first = fit.argmax(0)[number]
    row, cut, other = row[number], cut[first, number], other[first, number]
    before = np.arange(length + 1) < cut[:, None]
    return Probes(row, cut, np.where(before, rows[row], rows[other]))


def examine(
    seeing: npt.NDArray[np.float32],
    blind: npt.NDArray[np.float32],
    probes: Probes,
    tolerance: float,
) -> Findings:
    """Compare nats of the rows' own tokens, claimed `seeing`[n, T] and `blind`[N, T].

    Losses at the cut and before it count; `tolerance` is what honest arithmetic may differ by at one place.
    """
    number, at = np.arange(len(probes.rows)), probes.cuts - 1
    difference = _difference(seeing[probes.rows, at], blind[number, at])
    earlier, total = np.zeros(len(number)), 0.0
    for start in range(0, len(number), CHUNK):
        here = slice(start, start + CHUNK)
        change = np.abs(_difference(seeing[probes.rows[here]], blind[here]))
        change[np.arange(change.shape[1]) >= at[here, None]] = 0
        earlier[here] = change.max(1)
        total += float(change.sum())
    mean = float(difference.mean()) if len(number) else 0.0
    error = float(difference.std() / math.sqrt(len(number))) if len(number) else 0.0
    outliers = int((np.abs(difference) > tolerance).sum())
    changed = int((earlier > tolerance).sum())
    reason = _fault(mean, error, outliers, changed, len(number)) or _drift(
        float(np.abs(difference).mean()) / tolerance,
        total / max(1, int(at.sum())) / tolerance,
    )
    return Findings(
        passed=not reason,
        undecided=not reason and outliers == 1,
        reason=reason
        or f"At {len(number):,} places the future was hidden, and the loss stayed the same "
        f"({mean:+.4f} ± {error:.4f} nats).",
        probes=len(number),
        mean=mean,
        error=error,
        outliers=outliers,
        stateful=changed / max(1, len(number)),
        largest=float(earlier.max(initial=0.0)),
    )


def _difference(
    seeing: npt.NDArray[np.float32], blind: npt.NDArray[np.float32]
) -> npt.NDArray[np.float64]:
    """Blind minus seeing; what is not finite (a special token that the model rules out) is equal or far off."""
    with np.errstate(invalid="ignore"):
        found = blind.astype(np.float64) - seeing
    found[blind == seeing] = 0.0
    return np.nan_to_num(found, nan=1e3, posinf=1e3, neginf=-1e3)


def _fault(mean: float, error: float, outliers: int, changed: int, probes: int) -> str:
    """Why the score is void, or an empty string."""
    if not probes:
        return "the validation rows are too few to hide anything in them"
    if mean - 3 * error > MEAN_LIMIT:
        return (
            f"where the future was hidden its loss was {mean:.4f} nats higher (standard error {error:.4f}, "
            f"{probes:,} places): its predictions look ahead, at tokens that come later in the row"
        )
    if changed > max(1.0, SHARE_LIMIT * probes):
        return (
            f"in {changed / probes:.1%} of {probes:,} rows, predictions changed although nothing before them did: "
            "they depend on later tokens, on other rows or on earlier batches, and not on the committed weights "
            "and the row alone"
        )
    if outliers > 1:
        return (
            f"at {outliers} of {probes:,} places its loss was another one when the future was hidden: its "
            "predictions look ahead now and then, or remember what was not committed"
        )
    return ""


def _drift(spread: float, earlier: float) -> str:
    """Why many differences that are small each void a score all the same; sizes in tolerances."""
    if spread > SPREAD_LIMIT:
        return (
            f"where the future was hidden its losses were others by {spread / SPREAD_LIMIT:.1f} times what "
            "arithmetic explains: whatever it hides in that spread, its predictions do not follow from the row alone"
        )
    if earlier > EARLIER_LIMIT:
        return (
            f"its predictions of earlier tokens changed by {earlier / EARLIER_LIMIT:.1f} times what arithmetic "
            "explains, although nothing before them did: it learns or remembers while it is scored"
        )
    return ""
