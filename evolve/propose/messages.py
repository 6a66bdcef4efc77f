"""The wire to a language model: one streamed call of the Messages API, and a free question about the model.

Together with `claude` the only code that reaches a language model. It speaks through the anthropic SDK, which is
imported at the first call and never before, since that takes seconds. The key goes into the request's header and
nowhere else: faults are put into words of our own, and none of the SDK's exceptions, which hold requests, gets out.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

from evolve.propose.endpoint import (
    LlmConfig,
    asked_to_wait,
    effective_status,
    unavailable,
    unreachable,
)
from evolve.propose.operators import ProposalFailed, ProposerUnavailable
from evolve.propose.prompts import Block, Prompt
from evolve.propose.reply import Fault, Reply

if TYPE_CHECKING:
    import ssl

    from anthropic import AsyncAnthropic

QUICK = 5.0  # seconds for a question about the model
CHARACTERS_PER_TOKEN = (
    16  # an answer longer than this many for each token it may have is not read on
)


class MessagesApi:
    """One server and one model. Cheap to build: nothing is imported or opened before a call."""

    def __init__(self, config: LlmConfig) -> None:
        self._config = config
        self.setbacks = 0  # calls in a row that were given up for now
        self._effort: bool | None = None if config.extras else False  # None: not asked yet
        self._tls: ssl.SSLContext | None = None  # costs 20 ms to make, so it is made once

    async def request(self, prompt: Prompt) -> dict[str, Any]:
        """The body of a request. Servers other than Anthropic's get plain strings and no extras.

        Raises ProposerUnavailable without a key.
        """
        config = self._config
        # The system prompt is the same all night. A parent is asked about again within minutes or not at all:
        # keeping it for an hour would cost twice its price each time and seldom be read.
        brief = config.cache and config.cache_ttl == "5m"
        body: dict[str, Any] = {"model": config.model, "max_tokens": config.max_tokens}
        body["system"] = self._content(prompt.system, config.cache)
        body["messages"] = [
            {"role": message.role, "content": self._content(message.blocks, brief)}
            for message in prompt.messages
        ]
        if await self._has_effort():
            body["output_config"] = {"effort": config.effort}
        return body

    async def receive(self, body: dict[str, Any], reply: Reply) -> Fault | None:
        """Make the call and stream its answer into `reply`; returns what went wrong, if anything did."""
        fault = await self._stream(body, reply)
        if fault is None and not reply.stop_reason:
            fault = self._unreachable("broke off its answer")
        if fault is None:
            self.setbacks = 0
        return fault

    def set_back(self) -> None:
        """The call is given up for now: the next fault asks for twice the patience."""
        self.setbacks += 1

    async def check(self) -> ProposerUnavailable | None:
        """Ask about credentials and model, free and without retries: what is wrong, or None.

        A fault with `retry_after` may pass by itself; one without it needs a person.
        """
        sdk = await _module("anthropic")
        try:
            await self._look_up()
        except sdk.APIStatusError as error:
            status = error.status_code
            passing = status in (408, 429) or status >= 500
            unsupported = self._config.base_url and status not in (401, 402, 403)
            return None if passing or unsupported else ProposerUnavailable(str(self._told(error)))
        except (sdk.APIConnectionError, TimeoutError):
            return ProposerUnavailable(
                f"{self._config.place} cannot be reached. Check the network and llm.base_url.",
                self._config.backoff,
            )
        except ProposerUnavailable as fault:  # there is no key
            return fault
        except sdk.AnthropicError as error:
            what = f"answered a question about the model oddly ({type(error).__name__})"
            return self._unreachable(what)
        return None

    # ---- the call ------------------------------------------------------------------------------------------

    async def _stream(self, body: dict[str, Any], reply: Reply) -> Fault | None:
        sdk, http = await _module("anthropic"), await _module("httpx2")
        try:
            async with asyncio.timeout(self._config.timeout), await self._client() as client:
                await self._read(client, body, reply)
        except (ProposerUnavailable, ProposalFailed) as fault:
            return fault
        except sdk.APIStatusError as error:
            reply.retry_after = asked_to_wait(error.response.headers)
            return self._told(error)
        except (TimeoutError, sdk.APITimeoutError):
            reply.silent = True
            return self._unreachable(f"did not answer within {self._config.timeout:g} s")
        except (sdk.APIConnectionError, http.HTTPError):
            return self._unreachable("broke off its answer" if reply.begun else "cannot be reached")
        except (
            # What a server that speaks the protocol badly makes the SDK raise.
            *(sdk.AnthropicError, AssertionError, AttributeError, LookupError),
            *(RuntimeError, TypeError, ValueError),
        ) as error:
            # The kind of fault only: its words may quote the server, cut in the middle of a credential.
            return self._unreachable(f"sent no proper stream of a message ({type(error).__name__})")
        return None

    async def _read(self, client: AsyncAnthropic, body: dict[str, Any], reply: Reply) -> None:
        limit = self._config.max_tokens * CHARACTERS_PER_TOKEN
        # The events as they come: the SDK's own snapshot of a message fails on what it does not expect.
        async with await client.messages.create(stream=True, **body) as events:
            async for event in events:
                limit -= reply.take(event)
                if limit < 0:
                    reply.cut = "overlong"
                elif reply.overdrawn and not reply.stop_reason:
                    reply.cut = "overdrawn"
                if reply.cut:
                    return

    async def _client(self) -> AsyncAnthropic:
        """A client for one call: calls are minutes apart, and no socket is left open between them."""
        sdk, config = await _module("anthropic"), self._config
        if not (config.api_key or config.auth_token or config.base_url):
            raise ProposerUnavailable(
                f"There is no key: {config.key_name} is not set. Export it, then start the engine again."
            )
        if self._tls is None:
            self._tls = (await _module("httpx2")).create_ssl_context()
        # A server of one's own may want no key, and must never be given one that the SDK found elsewhere.
        key = config.api_key or (None if config.auth_token else "none")
        client: AsyncAnthropic = sdk.AsyncAnthropic(
            api_key=key,
            auth_token=None if key else config.auth_token,
            base_url=config.base_url or None,
            timeout=config.timeout,
            max_retries=0,  # every request is a call of its own in the ledger
            default_headers={"anthropic-version": config.api_version} if config.api_version else {},
            http_client=sdk.DefaultAsyncHttpxClient(verify=self._tls),
        )
        return client

    # ---- what the model can do -----------------------------------------------------------------------------

    def _content(self, blocks: tuple[Block, ...], cache: bool) -> str | list[dict[str, Any]]:
        if not self._config.extras:
            return "".join(block.text for block in blocks)
        mark = {"cache_control": {"type": "ephemeral", "ttl": self._config.cache_ttl}}
        return [
            {"type": "text", "text": block.text, **(mark if cache and block.cached else {})}
            for block in blocks
        ]

    async def _has_effort(self) -> bool:
        """Whether the model takes an effort: some reject it. Unknown counts as yes, and is asked again."""
        if self._effort is None:
            sdk = await _module("anthropic")
            try:
                await self._look_up()
            except (sdk.AnthropicError, ProposerUnavailable, TimeoutError):
                return True  # the call itself will tell
        return self._effort is not False

    async def _look_up(self) -> None:
        """Ask the server what the model can do, without retries."""
        async with asyncio.timeout(QUICK), await self._client() as client:
            quick = client.with_options(timeout=QUICK)
            known = (await quick.models.retrieve(self._config.model)).to_dict()
        capabilities = known.get("capabilities")
        effort = capabilities.get("effort") if isinstance(capabilities, dict) else None
        if self._effort is None:
            self._effort = not isinstance(effort, dict) or effort.get("supported") is not False

    # ---- words ---------------------------------------------------------------------------------------------

    def _told(self, error: Any) -> Fault:
        """What an anthropic.APIStatusError means."""
        status = effective_status(error.status_code, error.type)
        said = str(error.api_message or "")
        if status == 413 or (status == 400 and "prompt is too long" in said):
            return ProposalFailed(f"The request was too large for {self._config.place}.")
        wait = asked_to_wait(error.response.headers)
        return unavailable(self._config, status, said, wait, self.setbacks)

    def _unreachable(self, what: str) -> ProposerUnavailable:
        return unreachable(self._config, what, self.setbacks)


async def _module(name: str) -> Any:
    """Import off the event loop: the SDK takes seconds the first time."""
    return await asyncio.to_thread(importlib.import_module, name)
