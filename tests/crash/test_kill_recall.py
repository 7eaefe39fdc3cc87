"""Kill -9 at every point of a run that memory has advice for: it is told, or spared, what memory had noted, once."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.models.learning import Use
from agent.models.payloads import MemoryRead, payload_of
from agent.storage.learning_port import LearningStore

sys.path.insert(0, str(Path(__file__).parent))

import lives  # type: ignore[import-not-found]  # it lies beside this file
import recalled  # type: ignore[import-not-found]

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]


async def look(folder: Path) -> tuple[list[Use], list[MemoryRead]]:
    """Return what memory noted, and what the steps say."""
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        assert isinstance(store.memories, LearningStore)
        await store.memories.verify()
        traces = await store.traces.list_traces()
        steps = [step for trace in traces for step in await store.traces.read_steps(trace.trace_id)]
        return await store.memories.uses(), [payload for step in steps if isinstance(payload := payload_of(step), MemoryRead)]


def die(folder: Path, seed: int, kill_at: int | None) -> None:
    process = lives.PROCESSES.Process(target=recalled.live, args=(str(folder), seed, kill_at))
    process.start()
    process.join(60)
    process.close()


async def check(folder: Path) -> str | None:
    """Have the run taken up, by the chance of another seed, and return the arm of its advice; None: it had not begun."""
    noted, told = await look(folder)
    if not await recalled.go_on(folder, seed=999):
        assert (noted, told) == ([], [])
        return None
    (use,), (read,) = await look(folder)

    assert [item.to_dict() for item in use.items] == read.items
    assert (use.arm, use.propensity, use.number) == (read.arm, read.propensity, read.run_number) == (use.arm, 0.5, 1)
    assert ("use look" in read.block) == (read.arm == "injected")
    assert "name the day" in read.block
    if noted:
        assert [use] == noted, "it was noted anew"
        assert "came later" not in read.block
    assert told in ([], [read])
    return read.arm


async def test_a_run_is_told_what_memory_noted_whenever_its_process_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    async with open_store(f"sqlite:///{begun / 'runs.db'}") as store:
        await recalled.learn(store)
    shutil.copytree(begun, tmp_path / "whole")
    die(tmp_path / "whole", 0, None)
    names = json.loads((tmp_path / "whole" / "points.json").read_text())
    found = set()
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        shutil.copytree(begun, folder)
        die(folder, number, number)
        try:
            found.add(await check(folder))
        except AssertionError as error:
            raise AssertionError(f"killed at {number}: {name}") from error

    assert found >= {None, "injected", "withheld"}
    assert {"before record_use", "after record_use", "inside a transaction"} <= set(names)
