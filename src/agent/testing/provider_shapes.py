"""Strict readers of a history, as the providers read it: what each of them would refuse, in sentences.

Histories here are in OpenAI's chat format. Each reader first turns one into its provider's own form, the usual way, and
then applies the rules that the provider answers 400 for.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Messages: TypeAlias = Sequence[dict[str, Any]]
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def shape_faults(messages: Messages, *, is_request: bool = False) -> list[str]:
    """Return what OpenAI-, Anthropic- and Gemini-shaped providers would refuse in a history; nothing where all take it.

    With `is_request` the history is one that a model is asked with: it must not end with the model's own word.
    """
    faults = [f"openai: {fault}" for fault in openai_faults(messages)]
    if faults:  # the others are made from that shape
        return faults
    faults += [f"anthropic: {fault}" for fault in anthropic_faults(messages)]
    faults += [f"gemini: {fault}" for fault in gemini_faults(messages)]
    if is_request and (not messages or messages[-1]["role"] not in ("user", "tool")):
        faults.append("a request ends with the model's own word")
    return faults


# ---- OpenAI: chat completions


def openai_faults(messages: Messages) -> list[str]:
    """Return what a chat-completions server would refuse.

    Source: OpenAI API reference, chat completions, `messages`; its errors "must be followed by tool messages" and
    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'".
    """
    faults: list[str] = []
    seen: set[str] = set()
    open_calls: list[tuple[Any, Any]] = []  # (id, name) still to be answered, in order
    for position, message in enumerate(messages):
        faults += [f"[{position}] {fault}" for fault in _encoding_faults(message)]
        if message.get("role") == "tool":
            faults += [f"[{position}] {fault}" for fault in _answer_faults(message, open_calls)]
            continue
        if open_calls:
            faults.append(f"[{position}] calls {[i for i, _ in open_calls]} are not answered before it")
        open_calls = []
        if message.get("role") == "assistant":
            faults += [f"[{position}] {fault}" for fault in _assistant_faults(message, seen, open_calls)]
        elif message.get("role") in ("system", "developer", "user"):
            faults += [f"[{position}] {fault}" for fault in _content_faults(message)]
        else:
            faults.append(f"[{position}] has the role {message.get('role')!r}")
    if open_calls:
        faults.append(f"calls {[i for i, _ in open_calls]} are never answered")
    return faults


def _encoding_faults(message: dict[str, Any]) -> Iterator[str]:
    try:
        json.dumps(message, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        yield f"is no JSON in UTF-8: {error}"


def _answer_faults(message: dict[str, Any], open_calls: list[tuple[Any, Any]]) -> Iterator[str]:
    if not isinstance(message.get("content"), str):
        yield f"has the content {type(message.get('content')).__name__}, not text"
    answered = (message.get("tool_call_id"), message.get("name"))
    if not open_calls:
        yield f"answers {answered}, which nothing directly before it asked for"
    elif answered != open_calls[0]:
        yield f"answers {answered}, but {open_calls[0]} is next"
    if open_calls:
        open_calls.pop(0)


def _assistant_faults(message: dict[str, Any], seen: set[str], open_calls: list[tuple[Any, Any]]) -> Iterator[str]:
    calls = message.get("tool_calls")
    if not isinstance(message.get("content"), str | None):
        yield "has no text as its content"
    if "tool_calls" not in message:
        if not message.get("content") and message.get("provider_state") is None:
            yield "says nothing and asks for nothing"
        return
    if not isinstance(calls, list) or not calls:
        yield "has tool_calls that are no list with a call in it"
        return
    for call in calls:
        yield from _call_faults(call, seen)
        function = call.get("function") or {}
        open_calls.append((call.get("id"), function.get("name")))


def _call_faults(call: dict[str, Any], seen: set[str]) -> Iterator[str]:
    call_id, function = call.get("id"), call.get("function")
    if call.get("type") != "function" or not isinstance(function, dict):
        yield f"the call {call_id!r} is no function call"
        return
    if not isinstance(call_id, str) or not call_id:
        yield f"the call has the id {call_id!r}"
    elif call_id in seen:
        yield f"the id {call_id!r} was used before"
    else:
        seen.add(call_id)
    name = function.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        yield f"the call {call_id!r} has the name {name!r}"
    yield from (f"the call {call_id!r} {fault}" for fault in _argument_faults(function.get("arguments")))


def _argument_faults(arguments: Any) -> Iterator[str]:
    if not isinstance(arguments, str):
        yield f"has arguments of type {type(arguments).__name__}, not JSON text"
        return
    try:
        if not isinstance(json.loads(arguments, parse_constant=_refuse), dict):
            yield f"has arguments that are no object: {arguments[:80]}"
    except (ValueError, RecursionError) as error:
        yield f"has arguments that are no JSON: {error}: {arguments[:80]}"


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _content_faults(message: dict[str, Any]) -> Iterator[str]:
    content = message.get("content")
    is_parts = isinstance(content, list) and content and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)
    if not isinstance(content, str) and not is_parts:
        yield f"has a content of type {type(content).__name__}"


# ---- Anthropic: messages


def anthropic_faults(messages: Messages) -> list[str]:
    """Return what a messages server would refuse, once system messages went apart and answers into user turns.

    Source: Anthropic API, messages; its errors "tool_use ids were found without tool_result blocks immediately after",
    "tool_use ids must be unique", "all messages must have non-empty content".
    """
    faults: list[str] = []
    turns = _anthropic_turns(messages)
    if turns and turns[0][0] != "user":
        faults.append("the first turn is not the user's")
    asked: list[str] = []
    for position, (role, blocks) in enumerate(turns):
        if not blocks:
            faults.append(f"turn {position} is empty")
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if role == "user" and sorted(answered) != sorted(asked):
            faults.append(f"turn {position} answers {answered} to {asked}")
        kinds = [block["type"] == "tool_result" for block in blocks]
        if kinds != sorted(kinds, reverse=True):
            faults.append(f"turn {position} has words before its tool results")
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
    if asked:
        faults.append(f"{asked} are never answered")
    return faults


def _anthropic_turns(messages: Messages) -> list[tuple[str, list[dict[str, Any]]]]:
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        turns[-1][1].extend(_anthropic_blocks(message))
    return turns


def _anthropic_blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    if message["role"] == "tool":
        return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": message["content"]}]
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) and content.strip() else list(content) if isinstance(content, list) else []
    blocks += [{"type": "thinking"}] if message.get("provider_state") is not None else []
    calls = message.get("tool_calls") or ()
    return blocks + [{"type": "tool_use", "id": c["id"], "name": c["function"]["name"], "input": json.loads(c["function"]["arguments"])} for c in calls]


# ---- Gemini: generateContent


def gemini_faults(messages: Messages) -> list[str]:
    """Return what a generateContent server would refuse.

    Source: Gemini API, function calling; its errors "function call turn comes immediately after a user turn or after a
    function response turn" and "the number of function response parts is equal to the number of function call parts".
    """
    faults: list[str] = []
    asked: list[str] = []
    before = ""
    for position, (kind, names) in enumerate(_gemini_turns(messages)):
        if kind == "call" and before not in ("user", "response"):
            faults.append(f"turn {position} calls functions after a turn of kind {before!r}")
        if kind == "response" and names != asked:
            faults.append(f"turn {position} has responses of {names} to calls of {asked}")
        if before == "call" and kind != "response":
            faults.append(f"turn {position} is no response to the calls of {asked}")
        asked, before = (names if kind == "call" else []), kind
    if before == "call":
        faults.append(f"the calls of {asked} have no response")
    return faults


def _gemini_turns(messages: Messages) -> list[tuple[str, list[str]]]:
    turns: list[tuple[str, list[str]]] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            continue
        calls = message.get("tool_calls") or ()
        kind = "response" if role == "tool" else "user" if role == "user" else "call" if calls else "model"
        names = [message["name"]] if role == "tool" else [call["function"]["name"] for call in calls]
        if turns and turns[-1][0] == kind != "call":
            turns[-1][1].extend(names)
        else:
            turns.append((kind, names))
    return turns
