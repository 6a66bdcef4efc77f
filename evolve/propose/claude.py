"""Makes children with a language model: asks, pays, stores the answer, and only then reads it.

Together with `messages`, its wire, the only code that reaches a language model. Money is committed in the ledger
before each call, and every call's end is recorded. It never touches git, the journal or the device, and never words
a request around a refusal.
"""

from __future__ import annotations

import json
import time

from evolve.model import Operator, UsageError
from evolve.propose import pricing
from evolve.propose.answers import NoEdit, parse_answer, realise
from evolve.propose.edits import EditError
from evolve.propose.endpoint import LlmConfig
from evolve.propose.knobs import find_knobs
from evolve.propose.messages import MessagesApi, Reply
from evolve.propose.operators import (
    Brief,
    CallLedger,
    Proposal,
    ProposalFailed,
    ProposerUnavailable,
)
from evolve.propose.prompts import Prompt, ask_again, render
from evolve.text import one_line

__all__ = ["ClaudeProposer", "LlmConfig"]

REFUSALS = 3  # in a row, after which the model is left alone
MAX_CHANGES = 12  # named in a proposal


class ClaudeProposer:
    """A proposer behind the Messages API. Cheap to build: nothing is imported or opened before a call."""

    name = "claude"

    def __init__(self, config: LlmConfig, ledger: CallLedger) -> None:
        self._config = config
        self._ledger = ledger
        self._api = MessagesApi(config)
        self._quote = pricing.quote(config.model, config.prices)
        self._refusals = 0  # in a row

    @property
    def price_note(self) -> str:
        """A sentence when the model has no price of its own and is counted at another's; "" otherwise."""
        return self._quote.note

    def operators(self) -> frozenset[Operator]:
        """All that make a child out of candidates."""
        return frozenset(
            {Operator.MUTATE, Operator.REWRITE, Operator.CROSSOVER, Operator.REPAIR, Operator.TUNE}
        )

    async def propose(self, brief: Brief) -> Proposal:
        """Ask for one child; once more when its edits do not fit. Raises ProposalFailed or ProposerUnavailable."""
        try:
            prompt = render(brief.operator, brief, brief.templates)
        except UsageError as error:
            raise ProposerUnavailable(str(error)) from None
        first = await self._ask(brief.operator, prompt)
        try:
            return self._proposal(brief, prompt, first.whole, (first.call,))
        except NoEdit as error:
            raise ProposalFailed(f"{error}.") from None
        except EditError as error:
            fault = error.details
        second = await self._ask(brief.operator, ask_again(prompt, first.whole, fault))
        try:
            return self._proposal(brief, prompt, second.whole, (first.call, second.call))
        except EditError as error:
            raise ProposalFailed(
                f"The edits did not fit, and the corrected ones neither: {error}."
            ) from None

    async def check(self) -> ProposerUnavailable | None:
        """Ask the server about credentials and model: what is wrong, or None. Free, 5 seconds at most.

        Without a `retry_after` the fault stays until a person acts.
        """
        return await self._api.check()

    async def _ask(self, operator: Operator, prompt: Prompt) -> Reply:
        """Make one paid call. Its money is committed before, and its end is recorded whatever happens."""
        body = await self._api.request(prompt)
        text = self._config.scrub(json.dumps(body, ensure_ascii=False))
        price = self._quote.price
        dollars = pricing.upper_bound(pricing.estimate_tokens(text), self._config.max_tokens, price)
        reply = Reply(
            self._ledger.reserve(
                model=self._config.model, operator=operator, request=text, dollars=dollars
            )
        )
        started = time.monotonic()
        unsettled = "The call was stopped before the answer had come."
        try:
            fault = await self._api.receive(body, reply)
            unsettled = str(fault) if fault is not None else ""
        finally:
            seconds = time.monotonic() - started
            spent = pricing.cost(reply.usage, price)
            if unsettled:
                self._ledger.failed(reply.call, error=unsettled, seconds=seconds, dollars=spent)
        if fault is not None:
            raise fault
        self._settle(reply, seconds, spent)
        return reply

    def _settle(self, reply: Reply, seconds: float, dollars: float) -> None:
        """Record a finished answer with its true price, and judge how it ended. Raises ProposalFailed."""
        model, stop = self._config.model, reply.stop_reason or "overlong"
        if stop == "refusal":
            raise self._refused(reply, seconds, dollars)
        self._refusals = 0
        self._ledger.answered(
            reply.call,
            response=self._config.scrub(reply.whole),
            usage=reply.usage,
            dollars=dollars,
            seconds=seconds,
            stop_reason=stop,
        )
        if stop == "max_tokens":
            raise ProposalFailed(
                f"The answer of {model} was cut off after {self._config.max_tokens:,} tokens; "
                "raise llm.max_tokens or lower llm.effort."
            )
        if stop in ("overlong", "model_context_window_exceeded"):
            raise ProposalFailed(f"The answer of {model} was too long to be a train.py.")
        if not reply.whole.strip():
            raise ProposalFailed(f"The answer of {model} was empty.")

    def _refused(
        self, reply: Reply, seconds: float, dollars: float
    ) -> ProposalFailed | ProposerUnavailable:
        """Record a refusal, which is an outcome of its own; after several in a row the model is left alone."""
        model, category = self._config.model, one_line(reply.refused, 40)
        error = f"{model} refused this request ({category})."
        self._ledger.failed(reply.call, error=error, seconds=seconds, refused=True, dollars=dollars)
        self._refusals += 1
        if self._refusals < REFUSALS:
            return ProposalFailed(error)
        return ProposerUnavailable(
            f"{model} has refused {self._refusals} requests in a row ({category}). "
            "Choose another model with `autoresearch set llm.model NAME`."
        )

    def _proposal(
        self, brief: Brief, prompt: Prompt, text: str, calls: tuple[int, ...]
    ) -> Proposal:
        """The child that an answer describes. Raises EditError."""
        parent = brief.parents[0]
        answer = parse_answer(self._config.scrub(text))
        child = realise(parent.source, answer)
        family = " × ".join(f"#{view.id}" for view in brief.parents)
        return Proposal(
            source=child,
            operator=brief.operator,
            proposer=self.name,
            parents=tuple(view.id for view in brief.parents),
            title=answer.title or f"{brief.operator} of {family}",
            hypothesis=answer.hypothesis,
            category=answer.category,
            changes=_changes(parent.source, child),
            model=self._config.model,
            prompt_version=prompt.version,
            calls=calls,
        )


def _changes(old: str, new: str) -> tuple[str, ...]:
    """Named constants that differ, for the history: `MATRIX_LR: 0.04 -> 0.05`."""
    try:
        before, after = ({k.name: k.text for k in find_knobs(source)} for source in (old, new))
    except SyntaxError:  # of the parent: the child has been checked
        return ()
    shared = (name for name in after if name in before and before[name] != after[name])
    return tuple(f"{name}: {before[name]} -> {after[name]}" for name in shared)[:MAX_CHANGES]
