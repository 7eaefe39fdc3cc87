"""A model that says what it was told to say: for tests, examples and demonstrations."""

import asyncio
import inspect
import json
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

from agent.errors import ModelRejected
from agent.llm.contract import Reply, Token

Line: TypeAlias = "str | dict[str, Any] | BaseException | Callable[..., Any]"


def tool_request(name: str, arguments: dict[str, Any] | str | None = None, call_id: str | None = None) -> dict[str, Any]:
    """Return a tool call in OpenAI's shape; text arguments are passed as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    entry: dict[str, Any] = {"type": "function", "function": {"name": name, "arguments": text}}
    if call_id is not None:
        entry["id"] = call_id
    return entry


def asks(*calls: dict[str, Any], content: str = "", **extra: Any) -> Reply:
    """Return a reply that asks for tools; calls without an id get one."""
    named = [{"id": f"call-{n}-{zlib.crc32(json.dumps(call, sort_keys=True).encode()):08x}", **call} for n, call in enumerate(calls)]
    return {"content": content, "tool_calls": named, "prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0, **extra}


def says(content: str, **extra: Any) -> Reply:
    """Return a reply in text."""
    return {"content": content, "tool_calls": None, "prompt_tokens": 10, "completion_tokens": 5, "cost": 0.0, **extra}


class ScriptedLLM:
    """Plays its lines in order: text, a reply, an error to raise, or a function of `messages` (async ones too) that returns one of these.

    The line is chosen by how many assistant messages stand in the prompt after the last user's message, so that a run that
    is resumed in another process goes on where it was. With `by_calls`, by how often this object was called. `calls` are the prompts it saw.
    """

    def __init__(self, lines: Sequence[Line], *, by_calls: bool = False, delay_s: float = 0.0) -> None:
        self.lines = list(lines)
        self.by_calls, self.delay_s = by_calls, delay_s
        self.calls: list[dict[str, Any]] = []

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return the next line.

        Raises:
            ModelRejected: the script has no further line.
        """
        number = len(self.calls) if self.by_calls else answers_since_user(messages)
        self.calls.append({"messages": list(messages), "model": model, "tools": tools, "settings": settings})
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if number >= len(self.lines):
            raise ModelRejected(f"the script has {len(self.lines)} lines and was asked for number {number + 1}")
        line = self.lines[number]
        if callable(line):
            line = line(messages)
        if inspect.isawaitable(line):
            line = await line
        if isinstance(line, BaseException):
            raise line
        return says(line) if isinstance(line, str) else dict(line)


class StreamingScriptedLLM(ScriptedLLM):
    """The same, told word by word."""

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str, tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncIterator[Token | Reply]:
        """Yield the next line's words, then the line."""
        reply = await self(messages, model, tools, **settings)
        for word in str(reply.get("content") or "").split(" "):
            yield Token("text", word + " ")
        for position, call in enumerate(reply.get("tool_calls") or ()):
            yield Token("tool_arguments", str(call["function"]["arguments"]), position)
        yield reply


def answers_since_user(messages: Sequence[dict[str, Any]]) -> int:
    """Return how many assistant messages follow the last user's message."""
    count = 0
    for message in reversed(messages):
        if message.get("role") == "user":
            break
        count += message.get("role") == "assistant"
    return count
