"""Steps that anyone may have written: what is no signal teaches nothing, and stops nothing."""

from typing import Any

import pytest

from agent.assemble import open_store
from agent.memory.memory import Memory
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM


@pytest.mark.parametrize(
    ("step_type", "data"),
    [
        ("feedback", {}),
        ("feedback", {"target_step_id": "nowhere", "feedback_type": "shrug", "content": "x"}),
        ("feedback", {"target_step_id": "nowhere", "feedback_type": "correction", "content": "", "replaces": "nowhere"}),
        ("feedback", {"target_step_id": 5, "feedback_type": "negative", "content": "x"}),
        ("outcome", {"value": "good"}),
        ("outcome", {"value": 1e308}),
        ("approval_decided", {"call_id": "99.0", "verdict": "reject", "reason": "x"}),
        ("tool_call", {"call_id": "99.0", "tool_name": "look", "is_ok": True}),
        ("in_doubt_resolved", {"call_id": "1.0", "outcome": "maybe"}),
        ("memory_write", {"experience_id": ["x"]}),
        ("llm_call", {"tool_calls": [{"function": {"name": 5, "arguments": "{"}}]}),
    ],
)
async def test_steps_that_nobody_could_have_meant_teach_nothing(step_type: str, data: dict[str, Any]) -> None:
    async with open_store("memory://") as store, AgentRunner(store.traces, store.memories, llm_call=ScriptedLLM(["done"])) as runner:
        trace_id = (await collect(runner.run("bill a client")))[0].data["trace_id"]
        last = (await store.traces.head(trace_id)).next_sequence
        await store.traces.add_step(Step.create(trace_id, step_type, last, data, [f"{trace_id}/0"]))
        assert isinstance(runner.memory, Memory)
        assert isinstance(store.memories, LearningStore)
        learnt = await runner.memory.learn(trace_id, even_unasked=True)
        recalled = await collect(runner.run("bill a client"))

        assert learnt == []
        assert await store.memories.list() == []
        assert await store.memories.cases() == []
        assert recalled[-1].type == "trace_completed"
