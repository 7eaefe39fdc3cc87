"""One model call: what goes out, and the reply made safe."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import agent.models.payloads as said
from agent.core.fold import history
from agent.core.redact import printed
from agent.core.state import RunState
from agent.engine.offering import schemas_of
from agent.engine.shop import RunNeeds, Shop
from agent.errors import ModelError, ModelRejected, ModelUnavailable
from agent.events import AgentEvent
from agent.llm.contract import Reply, StreamingModel, Token, is_free
from agent.models.digest import fingerprint
from agent.models.value import replace

MAX_COUNT = 2**53  # tokens, or dollars: what is more, or less than nothing, is no count and not known
Tell = Callable[[AgentEvent], None]


async def ask_model(shop: Shop, state: RunState, needs: RunNeeds, *, trace_id: str, limit: str | None, tell: Tell) -> said.LlmCall:
    """Return the model's reply to the state's history, as it will be recorded; with `limit`, its final answer after that one.

    Raises:
        ModelRejected: the reply has no usable shape.
        Exception: whatever the model raised.
    """
    asked = state.input
    assert asked is not None
    assert shop.llm_call is not None
    is_final = limit is not None
    messages = history(state, is_final_call=is_final)
    schemas = schemas_of(shop, asked, state) if (asked.schemas or state.memory) and not is_final else None
    keywords: dict[str, Any] = {**asked.settings, **needs.passing}
    began = time.perf_counter()
    if shop.is_streaming and isinstance(shop.llm_call, StreamingModel):
        stream = shop.llm_call.stream(messages, asked.model, schemas, **keywords)
        reply = await unless_cancelled(_streamed(stream, trace_id, tell))
    else:
        reply = await unless_cancelled(shop.llm_call(messages=messages, model=asked.model, tools=schemas, **keywords))
    took_s = round(time.perf_counter() - began, 6)
    new = state.messages.since(state.prompt.count) if not is_final else messages[state.prompt.count :]
    said_so = payload_of_reply(shop, reply, model=asked.model, prompt_hash=fingerprint(state.prompt.fingerprint, *new), took_s=took_s, limit=limit)
    if needs.has_lost_call:  # asked again, and both are paid
        said_so, needs.has_lost_call = replace(said_so, cost_is_partial=True), False
    return said_so


def may_be_billed(shop: Shop, error: BaseException | None = None) -> bool:
    """Return whether a model call that was cut off, or ended in an error, may have cost something."""
    return not is_free(shop.llm_call) and (not isinstance(error, ModelError) or error.may_be_billed)


async def unless_cancelled(reply: Awaitable[Reply]) -> Reply:
    """Return a model's reply.

    Raises:
        ModelUnavailable: its call was cancelled, and not by us.
    """
    try:
        return await reply
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ModelUnavailable("the model's call was cancelled from within: nobody here asked for it") from error


async def _streamed(stream: AsyncIterator[Token | Reply], trace_id: str, tell: Tell) -> Reply:
    reply: Reply | None = None
    async for piece in stream:
        if isinstance(piece, Token):
            tell(AgentEvent("token", {"trace_id": trace_id, "text": piece.text, "kind": piece.kind, "index": piece.index}))
        else:
            reply = piece
    if reply is None:
        raise ModelRejected("the model's stream ended without a reply: stream() must yield a dict last")
    return reply


def payload_of_reply(shop: Shop, reply: Any, *, model: str, prompt_hash: bytes, took_s: float, limit: str | None = None) -> said.LlmCall:
    """Return a reply as a payload: secrets out, missing things filled in, `None` counts taken for nothing.

    Raises:
        ModelRejected: the reply is no dict.
    """
    if not isinstance(reply, dict):
        raise ModelRejected(f"the model returned {type(reply).__name__}, not a dict with 'content' and 'tool_calls'")
    redact = shop.redactor
    usage = reply.get("usage")
    answered_by = reply.get("model")
    reasoning = reply.get("reasoning")
    return said.LlmCall(
        response=redact.text(text_of(reply.get("content"))),
        tool_calls=redact.calls(reply.get("tool_calls")) or None,
        model=printed(answered_by) if answered_by and answered_by != model else None,
        prompt_tokens=_count(reply.get("prompt_tokens")),
        completion_tokens=_count(reply.get("completion_tokens")),
        cost=_cost(reply.get("cost")),
        prompt_hash=prompt_hash,
        finish_reason=printed(reply["finish_reason"]) if reply.get("finish_reason") else None,
        usage=redact.value(usage) if isinstance(usage, dict) else {},
        reasoning=redact.text(reasoning) if isinstance(reasoning, str) else None,
        provider_state=reply.get("provider_state"),
        response_id=printed(reply["response_id"]) if reply.get("response_id") else None,
        took_s=took_s,
        is_final_call=limit is not None,
        limit=limit,
        attempts=_count(reply.get("attempts")) or 1,
        cost_is_partial=reply.get("cost_is_partial") is True,
    )


def text_of(content: Any) -> str:
    """Return the text of a message's content: text itself, the text parts of a list, nothing for None."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(printed(part.get("text", "")) if isinstance(part, dict) else printed(part) for part in content)
    return printed(content)


def _count(value: Any) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= MAX_COUNT else 0


def _cost(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None
