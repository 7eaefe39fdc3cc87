"""Kill -9 at every point between a person's word and what is learnt of it: exactly one experience afterwards, and no case twice."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.models.learning import Case
from agent.models.memory import Experience
from agent.models.trace import Step
from agent.storage.learning_port import LearningStore

sys.path.insert(0, str(Path(__file__).parent))

import learnt  # type: ignore[import-not-found]  # it lies beside this file
import lives  # type: ignore[import-not-found]

pytestmark = [pytest.mark.crash, pytest.mark.timeout(240)]


async def look(folder: Path) -> tuple[list[Step], list[Experience], list[Case], list[str]]:
    """Return what is on the disk: the steps of the first run, experiences, its cases, and what is left unlearnt."""
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        assert isinstance(store.memories, LearningStore)
        first = (await store.traces.list_traces())[-1].trace_id
        experiences = [item for item in await store.memories.list() if isinstance(item, Experience)]
        left = [trace.trace_id for trace in await store.traces.list_traces(is_unlearnt=True)]
        await store.memories.verify()
        return await store.traces.read_steps(first), experiences, await store.memories.cases(trace_id=first), left


def die(folder: Path, kill_at: int | None) -> None:
    process = lives.PROCESSES.Process(target=learnt.live, args=(str(folder), kill_at))
    process.start()
    process.join(60)
    process.close()


async def check(folder: Path) -> int:
    """Let another process's run come next, and return how many versions of the feedback there were."""
    said, _, _, unlearnt = await look(folder)
    told = await learnt.run_once(f"sqlite:///{folder / 'runs.db'}")
    steps, experiences, cases, left = await look(folder)
    versions = [step.step_id for step in steps if step.step_type == "feedback"]
    written = [(step.parent_ids, step.data["experience_id"]) for step in steps if step.step_type == "memory_write"]
    in_use = [item.experience_id for item in experiences if item.state == "active"]

    assert versions == [step.step_id for step in said if step.step_type == "feedback"]
    assert in_use == told == [f"exp-{step_id.replace('/', '-')}" for step_id in versions[-1:]], "not exactly one experience"
    assert left == [], f"left unlearnt: {left} (before: {unlearnt})"
    assert len(set(written)) == len(written), "an experience was noted twice"
    assert sorted((case.tool, case.sign, case.step_id) for case in cases) == sorted(
        (tool, sign, step_id) for step_id in versions[-1:] for tool, sign in (("search", 1), ("look", -1))
    )
    return len(versions)


async def test_a_word_is_learnt_exactly_once_whenever_the_process_is_killed(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    await learnt.run_once(f"sqlite:///{begun / 'runs.db'}")
    shutil.copytree(begun, tmp_path / "whole")
    die(tmp_path / "whole", None)
    names = json.loads((tmp_path / "whole" / "points.json").read_text())
    found = set()
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        shutil.copytree(begun, folder)
        die(folder, number)
        try:
            found.add(await check(folder))
        except AssertionError as error:
            raise AssertionError(f"killed at {number}: {name}") from error

    assert await check(tmp_path / "whole") == 2
    assert found == {0, 1, 2}
    assert {"before add_steps(feedback+signalled)", "after add_steps(feedback+signalled)", "inside a transaction", "before supersede"} <= set(names)
