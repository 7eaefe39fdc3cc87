"""Tools that raise KeyboardInterrupt, wherever they run: the run fails on the record, the reader is told, the event loop lives."""

import asyncio

import pytest

from agent.runner import AgentRunner
from agent.storage.ram.traces import RamTraceStore
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry


def tools_of(kind: str, done: list[str]) -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="unsafe", timeout_s=5.0 if "timed" in kind else None)
    async def stop() -> str:
        "Interrupt."
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    @registry.tool(effect="unsafe")
    async def send() -> str:
        "Send."
        done.append("sent")
        return "sent"

    return registry


@pytest.mark.parametrize("kind", ["alone", "alone, timed", "beside another", "beside another, timed"])
def test_a_tool_that_raises_an_interruption_fails_its_run_and_not_the_loop(kind: str) -> None:
    done: list[str] = []
    store = RamTraceStore()
    calls = [tool_request("stop"), *([tool_request("send")] if "beside" in kind else [])]

    async def main() -> tuple[str, list[str]]:
        async with AgentRunner(store, tool_registry=tools_of(kind, done), llm_call=ScriptedLLM([asks(*calls), "done"])) as runner:
            with pytest.raises(KeyboardInterrupt):
                await collect(runner.run("go", tools=["stop", "send"]))
            (trace,) = await store.list_traces()
            pending = await runner.pending()
            await runner.resolve(trace.trace_id, pending[0].call_id, "done", result="it is off")
            rest = await collect(runner.resume(trace.trace_id))
            return trace.status, [item.tool_name for item in pending] + [rest[-1].type]

    status, then = asyncio.run(main())

    assert status == "failed"
    assert then == ["stop", "trace_completed"]
    assert done == (["sent"] if "beside" in kind else [])
