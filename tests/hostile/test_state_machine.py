"""Everything people and machines can do to runs, in any order, at any moment: what must always hold, holds.

`SEASONED_SOAK=N` plays N sequences for each store.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.hostile.processes import TOOLS, Process, World

import agent.core.decide as deciding
from agent.core.fold import fold, history
from agent.core.state import RunState
from agent.errors import AgentError
from agent.models.trace import Step
from agent.models.value import replace
from agent.storage.ram.traces import RamTraceStore
from agent.testing.provider_shapes import shape_faults

PLAYS = int(os.environ.get("SEASONED_SOAK") or 6)
NUMBERS = st.integers(0, 50)
CALLS = st.tuples(st.sampled_from([*TOOLS, "pay"]), st.sampled_from(["ok", "ok", "ok", "raises", "model fails"]))
SCRIPTS = st.lists(st.lists(CALLS, min_size=1, max_size=4), max_size=3)
ENDED = {"completed", "cancelled"}


class Runs(RuleBasedStateMachine):
    """Two processes on one store, a third one that only looks, and all that can be done to a few runs."""

    is_file: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "runs.db" if self.is_file else None
        self.world = World()
        self.path = path
        self.observer = Process(self.world, path)
        self.alive = [self._process(), self._process()]
        self.stopped: list[Process] = []
        self.known: dict[str, list[tuple[int, str, str]]] = {}
        self.told = 0
        self.retries: Counter[tuple[str, str]] = Counter()
        self.acknowledged: list[tuple[str, str, str]] = []  # (trace, step type, call): what a person was told is recorded

    def _process(self) -> Process:
        return Process(self.world, self.path, None if self.is_file else self.observer.traces)

    def teardown(self) -> None:
        try:
            self._to_the_end()
        finally:
            for process in (*self.stopped, *self.alive, self.observer):
                process.close()
            self.folder.cleanup()

    # ---- what can be done

    @initialize(script=SCRIPTS)
    def first(self, script: list[list[tuple[str, str]]]) -> None:
        self.start(script, 0)

    @rule(script=SCRIPTS, where=NUMBERS)
    def start(self, script: list[list[tuple[str, str]]], where: int) -> None:
        if len(self.known) >= 3:
            return
        task = f"task {len(self.world.scripts)}"
        self.world.scripts[task] = script
        process = self._at(where)
        process.read(process.runner.run(task, tools=TOOLS, enable_memory=False))
        self._settle()

    @rule(number=NUMBERS, where=NUMBERS)
    def step(self, number: int, where: int) -> None:
        self._at(where).gates.let_on(number)
        self._settle()

    @rule(where=NUMBERS)
    def steps(self, where: int) -> None:
        for _ in range(6):
            self._at(where).gates.let_on(0)
            self._at(where).settle()
        self._settle()

    @rule(number=NUMBERS, verdict=st.sampled_from(["approve", "approve", "edit", "reject", "respond"]), where=NUMBERS)
    def decide(self, number: int, verdict: str, where: int) -> None:
        process = self._at(where)
        items = process.do(process.runner.pending())
        if items:
            item = items[number % len(items)]
            extra: dict[str, Any] = {"arguments": {"n": 7}} if verdict == "edit" else {"text": "no need"} if verdict == "respond" else {}
            if self._tried(process, process.runner.decide(item.trace_id, item.call_id, verdict, by="ada", **extra)):  # type: ignore[arg-type]  # one of the verdicts
                self.acknowledged.append((item.trace_id, "approval_decided", item.call_id))
        self._settle()

    @rule(number=NUMBERS, outcome=st.sampled_from(["done", "not_done", "retry"]), where=NUMBERS)
    def resolve(self, number: int, outcome: str, where: int) -> None:
        process = self._at(where)
        items = [item for item in process.do(process.runner.pending()) if item.reason == "in_doubt"]
        if items:
            item = items[number % len(items)]
            if self._tried(process, process.runner.resolve(item.trace_id, item.call_id, outcome, by="ada")):  # type: ignore[arg-type]  # one of the outcomes
                self.acknowledged.append((item.trace_id, "in_doubt_resolved", item.call_id))
                if outcome == "retry":
                    self.retries[item.trace_id, item.call_id] += 1
        self._settle()

    @rule(number=NUMBERS, where=NUMBERS, take_over=st.booleans())
    def resume(self, number: int, where: int, take_over: bool) -> None:
        if (trace_id := self._trace(number)) is not None:
            process = self._at(where)
            process.read(process.runner.resume(trace_id, take_over=take_over))
        self._settle()

    @rule(number=NUMBERS, where=NUMBERS)
    def pause(self, number: int, where: int) -> None:
        if (trace_id := self._trace(number)) is not None:
            self._tried(self._at(where), self._at(where).runner.pause(trace_id, by="ada"))
        self._settle()

    @rule(number=NUMBERS, where=NUMBERS)
    def cancel(self, number: int, where: int) -> None:
        if (
            number % 3 == 0
            and (trace_id := self._trace(number)) is not None
            and self._tried(self._at(where), self._at(where).runner.cancel(trace_id, by="ada"))
        ):
            self.acknowledged.append((trace_id, "cancelled", ""))
        self._settle()

    @rule(number=NUMBERS, where=NUMBERS)
    def feedback(self, number: int, where: int) -> None:
        if (trace_id := self._trace(number)) is not None:
            self._tried(self._at(where), self._at(where).runner.add_feedback(trace_id, f"{trace_id}/0", "negative", "no", extract_experience=False))
        self._settle()

    @rule(number=NUMBERS, at=NUMBERS, where=NUMBERS)
    def fork(self, number: int, at: int, where: int) -> None:
        trace_id = self._trace(number)
        if trace_id is not None and len(self.known) < 4:
            process = self._at(where)
            last = len(self.known[trace_id]) - 1
            self._tried(process, process.runner.fork(trace_id, at % (last + 1)))
        self._settle()

    @rule(where=NUMBERS, number=NUMBERS, turns=st.integers(0, 25), is_taken_up=st.booleans())
    def kill(self, where: int, number: int, turns: int, is_taken_up: bool) -> None:
        """Stop a process some turns after one thing went on in it; another one takes its place, and perhaps its runs."""
        process = self._at(where)
        process.gates.let_on(number)
        process.turn(turns)
        process.stop()
        self.alive[self.alive.index(process)] = self._process()
        self.stopped.append(process)
        for trace_id in self._traces() if is_taken_up else ():
            self.alive[0].read(self.alive[0].runner.resume(trace_id))
        self._settle()

    @rule(number=NUMBERS)
    def wake(self, number: int) -> None:
        """A stopped process goes on for a while, though others may drive its runs by now; then it is stopped for good."""
        if self.stopped:
            process = self.stopped[number % len(self.stopped)]
            process.wake()
            for _ in range(3):
                process.gates.let_on(0)
                process.settle()
            process.stop()
        self._settle()

    # ---- what must always hold

    @invariant()
    def all_holds(self) -> None:
        self._check_effects()
        for trace_id in self._traces():
            steps = self.observer.do(self.observer.traces.read_steps(trace_id))
            self._check_record(trace_id, steps)
            self._check_state(trace_id, steps)
        self._check_told()

    def _check_effects(self) -> None:
        assert self.world.unannounced == []
        for call in self.world.unsafe:
            assert self.world.controls[call] <= 1 + self.retries[call], f"{call} ran {self.world.controls[call]} times"
        assert all(len(keys) == 1 for keys in self.world.keys.values())

    def _check_record(self, trace_id: str, steps: list[Step]) -> None:
        """What was recorded once stays, in its place, and the chain holds."""
        now = [(step.sequence, step.step_type, repr(step.data)) for step in steps]
        before = self.known.get(trace_id, [])
        assert now[: len(before)] == before
        assert [sequence for sequence, _, _ in now] == list(range(len(now)))
        if now != before:
            self.known[trace_id] = now
            self.observer.do(self.observer.traces.verify(trace_id))
            replayed = self.observer.do(self.observer.runner.replay(trace_id))
            assert replayed.identical, replayed

    def _check_state(self, trace_id: str, steps: list[Step]) -> None:
        state = fold(steps)
        head = self.observer.do(self.observer.traces.head(trace_id))
        status, waiting = head.trace.status, self._waiting(steps)
        for process in self.alive:
            for driver in process.drivers:
                if driver.trace.trace_id == trace_id and driver.epoch == head.epoch and driver.state.next_sequence == len(steps):
                    assert _without_moments(driver.state) == _without_moments(state)
        assert shape_faults(history(state), is_request=state.status not in (*ENDED, "limit_reached")) == [] or state.answer is not None
        if head.owner_is_alive:
            assert status in ("running", "cancelled")
        elif status != "running" and not (status == "paused" and self._is_fresh_fork(steps)):  # it rests
            goes_on = state.status == "running" or (state.status in ("paused", "failed") and head.epoch > state.stopped_epoch)  # a later owner rested
            assert status == ("waiting" if goes_on else state.status), (status, state.status)
        if state.status in ENDED:
            assert status == state.status
        items = {item.call_id for item in self.observer.do(self.observer.runner.pending(trace_id=trace_id))}
        assert items == waiting, (items, waiting, status, [(n, kind, data) for n, kind, data in self.known[trace_id][2:]])
        if status == "waiting":
            assert state.turn, "it waits for nobody"

    def _is_fresh_fork(self, steps: list[Step]) -> bool:
        """Return whether this is a fork that nobody has resumed: it rests where it was cut, whatever its state."""
        kinds = [step.step_type for step in steps]
        return "forked" in kinds and not {"llm_call", "tool_call", "tool_started", "conclusion"} & set(kinds[len(kinds) - kinds[::-1].index("forked") :])

    def _waiting(self, steps: list[Step]) -> set[str]:
        """Return the calls that wait for a person, read off the log by other rules than the program's."""
        open_calls: dict[str, str] = {}
        for step in steps:
            kind, call_id = step.step_type, step.data.get("call_id", "")
            if kind in ("approval_requested", "in_doubt", "tool_started", "approval_decided"):
                if not (kind == "approval_decided" and open_calls.get(call_id) == "in_doubt"):
                    open_calls[call_id] = kind
            elif kind in ("tool_call", "in_doubt_resolved"):
                open_calls.pop(call_id, None)
        is_cancelled = any(step.step_type == "cancelled" for step in steps)
        kinds = ("in_doubt", "tool_started") if is_cancelled else ("in_doubt", "approval_requested")
        return {call_id for call_id, kind in open_calls.items() if kind in kinds}

    def _check_told(self) -> None:
        """Whatever a reader or a person was told is on the record."""
        recorded = {(trace_id, sequence): kind for trace_id, steps in self.known.items() for sequence, kind, _ in steps}
        for process in (*self.alive, *self.stopped):
            for event in process.seen:
                if "sequence" in event.data:
                    assert (event.data["trace_id"], event.data["sequence"]) in recorded, event
        for trace_id, kind, call_id in self.acknowledged:
            assert any(k == kind and call_id in data for _, k, data in self.known[trace_id]), (trace_id, kind, call_id)

    # ---- inside

    def _at(self, where: int) -> Process:
        return self.alive[where % len(self.alive)]

    def _traces(self) -> list[str]:
        return [trace.trace_id for trace in self.observer.do(self.observer.traces.list_traces())]

    def _trace(self, number: int) -> str | None:
        return list(self.known)[number % len(self.known)] if self.known else None

    def _settle(self) -> None:
        for process in self.alive:
            process.settle()

    def _tried(self, process: Process, attempt: Any) -> bool:
        """Return whether it was done; a refusal is one of ours."""
        try:
            process.do(attempt)
        except AgentError:
            return False
        return True

    def _to_the_end(self) -> None:
        """Whatever state things are in, people can bring every run to an end."""
        for other in self.alive[1:]:
            other.stop()
            self.stopped.append(other)
        self.alive = self.alive[:1]
        for _ in range(60):
            open_runs = [t for t in self._traces() if self.observer.do(self.observer.traces.get_trace(t)).status not in (*ENDED, "limit_reached")]
            if not open_runs:
                break
            self._help_on(self.alive[0], open_runs)
        assert open_runs == [], "a run cannot be brought to its end"
        self.all_holds()

    def _help_on(self, process: Process, open_runs: list[str]) -> None:
        """Decide all that waits, go on with what rests, and let everything on for a while."""
        for item in process.do(process.runner.pending()):
            if item.reason == "in_doubt":
                self._tried(process, process.runner.resolve(item.trace_id, item.call_id, "done"))
            else:
                self._tried(process, process.runner.decide(item.trace_id, item.call_id, "reject"))
        driven = {driver.trace.trace_id for driver in process.drivers}
        for trace_id in open_runs:
            if trace_id not in driven:
                process.read(process.runner.resume(trace_id))
        self._settle()
        for _ in range(8):
            if not process.gates.waiting:
                break
            for _ in range(len(process.gates.waiting)):
                process.gates.let_on(0)
            self._settle()


def _without_moments(state: RunState) -> RunState:
    """Return a state without the moments of its calls: the log keeps milliseconds."""
    return replace(state, turn=tuple(replace(call, started_at=None) for call in state.turn))


class RunsInAFile(Runs):
    is_file = True


SETTINGS = settings(
    max_examples=PLAYS,
    stateful_step_count=25,
    deadline=None,
    database=None,
    print_blob=False,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)


def _repeat_unsafe_calls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(deciding, "REPEATABLE", frozenset({"read", "idempotent", "transactional", "unsafe"}))


def _take_down_the_fence(patch: pytest.MonkeyPatch) -> None:
    add_steps = RamTraceStore.add_steps

    async def unfenced(self: RamTraceStore, trace_id: str, steps: Any, *, epoch: int | None = None, **options: Any) -> None:
        await add_steps(self, trace_id, steps, epoch=None if epoch is None else self._records[trace_id].epoch, **options)

    patch.setattr(RamTraceStore, "add_steps", unfenced)


def _lose_decisions(patch: pytest.MonkeyPatch) -> None:
    add_steps = RamTraceStore.add_steps

    async def losing(self: RamTraceStore, trace_id: str, steps: Any, **options: Any) -> None:
        if [step.step_type for step in steps] != ["approval_decided"]:
            await add_steps(self, trace_id, steps, **options)

    patch.setattr(RamTraceStore, "add_steps", losing)


@pytest.mark.slow
@pytest.mark.parametrize("plant", [_repeat_unsafe_calls, _take_down_the_fence, _lose_decisions], ids=lambda plant: plant.__name__.strip("_"))
def test_a_planted_bug_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)

    with pytest.raises((AssertionError, BaseExceptionGroup)):
        run_state_machine_as_test(Runs, settings=settings(SETTINGS, max_examples=100, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False))


@pytest.mark.slow
@pytest.mark.timeout(3600 if "SEASONED_SOAK" in os.environ else 300)
@pytest.mark.parametrize("machine", [Runs, RunsInAFile], ids=["memory", "sqlite"])
def test_whatever_happens_to_runs_what_must_hold_holds(machine: type[Runs]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)
