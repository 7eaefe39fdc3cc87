"""What goes out: our messages as one provider of chat completions takes them, with the state that is its own put back."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent.llm.endpoints import Endpoint
from agent.models.value import Value

FORMAT = "chat"
"""Marks provider state of this format: another adapter for the same provider keeps another kind."""

THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text")
"""Fields in which servers tell a model's thoughts as text, in the order in which they are read."""
SEALED = ("reasoning_details", "thinking_blocks", "extra_content")
"""Fields that carry signatures: only the model that made them takes them back."""
SEALED_IN_CALL = ("extra_content", "thought_signature")

_KEYS_OF_ROLE: Mapping[str, tuple[str, ...]] = {
    "system": ("role", "content", "name"),
    "developer": ("role", "content", "name"),
    "user": ("role", "content", "name"),
    "assistant": ("role", "content", "name", "tool_calls"),
    "tool": ("role", "content", "tool_call_id"),
}


class Receiver(Value, frozen=True):
    """Who gets the messages: what provider state is good for, and what the provider insists on."""

    endpoint: Endpoint
    provider: str
    model: str


def outgoing_messages(messages: Sequence[Mapping[str, Any]], to: Receiver) -> list[dict[str, Any]]:
    """Return `messages` with only the keys that chat completions know, and with this provider's own state restored.

    The given messages are not changed. Content parts (images among them) are passed through as they are.
    """
    return [_outgoing(message, to) for message in messages]


def _outgoing(message: Mapping[str, Any], to: Receiver) -> dict[str, Any]:
    role = str(message.get("role", "user"))
    keys = _KEYS_OF_ROLE.get(role, ("role", "content", "name"))
    out = {key: message[key] for key in keys if message.get(key) is not None}
    if role == "tool" and to.endpoint.takes_tool_names and message.get("name"):
        out["name"] = message["name"]
    if role != "assistant":
        out.setdefault("content", "")
        return out
    if message.get("tool_calls"):
        out["tool_calls"] = [_outgoing_call(call) for call in message["tool_calls"]]
        out.setdefault("content", None)
    else:
        out.pop("tool_calls", None)
        out.setdefault("content", "")
    _restore(out, message.get("provider_state"), to)
    if to.endpoint.thought_filler is not None and out.get("tool_calls") and not out.get(THOUGHTS[0]):
        out[THOUGHTS[0]] = to.endpoint.thought_filler
    return out


def _outgoing_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {
        "id": str(call.get("id") or ""),
        "type": "function",
        "function": {"name": str(function.get("name") or ""), "arguments": sound_arguments(function.get("arguments"))},
    }


def sound_arguments(arguments: object) -> str:
    """Return `arguments` as the text of a JSON object.

    A model's malformed arguments are wrapped, readable, in an object: servers that parse the history refuse the whole conversation else.
    """
    if arguments is None or arguments == "":
        return "{}"
    if not isinstance(arguments, str):
        return msgspec.json.encode(arguments if isinstance(arguments, Mapping) else {"malformed_arguments": arguments}).decode()
    try:
        is_object = isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        is_object = False
    return arguments if is_object else msgspec.json.encode({"malformed_arguments": arguments}).decode()


def _restore(out: dict[str, Any], state: object, to: Receiver) -> None:
    if not to.endpoint.echoes_thoughts or not isinstance(state, dict):
        return
    if state.get("provider") != to.provider or state.get("format") != FORMAT:
        return
    is_same_model = state.get("model") == to.model
    fields = state.get("message")
    wanted = (*THOUGHTS, *SEALED, "content") if is_same_model else THOUGHTS
    out.update({key: fields[key] for key in wanted if key in fields} if isinstance(fields, dict) else {})
    if "reasoning_details" in out:  # they hold the text as well
        out.pop("reasoning", None)
    calls = state.get("calls")
    if not is_same_model or not isinstance(calls, dict):
        return
    for call in out.get("tool_calls", ()):
        sealed = calls.get(call["id"])
        if isinstance(sealed, dict):
            call.update({key: value for key, value in sealed.items() if key in SEALED_IN_CALL})


def state_of(message: Mapping[str, Any], calls: Sequence[Mapping[str, Any]], of: Receiver) -> dict[str, Any] | None:
    """Return what must go back with this reply on the following turn, as plain JSON, or None when there is nothing.

    `calls` are the reply's raw tool calls, with the ids that the reply gives them.
    """
    if not of.endpoint.echoes_thoughts:
        return None
    kept = {key: message[key] for key in (*THOUGHTS, *SEALED) if message.get(key)}
    if isinstance(message.get("content"), list):
        kept["content"] = message["content"]
    sealed = {str(call["id"]): found for call in calls if (found := {key: call[key] for key in SEALED_IN_CALL if call.get(key)})}
    if not kept and not sealed:
        return None
    state: dict[str, Any] = {"provider": of.provider, "format": FORMAT, "model": of.model, "message": kept}
    if sealed:
        state["calls"] = sealed
    return state
