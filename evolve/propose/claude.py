"""Makes children with a language model: asks, pays, stores the answer, and only then reads it.

Together with `messages`, its wire, the only code that reaches a language model. Money is committed in the ledger
before each request, and every request's end is recorded. It never touches git, the journal or the device, and never
words a request around a refusal: what was refused is not sent to that model again.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256

from evolve.model import Operator, UsageError
from evolve.propose import pricing
from evolve.propose.answers import NoEdit
from evolve.propose.edits import EditError
from evolve.propose.endpoint import LlmConfig
from evolve.propose.messages import MessagesApi
from evolve.propose.operators import (
    Asked,
    Brief,
    CallLedger,
    Paid,
    Proposal,
    ProposalFailed,
    ProposalRefused,
    ProposerUnavailable,
    Written,
)
from evolve.propose.prompts import Prompt, ask_again, render
from evolve.propose.reply import Fault, Reply
from evolve.propose.stored import child_of, prompt_of

__all__ = ["ClaudeProposer", "LlmConfig"]

REFUSALS = 3  # in a row, after which a model is left alone
SHORTEST = 4096  # tokens of an answer that is worth buying with the last dollars of the cap


@dataclass
class _Voice:
    """A model that may be asked."""

    config: LlmConfig
    api: MessagesApi
    quote: pricing.Quote
    refusals: int = 0  # in a row

    @classmethod
    def of(cls, config: LlmConfig) -> _Voice:
        return cls(config, MessagesApi(config), pricing.quote(config.model, config.prices))

    @property
    def name(self) -> str:
        return self.config.model


@dataclass(frozen=True, slots=True)
class _Answer:
    """A finished answer, paid for and stored."""

    voice: _Voice
    call: int
    text: str  # without credentials


class ClaudeProposer:
    """A proposer behind the Messages API. Cheap to build: nothing is imported or opened before a call."""

    name = "claude"

    def __init__(self, config: LlmConfig, ledger: CallLedger) -> None:
        self.config = config
        self._ledger = ledger
        models = dict.fromkeys((config.model, config.fallback_model or config.model))
        self._voices = tuple(_Voice.of(replace(config, model=name)) for name in models)

    @property
    def price_notes(self) -> tuple[str, ...]:
        """Sentences about prices that are not a model's own or not of late; none when all is well."""
        notes = [voice.quote.note for voice in self._voices]
        if self.config.prices_as_of and any(voice.quote.price.output for voice in self._voices):
            notes.append(pricing.age_note(self.config.prices_as_of, date.today()))
        return tuple(note for note in notes if note)

    def operators(self) -> frozenset[Operator]:
        """All that make a child out of candidates."""
        return frozenset(
            {Operator.MUTATE, Operator.REWRITE, Operator.CROSSOVER, Operator.REPAIR, Operator.TUNE}
        )

    async def propose(self, brief: Brief) -> Proposal:
        """Ask for one child; once more when its edits do not fit.

        Raises ProposalFailed, ProposalRefused among it, or ProposerUnavailable.
        """
        try:
            prompt = render(brief.operator, brief, brief.templates)
        except UsageError as error:
            raise ProposerUnavailable(str(error)) from None
        parents = tuple(view.id for view in brief.parents)
        asked = Asked(str(brief.operator), parents, prompt.version, prompt.recommendation)
        first = await self._answer(asked, prompt, self._voices)
        return await self._read(brief.parents[0].source, asked, prompt, first)

    async def correct(self, paid: Paid, source: str) -> Proposal:
        """Read a stored answer about `source`, and ask for it anew where its edits do not fit; raises like `propose`."""
        voice = next((voice for voice in self._voices if voice.name == paid.model), None)
        if voice is None:
            raise ProposerUnavailable(f"{paid.model} is no model of this run any more.")
        answer = _Answer(voice, paid.call, paid.response)
        return await self._read(source, paid.asked, prompt_of(paid.request, paid.asked), answer)

    async def write(self, purpose: str, prompt: Prompt) -> Written:
        """Ask for a text that is no child, such as the scratchpad; raises like `propose`."""
        answer = await self._answer(Asked(purpose, (), prompt.version), prompt, self._voices)
        return Written(answer.text, answer.call)

    async def check(self) -> ProposerUnavailable | None:
        """Ask the server about credentials and models: what is wrong, or None. Free, 5 seconds a model at most.

        Without a `retry_after` the fault stays until a person acts.
        """
        for voice in self._voices:
            if fault := await voice.api.check():
                return fault
        return None

    # ---- what comes of an answer ---------------------------------------------------------------------------

    async def _read(self, source: str, asked: Asked, prompt: Prompt, first: _Answer) -> Proposal:
        """The child of `source` that an answer describes; where its edits do not fit, it is asked for once more.

        An engine that ends meanwhile leaves the first answer as it is: the next engine goes on from there.
        """
        try:
            return await _child(source, asked, first, (first.call,))
        except NoEdit as error:
            self._ledger.useless(first.call, str(error))
            raise ProposalFailed(f"{error}.") from None
        except EditError as error:
            misfit = error
        heard = self._voices[self._voices.index(first.voice) :]
        asked = replace(asked, corrects=first.call)
        try:
            second = await self._answer(asked, ask_again(prompt, first.text, misfit.details), heard)
        except (ProposalFailed, ProposerUnavailable):
            self._ledger.useless(first.call, str(misfit))
            raise
        self._ledger.useless(first.call, str(misfit))
        try:
            return await _child(source, asked, second, (first.call, second.call))
        except EditError as error:
            self._ledger.useless(second.call, str(error))
            raise ProposalFailed(
                f"The edits did not fit, and the corrected ones neither: {error}."
            ) from None

    # ---- who is asked --------------------------------------------------------------------------------------

    async def _answer(self, asked: Asked, prompt: Prompt, voices: tuple[_Voice, ...]) -> _Answer:
        """The answer of the first model that does not refuse."""
        digest = _digest(prompt)
        refusal: ProposalFailed | None = None
        for voice in voices:
            if voice.refusals >= REFUSALS:
                continue
            if self._ledger.was_refused(voice.name, digest):
                refusal = ProposalRefused(
                    f"{voice.name} refused this very request before; it is not sent again."
                )
                continue
            try:
                return await self._call(voice, asked, prompt, digest)
            except ProposalRefused as error:
                refusal = error
        if any(voice.refusals < REFUSALS for voice in voices) and refusal is not None:
            raise refusal
        names = " and ".join(voice.name for voice in voices)
        raise ProposerUnavailable(
            f"{names} refused {REFUSALS} requests in a row"
            f"{f' ({refusal})' if refusal else ''}. "
            "Choose another model with `autoresearch set llm.model NAME`."
        )

    async def _call(self, voice: _Voice, asked: Asked, prompt: Prompt, digest: str) -> _Answer:
        """Ask one model, again at once where a fault passes within seconds and has cost nothing."""
        body = await voice.api.request(prompt)
        tries = 0
        while True:
            reply, fault = await self._request(voice, asked, body, digest)
            if fault is None:
                return _Answer(voice, reply.call, voice.config.scrub(reply.whole))
            # In an outage one request tells as much as three.
            patient = tries < voice.config.retries and not voice.api.setbacks
            wait = reply.again(fault, tries) if patient else None
            if wait is None:
                voice.api.set_back()
                raise fault
            tries += 1
            await asyncio.sleep(wait)

    # ---- one request ---------------------------------------------------------------------------------------

    async def _request(
        self, voice: _Voice, asked: Asked, body: dict[str, object], digest: str
    ) -> tuple[Reply, Fault | None]:
        """Make one paid request. Its money is committed before, and its end is recorded whatever happens.

        Raises ProposalFailed for an answer that cannot be used and ProposerUnavailable at the cap.
        """
        config, price = voice.config, voice.quote.price
        words = config.scrub(json.dumps(body, ensure_ascii=False))
        size = pricing.estimate_tokens(words)
        most = self._longest(voice, size)
        dollars = pricing.upper_bound(size, most, price)
        body = body | {"max_tokens": most}
        words = config.scrub(json.dumps(body, ensure_ascii=False))
        call = self._ledger.reserve(
            model=voice.name, asked=asked, request=words, request_sha=digest, dollars=dollars
        )
        reply = Reply(call, price, dollars, expected_input=size, most=most)
        started = time.monotonic()
        unsettled = "The call was stopped before the answer had come."
        fault: Fault | None = None
        try:
            fault = await voice.api.receive(body, reply)
            unsettled = str(fault) if fault is not None else ""
        finally:
            seconds = time.monotonic() - started
            if unsettled:
                self._ledger.failed(
                    call,
                    error=unsettled,
                    seconds=seconds,
                    usage=reply.usage,
                    dollars=reply.dollars,
                    response=config.scrub(reply.whole),
                )
        if fault is None:
            self._settle(voice, reply, most, seconds)
        return reply, fault

    def _longest(self, voice: _Voice, size: int) -> int:
        """Tokens that the answer to a prompt of `size` tokens may have: as many as are set, or as the cap pays for.

        Where the cap pays for too few, the setting: the ledger then says that it is too much.
        """
        most = voice.config.max_tokens
        paid = pricing.affordable(self._ledger.left(), size, voice.quote.price)
        return int(paid) if min(SHORTEST, most) <= paid < most else most

    def _settle(self, voice: _Voice, reply: Reply, most: int, seconds: float) -> None:
        """Record a finished answer with its true price, and judge how it ended. Raises ProposalFailed."""
        stop = reply.stop_reason
        if stop == "refusal":
            raise self._refused(voice, reply, seconds)
        voice.refusals = 0
        fault = _unfinished(voice, reply, most)
        self._ledger.answered(
            reply.call,
            response=voice.config.scrub(reply.whole),
            usage=reply.usage,
            dollars=reply.dollars,
            seconds=seconds,
            stop_reason=stop,
            useless=fault,
        )
        if fault:
            raise ProposalFailed(fault)

    def _refused(self, voice: _Voice, reply: Reply, seconds: float) -> ProposalRefused:
        """Record a refusal, which is an outcome of its own; after several in a row the model is left alone."""
        voice.refusals += 1
        category = reply.category
        error = f"{voice.name} refused this request ({category or 'no category'})."
        rests = ""
        if voice.refusals == REFUSALS:
            rests = (
                f" It has refused {REFUSALS} in a row and is asked no more until llm.model is set."
            )
        self._ledger.refused(
            reply.call,
            category=category,
            error=error + rests,
            usage=reply.usage,
            dollars=reply.dollars,
            seconds=seconds,
        )
        return ProposalRefused(error)


async def _child(source: str, asked: Asked, answer: _Answer, calls: tuple[int, ...]) -> Proposal:
    """The child that an answer describes; tens of milliseconds, off the event loop. Raises EditError."""
    model = answer.voice.name
    return await asyncio.to_thread(child_of, answer.text, source, asked, model=model, calls=calls)


def _digest(prompt: Prompt) -> str:
    """SHA-256 of what a model is told, whoever is asked and with whatever limits."""
    turns = [("system", prompt.system), *((turn.role, turn.blocks) for turn in prompt.messages)]
    told = [[role, "".join(block.text for block in blocks)] for role, blocks in turns]
    return sha256(json.dumps(told).encode()).hexdigest()


def _unfinished(voice: _Voice, reply: Reply, most: int) -> str:
    """Why an answer cannot be read although it came; "" when it can."""
    model, limit = voice.name, voice.config.max_tokens
    match reply.stop_reason:
        case "max_tokens" if most < limit:
            return (
                f"The answer of {model} was cut off after {most:,} tokens, which is what the cap of "
                "stop.dollars had left."
            )
        case "max_tokens":
            return (
                f"The answer of {model} was cut off after {limit:,} tokens; "
                "raise llm.max_tokens or lower llm.effort."
            )
        case "overdrawn":
            return (
                f"The answer of {model} came to cost more than the ${reply.committed:.2f} committed for it, so it "
                "was not read on; raise llm.max_tokens if answers have to be that long."
            )
        case "overlong" | "model_context_window_exceeded":
            return f"The answer of {model} was too long to be a train.py."
    return "" if reply.whole.strip() else f"The answer of {model} was empty."
