"""One model call, with a record that never stays open."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.config import CallResult
from agent.engine.asking import payload_of_reply
from agent.engine.beginning import split_settings
from agent.engine.shop import Shop
from agent.errors import BadInput
from agent.models.trace import Step, Trace
from agent.storage.protocols import TraceStore


async def call_once(
    shop: Shop, store: TraceStore | None, *, messages: Sequence[Mapping[str, Any]], model: str, tools: Sequence[str] | None, uid: str, keywords: dict[str, Any]
) -> CallResult:
    """Call the model once; with a store, one trace with one `llm_call` step, ended whatever happens."""
    assert shop.llm_call is not None
    sent = _copied(messages, shop)
    schemas = shop.tools.get_schemas(list(tools)) if tools else None
    trace: Trace | None = None
    if store is not None:
        stored, _ = split_settings(keywords)
        trace = Trace.create(mode="call", uid=uid, context={"model": model, **stored})
        await store.create_trace(trace)
    try:
        reply = await shop.llm_call(messages=sent, model=model, tools=schemas, **keywords)
        payload = payload_of_reply(shop, reply, model=model, prompt_hash=b"", took_s=0.0)
    except BaseException as error:
        if store is not None and trace is not None:
            await asyncio.shield(_record_failure(shop, store, trace, error))
        raise
    step_id = await _record(store, trace, payload, sent, model) if store is not None and trace is not None else None
    counts = {"prompt": payload.prompt_tokens or 0, "completion": payload.completion_tokens or 0}
    return CallResult(
        reply=payload.response or "",
        tool_calls=payload.tool_calls,
        trace_id=trace.trace_id if trace else None,
        step_id=step_id,
        tokens=counts,
        cost=payload.cost,
    )


def _copied(messages: Sequence[Mapping[str, Any]], shop: Shop) -> list[dict[str, Any]]:
    try:
        copied: list[dict[str, Any]] = [shop.redactor.value(json.loads(json.dumps(dict(message)))) for message in messages]
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"messages cannot be recorded: {error}") from error
    return copied


async def _record(store: TraceStore, trace: Trace, payload: said.LlmCall, messages: list[dict[str, Any]], model: str) -> str:
    data = {
        "messages": messages,
        "model": model,
        "tool_calls": None,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost": None,
        "response": "",
        **payload.to_data(),
    }
    step_id = await store.add_step(Step.create(trace.trace_id, "llm_call", 0, data, step_id=f"{trace.trace_id}/0"))
    tokens = (payload.prompt_tokens or 0) + (payload.completion_tokens or 0)
    await store.update_trace(trace.trace_id, status="completed", completed_at=now(), total_tokens=tokens, total_cost=payload.cost)
    return step_id


async def _record_failure(shop: Shop, store: TraceStore, trace: Trace, error: BaseException) -> None:
    told = shop.redactor.text(str(error)) or type(error).__name__
    failure = said.Failure(error=told, error_type=type(error).__name__, action="CallModel")
    await store.add_step(Step.create(trace.trace_id, "failure", 0, failure.to_data(), step_id=f"{trace.trace_id}/0"))
    await store.update_trace(trace.trace_id, status="failed", completed_at=now())
