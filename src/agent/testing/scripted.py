"""A model that says what it was told to say: for tests, examples and demonstrations."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeAlias

from agent.errors import ModelRejected
from agent.llm.contract import Reply, Token
from agent.llm.script import answers_since_user, asks, says, tool_request

__all__ = ["Line", "ScriptedLLM", "StreamingScriptedLLM", "answers_since_user", "asks", "says", "tool_request"]

Line: TypeAlias = "str | dict[str, Any] | BaseException | Callable[..., Any]"


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
