"""Reading the tool calls of a model's reply: whatever it sent, this never raises."""

from typing import Any

from agent.models.value import Value


class RawCall(Value, frozen=True):
    """One call as the model wrote it; None where a part is missing or of another type."""

    call_id: str | None
    name: str | None
    arguments: Any  # text as a rule; unchecked


def read_call(call: Any) -> RawCall:
    """Return the parts of one call in OpenAI's form."""
    if not isinstance(call, dict):
        return RawCall(None, None, None)
    function = call.get("function")
    if not isinstance(function, dict):
        function = {}
    return RawCall(_text(call.get("id")), _text(function.get("name")), function.get("arguments"))


def read_calls(tool_calls: Any) -> list[RawCall]:
    """Return all calls in their order; what is no list holds none."""
    return [read_call(call) for call in tool_calls] if isinstance(tool_calls, list | tuple) else []


def call_keys(calls: list[RawCall]) -> list[str]:
    """Return one key for each call, all different: its id, or its position where the id is missing or given to several."""
    ids = [call.call_id for call in calls]
    count: dict[str | None, int] = {}
    for call_id in ids:
        count[call_id] = count.get(call_id, 0) + 1
    keys = [str(place) if call_id is None or count[call_id] > 1 else call_id for place, call_id in enumerate(ids)]
    while len(set(keys)) < len(keys):  # an id that looks like another call's position: that one goes by position too
        keys = [str(place) if keys.count(key) > 1 else key for place, key in enumerate(keys)]
    return keys


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
