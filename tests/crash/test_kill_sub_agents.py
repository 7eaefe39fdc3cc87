"""Kill -9 at every durable write and effect of a run whose agents call agents: no run is lost, doubled or counted twice.

`SEASONED_CRASH=all` also kills each recovery, at every point.
"""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.models.trace import Trace
from agent.runner import AgentRunner
from agent.testing.crash import Journal

sys.path.insert(0, str(Path(__file__).parent))

import delegated  # type: ignore[import-not-found]  # it lies beside this file

IS_WHOLE = os.environ.get("SEASONED_CRASH") == "all"
pytestmark = [pytest.mark.crash, pytest.mark.timeout(7200 if IS_WHOLE else 240)]
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["agent.runner", "agent.assemble", "agent.storage.sqlite.store", "agent.testing.crash", "agent.testing.scripted"])
UNSAFE = {"1", "2"}


def live(folder: Path, kill_at: int | None, *, is_first: bool) -> bool:
    """Let a process drive the run; return whether it was killed."""
    process = PROCESSES.Process(target=delegated.live, args=(str(folder), kill_at), kwargs={"is_first": is_first})
    process.start()
    process.join(60)
    code = process.exitcode
    process.close()
    assert code in (0, -signal.SIGKILL), f"exit code {code}"
    return code != 0


async def traces(folder: Path) -> list[Trace]:
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        found = await store.traces.list_traces()
        for trace in found:
            await store.traces.verify(trace.trace_id)
        return found


async def resolve(folder: Path) -> int:
    """Say of every call in doubt what the journal knows, as a person would; return how many there were."""
    done = {words[2] for words in Journal(folder / "journal").lines() if words[0] == "effect"}
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store, AgentRunner(store.traces) as runner:
        items = await runner.pending()
        for item in items:
            assert (item.tool_name, item.reason) == ("pay", "in_doubt")
            key = f"{item.trace_id}/{item.call_id}"
            await runner.resolve(item.trace_id, item.call_id, "done" if key in done else "retry", result="done")
        return len(items)


async def recover(folder: Path, *kills: int) -> None:
    """Resume until all is done, dying again as told, and check what came of it."""
    for kill_at in kills:
        live(folder, kill_at, is_first=False)
    for _ in range(6):
        live(folder, None, is_first=False)
        found = {trace.agent_type: trace for trace in await traces(folder)}
        if found["default"].status == "completed":
            break
        assert found["default"].status == "waiting"
        assert await resolve(folder) > 0, "it waits, and nobody is asked"
    await check(folder)


async def check(folder: Path) -> None:
    journal = Journal(folder / "journal").lines()
    found = await traces(folder)
    [root] = [trace for trace in found if trace.parent_trace_id is None]
    ids = {root.trace_id, f"{root.trace_id}.1.0", f"{root.trace_id}.1.0.1.0"}
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        steps = {trace.trace_id: await store.traces.read_steps(trace.trace_id) for trace in found}
    costs = {trace_id: sum(s.data.get("cost") or 0.0 for s in own if s.step_type == "llm_call") for trace_id, own in steps.items()}
    effects = [(words[1], words[2]) for words in journal if words[0] == "effect"]

    assert {trace.trace_id for trace in found} == ids, "a run is missing, or there is one too many"
    assert {trace.status for trace in found} == {"completed"}
    assert sorted(n for n, _ in effects if n in UNSAFE) == ["1", "2"], "an unsafe call was made again, or never"
    assert len(dict(effects)) == 3, "an effect is missing"
    assert len(set(effects)) == 3, "a call changed its idempotency key"
    assert root.total_cost == sum(costs.values()) == 6 * delegated.COST
    assert {step.data["call_id"] for step in steps[root.trace_id] if step.step_type == "tool_call"} == {"1.0", "1.1"}


def points_of(folder: Path) -> list[str]:
    folder.mkdir()
    assert not live(folder, None, is_first=True)
    [file] = folder.glob("points-*.json")
    names: list[str] = json.loads(file.read_text())
    return names


async def test_agents_killed_at_any_point_go_on_and_repeat_nothing(tmp_path: Path) -> None:
    names = points_of(tmp_path / "whole")
    await check(tmp_path / "whole")
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        if not live(folder, number, is_first=True) or not (folder / "runs.db").exists() or not await traces(folder):
            continue
        try:
            await recover(folder)
        except AssertionError as error:
            raise AssertionError(f"killed at {number}: {name}") from error

    assert {"before open_trace", "after open_trace", "before effect 2", "after effect 2", "before model of leaf"} <= set(names)
    assert len(names) > 40


async def test_agents_killed_again_while_they_recover_go_on_and_repeat_nothing(tmp_path: Path) -> None:
    count = len(points_of(tmp_path / "whole"))
    for first in range(4, count, 1 if IS_WHOLE else 9):
        for second in range(0 if IS_WHOLE else first % 5, count - first + 8, 1 if IS_WHOLE else 13):
            folder = tmp_path / f"{first}-{second}"
            folder.mkdir()
            if live(folder, first, is_first=True):
                try:
                    await recover(folder, second)
                except AssertionError as error:
                    raise AssertionError(f"killed at {first}, then at {second}") from error
