"""What a proposer is asked (a brief) and what it gives back (a proposal).

A proposer is stateless: everything it may know is in the brief, everything it did is in the proposal or in
the exception. It never touches git, the journal or the GPU.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from evolve.model import Operator

if TYPE_CHECKING:
    from evolve.propose.novelty import Precedent  # knows syntax trees; `status` starts through here
    from evolve.propose.prompts import Prompt

CATEGORIES = (
    "architecture",
    "attention",
    "optimizer",
    "schedule",
    "size",
    "init",
    "regularisation",
    "systems",
    "other",
)


@dataclass(frozen=True, slots=True)
class ParentView:
    """A parent, or the common ancestor of two, as a proposer sees it."""

    id: int
    source: str
    mean_bpb: float | None
    scores: tuple[float, ...] = ()
    title: str = ""
    curve: tuple[tuple[float, float], ...] = ()  # (fraction of the budget, loss in nats)
    tokens_per_second: float | None = None
    peak_memory_mb: float | None = None
    steps: int | None = None
    traceback: str = ""  # of its failure, when it is to be repaired; cleaned and cut
    hypothesis: str = ""  # why it was tried, in its proposer's words
    mfu_percent: float | None = None  # model FLOPs utilisation, as the script prints it
    passes: float | None = None  # how often it read all of the training rows: 1.4


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the history: what was tried, and what became of it. Failures are in it too."""

    id: int
    parents: tuple[int, ...]
    operator: Operator
    title: str
    category: str
    changes: tuple[str, ...]
    status: str  # a Verdict's or an Outcome's word: "kept", "rejected", "oom", …; "voided" by the blind audit
    delta_bpb: float | None = None  # against its first parent's mean; negative is better
    confirmed: bool = False
    note: str = ""  # why the blind audit voided its score
    hypothesis: str = ""  # why it was tried, in its proposer's words
    believed: float | None = None  # the difference in fitness without luck; negative is better


@dataclass(frozen=True, slots=True)
class Refused:
    """A proposal that never became a candidate: the vetting refused it, and nothing was trained."""

    title: str
    category: str
    reason: str  # of the vetting: "it is the same code as #5"


@dataclass(frozen=True, slots=True)
class Relative:
    """A measured candidate that may differ from the parent in constants only, the parent itself among them."""

    id: int
    source: str
    score: float | None  # as it is believed in; None = its constants led to no score


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything that a proposer may know about the child it is to make."""

    operator: Operator
    parents: tuple[ParentView, ...]  # one; two for a crossover
    ancestor: ParentView | None  # the nearest common ancestor of two parents
    program: str  # program.md
    history: tuple[Attempt, ...]  # the nearest attempts, newest last
    seed: int  # of every random choice in the proposal
    sigma: float | None  # noise of one experiment, bpb
    budget: str  # in words: "300 seconds on NVIDIA H200", "400,000 tokens on a CPU"
    script: str = "train.py"
    known_hashes: Container[str] = frozenset()  # normalised-AST hashes that exist already
    precedents: tuple[Precedent, ...] = ()  # what was tried near here, for `novelty.novel`
    templates: dict[str, str] = field(default_factory=dict)  # operator -> template, from [prompts]
    relatives: tuple[Relative, ...] = ()  # for a search over constants; oldest first
    incumbent: ParentView | None = None  # what main holds, without its source
    waiting: tuple[Attempt, ...] = ()  # children that are ready or being trained: no result yet
    refused: tuple[Refused, ...] = ()  # children of the first parent; newest last
    confidence: float | None = None  # P(better) that moves main; None: any better score does
    scratchpad: str = ""  # summary and insights of the scratchpad, as Markdown
    recommendation: str = ""  # one of the scratchpad's, drawn for this brief
    direction: str = ""  # the category that a plateau asks for; "" = any
    goes_by: str = "val_bpb"  # what selection goes by, in words
    memory_limit: str = "none"  # the soft one, in words
    kinds: str = ""  # what each category has come to, in words; for a rewrite of the scratchpad


@dataclass(frozen=True, slots=True)
class Proposal:
    """A child's source, with where it came from."""

    source: str
    operator: Operator
    proposer: str
    parents: tuple[int, ...]
    title: str  # one line, plain text, at most 72 characters
    hypothesis: str
    category: str  # one of CATEGORIES
    changes: tuple[str, ...] = ()  # "MATRIX_LR: 0.04 -> 0.05"
    model: str = ""
    prompt_version: str = ""  # first 12 hex digits of the template's SHA-256
    calls: tuple[int, ...] = ()  # ids of the LLM calls that made it
    recommendation: str = ""  # of the scratchpad, that its prompt carried


class ProposalFailed(Exception):
    """This brief led to nothing usable (malformed answer, no match, refusal); another brief may."""


class ProposalRefused(ProposalFailed):
    """The model refused this brief: an outcome of its own, that says nothing about operator or parents."""


class ProposerUnavailable(Exception):
    """The proposer cannot answer now (no key, 401, outage, budget spent); the engine uses the built-in one."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        """`retry_after` seconds until it is worth asking again; None = not before a person has acted."""
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Proposer(Protocol):
    """Makes children. Implementations: `builtin.BuiltinProposer`, `claude.ClaudeProposer`."""

    name: str

    def operators(self) -> frozenset[Operator]:
        """The operators it can carry out."""
        ...

    async def propose(self, brief: Brief) -> Proposal:
        """Make one child. Raises ProposalFailed or ProposerUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Written:
    """A text that is no child, and the call that brought it."""

    text: str
    call: int


class LanguageModel(Proposer, Protocol):
    """A proposer that can also be asked for a text that is no child: `claude.ClaudeProposer`."""

    async def write(self, purpose: str, prompt: Prompt) -> Written:
        """The answer to a prompt, paid through the ledger; raises as `propose` does."""
        ...

    async def correct(self, paid: Paid, source: str) -> Proposal:
        """Ask for a child anew whose stored answer does not fit `source`, the first parent's; raises as `propose` does."""
        ...

    async def check(self) -> ProposerUnavailable | None:
        """Ask for nothing that costs: why it cannot be asked now, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Usage:
    """What one answer of a language model consumed, in tokens."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0  # all of them
    cache_write_1h_tokens: int = 0  # of those, the ones kept for an hour


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call was for: enough to make the child of a stored answer after a restart."""

    purpose: str  # an Operator's word, or "scratchpad"
    parents: tuple[int, ...] = ()  # none: the answer is no child
    prompt_version: str = ""
    recommendation: str = ""
    corrects: int = 0  # the call whose answer did not fit and is to be put right; 0: none


@dataclass(frozen=True, slots=True)
class Paid:
    """An answer of a language model that is paid for and stored, as the journal keeps it."""

    call: int
    model: str
    asked: Asked
    request: str  # as JSON, without credentials
    response: str  # without credentials
    time: float = 0.0  # unix seconds, when it was asked for


class CallLedger(Protocol):
    """Where a proposer commits money before it spends it, and stores an answer before it is used.

    The engine implements it on the journal.
    """

    def left(self) -> float:
        """Dollars that are neither paid nor committed; infinity without a cap."""
        ...

    def was_refused(self, model: str, request_sha: str) -> bool:
        """Has `model` refused this very prompt before, in whatever run or engine?"""
        ...

    def reserve(
        self, *, model: str, asked: Asked, request: str, request_sha: str, dollars: float
    ) -> int:
        """Commit `dollars` (an upper bound) and return the call's id. Raises ProposerUnavailable at the cap."""
        ...

    def answered(
        self,
        call: int,
        *,
        response: str,
        usage: Usage,
        dollars: float,
        seconds: float,
        stop_reason: str,
        useless: str = "",
    ) -> None:
        """Store a paid answer with what it really cost, durably, before anything is done with it.

        `useless`: why it leads to nothing, where that is known by how it ended.
        """
        ...

    def failed(
        self,
        call: int,
        *,
        error: str,
        seconds: float,
        usage: Usage = NO_USAGE,
        dollars: float = 0.0,
        response: str = "",
    ) -> None:
        """Release the reservation; what the call cost all the same, and the part of an answer that came, are kept."""
        ...

    def refused(
        self, call: int, *, category: str, error: str, usage: Usage, dollars: float, seconds: float
    ) -> None:
        """Record a refusal, which is an outcome of its own; `category` as the server names it."""
        ...

    def useless(self, call: int, why: str) -> None:
        """An answered call leads to no child, so that no later engine tries it again."""
        ...
