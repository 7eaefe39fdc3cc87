"""What comes back: one chat completion, from whatever server, as a `Reply`."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.errors import ModelRejected, ModelUnavailable
from agent.ids import new_id
from agent.llm.contract import Reply
from agent.llm.faults import Caller, said_in_answer
from agent.llm.wire import THOUGHTS, Receiver, state_of

# Endings after which the same call would come back as empty: the caller is told instead.
_FINAL_WHEN_EMPTY = frozenset({"length", "content_filter", "refusal"})


def reply_of(payload: object, caller: Caller, of: Receiver) -> Reply:
    """Return the reply in `payload`; its cost is not yet known.

    Raises:
        ModelUnavailable: the answer is empty or tells of a failure that may pass.
        ModelRejected: it is not a chat completion at all, or tells of a refusal.
    """
    if isinstance(payload, dict) and payload.get("error"):
        raise said_in_answer(caller, payload["error"])
    if not isinstance(payload, dict) or not isinstance(payload.get("choices"), list):
        raise ModelRejected(f"{caller} answered something that is not a chat completion ({_shape(payload)}): check the base URL")
    choice = next((choice for choice in payload["choices"] if isinstance(choice, dict)), None)
    message = choice.get("message") if choice else None
    if choice and choice.get("error"):  # OpenRouter: the provider behind it failed
        raise said_in_answer(caller, choice["error"])
    if choice is None or not isinstance(message, dict):
        raise ModelUnavailable(f"{caller} gave an answer without any choice in it")
    told_reason = choice.get("finish_reason")
    finish_reason = told_reason if isinstance(told_reason, str) else None
    calls = _calls_of(message)
    content, reasoning = _texts_of(message)
    if not content and isinstance(message.get("refusal"), str) and message["refusal"]:
        content, finish_reason = message["refusal"], "refusal"
    if not content and not calls and finish_reason not in _FINAL_WHEN_EMPTY:
        raise ModelUnavailable(f"{caller} gave an empty answer (finish_reason {finish_reason!r})")
    reply: Reply = {
        "content": content,
        "tool_calls": [{"id": call["id"], "type": "function", "function": call["function"]} for call in calls] or None,
        **tokens_of(payload.get("usage")),
        "cost": None,
        "finish_reason": finish_reason,
        "model": f"{of.provider}:{of.model}",
    }
    optional = {"reasoning": reasoning, "response_id": payload.get("id"), "provider_state": state_of(message, calls, of)}
    reply.update({key: value for key, value in optional.items() if value})
    return reply


def tokens_of(usage: object) -> dict[str, Any]:
    """Return `prompt_tokens`, `completion_tokens` (None where not told) and `usage` with what else was told.

    `completion_tokens` includes reasoning: the servers that count it apart (their total shows it) are corrected.
    """
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    into, out = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    into, out = into if isinstance(into, dict) else {}, out if isinstance(out, dict) else {}
    reasoning = _first(_count(out, "reasoning_tokens"), _count(usage, "reasoning_tokens"))
    told = {
        "cache_read_tokens": _first(_count(into, "cached_tokens"), _count(usage, "prompt_cache_hit_tokens"), _count(usage, "cached_tokens")),
        "cache_write_tokens": _first(_count(into, "cache_write_tokens"), _count(usage, "cache_creation_input_tokens")),
        "reasoning_tokens": reasoning,
    }
    total = _count(usage, "total_tokens")
    if reasoning and prompt is not None and completion is not None and total == prompt + completion + reasoning:
        completion += reasoning
    return {"prompt_tokens": prompt, "completion_tokens": completion, "usage": {key: count for key, count in told.items() if count is not None}}


def reported_cost(payload: object) -> float | None:
    """Return the price that the answer itself states in USD (OpenRouter does), or None."""
    usage = payload.get("usage") if isinstance(payload, dict) else None
    cost = usage.get("cost") if isinstance(usage, dict) else None
    return float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) and 0 <= cost < float("inf") else None


def _calls_of(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the raw tool calls with sound names, argument texts as the model gave them, and an id of its own for each."""
    raw = message.get("tool_calls")
    calls = [dict(call) for call in raw if isinstance(call, dict)] if isinstance(raw, list) else []
    if not calls and isinstance(message.get("function_call"), dict):  # the form before tools
        calls = [{"function": message["function_call"]}]
    seen: set[str] = set()
    for call in calls:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        call["function"] = {"name": str(function.get("name") or ""), "arguments": _argument_text(function.get("arguments"))}
        given = call.get("id")
        call["id"] = given if isinstance(given, str) and given and given not in seen else f"call_{new_id()}"
        seen.add(call["id"])
    return calls


def _argument_text(arguments: object) -> str:
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


def _texts_of(message: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return what the model said and what it thought; some servers put both into parts of the content."""
    content = message.get("content")
    thoughts = next((message[key] for key in THOUGHTS if isinstance(message.get(key), str) and message[key]), None)
    if not isinstance(content, list):
        return (content if isinstance(content, str) else None), thoughts
    said, thought = [], []
    for part in content:
        if isinstance(part, str):
            said.append(part)
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            said.append(part["text"])
        elif isinstance(part, dict) and part.get("type") == "thinking":
            thought.append(_thinking_text(part.get("thinking")))
    return "".join(said) or None, thoughts or "".join(thought) or None


def _thinking_text(thinking: object) -> str:
    if isinstance(thinking, list):
        return "".join(str(part.get("text", "")) for part in thinking if isinstance(part, dict))
    return thinking if isinstance(thinking, str) else ""


def _count(holder: Mapping[str, Any], key: str) -> int | None:
    value = holder.get(key)
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf") else None


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _shape(payload: object) -> str:
    if isinstance(payload, dict):
        return "an object with " + (", ".join(map(repr, sorted(map(str, payload))[:5])) or "no keys")
    return f"a {type(payload).__name__}" if not isinstance(payload, str) else "no JSON"
