"""Our messages and tools as pydantic-ai's, and its response as a `Reply`; what a provider must get back rides along as plain JSON."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from pydantic import ValidationError
from pydantic_ai.messages import (
    BinaryContent,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.tools import ToolDefinition

from agent.errors import BadInput, Unsupported
from agent.llm.contract import Reply

FORMAT = "pydantic-ai"
"""Marks provider state of this adapter: the one for chat completions keeps another kind for the same provider."""

_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,(?P<data>.*)", re.DOTALL)
_FINISH = {"tool_call": "tool_calls"}


def model_messages(messages: Sequence[Mapping[str, Any]], provider: str) -> list[ModelMessage]:
    """Return `messages` in pydantic-ai's terms; `provider`'s own state stands for the assistant message that carries it.

    Raises:
        Unsupported: a message has a part that is neither text nor image.
        BadInput: an image's address is no data URL and no https URL.
    """
    out: list[ModelMessage] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.get("role") == "assistant":
            response = _response(message, provider)
            names.update((part.tool_call_id, part.tool_name) for part in response.parts if isinstance(part, ToolCallPart))
            if response.parts:
                out.append(response)
            continue
        part = _request_part(message, names)
        last = out[-1] if out else None
        if isinstance(last, ModelRequest):
            out[-1] = replace(last, parts=[*last.parts, part])
        else:
            out.append(ModelRequest(parts=[part]))
    return out


def tool_definitions(tools: Sequence[Mapping[str, Any]] | None) -> list[ToolDefinition]:
    """Return `tools` in pydantic-ai's terms."""
    definitions = []
    for tool in tools or ():
        function = tool["function"]
        schema = function.get("parameters") or {"type": "object", "properties": {}}
        definitions.append(
            ToolDefinition(name=function["name"], description=function.get("description"), parameters_json_schema=dict(schema), strict=function.get("strict"))
        )
    return definitions


def reply_of(response: ModelResponse, provider: str, model: str) -> Reply:
    """Return what `response` says; its cost is not yet known."""
    calls = [part for part in response.parts if isinstance(part, ToolCallPart)]
    usage = response.usage
    told = {
        "cache_read_tokens": usage.cache_read_tokens or None,
        "cache_write_tokens": usage.cache_write_tokens or None,
        "reasoning_tokens": usage.details.get("reasoning_tokens") or usage.details.get("thoughts_tokens") or None,
    }
    has_usage = bool(usage.input_tokens or usage.output_tokens)
    reply: Reply = {
        "content": "".join(part.content for part in response.parts if isinstance(part, TextPart)) or None,
        "tool_calls": [_call(part) for part in calls] or None,
        "prompt_tokens": usage.input_tokens if has_usage else None,
        "completion_tokens": usage.output_tokens if has_usage else None,
        "cost": None,
        "finish_reason": _FINISH.get(response.finish_reason or "", response.finish_reason),
        "usage": {key: count for key, count in told.items() if count is not None},
        "model": f"{provider}:{response.model_name or model}",
        "provider_state": _state(response, provider),
    }
    reasoning = "\n".join(part.content for part in response.parts if isinstance(part, ThinkingPart) and part.content)
    if reasoning:
        reply["reasoning"] = reasoning
    if response.provider_response_id:
        reply["response_id"] = response.provider_response_id
    return reply


def _call(part: ToolCallPart) -> dict[str, Any]:
    arguments = part.args if isinstance(part.args, str) else msgspec.json.encode(part.args or {}).decode()
    return {"id": part.tool_call_id, "type": "function", "function": {"name": part.tool_name, "arguments": arguments}}


def _state(response: ModelResponse, provider: str) -> dict[str, Any]:
    dumped = ModelMessagesTypeAdapter.dump_python([response], mode="json", exclude_none=True)[0]
    kept = ("kind", "parts", "model_name", "provider_name", "provider_url", "canonical_system", "provider_details", "provider_response_id", "finish_reason")
    return {"provider": provider, "format": FORMAT, "response": {key: dumped[key] for key in kept if key in dumped}}


def _response(message: Mapping[str, Any], provider: str) -> ModelResponse:
    """Return an assistant message, from its provider's own state where that still says the same."""
    calls = [call for call in message.get("tool_calls") or () if isinstance(call, Mapping)]
    kept = _kept_response(message.get("provider_state"), provider)
    if kept is not None:
        fitted = _fitted(kept, calls, _text(message.get("content")))
        if fitted is not None:
            return fitted
    parts: list[ModelResponsePart] = []
    if text := _text(message.get("content")):
        parts.append(TextPart(content=text))
    parts += [_call_part(call) for call in calls]
    return ModelResponse(parts=parts)


def _kept_response(state: object, provider: str) -> ModelResponse | None:
    if not isinstance(state, Mapping) or state.get("provider") != provider or state.get("format") != FORMAT:
        return None
    try:
        found = ModelMessagesTypeAdapter.validate_python([state.get("response")])[0]
    except (ValidationError, ValueError, TypeError):
        return None  # of another version, or damaged: the message itself still tells what was said
    return found if isinstance(found, ModelResponse) else None


def _fitted(kept: ModelResponse, calls: Sequence[Mapping[str, Any]], text: str) -> ModelResponse | None:
    """Return `kept` with the ids of `calls`, which the results name, or None where it says something else than the message."""
    own = [part for part in kept.parts if isinstance(part, ToolCallPart)]
    if len(own) != len(calls) or "".join(part.content for part in kept.parts if isinstance(part, TextPart)) != text:
        return None
    fitting = iter(calls)
    parts: list[ModelResponsePart] = []
    for part in kept.parts:
        if not isinstance(part, ToolCallPart):
            parts.append(part)
            continue
        call = next(fitting)
        if (call.get("function") or {}).get("name") != part.tool_name:
            return None
        parts.append(_renamed(part, str(call.get("id") or part.tool_call_id)))
    return replace(kept, parts=parts)


def _renamed(part: ToolCallPart[Any], call_id: str) -> ToolCallPart[Any]:
    args = part.args if isinstance(part.args, (str, dict)) else None
    return ToolCallPart(
        tool_name=part.tool_name,
        args=_sound(args),
        tool_call_id=call_id,
        id=part.id,
        provider_name=part.provider_name,
        provider_details=part.provider_details,
    )


def _sound(args: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """Return `args` as the model gave them, or wrapped in an object when they are malformed: every provider insists on one."""
    if not isinstance(args, str):
        return args
    try:
        is_object = isinstance(msgspec.json.decode(args or "{}"), dict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        is_object = False
    return (args or "{}") if is_object else {"malformed_arguments": args}


def _call_part(call: Mapping[str, Any]) -> ToolCallPart:
    function = call.get("function") or {}
    arguments = function.get("arguments")
    if arguments is not None and not isinstance(arguments, (str, dict)):
        arguments = {"malformed_arguments": arguments}
    return ToolCallPart(tool_name=str(function.get("name") or ""), args=_sound(arguments), tool_call_id=str(call.get("id") or ""))


def _request_part(message: Mapping[str, Any], names: Mapping[str, str]) -> ModelRequestPart:
    content = message.get("content")
    match message.get("role"):
        case "system" | "developer":
            return SystemPromptPart(content=_text(content))
        case "tool":
            call_id = str(message.get("tool_call_id") or "")
            return ToolReturnPart(tool_name=names.get(call_id) or str(message.get("name") or "tool"), content=_text(content), tool_call_id=call_id)
        case _:
            return UserPromptPart(content=content if isinstance(content, str) else [_user_content(part) for part in content or ()])


def _user_content(part: Any) -> UserContent:
    if isinstance(part, str):
        return part
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        return str(part.get("text") or "")
    if kind != "image_url":
        raise Unsupported(f"a message holds a part of type {kind!r}; text and image_url can be sent")
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, Mapping) else image
    return _image(url if isinstance(url, str) else "")


def _image(url: str) -> ImageUrl | BinaryContent:
    if url.startswith("https://"):
        return ImageUrl(url=url)
    found = _DATA_URL.fullmatch(url)
    if found is None:
        raise BadInput(f"an image must be a base64 data URL or an https URL, not {url[:40]!r}")
    try:
        data = base64.b64decode(found["data"], validate=True)
    except binascii.Error:
        raise BadInput(f"the image beginning {url[:40]!r} is no valid base64") from None
    return BinaryContent(data=data, media_type=found["type"])


def _text(content: object) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Sequence):
        return "".join(part if isinstance(part, str) else str(part.get("text") or "") if isinstance(part, Mapping) else "" for part in content)
    return msgspec.json.encode(content).decode()
