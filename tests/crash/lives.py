"""Lives and deaths of processes that drive a run, and what must hold between one life and the next."""

import json
import multiprocessing
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from agent.assemble import open_store
from agent.core.fold import advance, fold, history, start
from agent.core.state import RunState
from agent.models.trace import Step, Trace
from agent.testing.crash import Journal
from agent.testing.provider_shapes import shape_faults

sys.path.insert(0, str(Path(__file__).parent))

import driven  # type: ignore[import-not-found]  # it lies beside this file

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["agent.runner", "agent.assemble", "agent.storage.sqlite.store", "agent.testing.crash", "agent.testing.scripted"])


def begin(folder: Path, script: str, kill_at: int | None, **options: object) -> ForkServerProcess:
    """Start a process that drives a run."""
    process = PROCESSES.Process(target=driven.live, args=(str(folder), script, kill_at), kwargs={"is_first": True, **options})
    process.start()
    return process


def live(folder: Path, script: str, kill_at: int | None, **options: object) -> bool:
    """Let a process drive a run to its end; return whether it was killed before that."""
    process = begin(folder, script, kill_at, **options)
    process.join(60)
    code = process.exitcode
    process.close()
    assert code in (0, -signal.SIGKILL), f"exit code {code}"
    return code != 0


async def record(folder: Path) -> tuple[Trace | None, list[Step]]:
    """Return what is on the disk, with the chain checked."""
    async with open_store(f"sqlite:///{folder / 'runs.db'}") as store:
        traces = await store.traces.list_traces()
        if not traces:
            return None, []
        (trace,) = traces
        await store.traces.verify(trace.trace_id)
        return trace, await store.traces.read_steps(trace.trace_id)


class Life:
    """What the journal and the log said at the moment a process had died."""

    def __init__(self, journal: list[list[str]], steps: list[Step]) -> None:
        self.models = [int(words[1]) for words in journal if words[0] == "model"]
        self.effects = [words[1] for words in journal if words[0] == "effect"]
        self.keys = {(words[1], words[2]) for words in journal if words[0] == "effect"}
        self.steps = steps

    def calls(self, step_type: str) -> set[str]:
        return {step.data["call_id"] for step in self.steps if step.step_type == step_type}

    @property
    def replies(self) -> int:
        return sum(step.step_type == "llm_call" for step in self.steps)


def unsafe(life: Life) -> set[str]:
    state, found = start(), set()
    for step in life.steps:
        state = advance(state, step)
        found |= {call.call.call_id for call in state.turn if call.call.name.startswith(driven.UNSAFE)}
    return found


def check(before: Life, after: Life) -> None:
    """Compare the moment of a death with the moment after the next life."""
    began, settled, dangerous = before.calls("tool_started"), before.calls("tool_call"), unsafe(after)
    new_effects = after.effects[len(before.effects) :]

    assert all(number >= before.replies for number in after.models[len(before.models) :]), "a recorded model call was made again"
    assert not settled & set(new_effects), "a recorded tool call was made again"
    assert set(before.effects) <= began, "an effect was not announced"
    assert not (began - settled) & dangerous & set(new_effects), "an unsafe call was made again by itself"
    assert all(after.effects.count(call_id) == 1 for call_id in set(after.effects) & dangerous)
    assert len({call_id for call_id, _ in after.keys}) == len(after.keys), "a call changed its idempotency key"
    assert [step.to_dict() for step in after.steps[: len(before.steps)]] == [step.to_dict() for step in before.steps], "the record was changed"
    assert [step.sequence for step in after.steps] == list(range(len(after.steps)))
    check_prefixes(after.steps)


def check_prefixes(steps: list[Step]) -> None:
    state = start()
    for step in steps:
        state = advance(state, step)
        assert shape_faults(history(state)) == []


def check_doubts(before: Life, state: RunState) -> None:
    """Unsafe calls whose end nobody knows, and no others, are in doubt."""
    unknown = (before.calls("tool_started") - before.calls("tool_call")) & unsafe(before)
    doubted = {call.call.call_id for call in state.turn if call.is_in_doubt}
    assert doubted == unknown


async def recover(folder: Path, script: str, *kills: int | None, plant: str | None = None) -> None:
    """Resume after a death until the run is done, dying again as told, and check each life against the one before."""
    for kill_at in (*kills, None):
        trace, steps = await record(folder)
        before = Life(Journal(folder / "journal").lines(), steps)
        if trace is None:
            assert (before.models, before.effects) == ([], [])
            return
        was_killed = live(folder, script, kill_at, is_first=False, plant=plant)
        trace, steps = await record(folder)
        assert trace is not None
        check(before, Life(Journal(folder / "journal").lines(), steps))
        if not was_killed:
            break
    await conclude(folder, script, before)


async def conclude(folder: Path, script: str, before: Life) -> None:
    trace, steps = await record(folder)
    assert trace is not None
    if trace.status == "waiting":
        check_doubts(before, fold(steps))
        assert await driven.resolve(folder) > 0
        live(folder, script, None, is_first=False)
        trace, steps = await record(folder)
        assert trace is not None
    life = Life(Journal(folder / "journal").lines(), steps)
    state = fold(steps)
    expected = {step.data["call_id"] for step in steps if step.step_type == "tool_call" and step.data.get("is_ok", True)}

    assert (trace.status, state.conclusion) == ("completed", "done")
    assert set(life.effects) == expected, "an effect is missing"
    assert all(life.effects.count(call_id) == 1 for call_id in unsafe(life) & expected)
    check_prefixes(steps)


def points_of(folder: Path, script: str) -> list[str]:
    """Return the points of an undisturbed run."""
    folder.mkdir()
    assert not live(folder, script, None)
    (file,) = folder.glob("points-*.json")
    names: list[str] = json.loads(file.read_text())
    return names
