"""One model call, with a record that never stays open."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import agent.models.payloads as said
from agent.clock import now
from agent.config import CallResult
from agent.core.wording import wording
from agent.engine.asking import payload_of_reply
from agent.engine.beginning import split_settings, telling_schema
from agent.engine.shop import Shop
from agent.errors import BadInput, OutputInvalid
from agent.models.message import user_message
from agent.models.trace import Step, Trace, step_id_of
from agent.storage.protocols import TraceStore
from agent.tools.output import OutputChecker


async def call_once(
    shop: Shop,
    store: TraceStore | None,
    *,
    messages: Sequence[Mapping[str, Any]],
    model: str,
    tools: Sequence[str] | None,
    uid: str,
    keywords: dict[str, Any],
    output: OutputChecker | None = None,
    limits: Mapping[str, Any] | None = None,
) -> CallResult:
    """Call the model once; with a store, one trace with one `llm_call` step, ended whatever happens.

    Where the answer has to fit `output`, it is called again until it does, or was told often enough.
    """
    call = _Calling(shop, store, _copied(messages, shop), model, keywords)
    call.schemas = shop.tools.get_schemas(list(tools)) if tools else None
    await call.begin(uid)
    if output is None:
        payload, value = await call.ask(), None
    else:
        call.sent += telling_schema(shop.redactor.value(output.schema), keywords, shop.config.language)
        payload, value = await call.ask_until_it_fits(output, (limits or {}).get("max_output_repairs", shop.config.max_output_repairs))
    await call.end()
    return CallResult(
        reply=payload.response or "",
        tool_calls=payload.tool_calls,
        trace_id=call.trace.trace_id if call.trace else None,
        step_id=call.step_id,
        tokens={"prompt": call.prompt_tokens, "completion": call.completion_tokens},
        cost=call.cost,
        output=value,
    )


class _Calling:
    """One trace of model calls: the usual one, and those that follow an answer that does not fit."""

    def __init__(self, shop: Shop, store: TraceStore | None, sent: list[dict[str, Any]], model: str, keywords: dict[str, Any]) -> None:
        self.shop, self.store, self.sent, self.model, self.keywords = shop, store, sent, model, keywords
        self.schemas: list[dict[str, Any]] | None = None
        self.trace: Trace | None = None
        self.step_id: str | None = None  # of the last model call
        self.prompt_tokens = self.completion_tokens = self.steps = 0
        self.cost: float | None = 0.0

    async def begin(self, uid: str) -> None:
        if self.store is not None:
            stored, _ = split_settings(self.keywords)
            self.trace = Trace.create(mode="call", uid=uid, context={"model": self.model, **stored})
            await self.store.create_trace(self.trace)

    async def ask(self) -> said.LlmCall:
        """Call the model and record its answer, or its failure."""
        assert self.shop.llm_call is not None
        try:
            reply = await self.shop.llm_call(messages=list(self.sent), model=self.model, tools=self.schemas, **self.keywords)
            payload = payload_of_reply(self.shop, reply, model=self.model, prompt_hash=b"", took_s=0.0)
        except BaseException as error:
            await asyncio.shield(self._fail(error))
            raise
        self.prompt_tokens += payload.prompt_tokens or 0
        self.completion_tokens += payload.completion_tokens or 0
        self.cost = None if self.cost is None or payload.cost is None else self.cost + payload.cost
        self.step_id = await self._add("llm_call", _whole(payload, list(self.sent), self.model))
        return payload

    async def ask_until_it_fits(self, output: OutputChecker, repairs: int) -> tuple[said.LlmCall, Any]:
        """Return the first answer that fits, and its value; one that asks for tools is no answer.

        Raises:
            OutputInvalid: none fitted.
        """
        for left in range(repairs, -1, -1):
            payload = await self.ask()
            if payload.tool_calls:
                return payload, None
            value, problem = output.read(payload.response or "")
            if problem is None:
                await self._add("conclusion", said.Conclusion(content=payload.response or "", output=value).to_data())
                return payload, value
            told = self.shop.redactor.text(problem)
            await self._add("output_rejected", said.OutputRejected(problem=told).to_data())
            if left:
                again = user_message(wording("output_rejected", self.shop.config.language, problem=told))
                self.sent += [{"role": "assistant", "content": payload.response}, again] if payload.response else [again]
        error = OutputInvalid(f"the model's answer does not fit the output type: {told}")
        await asyncio.shield(self._fail(error))
        raise error

    async def end(self) -> None:
        """Set how it ended."""
        if self.store is not None and self.trace is not None:
            tokens = self.prompt_tokens + self.completion_tokens
            await self.store.update_trace(self.trace.trace_id, status="completed", completed_at=now(), total_tokens=tokens, total_cost=self.cost)

    async def _add(self, step_type: str, data: dict[str, Any]) -> str | None:
        if self.store is None or self.trace is None:
            return None
        number, trace_id = self.steps, self.trace.trace_id
        self.steps += 1
        above = [step_id_of(trace_id, number - 1)] if number else None
        return await self.store.add_step(Step.create(trace_id, step_type, number, data, above, step_id=step_id_of(trace_id, number)))

    async def _fail(self, error: BaseException) -> None:
        if self.store is None or self.trace is None:
            return
        told = self.shop.redactor.text(str(error)) or type(error).__name__
        failure = said.Failure(error=told, error_type=type(error).__name__, action="CallModel")
        await self._add("failure", failure.to_data())
        tokens = self.prompt_tokens + self.completion_tokens
        changes: dict[str, Any] = {"total_tokens": tokens, "total_cost": self.cost} if tokens else {}
        await self.store.update_trace(self.trace.trace_id, status="failed", completed_at=now(), **changes)


def _whole(payload: said.LlmCall, messages: list[dict[str, Any]], model: str) -> dict[str, Any]:
    return {
        "messages": messages,
        "model": model,
        "tool_calls": None,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "cost": None,
        "response": "",
        **payload.to_data(),
    }


def _copied(messages: Sequence[Mapping[str, Any]], shop: Shop) -> list[dict[str, Any]]:
    try:
        copied: list[dict[str, Any]] = [shop.redactor.value(json.loads(json.dumps(dict(message)))) for message in messages]
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"messages cannot be recorded: {error}") from error
    return copied
