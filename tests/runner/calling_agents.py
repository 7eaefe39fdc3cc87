"""What the tests of agents that call agents share."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agent.events import AgentEvent
from agent.models.trace import Step, Trace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, tool_request
from agent.tools.registry import ToolRegistry

Make = Callable[..., AgentRunner]


def call(agent: str = "helper", task: str = "help", call_id: str | None = None) -> dict[str, Any]:
    return tool_request(agent, {"task": task}, call_id)


def add(registry: ToolRegistry, *lines: Any, name: str = "helper", **options: Any) -> ScriptedLLM:
    """Offer an agent that plays its own script; return its model."""
    model = ScriptedLLM(lines)
    registry.add_agent(name, "Helps.", llm_call=model, **options)
    return model


async def run(runner: AgentRunner, *names: str, **options: Any) -> list[AgentEvent]:
    return await collect(runner.run("go", tools=list(names) or ["helper"], **options))


async def resume(runner: AgentRunner, trace_id: str, **options: Any) -> list[AgentEvent]:
    return await collect(runner.resume(trace_id, **options))


def told(events: list[AgentEvent]) -> list[Any]:
    return [event.data["result"] for event in events if event.type == "tool_result"]


def ending(events: list[AgentEvent]) -> dict[str, Any]:
    return events[-1].data


async def traces(store: Store) -> dict[str | None, Trace]:
    return {trace.agent_type: trace for trace in await store.traces.list_traces()}


def when_written(store: Store, is_it: Callable[[Step], bool]) -> asyncio.Event:
    """Return an event that is set once such a step is on the record."""
    written, add_steps = asyncio.Event(), store.traces.add_steps

    async def add_and_tell(trace_id: str, steps: Sequence[Step], **options: Any) -> None:
        await add_steps(trace_id, steps, **options)
        if any(is_it(step) for step in steps):
            written.set()

    vars(store.traces)["add_steps"] = add_and_tell  # of this object alone
    return written
