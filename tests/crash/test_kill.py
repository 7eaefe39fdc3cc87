"""Kill -9 at every point of a run: after it nothing is silently repeated and nothing is silently lost.

`SEASONED_CRASH=all` tries every pair of points for a run that is killed twice.
"""

import os
import sys
from pathlib import Path

import pytest

from agent.assemble import open_store

sys.path.insert(0, str(Path(__file__).parent))

import lives  # type: ignore[import-not-found]  # it lies beside this file

IS_WHOLE = os.environ.get("SEASONED_CRASH") == "all"
pytestmark = [pytest.mark.crash, pytest.mark.timeout(7200 if IS_WHOLE else 240)]


@pytest.mark.parametrize("script", ["serial", "parallel"])
async def test_a_run_killed_at_any_point_goes_on_and_repeats_nothing(script: str, tmp_path: Path) -> None:
    names = lives.points_of(tmp_path / "whole", script)
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        if lives.live(folder, script, number):
            try:
                await lives.recover(folder, script)
            except AssertionError as error:
                raise AssertionError(f"killed at {number}: {name}") from error

    assert {"before open_trace", "inside a transaction", "before effect", "after effect", "before model", "after model"} <= set(names)


@pytest.mark.parametrize("script", ["serial", "parallel"])
async def test_a_run_killed_again_while_it_recovers_goes_on_and_repeats_nothing(script: str, tmp_path: Path) -> None:
    count = len(lives.points_of(tmp_path / "whole", script))
    stride = 1 if IS_WHOLE else 5
    for first in range(2, count, stride):
        for second in range(0 if IS_WHOLE else first % 3, count - first + 4, 1 if IS_WHOLE else 11):
            folder = tmp_path / f"{first}-{second}"
            folder.mkdir()
            if lives.live(folder, script, first):
                try:
                    await lives.recover(folder, script, second)
                except AssertionError as error:
                    raise AssertionError(f"killed at {first}, then at {second}") from error


async def agree(folder: Path) -> int:
    """Check that what was counted is what has a result; return how many are counted."""
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        counted = await store.states.get("counted", uid="anonymous") or []
        steps = [step for trace in await store.traces.list_traces() for step in await store.traces.read_steps(trace.trace_id)]
    settled = [step.data["call_id"] for step in steps if step.step_type == "tool_call" and step.data["tool_name"] == "count"]
    assert counted == settled, "a state and its step do not agree"
    return len(counted)


async def test_a_transactional_call_killed_at_any_point_has_both_its_change_and_its_result_or_neither(tmp_path: Path) -> None:
    names = lives.points_of(tmp_path / "whole", "transactional")
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        lives.live(folder, "transactional", number)
        try:
            await agree(folder)
            await lives.recover(folder, "transactional", number % 7)
            assert await agree(folder) in (0, 3)  # 0: killed before the run was recorded
        except AssertionError as error:
            raise AssertionError(f"killed at {number}: {name}") from error

    assert {"before add_steps(tool_call+states)", "after add_steps(tool_call+states)"} <= set(names)
