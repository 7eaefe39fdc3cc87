"""A store of each make, tools whose calls are counted, and runners with a script."""

import asyncio
from collections.abc import AsyncIterator, Callable
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
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        yield opened


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def tools(done: list[str]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def look(where: str = "nowhere") -> str:
        "Look."
        done.append(f"look {where}")
        return f"seen {where}"

    @registry.tool(effect="unsafe", requires_confirmation=True)
    async def pay(to: str) -> str:
        "Pay."
        done.append(f"pay {to}")
        return "paid"

    @registry.tool(effect="read")
    async def broken() -> str:
        "Raise."
        raise RuntimeError("out of order")

    @registry.tool(effect="read", timeout_s=0.01)
    async def slow() -> str:
        "Take too long."
        await asyncio.Event().wait()
        return ""

    return registry


@pytest.fixture
async def make(store: Store, tools: ToolRegistry) -> AsyncIterator[Make]:
    made: list[AgentRunner] = []

    def make_runner(*lines: Any, **parts: Any) -> AgentRunner:
        given = {"trace_store": store.traces, "memory_store": store.memories, "tool_registry": tools, **parts}
        made.append(AgentRunner(**given, llm_call=ScriptedLLM(lines, by_calls=True), config=AgentConfig()))
        return made[-1]

    yield make_runner
    for runner in made:
        await runner.aclose()
