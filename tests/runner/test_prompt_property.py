"""What the log says a model saw is what it saw: through hostile replies, failures, pauses, limits, people and new processes."""

import os
import sys
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config import AgentConfig
from agent.core.fold import fold, start
from agent.core.prompt import continues_of
from agent.core.wording import wording
from agent.engine.conversations import Conversations
from agent.events import AgentEvent
from agent.models.memory import Experience
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.ram.store import RamStore
from agent.testing.listening import collect
from agent.testing.provider_shapes import shape_faults
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))

from random_logs import EFFECTS, any_tool_calls  # type: ignore[import-not-found]  # it lies in the folder of the core's tests

EXAMPLES = int(os.environ.get("SEASONED_PROPERTY_EXAMPLES", "40"))


class RandomModel:
    """Answers anything; `seen` are the prompts that it answered."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.seen: list[Any] = []

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
        """Return some reply, or raise."""
        assert shape_faults(messages, is_request=True) == []
        if messages[0]["content"] == wording("compact_system"):
            if self.rng.random() < 0.3:
                raise RuntimeError("overloaded")
            return {"content": self.rng.choice(("", "so far")), "tool_calls": None}
        if self.rng.random() < 0.1:
            raise RuntimeError("overloaded")
        self.seen.append(messages)
        calls = any_tool_calls(self.rng) if self.rng.random() < 0.7 else None
        return {"content": self.rng.choice((None, "", "words")), "tool_calls": calls, "cost": self.rng.choice((None, 0.1))}


def registry(rng: Random) -> ToolRegistry:
    tools = ToolRegistry()

    async def act(x: Any = None) -> str:
        if rng.random() < 0.2:
            raise RuntimeError("out of order")
        return rng.choice(("", "ok"))

    for name, effect in EFFECTS.items():
        tools.register(act, name=name, effect=effect, description="", requires_confirmation=lambda arguments: rng.random() < 0.2)
    return tools


async def decide_all(store: RamStore, trace_id: str, rng: Random) -> None:
    """What people say to the calls that wait."""
    log = store.traces
    steps = await log.read_steps(trace_id)
    state = fold(steps, start(await Conversations().messages(log, continues_of(steps))))
    for call in state.turn:
        if call.is_waiting:
            verdict = rng.choice(("approve", "edit", "reject", "respond"))
            data = {"call_id": call.call.call_id, "verdict": verdict} | ({"arguments": {"x": 3}} if verdict == "edit" else {})
            await log.add_step(Step.create(trace_id, "approval_decided", (await log.head(trace_id)).next_sequence, data))


async def drive(store: RamStore, model: RandomModel, rng: Random, task: str) -> str:
    """Run a task to its end through everything that comes between; return its trace."""
    events: list[AgentEvent] = []
    trace_id = ""
    for attempt in range(12):
        tools = registry(rng)
        config = AgentConfig(parallel_tools=rng.choice((1, 2, 8)), memory_placement=rng.choice(("user", "system")))
        config.context_window, config.compact_retry_after, config.keep_turns = rng.choice((None, 20, 200)), 1, 1
        async with AgentRunner(store.traces, store.memories, tool_registry=tools, llm_call=model, config=config) as runner:
            limits = {"max_iterations": 4 + 2 * attempt}
            stream = (
                runner.resume(trace_id, limits=limits)
                if trace_id
                else runner.run(task, tools=list(EFFECTS), conversation_id="talk", system_prompt=rng.choice((None, "S")), limits=limits)
            )
            try:
                await collect(stream, into=events)
            except RuntimeError as error:
                assert str(error) == "overloaded"  # noqa: PT017  # any other is one of ours
        trace_id = str(events[0].data["trace_id"])
        if events[-1].type in ("trace_completed", "limit_reached"):
            return trace_id
        await decide_all(store, trace_id, rng)
    async with AgentRunner(store.traces, llm_call=model) as runner:
        await runner.cancel(trace_id)
    return trace_id


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32).map(Random))
async def test_the_log_says_what_the_model_saw(rng: Random) -> None:
    store, model = RamStore(), RandomModel(rng)
    await store.memories.add_experience(Experience.create("agent:default", "task", "be careful"))
    logged: list[Any] = []
    for number in range(3):
        trace_id = await drive(store, model, rng, f"task {number}")
        steps = await store.traces.get_trace_steps(trace_id)
        logged += [step.data["messages"] for step in steps if step.step_type == "llm_call"]
        assert (await store.traces.verify(trace_id)).entries == len(steps)
    await store.close()

    assert logged == model.seen


async def test_the_random_runs_are_also_folded() -> None:
    folded = 0
    for seed in range(40):
        store, rng = RamStore(), Random(seed)
        trace_id = await drive(store, RandomModel(rng), rng, "task " * 30)
        folded += sum(step.step_type == "compaction" and not step.data.get("error") for step in await store.traces.read_steps(trace_id))
        await store.close()

    assert folded > 5
