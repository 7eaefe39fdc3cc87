"""An event loop that was closed under its runs: their process lives, their driver does not, and other stores see that at once."""

import asyncio
from pathlib import Path
from typing import Any

from agent.assemble import open_store
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM


def test_another_store_of_the_process_takes_up_a_run_whose_event_loop_was_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'runs.db'}"

    async def wait_for_ever(messages: Any) -> str:
        await asyncio.Event().wait()
        return "never"

    async def begin() -> tuple[Store, Any, str]:
        store = await open_store(url)
        stream = AgentRunner(store.traces, llm_call=ScriptedLLM([wait_for_ever])).run("go")
        return store, stream, (await read_until(stream, "step_started"))[-1].data["trace_id"]

    async def go_on(trace_id: str) -> tuple[bool, list[str]]:
        async with open_store(url) as other, AgentRunner(other.traces, llm_call=ScriptedLLM(["done"])) as runner:
            head = await other.traces.head(trace_id)
            return head.owner_is_alive, types_of(await collect(runner.resume(trace_id), timeout_s=5))

    loop = asyncio.new_event_loop()
    store, stream, trace_id = loop.run_until_complete(begin())
    left = asyncio.all_tasks(loop)
    loop.close()
    is_alive, events = asyncio.run(go_on(trace_id))
    asyncio.run(store.close())

    assert not is_alive
    assert events[-1] == "trace_completed"
    assert stream is not None
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # this is the fault that the test is about
        task.get_coro().close()
