"""Forks that cannot be, and what must not get into one."""

from typing import Any

import pytest

from agent.errors import BadInput, ExperienceNotFound, StepNotFound, ToolNotFound, TraceNotFound, Unsupported
from agent.models.memory import Experience
from agent.models.trace import Trace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.contracts.trace_samples import fact
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request


def seen(llm: ScriptedLLM, number: int = -1) -> list[Any]:
    """Return the contents of the messages that a model saw."""
    return [message["content"] for message in llm.calls[number]["messages"]]


LOOK = asks(tool_request("look", {"where": "x"}))
SEND = asks(tool_request("send", {"to": "ann"}))
PAY = asks(tool_request("pay", {"to": "ann"}))


@pytest.mark.parametrize(
    ("at", "changes", "says"),
    [
        (99, {}, "its steps are 0 to 5"),
        (-1, {}, "no step -1"),
        (True, {}, "no step True"),
        ("1", {}, "no step '1'"),
        (3, {"colour": "red"}, "cannot change colour; it can change task"),
        (4, {"task": "x"}, "had its answer by step 4"),
        (5, {"model": "x"}, "Fork at step 3 or before"),
        (3, {"task": " \n"}, "the task is blank"),
        (3, {"task": 7}, "the task must be text"),
        (3, {"system_prompt": 7}, "system_prompt must be text"),
        (3, {"messages": "x"}, "messages must be a list"),
        (3, {"messages": [{"role": "tool", "tool_call_id": "x"}]}, "does not ask for"),
        (3, {"model": ""}, "model must be"),
        (3, {"tools": "look"}, "tools must be a list"),
        (3, {"exclude_memory": ["e1"]}, "memory was not read yet"),
        (3, {"exclude_memory": "e1"}, "must be a list of ids"),
        (3, {"memory": "all"}, "memory must be None or a list"),
        (3, {"memory": [7]}, "memory has 7 in it"),
        (3, {"memory": [], "exclude_memory": ["e1"]}, "nothing with the id 'e1'"),
        (3, {"include_memory": "e1"}, "include_memory must be None or a list"),
        (3, {"memory": None, "include_memory": ["e1"]}, "drops all of it"),
        (3, {"memory": None, "exclude_memory": ["e1"]}, "drops all of it"),
        (3, {"result": "x"}, "result must be a dict"),
        (3, {"result": {"T/1": "x"}}, "is no tool result"),
        (2, {"result": {"T/3": "x"}}, "is no tool result up to where the run is forked"),
        (3, {"result": {"T/3": "x" * 1_000_001}}, "it may have 1000000"),
    ],
)
async def test_a_fork_that_cannot_be_is_refused_and_leaves_nothing(make: Any, a_run: Any, store: Store, at: Any, changes: dict[str, Any], says: str) -> None:
    runner, trace_id = await a_run(LOOK, "the end")
    if "result" in changes and isinstance(changes["result"], dict):
        changes = {"result": {key.replace("T/", f"{trace_id}/"): value for key, value in changes["result"].items()}}

    with pytest.raises(BadInput, match=says):
        await runner.fork(trace_id, at, **changes)
    assert len(await store.traces.list_traces()) == 1


async def test_what_a_fork_names_must_be_there_and_be_ones_own(make: Any, a_run: Any, store: Store) -> None:
    runner, trace_id = await a_run(LOOK, "the end", uid="ada")

    for refused, error in (
        (runner.fork("nobody", 0), TraceNotFound),
        (runner.fork(trace_id, 0, uid="bob"), TraceNotFound),
        (runner.fork(trace_id, 0, tools=["nobody"]), ToolNotFound),
        (runner.fork(trace_id, 0, memory=["nobody"]), ExperienceNotFound),
        (runner.fork(trace_id, 0, memory=[Experience.create("agent:default", "", "x", uid="bob")]), BadInput),
    ):
        with pytest.raises(error):
            await refused
    fork_id = await runner.fork(trace_id, 0, uid="ada")
    fork = await store.traces.get_trace(fork_id)
    assert fork is not None
    assert fork.uid == "ada"
    with pytest.raises(StepNotFound):
        await store.traces.get_step(fork_id, f"{trace_id}/3")


async def test_what_is_no_run_of_ours_cannot_be_forked(make: Any, store: Store) -> None:
    runner = make("x")
    await runner.call([{"role": "user", "content": "x"}])
    single = (await store.traces.list_traces())[0].trace_id
    other = Trace.create()
    await store.traces.create_trace(other)
    await store.traces.add_step(fact(other, 0, "llm_call", response="x"))

    for trace_id, says in ((single, "a single call"), (other.trace_id, "another runner recorded it")):
        with pytest.raises(Unsupported, match=says):
            await runner.fork(trace_id, 0)
    with pytest.raises(Unsupported, match="cannot fork a run"):
        await AgentRunner(None, llm_call=ScriptedLLM(["x"])).fork(single, 0)


async def test_secrets_stay_out_of_a_fork(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM([LOOK, "the end"], by_calls=True), config={"secrets": {"KEY": "hunter2-hunter2"}})
    events = await collect(runner.run("go", tools=["look"], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    key = "it is hunter2-hunter2"
    fork_id = await runner.fork(trace_id, 3, task=key, system_prompt=key, messages=[{"role": "user", "content": key}], result={f"{trace_id}/3": key})

    assert "hunter2" not in str([step.to_dict() for step in await store.traces.get_trace_steps(fork_id)])
    assert "hunter2" not in str(await store.traces.get_trace(fork_id))
