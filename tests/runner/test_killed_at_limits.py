"""A run that is killed after any of its steps reaches the same limit, and gives the same output, as one that is left alone."""

from datetime import timedelta
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.models.trace import Step, Trace, step_id_of
from agent.models.value import replace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import asks, says, tool_request
from agent.tools.registry import ToolRegistry

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def look(where: str) -> dict[str, Any]:
    return tool_request("look", {"where": where})


async def by_prompt(messages: list[Any], model: str, tools: Any = None, **_: Any) -> Any:
    """Answer as the prompt has it, so that another process goes on where the first one was."""
    task = next(message["content"] for message in messages if message["role"] == "user" and message["content"].startswith("task"))
    asked = sum(message["role"] == "assistant" for message in messages)
    if task == "task: answer":
        return says('{"n": 1}' if asked == 2 else f"no {asked}")
    if tools is None:
        return says("so far")
    return asks(look("here")) if task == "task: repeat" else asks(look(f"a{asked}"), look(f"b{asked}"))


MODEL: Any = by_prompt
RUNS: dict[str, tuple[dict[str, Any], tuple[str, Any]]] = {
    "repeat": ({"tools": ["look"], "max_iterations": 50}, ("limit_reached", "max_repeated_calls")),
    "calls": ({"tools": ["look"], "limits": {"max_tool_calls": 3}}, ("limit_reached", "max_tool_calls")),
    "tokens": ({"tools": ["look"], "limits": {"max_total_tokens": 40}}, ("limit_reached", "max_total_tokens")),
    "answer": ({"output_type": SCHEMA}, ("trace_completed", None)),
}


async def copied(store: Store, steps: list[Step], trace_id: str, *, gap_s: float = 0.0) -> str:
    """Put the first steps of a run on the record as those of another one, whose process is gone; `gap_s` lies between two of them."""
    trace = Trace.create(trace_id=trace_id, uid="anonymous", mode="agent")
    own = [
        replace(
            s,
            step_id=step_id_of(trace_id, s.sequence),
            trace_id=trace_id,
            parent_ids=tuple(f"{trace_id}/{p.rpartition('/')[2]}" for p in s.parent_ids),
            created_at=steps[0].created_at + timedelta(seconds=gap_s * n),
        )
        for n, s in enumerate(steps)
    ]
    await store.traces.open_trace(trace, own)
    await store.traces.add_steps(trace_id, (), epoch=1, changes={"owner": None})
    return trace_id


@pytest.mark.parametrize("name", RUNS)
async def test_a_run_cut_off_after_any_step_ends_as_it_would_have(name: str, store: Store, tools: ToolRegistry) -> None:
    given, ending = RUNS[name]
    config = AgentConfig(max_repeated_calls=2, enable_memory=False)
    runner = AgentRunner(store.traces, tool_registry=tools, llm_call=MODEL, config=config)
    events = await collect(runner.run(f"task: {name}", **given))
    whole = await store.traces.read_steps(events[0].data["trace_id"])
    assert (events[-1].type, events[-1].data.get("limit")) == ending
    for count in [n for n in range(1, len(whole)) if whole[n].step_type != "limit_reached"]:  # that one is in the commit of the conclusion
        async with AgentRunner(store.traces, tool_registry=tools, llm_call=MODEL, config=config) as other:
            trace_id = await copied(store, whole[:count], f"cut{count}")
            rest = [event async for event in other.resume(trace_id)]
            steps = await store.traces.read_steps(trace_id)

            assert (rest[-1].type, rest[-1].data.get("limit")) == ending, count
            assert [step.step_type for step in steps if step.step_type != "tool_started"] == [s.step_type for s in whole if s.step_type != "tool_started"], (
                count
            )
            assert [step.data.get("output") for step in steps if step.step_type == "conclusion"] == [
                step.data.get("output") for step in whole if step.step_type == "conclusion"
            ]
    await runner.aclose()


async def test_the_time_that_a_killed_owner_had_used_counts(store: Store, tools: ToolRegistry) -> None:
    async with AgentRunner(store.traces, tool_registry=tools, llm_call=MODEL, config=AgentConfig(enable_memory=False)) as runner:
        events = await collect(runner.run("task: calls", tools=["look"], limits={"max_wall_s": 100}, max_iterations=2))
        steps = await store.traces.read_steps(events[0].data["trace_id"])
        within, beyond = await copied(store, steps[:4], "within", gap_s=20), await copied(store, steps[:4], "beyond", gap_s=40)
        went_on, stopped = [await collect(runner.resume(trace_id)) for trace_id in (within, beyond)]
        raised = await collect(runner.resume(beyond, limits={"max_wall_s": 500, "max_iterations": 3}))

    assert went_on[-1].data["limit"] == "max_iterations"
    assert (stopped[-1].data["limit"], stopped[-1].data["value"]) == ("max_wall_s", 100)
    assert raised[-1].data["limit"] == "max_iterations"
