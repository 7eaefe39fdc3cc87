"""pydantic-ai's stream events as tokens, and whether a stream came to its end."""

from typing import Any

from pydantic_ai.messages import (
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ThinkingPart,
    ThinkingPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model

from agent.llm.contract import Token


def tokens_of(event: ModelResponseStreamEvent, positions: dict[int, int]) -> list[Token]:
    """Return the tokens in `event`; `positions` keeps the places of the tool calls between events."""
    if isinstance(event, PartStartEvent):
        if isinstance(event.part, TextPart):
            return _text("text", event.part.content)
        if isinstance(event.part, ThinkingPart):
            return _text("reasoning", event.part.content)
        if isinstance(event.part, ToolCallPart):
            position = positions.setdefault(event.index, len(positions))
            return _arguments(event.part.args_as_json_str() if isinstance(event.part.args, dict) else event.part.args, position)
    elif isinstance(event, PartDeltaEvent):
        if isinstance(event.delta, TextPartDelta):
            return _text("text", event.delta.content_delta)
        if isinstance(event.delta, ThinkingPartDelta):
            return _text("reasoning", event.delta.content_delta)
        if isinstance(event.delta, ToolCallPartDelta) and isinstance(event.delta.args_delta, str):
            return _arguments(event.delta.args_delta, positions.setdefault(event.index, len(positions)))
    return []


def is_whole(response: ModelResponse, model: Model[Any]) -> bool:
    """Return whether a stream told why it ended; one that did not was cut, however clean the end of its connection looked.

    For chat completions a missing reason is made up there ("stop"); only the raw one tells.
    """
    if response.state != "complete":
        return False
    if any(kind.__name__ == "OpenAIChatModel" for kind in type(model).__mro__):
        return bool((response.provider_details or {}).get("finish_reason")) or response.finish_reason == "content_filter"
    return response.finish_reason is not None


def _text(kind: str, text: str | None) -> list[Token]:
    return [Token("reasoning" if kind == "reasoning" else "text", text)] if text else []


def _arguments(text: str | None, position: int) -> list[Token]:
    return [Token("tool_arguments", text, position)] if text else []
