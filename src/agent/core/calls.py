"""Tool calls as models give them, made into values that are always usable.

A model may leave out ids or names, repeat ids, or send no object at all. The step keeps what it said; these values say
what it means, the same way at every reading.
"""

import json
import re
from collections.abc import Container
from functools import lru_cache
from typing import Any

from agent.core.redact import MAX_INTEGER_BITS
from agent.models.json_text import object_of
from agent.models.value import Value

MAX_NAME = 64
MAX_DEPTH = 50  # of malformed arguments that are shown to the model again
MAX_RAW_ARGUMENTS_IN_HISTORY = 2_000  # characters of malformed arguments that are shown to the model again
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_NAME = re.compile(r"[^a-zA-Z0-9_-]")


class Call(Value, frozen=True, gc=False):
    """One tool request of a model. `call_id` is ours: the model call's sequence and the position in it. `message_id` is the one in the messages."""

    call_id: str
    message_id: str
    name: str  # as the model gave it; "" where it gave none
    raw_arguments: Any  # as the model gave them: text, an object, or anything else
    position: int


def calls_of(raw: Any, sequence: int, taken: Container[str] = ()) -> tuple[Call, ...]:
    """Return the calls of a model's raw `tool_calls`; `taken` are message ids that are used up already."""
    if not raw:
        return ()
    entries = raw if isinstance(raw, list) else [raw]
    if len(entries) == 1:  # the usual case
        return (_call_of(entries[0], sequence, 0, (), taken),)
    calls: list[Call] = []
    here: set[str] = set()
    for position, entry in enumerate(entries):
        call = _call_of(entry, sequence, position, here, taken)
        here.add(call.message_id)
        calls.append(call)
    return tuple(calls)


def _call_of(entry: Any, sequence: int, position: int, here: Container[str], taken: Container[str]) -> Call:
    item = entry if isinstance(entry, dict) else {}
    function = item.get("function")
    if not isinstance(function, dict):
        function = item
    given, name = item.get("id"), function.get("name")
    message_id = given if isinstance(given, str) and given and given not in here and given not in taken else _own_id(sequence, position, here, taken)
    return Call(f"{sequence}.{position}", message_id, name if isinstance(name, str) else "", function.get("arguments"), position)


def _own_id(sequence: int, position: int, here: Container[str], taken: Container[str]) -> str:
    """Return an id that nothing before it has: the run's own sequence is not enough, other runs of the conversation count like it."""
    message_id, others = f"call_{sequence}_{position}", 1
    while message_id in here or message_id in taken:
        others += 1
        message_id = f"call_{sequence}_{position}_{others}"
    return message_id


@lru_cache(maxsize=4_096)
def safe_name(name: str) -> str:
    """Return a name that every provider takes in a history."""
    if _NAME.fullmatch(name):
        return name
    return _NOT_NAME.sub("_", name)[:MAX_NAME] or "unknown_tool"


def loose_arguments(raw: Any) -> dict[str, Any]:
    """Return arguments as an object, however malformed: for people and for the history, never for running a tool."""
    if isinstance(raw, dict):
        return raw
    if raw is None or raw == "":
        return {}
    if isinstance(raw, str) and (value := object_of(raw)) is not None:
        return value
    try:
        value = json.loads(raw) if isinstance(raw, str) else raw
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    return {"malformed_arguments": str(raw)[:MAX_RAW_ARGUMENTS_IN_HISTORY]}


def arguments_text(raw: Any) -> str:
    """Return the arguments for a history: JSON text of an object, as the model wrote it where that is one."""
    if isinstance(raw, str) and raw[:1] == "{" and object_of(raw) is not None:
        return raw
    plain = _finite(loose_arguments(raw))
    text = json.dumps(plain, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character: written as an escape, it is JSON all the same
        return json.dumps(plain, default=str)
    return text


def _finite(value: Any, depth: int = 0) -> Any:
    if isinstance(value, float) and value - value != 0:  # NaN and the infinities are no JSON
        return str(value)
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        return f"<integer of {value.bit_length()} bits>"
    if depth > MAX_DEPTH:
        return str(type(value))
    if isinstance(value, dict):
        return {str(k): _finite(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_finite(v, depth + 1) for v in value]
    return value


def message_tool_call(call: Call) -> dict[str, Any]:
    """Return a call as it stands in an assistant message of the history."""
    return {"id": call.message_id, "type": "function", "function": {"name": safe_name(call.name), "arguments": arguments_text(call.raw_arguments)}}
