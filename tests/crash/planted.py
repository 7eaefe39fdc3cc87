"""The scenarios with a bug planted in the process that plays them: what the crash kit must find."""

from collections.abc import Callable
from typing import Any

import scenarios  # type: ignore[import-not-found]  # it lies beside this file

import agent.core.decide as deciding
import agent.engine.driver as driving
import agent.models.payloads as said
from agent.engine import executing
from agent.testing.stage import Stage
from agent.tools.context import ToolContext


async def repeated(stage: Stage) -> None:
    """Unsafe calls are repeated."""
    deciding.REPEATABLE = frozenset({"read", "idempotent", "transactional", "unsafe"})
    await scenarios.serial(stage)


async def result_first(stage: Stage) -> None:
    """The result is recorded before the effect."""
    attend = driving.Driver._attend

    async def attend_late(self: driving.Driver, calls: Any) -> None:
        await self._record([said.ToolCall(call_id=call.call.call_id, tool_name=call.call.name, result="done") for call in calls])
        await attend(self, calls)

    driving.Driver._attend = attend_late  # type: ignore[method-assign]  # on purpose
    await scenarios.serial(stage)


def _with_key(key_of: Callable[[ToolContext], str]) -> None:
    context_of = executing.context_of

    def other_key(*args: Any, **kwargs: Any) -> ToolContext:
        context = context_of(*args, **kwargs)
        context.idempotency_key = key_of(context)
        return context

    vars(driving)["Decider"].context_of.__globals__["context_of"] = other_key


async def one_key_for_all(stage: Stage) -> None:
    """All calls of a run have the same key."""
    _with_key(lambda context: context.trace_id)
    await scenarios.serial(stage)


async def new_key_each_time(stage: Stage) -> None:
    """A call that is made again has another key."""
    _with_key(lambda context: f"{context.call_id}/{context.attempt}")
    await scenarios.serial(stage)
