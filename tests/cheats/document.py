"""Writes docs/integrity.md from what a run of all cases has shown, and reads its tables back.

The figures and reasons in it come from a run; the words around them say what is promised, and what is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.cheats.case import Cheat
from tests.cheats.stand import ROOT, Run

DOCUMENT = ROOT / "docs" / "integrity.md"
REASON = 230  # characters of a reason


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of a cheat."""

    run: Run
    complaints: tuple[str, ...]
    honest: float | None  # the score that it is compared with


INTRODUCTION = """# What keeps a score honest

*Made by `python -m tests.cheats --write`, which carries out every cheat below for real: each is a small edit of
trainer/train.py, run as an experiment in the strongest sandbox. `make test` carries out all that are stopped.*

A candidate is a program that somebody else wrote, often a language model, and its score is all that it is judged by.
So nothing that it says or writes is believed:

- **The score** is computed by a trusted process that alone holds the targets. It takes logits, copies them once, and
  computes the cross-entropy itself. What a candidate prints is a log.
- **The time** is kept by a trusted process that serves the rows. The rows before its clock starts are tokens in no order.
  The deadline is on the commit of the weights, which are immutable from then on.
- **The future** is hidden in a blind audit: a fresh process in a fresh cell gets the committed weights and is asked
  about validation rows whose continuation was replaced. What it loses there is what the score had gained by looking
  ahead, or by remembering anything that was not committed. A score that fails is void.
- **The host** is out of reach: no network, no files but the system's and its own, no other processes, limits on
  memory, processes, log and time.

How much of this holds depends on the sandbox, which is chosen by a self-test that tries to break out:

| level | what keeps a candidate apart | what it does not keep apart |
|---|---|---|
| bubblewrap | namespaces of its own for processes, files, network and IPC; a filter of system calls; limits | what is listed at the end of this page |
| landlock | the kernel refuses files, network and signals outside; a filter of system calls; limits | that a path exists, how large it is and whose; where namespaces are forbidden, which process ids are taken |
| process | a process group, and an environment without secrets | nearly everything: files (validation rows too), network, other processes of the same user. It must be asked for, and its scores prove nothing |

Scores of different levels are never compared. Everything below was carried out in bubblewrap.

## Cheats

*prevented*: the harness ends it, or the way does not exist. *voided*: it has a score, which is taken away again.
*worthless*: it runs, and its score is that of the honest file. *open*: nothing stops it.

| cheat | what it does | class | defence | outcome | what the harness said |
|---|---|---|---|---|---|
"""

HONEST = """
## Honest variants

An audit that convicts the innocent is of no use. These are small edits of the same file with seeds 0 and 1, audited
at {probes} places each; {passed} of {runs} runs pass. The last column is the largest change of a prediction that the
hidden future should not change, in nats.

| variant | passed | bits per byte | largest change |
|---|---|---|---|
"""

LIMITS = """
## What is not defended

- **Faults of the kernel, of bubblewrap or of a driver.** A candidate that breaks out of its cell can do all that its
  user can.
- **Covert channels between the training and its audit**, which run on the same machine one after the other: how
  fast pages of the system's files are read (the calls that simply tell are refused: `data_page_cache`), caches and
  clocks of the processor. (Memory of a GPU is
  cleared by the driver from one process to the next: measured on an H200, driver 580.) Proposals are vetted, which is
  a fence and no wall: the calls that are needed (`open`, most of `os`) are refused before a training, in proposals of
  a language model. A file that a person starts with `autoresearch train` is not vetted.
- **Peeking that is rare enough.** A share f of the places is missed by N probes with probability (1 - f)^N:
  one place in 2,000 by 2,048 probes in 39 of 100 audits (one hit asks for more of them), by the 8,192 of a champion in
  2 of 100. Each row is probed once at most, and a fifth of the rows lend the text behind the cuts, so a small
  validation set has fewer probes.
- **Gains that arithmetic could explain.** Two runs of one model on a GPU differ a little, so an audit allows a mean
  difference of 0.02 nats a token at the cuts and of 0.006 before them, and a mean gain of 0.002 beyond three standard
  errors. Who adds noise of that size may hide a gain of some 0.006 nats a token in it from 2,048 probes, and of 0.004
  from 8,192 (an estimate); slow learning from the rows that are scored may hide as much.
- **A lucky initialisation.** The harness sets the seeds of torch, numpy and random, and a script's own calls do not
  change them; but a script may own a `torch.Generator`, or compute its initial weights (`data_own_generator`).
  Confirmation at new seeds, with new orders of the data, dilutes that luck and does not remove it.
- **Training while it is scored**, with rows that were committed as a buffer: the evaluation may take as long as the
  training took for as many tokens, and a tenth of the budget besides, of which an honest model needs a part.
- **The frequency of tokens** can be learned before the clock starts. It counts under a budget of a tenth of a second, as in
  `time_giant_warm_up` (2.13 against 2.78 bits per byte), and is the work of some first steps out of thousands in 300 s.
- **Work under a budget of tokens.** It counts rows, not what is done with them (`data_cached_batches`). It is meant
  for rehearsals without a GPU; a budget of seconds bounds the work.
- **Validation text that can be found on the machine's disk**, in what a cell has to show: the system and Python. The
  source `local` validates on packages of Python that no training needs, and empty folders lie over these; copies of
  them elsewhere would be seen. The source is a rehearsal.
- **Fitting the validation rows by selection**, over thousands of candidates. The sealed rows decide before main
  moves; they wear out as well, but they are asked only when a candidate could move it.
- **Other users of the same GPU or processor** who slow a rival down: one training at a time is all that the harness
  can see to.

Some honest models are refused:

- Models whose answer to a row depends on the other rows of its batch, such as mixtures of experts with a capacity
  for the whole batch, batch normalisation in training mode, or a cache across rows.
- Models whose architecture or state_dict changes during the training: the audit builds the model from the same
  script without a training, and it must be the same model.
- Models with state that matters and is not in state_dict (`persistent=False`, plain attributes), such as a bias that
  was counted in the training. Registered as a buffer, it is committed.
- Models that answer at random: dropout that is left on, sampling.
"""


def write(
    cheats: Mapping[str, Cheat],
    carried: Mapping[str, Carried],
    honest: Mapping[str, Sequence[Run]],
    probes: int,
) -> None:
    """Write the document; `honest` has the runs of each variant."""
    lines = [INTRODUCTION.rstrip("\n")]
    lines += [_cheat(name, cheats[name], carried[name]) for name in cheats]
    runs = [run for variant in honest.values() for run in variant]
    passed = sum(map(_passed, runs))
    lines.append(HONEST.format(probes=probes, passed=passed, runs=len(runs)).rstrip("\n"))
    lines += [_variant(name, variant) for name, variant in honest.items()]
    lines.append(LIMITS.rstrip("\n"))
    DOCUMENT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def rows(text: str) -> Iterator[list[str]]:
    """The rows of all tables without their heads; code marks are taken off the first cell."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        head = lines[number + 1].startswith("|---") if number + 1 < len(lines) else False
        if line.startswith("| ") and not head:
            first, *rest = (cell.strip() for cell in line.strip("| ").split(" | "))
            yield [first.strip("`"), *rest]


def _cheat(name: str, cheat: Cheat, carried: Carried) -> str:
    verdict = cheat.verdict
    if carried.complaints:
        verdict = f"**NOT AS EXPECTED** ({cheat.verdict}): {'; '.join(carried.complaints)}"  # type: ignore[assignment]
    what = f"{cheat.title} ({cheat.origin})"
    return _row(f"`{name}`", what, cheat.kind, cheat.defence, verdict, _said(cheat, carried))


def _said(cheat: Cheat, carried: Carried) -> str:
    run = carried.run
    reason = (
        run.reason if len(run.reason) <= REASON else f"{run.reason[:REASON].rsplit(' ', 1)[0]} …"
    )
    if run.bpb is None:
        return reason
    compared = "" if carried.honest is None else f"; the honest file: {carried.honest:.4f}"
    return f"{reason} Score {run.bpb:.4f}{compared}"


def _variant(name: str, runs: Sequence[Run]) -> str:
    passed = sum(map(_passed, runs))
    scores = ", ".join("none" if run.bpb is None else f"{run.bpb:.4f}" for run in runs)
    largest = max((run.audit.largest for run in runs if run.audit), default=0.0)
    return _row(name, f"{passed} of {len(runs)}", scores, f"{largest:.1g}")


def _passed(run: Run) -> bool:
    return run.bpb is not None and run.audit is not None and run.audit.passed


def _row(*cells: str) -> str:
    clean = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(clean)} |"
