"""A model whose replies were written down beforehand, `scripted:FILE.json`: for examples, demonstrations and tests."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.core.wording import LANGUAGES
from agent.errors import BadInput, ModelRejected
from agent.llm.contract import Reply, Token

SCRIPTED = "scripted:"
MAX_SCRIPT_BYTES = 10_000_000
"""Of a script's file."""
MAX_DELAY_S = 600.0
"""Of one reply."""
_ASIDES = frozenset(words[key] for words in LANGUAGES.values() for key in ("final", "go_on"))  # said by the program in the middle of a run

_REJECTIONS = tuple(words["output_rejected"].partition("{")[0] for words in LANGUAGES.values())  # the beginning of what is said of an answer


class Script:
    """Plays replies that were read from JSON, in order; a resumed run goes on where it was.

    A reply is a text, or `{"content", "tool_calls", "delay_s"}`; a tool call is `{"name", "arguments"}` or OpenAI's shape. It is told
    word by word; `delay_s` is spread over the words. A list of replies is a choice: the first is played whose `if` stands in the prompt
    and whose `asked` stands in the last user's message; either may be missing, and may be several texts. Which reply comes next follows
    from how many assistant messages stand after the last user's message, so that nothing has to be remembered.
    """

    is_free = True

    def __init__(self, replies: Any, where: str) -> None:
        if not isinstance(replies, list) or not replies:
            raise BadInput(f"the script {where!r} must be a JSON list of replies: texts, or objects with content and tool_calls")
        self.name = f"{SCRIPTED}{where}"
        self._choices = [_choices(reply, f"{where!r}, reply {number}") for number, reply in enumerate(replies, 1)]

    async def __call__(self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any) -> Reply:
        """Return the next reply, after its delay.

        Raises:
            ModelRejected: the script has no further reply, or none for this prompt.
        """
        chosen = self._next(messages)
        await asyncio.sleep(chosen.delay_s)
        return dict(chosen.reply)

    async def stream(
        self, messages: Sequence[dict[str, Any]], model: str = "", tools: list[dict[str, Any]] | None = None, **settings: Any
    ) -> AsyncIterator[Token | Reply]:
        """Yield the next reply's words at its pace, then the reply.

        Raises:
            ModelRejected: the script has no further reply, or none for this prompt.
        """
        chosen = self._next(messages)
        pieces: list[Token | Reply] = [*_tokens(chosen.reply), dict(chosen.reply)]
        for piece in pieces:
            await asyncio.sleep(chosen.delay_s / len(pieces))
            yield piece

    def _next(self, messages: Sequence[dict[str, Any]]) -> "_Choice":
        messages = [message for message in messages if not _is_aside(message.get("content"))]
        number = answers_since_user(messages)
        if number >= len(self._choices):
            count = len(self._choices)
            raise ModelRejected(f"the script has {count} repl{'y' if count == 1 else 'ies'} and was asked for number {number + 1}: write one more")
        return _chosen(self._choices[number], messages)


def open_script(file: str | Path) -> Script:
    """Return a model that plays the replies in a file.

    Raises:
        BadInput: the file cannot be read, or is something else.
    """
    path = Path(file).expanduser()
    try:
        if path.stat().st_size > MAX_SCRIPT_BYTES:
            raise BadInput(f"the script {str(path)!r} is larger than {MAX_SCRIPT_BYTES} bytes")
        replies = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"the script {str(path)!r} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the script {str(path)!r} is no JSON: {error}") from None
    return Script(replies, str(path))


def _tokens(reply: Reply) -> list[Token]:
    calls = enumerate(reply.get("tool_calls") or ())
    words = [Token("text", word + " ") for word in str(reply.get("content") or "").split(" ")]
    return [*words, *(Token("tool_arguments", str(call["function"]["arguments"]), position) for position, call in calls)]


# ---- what a script says


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


def answers_since_user(messages: Sequence[dict[str, Any]]) -> int:
    """Return how many assistant messages follow the last user's message."""
    count = 0
    for message in reversed(messages):
        if message.get("role") == "user":
            break
        count += message.get("role") == "assistant"
    return count


class _Choice(NamedTuple):
    """A reply, the texts that must stand in the prompt and in the last user's message for it to be played, and how long it takes."""

    texts: tuple[str, ...]
    asked: tuple[str, ...]
    reply: Reply
    delay_s: float

    def fits(self, prompt: str, asked: str) -> bool:
        """Return whether it may be played."""
        return all(text in prompt for text in self.texts) and all(text in asked for text in self.asked)


def _choices(given: Any, where: str) -> list[_Choice]:
    if not isinstance(given, list):
        return [_Choice((), (), _line(given, where), _delay(given, where))]
    if not given:
        raise BadInput(f"the script {where} is an empty list: a choice has replies")
    return [_choice(one, f"{where}, choice {number}") for number, one in enumerate(given, 1)]


def _choice(given: Any, where: str) -> _Choice:
    if not isinstance(given, dict):
        return _Choice((), (), _line(given, where), 0.0)
    texts, asked = (_texts(given.get(key, []), f"{where}: {key}") for key in ("if", "asked"))
    reply = {key: value for key, value in given.items() if key not in ("if", "asked")}
    return _Choice(texts, asked, _line(reply, where), _delay(reply, where))


def _texts(given: Any, where: str) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadInput(f"the script {where} must be a text, or a list of texts that must all be there")
    return tuple(texts)


def _chosen(choices: Sequence[_Choice], messages: Sequence[dict[str, Any]]) -> _Choice:
    prompt = "\n".join(str(message.get("content") or "") for message in messages)
    asked = next((str(message.get("content") or "") for message in reversed(messages) if message.get("role") == "user"), "")
    found = next((choice for choice in choices if choice.fits(prompt, asked)), None)
    if found is None:
        raise ModelRejected("the script has no reply for this prompt: end a choice with one without 'if'")
    return found


def _is_aside(content: Any) -> bool:
    return isinstance(content, str) and (content in _ASIDES or content.startswith(_REJECTIONS))


def _delay(reply: Any, where: str) -> float:
    delay = reply.get("delay_s", 0) if isinstance(reply, dict) else 0
    if isinstance(delay, bool) or not isinstance(delay, int | float) or not 0 <= delay <= MAX_DELAY_S:
        raise BadInput(f"the script {where}: delay_s must be a number of seconds from 0 to {MAX_DELAY_S:g}, not {delay!r}")
    return float(delay)


def _line(reply: Any, where: str) -> Reply:
    if isinstance(reply, str):
        return says(reply)
    if not isinstance(reply, dict):
        raise BadInput(f"the script {where} must be a text or an object, not {type(reply).__name__}")
    unknown = sorted(reply.keys() - {"content", "tool_calls", "delay_s"})
    if unknown:
        raise BadInput(f"the script {where} has unknown keys {', '.join(unknown)}: content, tool_calls and delay_s are known")
    content, calls = reply.get("content") or "", reply.get("tool_calls") or []
    if not isinstance(content, str) or not isinstance(calls, list):
        raise BadInput(f"the script {where}: content must be a text and tool_calls a list")
    return asks(*[_call(call, where) for call in calls], content=content) if calls else says(content)


def _call(call: Any, where: str) -> dict[str, Any]:
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
        raise BadInput(f'the script {where}: a tool call is {{"name": …, "arguments": {{…}}}}, not {call!r}')
    arguments = inner.get("arguments")
    if arguments is not None and not isinstance(arguments, dict | str):
        raise BadInput(f"the script {where}: the arguments of {inner['name']!r} must be an object")
    return tool_request(inner["name"], arguments, call.get("id"))
