import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ConfigInvalid, ToolFailed, ToolTimeout
from agent.runner import AgentRunner
from agent.storage.ram.traces import RamTraceStore
from agent.testing.listening import collect, read_until
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent))

import apart  # type: ignore[import-not-found]  # it lies beside this file


def registered(function: Any, **options: Any) -> ToolRegistry:
    registry = ToolRegistry()
    registry.register(function, **{"effect": "read", "isolation": "process", **options})
    return registry


async def pids(folder: Path) -> list[int]:
    async with asyncio.timeout(30):
        while not (folder / "pids").exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # another process makes it
    return [int(word) for word in (folder / "pids").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


async def gone(folder: Path) -> bool:
    """Wait until the tool's process and its child are gone."""
    ids = await pids(folder)
    async with asyncio.timeout(10):
        while any(is_running(pid) for pid in ids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # the system ends it
    return True


async def test_a_tool_in_a_process_gets_typed_arguments_and_its_context_and_returns_json() -> None:
    result = await registered(apart.add).execute("add", {"a": 2})

    assert '"sum": 3' in result
    assert f'"pid": {os.getpid()}' not in result


@pytest.mark.parametrize(("how", "told"), [("wrong", "ValueError: wrong"), ("exit", "SystemExit: 3"), ("die", "ended without a result")])
async def test_what_goes_wrong_there_is_told_here(how: str, told: str) -> None:
    with pytest.raises(ToolFailed, match=told):
        await registered(apart.fail).execute("fail", {"how": how})


async def test_a_timeout_ends_the_process_and_its_children(tmp_path: Path) -> None:
    with pytest.raises(ToolTimeout):
        await registered(apart.hang, timeout_s=3).execute("hang", {"folder": str(tmp_path)})

    assert await gone(tmp_path)


async def test_a_cancel_ends_the_process_and_its_children_and_an_unsafe_call_is_in_doubt(tmp_path: Path) -> None:
    llm = ScriptedLLM([asks(tool_request("hang", {"folder": str(tmp_path)})), "done"])
    async with AgentRunner(RamTraceStore(), tool_registry=registered(apart.hang, effect="unsafe"), llm_call=llm) as runner:
        stream = runner.run("go", tools=["hang"])
        trace_id = (await read_until(stream, "tool_executing"))[0].data["trace_id"]
        await pids(tmp_path)
        await runner.cancel(trace_id)
        events = await collect(stream)
        (item,) = await runner.pending()

    assert events[-1].type == "trace_cancelled"
    assert item.reason == "in_doubt"
    assert await gone(tmp_path)


async def test_an_unsafe_call_whose_process_dies_is_in_doubt() -> None:
    llm = ScriptedLLM([asks(tool_request("fail", {"how": "die"})), "done"])
    async with AgentRunner(RamTraceStore(), tool_registry=registered(apart.fail, effect="unsafe"), llm_call=llm) as runner:
        events = await collect(runner.run("go", tools=["fail"]))
        (item,) = await runner.pending()

    assert events[-1].type == "trace_waiting"
    assert "ended without a result" in str(item.detail)


async def test_the_process_ends_with_the_one_that_asked(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys, apart; from agent.tools.registry import ToolRegistry; r = ToolRegistry(); "
        "r.register(apart.hang, effect='read', isolation='process'); asyncio.run(r.execute('hang', {'folder': sys.argv[1]}))"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), *(path for path in sys.path if path)])
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(tmp_path), env={**os.environ, "PYTHONPATH": paths})
    await pids(tmp_path)
    parent.kill()
    await parent.wait()

    assert await gone(tmp_path)


async def later(a: int) -> int:
    return a


@pytest.mark.parametrize("function", [later, lambda a: a, ToolRegistry().names])
def test_what_another_process_cannot_find_is_refused(function: Any) -> None:
    with pytest.raises(ConfigInvalid, match="isolation='process'"):
        ToolRegistry().register(function, name="tool", effect="read", isolation="process")
    with pytest.raises(ConfigInvalid, match="isolation='process'"):
        ToolRegistry().add("tool", {"type": "object", "properties": {}}, apart.add, effect="read", isolation="process")
