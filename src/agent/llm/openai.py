"""The adapter for every server that speaks OpenAI's chat completions, on the `openai` package (extra `openai`)."""

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from agent.errors import BadInput, ModelError, ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.llm.available import require_extra, require_key
from agent.llm.contract import Reply, Token
from agent.llm.deltas import Assembly
from agent.llm.endpoints import ENDPOINTS, base_url_of, host_of, is_loopback, variable_of
from agent.llm.faults import Caller, refused, said_in_answer
from agent.llm.names import ModelName, answering_model, known_provider
from agent.llm.prices import Tariff, TokenUse, context_window, cost_usd
from agent.llm.replies import reply_of, reported_cost
from agent.llm.wire import Receiver, outgoing_messages

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

_logger = logging.getLogger(__name__)

TIMEOUT_S = 600.0
"""Seconds for one whole answer."""
SILENCE_S = 300.0
"""Seconds without a byte before a stream counts as dead; a local model may read a long prompt for minutes."""
CONNECT_S = 10.0
"""Seconds to reach the server."""

_OFFICIAL_HOST = "api.openai.com"
_HINT_RESPONSES = "; this model thinks with tools only behind OpenAI's responses format: open it as 'openai-responses:MODEL', or give reasoning_effort='none'"


class OpenAICompatible:
    """A model behind a chat-completions endpoint.

    A model opened with a name answers as that name (see `names.answering_model`). Clients are made once for each event loop, at the
    first call. Nothing is retried here.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        provider: str = "openai",
        base_url: str | None = None,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        silence_s: float = SILENCE_S,
        connect_s: float = CONNECT_S,
        headers: Mapping[str, str] | None = None,
        priced_as: str | None = None,
        context_window: int | None = None,
    ) -> None:
        """Settle address and key; nothing is sent or imported yet.

        `priced_as` names the provider in the price data whose prices count, for gateways; a server of unknown address has none.
        `context_window` says how many tokens the server takes, where the price data does not know (servers of your own).

        Raises:
            BadInput: the provider is not of this kind, or the address is none.
            ModelNotConfigured: the extra, the key or the address is missing.
        """
        known = known_provider(provider)
        if known is None or ENDPOINTS[known].way != "chat":
            raise BadInput(f"provider {provider!r} does not speak chat completions here; known are {', '.join(_chat_providers())}")
        self._endpoint = ENDPOINTS[known]
        self._own = ModelName(known, model)
        require_extra("openai", str(self._own))
        self._base_url = base_url_of(self._endpoint, base_url)
        if self._base_url is None:
            raise ModelNotConfigured(f"{self._own} needs a base URL: give base_url=, or set {variable_of(self._endpoint, '_BASE_URL')}")
        if not self._base_url.startswith(("http://", "https://")) or not host_of(self._base_url):
            raise BadInput(f"the base URL of {self._own} is no http(s) address: it must look like https://host/v1")
        self._key = require_key(self._endpoint, api_key)
        self._timeout_s, self._silence_s, self._connect_s = timeout_s, silence_s, connect_s
        self._headers = dict(headers or {})
        self._tariff, self._window = self._tariff_of(priced_as), context_window
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = WeakKeyDictionary()
        self._thoughtless: set[str] = set()

    @property
    def name(self) -> str:
        """The name that this model answers to, `provider:model`."""
        return str(self._own)

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.name!r} at {host_of(self._base_url)!r})"

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return one reply to `messages`; `settings` go to the server as they are, but for `timeout`, `extra_headers` and `extra_body`.

        Raises:
            ModelUnavailable: the same call may succeed later; carries the HTTP status and how long the server asks to wait.
            ModelRejected: the server refused it in words that the error tells.
        """
        to = self._receiver(model)
        caller = self._caller(to)
        with _limits(caller, self._limit_s(settings)) as limit_s:
            async with asyncio.timeout(limit_s):
                payload = await self._whole(messages, tools, settings, to, caller)
        return await self._priced(reply_of(payload, caller, to), payload, to)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncGenerator[Token | Reply, None]:
        """Yield tokens as they arrive, and last of all exactly one reply, the same as a call would have given.

        Raises:
            ModelUnavailable: also when the stream ends before it told why; what was yielded is void then.
            ModelRejected: as a call.
        """
        to = self._receiver(model)
        caller = self._caller(to)
        limit_s = self._limit_s(settings)
        ends_at = monotonic() + limit_s
        assembly = Assembly()
        async with contextlib.aclosing(self._chunks(messages, tools, settings, to, caller)) as chunks:
            while True:
                with _limits(caller, limit_s):
                    async with asyncio.timeout(ends_at - monotonic()):
                        chunk = await anext(chunks, None)
                if chunk is None:
                    break
                for token in assembly.add(chunk):
                    yield token
        if not assembly.is_whole:
            raise ModelUnavailable(f"{caller}: the stream was cut {'in the middle' if assembly.is_begun else 'before anything came'}")
        payload = assembly.payload()
        yield await self._priced(reply_of(payload, caller, to), payload, to)

    async def aclose(self) -> None:
        """Close this event loop's connections; a later call opens new ones."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.close()

    # ---- one request

    async def _whole(
        self, messages: Sequence[dict[str, Any]], tools: list[dict[str, Any]] | None, settings: Mapping[str, Any], to: Receiver, caller: Caller
    ) -> object:
        response = await self._sent(messages, tools, settings, to, caller, streamed=False)
        try:
            payload: object = json.loads(response.content)  # not msgspec: servers in Python write NaN into what nobody reads
        except (ValueError, RecursionError):
            return response.text
        return payload

    async def _chunks(
        self, messages: Sequence[dict[str, Any]], tools: list[dict[str, Any]] | None, settings: Mapping[str, Any], to: Receiver, caller: Caller
    ) -> AsyncGenerator[dict[str, Any], None]:
        stream: AsyncStream[object] = await self._sent(messages, tools, settings, to, caller, streamed=True)
        async with contextlib.aclosing(stream):
            with _mapped(caller, self._silence_s, self._key_hint()):
                async for chunk in stream:
                    if isinstance(chunk, dict) and chunk.get("error"):
                        raise said_in_answer(caller, chunk["error"])
                    if isinstance(chunk, dict):
                        yield chunk

    async def _sent(
        self,
        messages: Sequence[dict[str, Any]],
        tools: list[dict[str, Any]] | None,
        settings: Mapping[str, Any],
        to: Receiver,
        caller: Caller,
        *,
        streamed: bool,
    ) -> Any:
        """Return the raw response, or the open stream.

        OpenAI's newest models refuse tools here unless told not to think; where the caller left that open, they are told so, once
        learnt, for the life of this adapter.
        """
        body: dict[str, Any] = {"model": to.model, "messages": outgoing_messages(messages, to)}
        if tools:
            body["tools"] = tools
        body.update(self._settings(settings, to, has_tools=bool(tools)))
        if streamed:
            body["stream"] = True
            if "stream_options" not in settings:  # None keeps it from servers that refuse it
                body["stream_options"] = {"include_usage": True}
        client = await self._client()
        with _mapped(caller, self._silence_s, self._key_hint()):
            try:
                return await self._post(client, body, settings, streamed=streamed)
            except Exception as error:  # looked at, then raised again for `_mapped`
                if not (tools and _wants_no_thinking(error)):
                    raise
                if "reasoning_effort" in body:
                    raise refused(caller, HTTPStatus.BAD_REQUEST, getattr(error, "body", None), hint=_HINT_RESPONSES) from None
            self._thoughtless.add(to.model)
            _logger.warning("%s is asked not to think: with tools it does so only when opened as 'openai-responses:%s'", caller, to.model)
            return await self._post(client, {**body, "reasoning_effort": "none"}, settings, streamed=streamed)

    async def _post(self, client: "AsyncOpenAI", body: dict[str, Any], settings: Mapping[str, Any], *, streamed: bool) -> Any:
        import httpx2
        from openai import AsyncStream, omit

        # The client would add what OPENAI_* variables say to requests for other providers too: headers, organisation, project.
        ambient = ["OpenAI-Organization", "OpenAI-Project", *_header_names(os.environ.get("OPENAI_CUSTOM_HEADERS", ""))]
        headers: dict[str, Any] = {} if self._own.provider == "openai" else dict.fromkeys(ambient, omit)
        headers["Authorization"] = f"Bearer {self._key}" if self._key else omit
        headers |= self._headers | (settings.get("extra_headers") or {})
        options: dict[str, Any] = {"headers": headers, "follow_redirects": False, "max_retries": 0}
        limit_s = self._limit_s(settings)
        silence_s = min(self._silence_s, limit_s) if streamed else limit_s
        options["timeout"] = httpx2.Timeout(limit_s, connect=min(self._connect_s, limit_s), read=silence_s)
        if streamed:
            return await client.post("/chat/completions", cast_to=object, body=body, options=options, stream=True, stream_cls=AsyncStream[object])  # type: ignore[call-overload]  # RequestOptions is private
        return await client.post("/chat/completions", cast_to=httpx2.Response, body=body, options=options)  # type: ignore[call-overload]  # as above

    def _limit_s(self, settings: Mapping[str, Any]) -> float:
        limit_s = settings.get("timeout")
        if limit_s is None:
            return self._timeout_s
        if isinstance(limit_s, bool) or not isinstance(limit_s, (int, float)) or not limit_s > 0:
            raise BadInput(f"timeout={limit_s!r} of a call to {self.name}: it must be seconds, more than 0")
        return float(limit_s)

    def _settings(self, settings: Mapping[str, Any], to: Receiver, *, has_tools: bool) -> dict[str, Any]:
        """Return the settings as this server takes them; None means "not given", as everywhere in that format's clients."""
        apart = {"timeout", "extra_headers", "extra_body", "stream"}
        out = {key: value for key, value in settings.items() if key not in apart and value is not None}
        if self._is_official and "max_tokens" in out:
            out.setdefault("max_completion_tokens", out.pop("max_tokens"))
        if not has_tools:  # refused there without tools
            out.pop("tool_choice", None)
            out.pop("parallel_tool_calls", None)
        elif to.model in self._thoughtless:
            out.setdefault("reasoning_effort", "none")
        extra = settings.get("extra_body")
        return out | (dict(extra) if isinstance(extra, Mapping) else {})

    async def _client(self) -> "AsyncOpenAI":
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            made = await asyncio.to_thread(self._made)  # the import takes a second, and certificates are read from disk
            self._clients.setdefault(loop, made)
        return self._clients[loop]

    def _made(self) -> "AsyncOpenAI":
        import openai

        # A proxy in the environment is for the world outside: a server on this machine is reached directly.
        direct = openai.DefaultAsyncHttpx2Client(trust_env=False) if is_loopback(self._base_url) else None
        return openai.AsyncOpenAI(api_key=self._key or "none", base_url=self._base_url, max_retries=0, http_client=direct)

    # ---- who is asked, and at what price

    @property
    def _is_official(self) -> bool:
        return host_of(self._base_url) == _OFFICIAL_HOST

    def _receiver(self, asked: str) -> Receiver:
        model = answering_model(self._own, asked)
        if not model:
            raise BadInput(f"no model is named for {self._own.provider}: open it as '{self._own.provider}:MODEL', or give model=")
        return Receiver(self._endpoint, self._own.provider, model)

    def _caller(self, to: Receiver) -> Caller:
        return Caller(f"{to.provider}:{to.model} at {host_of(self._base_url)}", self._key, *self._headers.values())

    def _key_hint(self) -> str:
        names = " or ".join(self._endpoint.key_names)
        return f" (read from {names}, or given as api_key=)" if names else ""

    def _tariff_of(self, priced_as: str | None) -> Tariff:
        if priced_as:
            return Tariff(provider=priced_as)
        if self._endpoint.runs_here and is_loopback(self._base_url):
            return Tariff(is_free=True)
        if self._base_url == self._endpoint.base_url and not self._endpoint.runs_here:
            return Tariff(provider=self._endpoint.priced_as or self._endpoint.name)
        return Tariff(base_url=self._base_url)

    async def context_window(self, model: str = "") -> int | None:
        """Return how many tokens the model takes, as far as that is known without asking anyone."""
        return self._window or await context_window(self._receiver(model).model, self._tariff)

    async def _priced(self, reply: Reply, payload: object, to: Receiver) -> Reply:
        stated = reported_cost(payload) if to.provider == "openrouter" else None
        if stated is not None:
            return {**reply, "cost": stated}
        if self._tariff.is_free and to.model.endswith("cloud"):  # Ollama's local server passes these on to a paid service
            return reply
        told = reply["usage"]
        use = TokenUse(input_tokens=reply["prompt_tokens"], output_tokens=reply["completion_tokens"], **told)
        tier = payload.get("service_tier") if isinstance(payload, dict) else None
        return {**reply, "cost": await cost_usd(to.model, use, self._tariff, service_tier=tier if isinstance(tier, str) else None)}


@contextlib.contextmanager
def _limits(caller: Caller, limit_s: float) -> Iterator[float]:
    try:
        yield limit_s
    except TimeoutError:
        raise ModelUnavailable(f"{caller} did not finish its answer within {limit_s:g} s (timeout_s)") from None


@contextlib.contextmanager
def _mapped(caller: Caller, silence_s: float, key_hint: str) -> Iterator[None]:
    """Turn what the client raises into our errors; the originals, which hold the request with its key, are not kept."""
    import openai

    try:
        yield
    except ModelError:
        raise
    except openai.APITimeoutError:
        raise ModelUnavailable(f"{caller} did not answer in time: no connection or no byte for too long (connect_s, silence_s={silence_s:g})") from None
    except openai.APIConnectionError as error:
        reason = caller.scrub(str(error.__cause__ or error)) or type(error.__cause__ or error).__name__
        raise ModelUnavailable(f"{caller} cannot be reached, or broke the connection: {reason}") from None
    except openai.APIStatusError as error:
        hint = key_hint if error.status_code == HTTPStatus.UNAUTHORIZED else ""
        raise refused(caller, error.status_code, error.body, error.response.headers, hint=hint) from None
    except openai.APIError as error:
        raise said_in_answer(caller, error.body or error.message) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise ModelUnavailable(f"{caller} sent a piece of its stream that is not JSON") from None
    except (TypeError, ValueError, openai.OpenAIError) as error:
        raise ModelRejected(f"{caller}: the request could not be built: {caller.scrub(str(error))}") from None


def _wants_no_thinking(error: Exception) -> bool:
    """Whether the server refuses tools only because the model would think."""
    if getattr(error, "status_code", None) != HTTPStatus.BAD_REQUEST or getattr(error, "param", None) != "reasoning_effort":
        return False
    return "tools" in str(error) and "'none'" in str(error)


def _header_names(lines: str) -> list[str]:
    return [line.partition(":")[0].strip() for line in lines.split("\n") if ":" in line]


def _chat_providers() -> list[str]:
    return sorted(name for name, endpoint in ENDPOINTS.items() if endpoint.way == "chat")
