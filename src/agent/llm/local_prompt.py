"""A conversation as the embedded model can follow it: short turns, one worked example, each result with the task beside it.

The turns of a longer conversation begin with those of the shorter one, so that the server keeps what it has read.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agent.errors import Unsupported
from agent.llm.local_example import example_for
from agent.llm.local_schema import ANSWER
from agent.models.value import Value

Turn = dict[str, str]

MAX_TASK_CHARS = 300
"""Characters of the task that are repeated beside each result."""
MAX_DESCRIPTION_CHARS = 120
MAX_UNREAD = 6
MEMORY_OPENING = "<memory>\n"
"""With what a block of memory begins."""
SHORTENED_CHARS = 160
"""What is kept of a tool result that has to give way."""

_HAN = re.compile(r"[\u3400-\u9fff]")
_ENDINGS = r"\.(?:txt|md|csv|tsv|json|yaml|yml|toml|ini|log|html|xml|rst|py|pdf)(?![A-Za-z0-9_])"
FILE_NAME = re.compile(r"(?<![A-Za-z0-9_./-])[A-Za-z0-9_./-]*[A-Za-z0-9_-]" + _ENDINGS)
# A name in Han characters cannot be told from the words before it in a sentence; on a line of its own it can.
_ABOUT_FILES = re.compile(r"\b(?:files?|folders?|director(?:y|ies))\b|" + _ENDINGS + "|文件|目录", re.IGNORECASE)
_LISTED_NAME = re.compile(r"^[\w./-]+" + _ENDINGS, re.MULTILINE)


_WORDS = {
    "en": {
        "head": "Solve the task step by step. Each reply is one JSON object: one tool call, or the final_answer once the results hold all that is asked. "
        "Use only file names and numbers that you were shown.\nTools:\n{tools}",
        "task": "Task: {task}",
        "result": "{call} returned:\n{text}",
        "next": "\n\nTask: {task}\n{unread}Next step?",
        "unread": "Not read yet: {names}. ",
    },
    "zh": {
        "head": "一步一步完成任务。每次回复一个 JSON 对象:调用一个工具,或者在已知全部所需结果后给出 final_answer。只使用看到过的文件名和数字。\n工具:\n{tools}",
        "task": "任务:{task}",
        "result": "{call} 返回:\n{text}",
        "next": "\n\n任务:{task}\n{unread}下一步?",
        "unread": "还没读:{names}。",
    },
}


class Prompt(Value, frozen=True, kw_only=True):
    """The turns to send, and what a reply to them may rest on."""

    turns: list[Turn]
    calls: frozenset[tuple[str, str]]
    """Calls made since the last word of the user, as `call_key` gives them."""
    seen: str
    """All text from the user and the tools."""
    unread: tuple[str, ...]
    """Files that were named and not read yet."""
    wanted: tuple[str, ...]
    """Those of them that the task itself names."""
    must_look: bool
    """Whether an answer now would be made up: the task is about files, and they were not read."""


def language_of(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return `zh` if the first word of a user has Chinese characters, else `en`."""
    first = next((message for message in reversed(messages) if message.get("role") == "user"), None)
    return "zh" if first is not None and _HAN.search(text_of(first)) else "en"


def plain_turns(messages: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """Return a conversation without tools as it is, text only."""
    return [{"role": _role(message), "content": text_of(message)} for message in messages]


def call_key(tool: str, arguments: Any) -> tuple[str, str]:
    """Return what makes two calls the same."""
    return tool, json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def prompt_for(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], *, shortened: int = 0, longest_result: int | None = None) -> Prompt:
    """Return the turns for `messages`; the oldest `shortened` tool results are cut short in them, the others to `longest_result` characters."""
    language = language_of(messages)
    words = _WORDS[language]
    told = [message for message in messages if _role(message) == "system" or _is_memory(message)]
    system = "\n\n".join(map(text_of, told))
    head = words["head"].format(tools="\n".join(map(_signature, tools)) or "-")
    tells_unread = any(tool["function"]["name"] == "read_file" for tool in tools)
    teller = _Teller(words, shortened, longest_result, tells_unread=tells_unread)
    example = _Teller(words, 0, None, tells_unread=tells_unread)
    for shown in example_for({tool["function"]["name"] for tool in tools}, language):
        example.add(shown)
    for message in messages:
        if _is_memory(message):
            teller.seen.append(text_of(message))  # what it names may be used
        else:
            teller.add(message)
    turns = [{"role": "system", "content": f"{head}\n\n{system}" if system else head}, *example.finished(), *teller.finished()]
    return Prompt(
        turns=turns, calls=frozenset(teller.calls), seen="\n".join(teller.seen), unread=teller.unread(), wanted=teller.wanted(), must_look=teller.must_look()
    )


def _is_memory(message: Mapping[str, Any]) -> bool:
    """Return whether a message is what memory tells a run. Beside the task this model takes it for the question, and answers instead of calling a tool."""
    return _role(message) == "user" and text_of(message).startswith(MEMORY_OPENING)


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's text.

    Raises:
        Unsupported: it holds an image or another thing that is no text.
    """
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    parts = []
    for part in content:
        text = part if isinstance(part, str) else part.get("text")
        if not isinstance(text, str):
            raise Unsupported(f"the embedded model reads text only, not {part.get('type', 'this')!r} parts: use another model for these")
        parts.append(text)
    return "".join(parts)


class _Teller:
    """Goes through a conversation once and writes its turns."""

    def __init__(self, words: Mapping[str, str], shortened: int, longest_result: int | None, *, tells_unread: bool) -> None:
        self._words, self._to_shorten, self._longest, self._tells_unread = words, shortened, longest_result, tells_unread
        self._turns: list[Turn] = []
        self._waiting: list[str] = []  # texts of the user's turn that is being written
        self._is_result = False
        self._made: dict[str, tuple[str, Any]] = {}
        self._used: set[str] = set()
        self.task = ""
        self.seen: list[str] = []
        self._listed: list[str] = []
        self.calls: set[tuple[str, str]] = set()

    def add(self, message: Mapping[str, Any]) -> None:
        role = _role(message)
        if role == "user":
            self._add_user(text_of(message))
        elif role == "tool":
            self._add_result(message)
        elif role == "assistant":
            self._close()
            self._add_assistant(message)

    def finished(self) -> list[Turn]:
        self._close()
        return self._turns

    def must_look(self) -> bool:
        """Return whether the task is about files that were not read yet; no longer after so many calls that they may not exist."""
        named = self._named()
        if len(self.calls) >= 2 * len(named) + 3:
            return False
        if self.wanted():
            return True
        return self._tells_unread and bool(_ABOUT_FILES.search(self.task)) and not any(name == "read_file" for name, _ in self.calls)

    def unread(self) -> tuple[str, ...]:
        """Return the files that no call was about: of those that the task names, or where it names none, of those that a result lists."""
        return self.wanted() if self._named() else tuple(self._unread(self._listed))

    def wanted(self) -> tuple[str, ...]:
        """Return the files that the task names and no call was about."""
        return tuple(self._unread(self._named()))

    def _named(self) -> list[str]:
        return [*_names(self.task), *(name for name in self._listed if name in self.task)]

    def _unread(self, names: Iterable[str]) -> list[str]:
        if not self._tells_unread:
            return []
        return [name for name in dict.fromkeys(names) if not any(used == name or used.endswith("/" + name) for used in self._used)]

    def _add_user(self, text: str) -> None:
        self._is_result = False
        self.calls.clear()
        self._waiting.append(text)
        self.task = text
        self.seen.append(text)

    def _add_result(self, message: Mapping[str, Any]) -> None:
        name, arguments = self._made.get(str(message.get("tool_call_id")), (str(message.get("name") or "tool"), {}))
        text = text_of(message)
        longest = SHORTENED_CHARS if self._to_shorten > 0 else self._longest
        self._to_shorten -= 1
        if longest is not None and len(text) > longest:
            text = text[:longest] + "…"
        values = arguments.values() if isinstance(arguments, dict) else [arguments]
        call = f"{name}({', '.join(map(str, values))})"
        self._is_result = True
        self._listed += _names(text, _LISTED_NAME)
        self._waiting.append(self._words["result"].format(call=call, text=text))
        self.seen.append(text)

    def _add_assistant(self, message: Mapping[str, Any]) -> None:
        said = []
        for call in message.get("tool_calls") or ():
            name, arguments = _call(call)
            self._made[str(call.get("id"))] = (name, arguments)
            self.calls.add(call_key(name, arguments))
            self._used.update(map(str, arguments.values()) if isinstance(arguments, dict) else ())
            said.append(json.dumps({"tool": name, "arguments": arguments}, ensure_ascii=False))
        if not said:
            said.append(json.dumps({ANSWER: text_of(message)}, ensure_ascii=False))
        self._turns.append({"role": "assistant", "content": "\n".join(said)})

    def _close(self) -> None:
        if not self._waiting:
            return
        text = "\n\n".join(self._waiting)
        if self._is_result:
            names = self.unread()[:MAX_UNREAD]
            unread = self._words["unread"].format(names=", ".join(names)) if names else ""
            text += self._words["next"].format(task=self.task[:MAX_TASK_CHARS], unread=unread)
        else:
            *before, task = self._waiting
            text = "\n\n".join([*before, self._words["task"].format(task=task)])
        self._turns.append({"role": "user", "content": text})
        self._waiting = []


def _names(text: str, kind: re.Pattern[str] = FILE_NAME) -> list[str]:
    return [found.group() for found in kind.finditer(text)]


def _role(message: Mapping[str, Any]) -> str:
    role = str(message.get("role", "user"))
    return "system" if role == "developer" else role


def _call(call: Mapping[str, Any]) -> tuple[str, Any]:
    function = call.get("function") or {}
    arguments = function.get("arguments") or "{}"
    if isinstance(arguments, str):
        with contextlib.suppress(ValueError, RecursionError):  # malformed: told as the model wrote it
            arguments = json.loads(arguments)
    return str(function.get("name") or ""), arguments


def _signature(tool: Mapping[str, Any]) -> str:
    """Return a tool as one short line: `- name(a, b?): what it does`."""
    function = tool["function"]
    parameters = function.get("parameters") or {}
    required = parameters.get("required", ())
    shown = []
    for name, of in (parameters.get("properties") or {}).items():
        choices = of.get("enum") if isinstance(of, Mapping) else None
        kind = "=" + "|".join(map(str, choices)) if choices else ""
        shown.append(f"{name}{'' if name in required else '?'}{kind}")
    lines = str(function.get("description") or "").strip().splitlines()
    return f"- {function['name']}({', '.join(shown)}): {lines[0][:MAX_DESCRIPTION_CHARS] if lines else ''}"
