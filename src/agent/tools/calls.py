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
    """Return one key for each call, all different: its id, or its position where the id is missing or an earlier call has it.

    The first of several with one id keeps it: so do the messages of the run, where the later ones get ids of ours.
    """
    owners: dict[str, int] = {}
    without: list[int] = []
    for place, call in enumerate(calls):
        if call.call_id is None or call.call_id in owners:
            without.append(place)
        else:
            owners[call.call_id] = place
    while without:
        place = without.pop()
        if (displaced := owners.get(str(place))) is not None:  # an id that looks like this call's position: that call goes by position too
            without.append(displaced)
        owners[str(place)] = place
    return sorted(owners, key=lambda key: owners[key])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
