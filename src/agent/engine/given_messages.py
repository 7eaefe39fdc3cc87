"""A caller's own messages: whole and in order as every provider wants them, or refused at the door."""

from collections.abc import Sequence
from typing import Any

from agent.core.calls import arguments_text, safe_name
from agent.errors import BadInput
from agent.models.message import Message


def well_formed(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with every tool call answered in order, each answer with the name of its tool.

    Raises:
        BadInput: an answer without its call, a call without its answer or its id, an id used twice.
    """
    seen: set[str] = set()
    asked: dict[str, str] = {}  # id → name, still to be answered
    answers: dict[str, Message] = {}
    done: list[Message] = []
    for position, message in enumerate(messages):
        if message["role"] == "tool":
            _take_answer(position, message, asked, answers)
            continue
        done += _answers(position, asked, answers)
        asked, answers = _calls(position, message, seen), {}
        done.append(_with_calls(message))
    return done + _answers(len(messages), asked, answers)


def _take_answer(position: int, message: Message, asked: dict[str, str], answers: dict[str, Message]) -> None:
    call_id = message.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in asked or call_id in answers:
        raise BadInput(f"messages[{position}] answers the tool call {call_id!r}, which the assistant's message before it does not ask for")
    content = message.get("content")
    answers[call_id] = {**message, "name": safe_name(asked[call_id]), "content": content if isinstance(content, str | list) else ""}


def _answers(position: int, asked: dict[str, str], answers: dict[str, Message]) -> list[Message]:
    missing = [call_id for call_id in asked if call_id not in answers]
    if missing:
        raise BadInput(f"messages[{position}] should be the answer to the tool call {missing[0]!r}: add a message with role 'tool' and that tool_call_id")
    return [answers[call_id] for call_id in asked]


def _calls(position: int, message: Message, seen: set[str]) -> dict[str, str]:
    asked: dict[str, str] = {}
    calls = message.get("tool_calls") or ()
    for call in calls if isinstance(calls, list | tuple) else (calls,):
        function = call.get("function") if isinstance(call, dict) else None
        call_id = call.get("id") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not isinstance(call_id, str) or not call_id:
            raise BadInput(f"messages[{position}] has a tool call without an id, or without a function that has a name")
        if call_id in seen:
            raise BadInput(f"messages[{position}] has a tool call with the id {call_id!r}, which another call has already")
        seen.add(call_id)
        asked[call_id] = function["name"]
    return asked


def _with_calls(message: Message) -> Message:
    plain: dict[str, Any] = {name: value for name, value in message.items() if name != "tool_calls"}
    if calls := message.get("tool_calls"):
        plain["tool_calls"] = [{**call, "type": "function", "function": _function(call["function"])} for call in calls]
    return plain


def _function(function: dict[str, Any]) -> dict[str, Any]:
    return {**function, "name": safe_name(function["name"]), "arguments": arguments_text(function.get("arguments"))}
