"""The defects of the seed in what it records and remembers do not come back: one test for each."""

import asyncio
import copy
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from agent.errors import SequenceTaken, StepNotFound, TraceNotFound
from agent.events import AgentEvent
from agent.models.memory import Experience
from agent.models.trace import Step, Trace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

sys.path.insert(0, str(Path(__file__).parent))

import promises  # type: ignore[import-not-found]  # it lies beside this file

F = TypeVar("F", bound=Callable[..., object])
keeps: Callable[[str], Callable[[F], F]] = promises.keeps
LOOK = asks(tool_request("look", {"where": "here"}))
Make = Callable[..., AgentRunner]


def prompts(runner: AgentRunner) -> list[list[dict[str, Any]]]:
    llm = runner.llm_call
    assert isinstance(llm, ScriptedLLM)
    return [call["messages"] for call in llm.calls]


async def trace_of(store: Store, events: list[AgentEvent]) -> Trace:
    trace = await store.traces.get_trace(events[0].data["trace_id"])
    assert trace is not None
    return trace


@keeps("memory-without-system-prompt")
async def test_memory_reaches_the_model_without_a_system_prompt(make: Make, store: Store) -> None:
    await store.memories.add_experience(Experience.create("agent:default", "billing", "bill in euros"))
    runner = make("billed")
    await collect(runner.run("billing"))

    assert "bill in euros" in str(prompts(runner)[0])


@keeps("callers-messages")
async def test_the_callers_messages_stay_as_they_were(make: Make) -> None:
    messages = [{"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}]
    before = copy.deepcopy(messages)
    await collect(make(LOOK, "done").run("go", messages=messages, tools=["look"]))

    assert messages == before


@keeps("no-alias")
async def test_a_step_shows_the_messages_of_its_own_moment(make: Make, store: Store) -> None:
    events = await collect(make(LOOK, "done").run("go", tools=["look"], enable_memory=False))
    calls = [step for step in await store.traces.get_trace_steps(events[0].data["trace_id"]) if step.step_type == "llm_call"]

    assert [len(step.data["messages"]) for step in calls] == [1, 3]


@keeps("linear-log")
async def test_a_step_stores_no_messages_that_other_steps_have(make: Make, store: Store) -> None:
    task = "x" * 20_000
    turns = [asks(tool_request("look", {"where": str(n)})) for n in range(8)]
    events = await collect(make(*turns, "done").run(task, tools=["look"], enable_memory=False))
    steps = await store.traces.read_steps(events[0].data["trace_id"])
    sizes = {step.sequence: len(str(step.data)) for step in steps}

    assert types_of(events)[-1] == "trace_completed"
    assert sizes.pop(0) > 20_000
    assert max(sizes.values()) < 1_000


@keeps("aware-times")
async def test_times_are_aware_and_in_utc(make: Make, store: Store) -> None:
    events = await collect(make("done").run("go"))
    trace = await trace_of(store, events)
    moments = [trace.created_at, trace.completed_at, *[s.created_at for s in await store.traces.get_trace_steps(trace.trace_id)]]
    local = datetime.now()  # noqa: DTZ005  # what the seed hands in
    await store.traces.update_trace(trace.trace_id, completed_at=local)
    again = await trace_of(store, events)

    assert all(moment is not None and moment.tzinfo is UTC for moment in moments)
    assert again.completed_at is not None
    assert abs(again.completed_at - local.astimezone(UTC)) < timedelta(milliseconds=2)


@keeps("totals-on-failure")
async def test_a_failed_run_keeps_what_it_used(make: Make, store: Store) -> None:
    events: list[AgentEvent] = []
    with pytest.raises(RuntimeError):
        await collect(make({**LOOK, "cost": 0.5}, RuntimeError("no")).run("go", tools=["look"]), into=events)
    trace = await trace_of(store, events)

    assert (trace.total_tokens, trace.total_cost) == (15, 0.5)


@keeps("error-on-failure")
async def test_a_failed_run_keeps_its_error(make: Make, store: Store) -> None:
    events: list[AgentEvent] = []
    with pytest.raises(RuntimeError):
        await collect(make(RuntimeError("the model is away")).run("go"), into=events)
    last = (await store.traces.read_steps(events[0].data["trace_id"]))[-1]

    assert (last.step_type, last.data["error"], last.data["error_type"]) == ("failure", "the model is away", "RuntimeError")


@keeps("call-closes")
async def test_a_single_call_that_fails_is_closed(make: Make, store: Store) -> None:
    with pytest.raises(RuntimeError):
        await make(RuntimeError("no")).call([{"role": "user", "content": "hi"}])
    (trace,) = await store.traces.list_traces()

    assert (trace.status, trace.completed_at is not None) == ("failed", True)


@keeps("disconnect")
async def test_a_run_whose_reader_left_comes_to_its_end(make: Make, store: Store) -> None:
    gate = asyncio.Event()

    async def wait(messages: Any) -> str:
        await gate.wait()
        return "done"

    runner = make(wait)
    stream: Any = runner.run("go")
    events = await read_until(stream, "step_started")
    await stream.aclose()
    gate.set()
    await collect(runner.watch(events[0].data["trace_id"]))

    assert (await trace_of(store, events)).status == "completed"


@keeps("no-races-for-numbers")
async def test_of_two_writers_of_one_number_one_is_refused_and_feedback_takes_the_next(make: Make, store: Store) -> None:
    runner = make("done")
    events = await collect(runner.run("go", enable_memory=False))
    trace_id = events[0].data["trace_id"]
    rivals = [Step.create(trace_id, "note", 3) for _ in range(2)]
    outcomes = await asyncio.gather(*[store.traces.add_step(step) for step in rivals], return_exceptions=True)
    await asyncio.gather(*[runner.add_feedback(trace_id, f"{trace_id}/2", "positive", str(n)) for n in range(10)])
    steps = await store.traces.read_steps(trace_id)

    assert [type(outcome) for outcome in outcomes].count(SequenceTaken) == 1
    assert [step.sequence for step in steps] == list(range(14))


@keeps("keys-not-stored")
async def test_a_key_given_with_a_run_is_not_stored(make: Make, store: Store) -> None:
    events = await collect(make("done").run("go", api_key="not-to-be-seen", temperature=0.1))
    trace = await trace_of(store, events)
    record = json.dumps([trace.to_dict(), *[step.to_dict() for step in await store.traces.get_trace_steps(trace.trace_id)]])

    assert "not-to-be-seen" not in record
    assert '"temperature": 0.1' in record


@keeps("anonymous-is-a-tenant")
async def test_without_a_uid_the_tenant_is_anonymous(make: Make, store: Store, tools: ToolRegistry) -> None:
    seen: list[str | None] = []

    @tools.tool(effect="read")
    async def whose(ctx: ToolContext) -> str:
        "Say whose run it is."
        seen.append(ctx.uid)
        return ""

    events = await collect(make(asks(tool_request("whose")), "done").run("go", tools=["whose"]))

    assert seen == ["anonymous"]
    assert (await trace_of(store, events)).uid == "anonymous"


@keeps("reads-by-uid")
async def test_another_uids_trace_is_not_there(make: Make, store: Store) -> None:
    runner = make("done")
    events = await collect(runner.run("go", uid="ada"))
    trace_id = events[0].data["trace_id"]

    assert await store.traces.get_trace(trace_id, uid="bob") is None
    assert await store.traces.get_trace_steps(trace_id, uid="bob") == []
    assert await store.traces.list_traces(uid="bob") == []
    assert len(await store.traces.list_traces(uid="ada")) == 1
    with pytest.raises(TraceNotFound):
        await collect(runner.watch(trace_id, uid="bob"))


@keeps("feedback-unknown-trace")
async def test_feedback_on_an_unknown_trace_is_refused(make: Make) -> None:
    with pytest.raises(TraceNotFound, match="'nowhere'"):
        await make().add_feedback("nowhere", "nowhere/1", "correction", "better so")


@keeps("feedback-unknown-step")
async def test_feedback_on_an_unknown_step_is_refused(make: Make, store: Store) -> None:
    runner = make("done")
    events = await collect(runner.run("go"))
    with pytest.raises(StepNotFound, match="no-such-step"):
        await runner.add_feedback(events[0].data["trace_id"], "no-such-step", "correction", "better so")

    assert await store.memories.list() == []


@keeps("memory-may-fail")
async def test_a_run_whose_memory_is_away_goes_on_and_says_so(make: Make, store: Store) -> None:
    class Away:
        async def search_skills(self, scope: str, query: str) -> list[Any]:
            raise OSError("memory is away")

        async def search_experiences(self, scope: str, query: str) -> list[Any]:
            return []

        async def add_experience(self, experience: Experience) -> str:
            return ""

    events = await collect(make("done", memory_store=Away()).run("go"))

    assert types_of(events)[-1] == "trace_completed"
    assert "memory is away" in next(event for event in events if event.type == "memory_loaded").data["error"]


@keeps("memory-is-linked")
async def test_model_calls_rest_on_the_memory_that_they_saw(make: Make, store: Store) -> None:
    events = await collect(make("done").run("go"))
    _, read, call, conclusion = await store.traces.get_trace_steps(events[0].data["trace_id"])

    assert read.step_type == "memory_read"
    assert read.step_id in call.parent_ids
    assert conclusion.parent_ids == (call.step_id,)


@keeps("events-have-ids")
async def test_every_event_names_its_trace_and_its_step(make: Make, store: Store) -> None:
    events = await collect(make(LOOK, "done").run("go", tools=["look"]))
    trace_id = events[0].data["trace_id"]
    steps = {step.step_id: step.sequence for step in await store.traces.get_trace_steps(trace_id)}
    durable = [event for event in events if event.type not in ("step_started", "trace_completed")]

    assert {event.data["trace_id"] for event in events} == {trace_id}
    assert {event.data["step_id"]: event.data["sequence"] for event in durable} == steps
