"""A store of each make, and tools whose calls are counted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.scripted import ScriptedLLM
from agent.tools.registry import ToolRegistry

Make = Callable[..., AgentRunner]


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    async with open_store(url) as opened:
        yield opened
        async with AgentRunner(opened.traces, llm_call=ScriptedLLM([])) as runner:
            for trace in await opened.traces.list_traces():  # whatever a test did: what our runner recorded follows from its log
                replayed = await runner.replay(trace.trace_id)
                assert replayed.identical or "another runner" in (replayed.reason or ""), replayed


@pytest.fixture
def done() -> list[str]:
    """What the tools did, in order."""
    return []


@pytest.fixture
def tools(done: list[str]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def look(where: str) -> str:
        "Look somewhere."
        done.append(f"look {where}")
        return f"seen {where}"

    @registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["to"])
    async def pay(to: str) -> str:
        "Pay someone."
        done.append(f"pay {to}")
        return f"paid {to}"

    @registry.tool(effect="unsafe")
    async def send(to: str) -> str:
        "Send."
        done.append(f"send {to}")
        return f"sent {to}"

    @registry.tool(effect="read")
    async def broken() -> str:
        "Raise."
        raise RuntimeError("out of order")

    @registry.tool(effect="read", timeout_s=0.02)
    async def slow_look() -> str:
        "Take too long."
        await asyncio.Event().wait()
        return ""

    @registry.tool(effect="unsafe", timeout_s=0.02)
    async def slow_pay() -> str:
        "Take too long with something that counts."
        await asyncio.Event().wait()
        return ""

    return registry


@pytest.fixture
async def make(store: Store, tools: ToolRegistry) -> AsyncIterator[Make]:
    """Make runners with a script; `config` holds fields of AgentConfig. All are closed at the end."""
    made: list[AgentRunner] = []

    def make_runner(*lines: Any, llm: Any = None, config: dict[str, Any] | None = None, **parts: Any) -> AgentRunner:
        given = {"trace_store": store.traces, "memory_store": store.memories, "state_store": store.states, "tool_registry": tools, **parts}
        runner = AgentRunner(**given, llm_call=llm if llm is not None else ScriptedLLM(lines), config=AgentConfig(**(config or {})))
        made.append(runner)
        return runner

    yield make_runner
    for runner in made:
        await runner.aclose()


@pytest.fixture
def a_run(make: Make) -> Callable[..., Awaitable[tuple[AgentRunner, str]]]:
    """Run a task with a script to its end and return the runner and the trace's id."""

    async def run(*lines: Any, **given: Any) -> tuple[AgentRunner, str]:
        runner = make(llm=ScriptedLLM(lines, by_calls=True))
        events = [event async for event in runner.run("go", **{"tools": ["look", "send", "pay"], "enable_memory": False, **given})]
        return runner, events[0].data["trace_id"]

    return run
