"""Calls that are made again and again: how often in a row a model asked for the same and was told the same."""

from collections.abc import Iterator
from typing import Any

from agent.core.messages import Messages
from agent.models.digest import canonical_hash
from agent.models.json_text import object_of
from agent.models.message import Message

_CHUNK = 16  # messages that are looked at together


def repeats_of(messages: Messages, position: int, refusal: str, most: int) -> tuple[int, int]:
    """Return (how many turns in a row had this call with one and the same result, how often `refusal` was told since).

    The call is the one at `position` of the turn at the end of `messages`. Counting stops at `most`. A turn without the call,
    another result, or words of a person in between end the row.
    """
    last = messages.last
    calls = last.get("tool_calls") if last is not None else None
    if not isinstance(calls, list) or position >= len(calls):
        return 0, 0
    asked = calls[position]["function"]
    if not _may_repeat(messages, asked):
        return 0, 0
    same = told = 0
    first: Any = None
    for result in _results(messages, asked):
        if not same and result == refusal:
            told += 1
        elif not same or result == first:
            first, same = result, same + 1
        else:
            break
        if same >= most:
            break
    return same, told


def _may_repeat(messages: Messages, asked: dict[str, Any]) -> bool:
    """Whether the turn before may have the same call: a quick look at one of a single call, which most are."""
    before = messages.since(max(0, messages.count - 3))[0]
    calls = before.get("tool_calls")
    return not isinstance(calls, list) or len(calls) != 1 or _is_same(calls[0], asked)


def _results(messages: Messages, asked: dict[str, Any]) -> Iterator[Any]:
    """Yield what the same call was answered in each turn before the last one, newest first, while there is one."""
    answers: dict[Any, Any] = {}
    for message in _backwards(messages, messages.count - 1):
        if message.get("role") == "tool":
            answers[message.get("tool_call_id")] = message.get("content")
            continue
        calls = message.get("tool_calls")
        found = next((call for call in calls if _is_same(call, asked)), None) if isinstance(calls, list) else None
        if found is None or found.get("id") not in answers:
            return
        yield answers[found["id"]]
        answers = {}


def _backwards(messages: Messages, end: int) -> Iterator[Message]:
    while end > 0:
        begin = max(0, end - _CHUNK)
        yield from reversed(messages.since(begin)[: end - begin])
        end = begin


def _is_same(call: Any, asked: dict[str, Any]) -> bool:
    """Whether a call has the name and the arguments of another, however these are ordered and spaced."""
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or function.get("name") != asked["name"]:
        return False
    one, other = function.get("arguments"), asked["arguments"]
    if one == other:
        return True
    if not isinstance(one, str) or len(one.replace(" ", "")) != len(other.replace(" ", "")):  # by far the most: nothing is parsed for them
        return False
    left, right = object_of(one), object_of(other)
    return left is not None and left == right and canonical_hash(left) == canonical_hash(right)  # 1, 1.0 and True are equal, and not the same
