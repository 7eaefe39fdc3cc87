"""Forks of runs whose oldest turns were summed up."""

from typing import Any

import pytest

from agent.core.wording import wording
from agent.errors import BadInput
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.registry import ToolRegistry


@pytest.fixture
def tools() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def read(page: int) -> str:
        "Read a page."
        return f"page {page}: " + "words " * 120

    return registry


class Reader:
    """Reads pages to the last, and sums up when that is asked."""

    def __init__(self, pages: int) -> None:
        self.pages, self.page = pages, 0

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
        """Return the next reply."""
        if messages[0]["content"] == wording("compact_system", "en"):
            return says("nothing so far")
        self.page += 1
        return asks(tool_request("read", {"page": self.page}, call_id=f"c{self.page}")) if self.page <= self.pages else says("done")


async def test_a_fork_of_a_run_that_was_summed_up_sees_the_summary_and_its_own_changes(make: Any, store: Store) -> None:
    given = [{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}]
    config = {"context_window": 2_000, "max_iterations": 100}
    events = await collect(make(llm=Reader(12), config=config).run("read all", messages=given, system_prompt="S", tools=["read"], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    steps = await store.traces.get_trace_steps(trace_id)
    results = [step for step in steps if step.step_type == "tool_call"]
    folds = [step.sequence for step in steps if step.step_type == "compaction"]
    runner = make(llm=ScriptedLLM(["ok"] * 20, by_calls=True), config=config)
    last = results[-1]
    assert folds[0] < last.sequence
    fork_id = await runner.fork(trace_id, last.sequence, task="read one", system_prompt="T", result={last.step_id: "an empty page"})
    llm = ScriptedLLM(["ok"], by_calls=True)
    await collect(make(llm=llm, config=config).resume(fork_id))
    seen = [message["content"] for message in llm.calls[0]["messages"]]

    assert shape_faults(llm.calls[0]["messages"], is_request=True) == []
    assert seen[:2] == ["T", "read one"]
    assert "nothing so far" in seen[2]
    assert seen[-1] == "an empty page"
    assert (await runner.replay(fork_id)).identical
    gone: list[dict[str, Any]] = [{"messages": []}, {"result": {results[0].step_id: "x"}}]
    for changes in gone:
        with pytest.raises(BadInput, match="summarised"):
            await runner.fork(trace_id, last.sequence, **changes)
    early = await runner.fork(trace_id, folds[0] - 1, messages=[], result={results[0].step_id: "x"})
    again = ScriptedLLM([says("nothing so far")] * 3, by_calls=True)
    await collect(make(llm=again, config=config).resume(early))
    assert (await runner.replay(early)).identical
