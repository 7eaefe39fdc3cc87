"""The adapter for providers with a format of their own, on pydantic-ai's model layer (extra `providers`)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from agent.errors import BadInput, ModelUnavailable
from agent.llm.available import require_extra, require_key
from agent.llm.contract import Reply, Token
from agent.llm.endpoints import ENDPOINTS, base_url_of, host_of
from agent.llm.faults import Caller
from agent.llm.names import ModelName, answering_model, known_provider
from agent.llm.prices import Tariff, TokenUse, context_window, cost_usd

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse, ModelResponseStreamEvent
    from pydantic_ai.models import Model

TIMEOUT_S = 600.0
"""Seconds for one whole answer."""

# Endings after which the same call would come back as empty: the caller is told instead.
_FINAL_WHEN_EMPTY = frozenset({"length", "content_filter"})


class ProviderModel:
    """A model of any provider that pydantic-ai knows: Anthropic, Google, Bedrock, Groq, Mistral, OpenAI's responses and others.

    A model opened with a name answers as that name (see `names.answering_model`). Clients are made once for each event loop, at the
    first call. Nothing is retried here, nor by the vendors' clients. A reply's `provider_state` holds the whole response as plain JSON;
    the same provider gets it back verbatim in place of the message that carries it, another one gets the message.
    """

    def __init__(
        self,
        provider: str,
        model: str | None = None,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        priced_as: str | None = None,
        context_window: int | None = None,
    ) -> None:
        """Settle address and key; nothing is sent or imported yet.

        `priced_as` names the provider in the price data whose prices count; behind another address than the provider's own there are none.
        `context_window` says how many tokens the model takes, where the price data does not know.

        Raises:
            BadInput: the address is none.
            ModelNotConfigured: the extra or the key is missing.
        """
        require_extra("providers", f"{provider}:{model or ''}")
        self._provider = known_provider(provider) or provider.strip().lower()
        endpoint = ENDPOINTS.get(self._provider)
        self._own = ModelName(self._provider, model) if endpoint else None
        self._model = model
        self._base_url = base_url_of(endpoint, base_url) if endpoint else base_url
        if self._base_url is not None and not self._base_url.startswith(("http://", "https://")):
            raise BadInput(f"the base URL of {self.name} is no http(s) address: it must look like https://host")
        self._key = require_key(endpoint, api_key) if endpoint else api_key
        self._key_names = endpoint.key_names if endpoint else ()
        self._timeout_s = timeout_s
        is_elsewhere = self._base_url is not None and self._base_url != (endpoint.base_url if endpoint else None)
        default = None if is_elsewhere else (endpoint.priced_as if endpoint else None) or self._provider
        self._tariff = Tariff(provider=priced_as or default, base_url=self._base_url if is_elsewhere and not priced_as else None)
        self._window = context_window
        self._models: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Model[Any]]] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """The name that this model answers to, `provider:model`."""
        return f"{self._provider}:{self._model}" if self._model else self._provider

    def __repr__(self) -> str:
        return f"ProviderModel({self.name!r})"

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return one reply to `messages`; `settings` are in OpenAI's words, or a provider's own (`anthropic_thinking` …).

        Raises:
            ModelUnavailable: the same call may succeed later; carries the HTTP status and how long the provider asks to wait.
            ModelRejected: the provider refused it in words that the error tells.
            Unsupported: a message or `response_format` cannot be told to this provider.
        """
        named = self._named(model)
        caller, limit_s = self._caller(named), self._limit_s(settings)
        try:
            async with asyncio.timeout(limit_s):
                response = await self._whole(messages, tools, settings, named, caller)
        except TimeoutError:
            raise _late(caller, limit_s) from None
        return await self._finished(response, named, caller)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncGenerator[Token | Reply, None]:
        """Yield tokens as they arrive, and last of all exactly one reply, the same as a call would have given.

        Raises:
            ModelUnavailable: also when the stream ends before it told why; what was yielded is void then.
            ModelRejected: as a call.
        """
        named = self._named(model)
        caller, limit_s = self._caller(named), self._limit_s(settings)
        ends_at = monotonic() + limit_s
        response: ModelResponse | None = None
        async with contextlib.aclosing(self._parts(messages, tools, settings, named, caller)) as parts:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, ends_at - monotonic())):
                        part = await anext(parts, None)
                except TimeoutError:
                    raise _late(caller, limit_s) from None
                if part is None:
                    break
                if isinstance(part, Token):
                    yield part
                else:
                    response = part
        if response is None:
            raise ModelUnavailable(f"{caller}: the stream was cut before anything came")
        yield await self._finished(response, named, caller)

    async def aclose(self) -> None:
        """Close this event loop's connections; a later call opens new ones."""
        for model in self._models.pop(asyncio.get_running_loop(), {}).values():
            await model.__aexit__(None, None, None)

    # ---- one request

    async def _whole(
        self, messages: Sequence[dict[str, Any]], tools: list[dict[str, Any]] | None, settings: Mapping[str, Any], named: str, caller: Caller
    ) -> "ModelResponse":
        model, request = await self._prepared(messages, tools, settings, named)
        from pydantic_ai.direct import model_request

        from agent.llm.provider_faults import mapped

        with mapped(caller, self._key_hint()):
            return await model_request(model, request[0], model_settings=request[1], model_request_parameters=request[2], instrument=False)

    async def _parts(
        self, messages: Sequence[dict[str, Any]], tools: list[dict[str, Any]] | None, settings: Mapping[str, Any], named: str, caller: Caller
    ) -> AsyncGenerator["Token | ModelResponse", None]:
        model, request = await self._prepared(messages, tools, settings, named)
        from pydantic_ai.direct import model_request_stream

        from agent.llm.provider_faults import mapped
        from agent.llm.provider_stream import is_whole, tokens_of

        with mapped(caller, self._key_hint()):
            opened = model_request_stream(model, request[0], model_settings=request[1], model_request_parameters=request[2], instrument=False)
            async with opened as stream:
                positions: dict[int, int] = {}
                events: AsyncIterator[ModelResponseStreamEvent] = aiter(stream)
                async for event in events:
                    for token in tokens_of(event, positions):
                        yield token
                response = stream.get()
                if not is_whole(response, model):
                    raise ModelUnavailable(f"{caller}: the stream was cut {'in the middle' if response.parts else 'before anything came'}")
                yield response

    async def _prepared(
        self, messages: Sequence[dict[str, Any]], tools: list[dict[str, Any]] | None, settings: Mapping[str, Any], named: str
    ) -> "tuple[Model[Any], tuple[Any, Any, Any]]":
        model = await self._opened(named)  # imports what the next lines name, in a thread
        from agent.llm.provider_messages import model_messages, tool_definitions
        from agent.llm.provider_settings import model_settings, request_parameters

        definitions = tool_definitions(tools)
        is_native = bool(model.profile.get("supports_json_schema_output"))
        told = model_settings(settings, timeout_s=self._limit_s(settings), has_tools=bool(definitions), unknown=model.unsupported_settings)
        return model, (model_messages(messages, self._provider), told, request_parameters(definitions, settings.get("response_format"), is_native=is_native))

    async def _opened(self, named: str) -> "Model[Any]":
        models = self._models.setdefault(asyncio.get_running_loop(), {})
        if named not in models:
            made = await asyncio.to_thread(self._made, named)
            if models.setdefault(named, made) is made:
                await made.__aenter__()
        return models[named]

    def _made(self, named: str) -> "Model[Any]":
        from agent.llm import provider_faults, provider_messages, provider_settings, provider_stream
        from agent.llm.provider_opening import opened_model

        del provider_faults, provider_messages, provider_settings, provider_stream  # loaded here, so that the loop need not wait for it
        return opened_model(self._provider, named, base_url=self._base_url, api_key=self._key, timeout_s=self._timeout_s)

    # ---- what comes of it

    async def _finished(self, response: "ModelResponse", named: str, caller: Caller) -> Reply:
        from agent.llm.provider_messages import reply_of

        reply = reply_of(response, self._provider, named)
        if not reply["content"] and not reply["tool_calls"] and reply["finish_reason"] not in _FINAL_WHEN_EMPTY:
            raise ModelUnavailable(f"{caller} gave an empty answer (finish_reason {reply['finish_reason']!r})")
        use = TokenUse(input_tokens=reply["prompt_tokens"], output_tokens=reply["completion_tokens"], **reply["usage"])
        return {**reply, "cost": await cost_usd(named, use, self._tariff)}

    async def context_window(self, model: str = "") -> int | None:
        """Return how many tokens the model takes, as far as that is known without asking anyone."""
        return self._window or await context_window(self._named(model), self._tariff)

    def _named(self, asked: str) -> str:
        named = answering_model(self._own, asked) if self._own is not None else self._model or asked
        if not named:
            raise BadInput(f"no model is named for {self._provider}: open it as '{self._provider}:MODEL', or give model=")
        return named

    def _caller(self, named: str) -> Caller:
        where = f" at {host_of(self._base_url)}" if self._base_url else ""
        return Caller(f"{self._provider}:{named}{where}", self._key)

    def _key_hint(self) -> str:
        return f" (read from {' or '.join(self._key_names)}, or given as api_key=)" if self._key_names else ""

    def _limit_s(self, settings: Mapping[str, Any]) -> float:
        return float(settings.get("timeout") or self._timeout_s)


def _late(caller: Caller, limit_s: float) -> ModelUnavailable:
    return ModelUnavailable(f"{caller} did not finish its answer within {limit_s:g} s (timeout_s)")
