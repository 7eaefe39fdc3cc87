"""Limits on a run: what breaks each, how the run ends, and that it goes on with a raised one."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.clock import now
from agent.core.fold import fold, history
from agent.core.limits import driven_s, left_of
from agent.errors import LimitNotRaised
from agent.events import AgentEvent
from agent.models.trace import Step
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.registry import ToolRegistry

NAMES = ["look", "pay", "send"]


def look(where: str) -> dict[str, Any]:
    return tool_request("look", {"where": where})


def id_of(events: list[AgentEvent]) -> str:
    trace_id: str = events[0].data["trace_id"]
    return trace_id


def limit_of(events: list[AgentEvent]) -> tuple[str, Any, Any]:
    return events[-1].type, events[-1].data.get("limit"), events[-1].data.get("value")


def results(events: list[AgentEvent]) -> list[str]:
    return [event.data["result"] for event in events if event.type == "tool_result"]


async def steps_of(store: Store, trace_id: str) -> list[Step]:
    steps = await store.traces.read_steps(trace_id)
    for count in range(len(steps) + 1):
        assert shape_faults(history(fold(steps[:count]))) == []
    return steps


# ---- tool calls


async def test_the_calls_beyond_the_limit_are_answered_not_run_and_the_run_ends_with_one_answer(make: Any, store: Store, done: list[str]) -> None:
    llm = ScriptedLLM([asks(look("a"), look("b")), asks(look("c"), look("d"), look("e")), "so far"], by_calls=True)
    events = await collect(make(llm=llm).run("go", tools=NAMES, limits={"max_tool_calls": 3}))

    assert limit_of(events) == ("limit_reached", "max_tool_calls", 3)
    assert done == ["look a", "look b", "look c"]
    assert sorted(results(events))[-2:] == ["seen b", "seen c"]
    assert sum("max_tool_calls = 3" in result for result in results(events)) == 2
    assert [event.data["content"] for event in events if event.type == "conclusion"] == ["so far"]
    assert [call["tools"] is None for call in llm.calls] == [False, False, True]
    await steps_of(store, id_of(events))


async def test_a_run_that_needs_exactly_its_tool_calls_completes(make: Any) -> None:
    events = await collect(make(asks(look("a"), look("b")), "done").run("go", tools=NAMES, limits={"max_tool_calls": 2}))

    assert events[-1].type == "trace_completed"


async def test_after_the_limit_on_tool_calls_a_raised_one_counts_the_calls_that_ran(make: Any, store: Store, done: list[str]) -> None:
    llm = ScriptedLLM([asks(look("a"), look("b"), look("c")), "so far", asks(look("d"), look("e")), "all"], by_calls=True)
    runner = make(llm=llm)
    trace_id = id_of(await collect(runner.run("go", tools=NAMES, limits={"max_tool_calls": 1})))
    with pytest.raises(LimitNotRaised, match="max_tool_calls.*more than 1"):
        await collect(runner.resume(trace_id, limits={"max_tool_calls": 1}))
    events = await collect(runner.resume(trace_id, limits={"max_tool_calls": 3}))

    assert events[-1].type == "trace_completed"
    assert done == ["look a", "look d", "look e"]


async def test_calls_that_wait_for_a_person_are_decided_before_the_limit_ends_the_run(make: Any, done: list[str]) -> None:
    pay = [tool_request("pay", {"to": name}) for name in "ab"]
    runner = make(llm=ScriptedLLM([asks(*pay), "so far"], by_calls=True))
    events = await collect(runner.run("go", tools=NAMES, limits={"max_tool_calls": 1}, enable_memory=False))
    assert (events[-1].type, events[-1].data["call_ids"]) == ("trace_waiting", ["1.0"])
    await runner.decide(id_of(events), "1.0", "approve")
    rest = await collect(runner.resume(id_of(events)))

    assert limit_of(rest) == ("limit_reached", "max_tool_calls", 1)
    assert done == ["pay a"]


# ---- tokens and cost


@pytest.mark.parametrize(("limits", "raised"), [({"max_total_tokens": 30}, {"max_total_tokens": 1000}), ({"max_cost": 0.5}, {"max_cost": 9.0})])
async def test_tokens_and_cost_end_a_run_and_a_raised_limit_goes_on(limits: Any, raised: Any, make: Any, store: Store) -> None:
    (name,) = limits
    lines = [asks(look("a"), cost=0.25), asks(look("b"), cost=0.25), says("so far", cost=0.25), asks(look("c"), cost=0.25), says("done", cost=0.25)]
    llm = ScriptedLLM(lines, by_calls=True)
    runner = make(llm=llm)
    events = await collect(runner.run("go", tools=NAMES, limits=limits))
    assert limit_of(events) == ("limit_reached", name, limits[name])
    assert len(llm.calls) == 3
    with pytest.raises(LimitNotRaised, match=name):
        await collect(runner.resume(id_of(events)))
    with pytest.raises(LimitNotRaised, match=name):
        await collect(runner.resume(id_of(events), limits={"max_iterations": 99}))
    rest = await collect(runner.resume(id_of(events), limits=raised))

    assert rest[-1].type == "trace_completed"
    await steps_of(store, id_of(events))


@pytest.mark.parametrize("limits", [{"max_total_tokens": 10}, {"max_cost": 0.2}])
async def test_what_a_reply_asks_for_that_passed_the_limit_is_answered_not_run(limits: Any, make: Any, store: Store, done: list[str]) -> None:
    lines: list[Any] = [asks(tool_request("send", {"to": "a"}), tool_request("pay", {"to": "b"}), look("c"), cost=0.25), "so far", asks(look("d")), "all"]
    llm, (name,) = ScriptedLLM(lines, by_calls=True), limits
    runner = make(llm=llm)
    events = await collect(runner.run("go", tools=NAMES, limits=limits))

    assert limit_of(events) == ("limit_reached", name, limits[name])
    assert events[-1].data["used"] == (30 if name == "max_total_tokens" else 0.25)
    assert done == []
    assert all(f"not run: the limit of this run, {name} = {limits[name]}" in result for result in results(events))
    assert len(results(events)) == 3
    rest = await collect(runner.resume(id_of(events), limits={name: 100}))
    assert (rest[-1].type, done) == ("trace_completed", ["look d"])
    await steps_of(store, id_of(events))


async def test_a_call_that_a_person_lets_run_after_the_tokens_are_used_up_is_not_run(make: Any, store: Store, done: list[str]) -> None:
    runner = make(asks(tool_request("pay", {"to": "a"})), "so far")
    trace_id = id_of(await collect(runner.run("go", tools=NAMES, limits={"max_total_tokens": 20})))
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "approve")
    events = await collect(runner.resume(trace_id, limits={"max_total_tokens": 15}))

    assert limit_of(events) == ("limit_reached", "max_total_tokens", 15)
    assert done == []


async def test_an_unknown_cost_counts_as_nothing(make: Any) -> None:
    events = await collect(make(asks(look("a"), cost=None), says("done", cost=None)).run("go", tools=NAMES, limits={"max_cost": 0.01}))

    assert (events[-1].type, events[-1].data["cost_is_partial"]) == ("trace_completed", True)


async def test_an_answer_beyond_the_limit_is_an_answer(make: Any) -> None:
    events = await collect(make("done").run("go", limits={"max_total_tokens": 1}))

    assert events[-1].type == "trace_completed"


@pytest.mark.parametrize("name", ["max_iterations", "max_tool_calls", "max_total_tokens", "max_cost", "max_wall_s"])
async def test_with_a_limit_of_nothing_the_model_is_never_asked(name: str, make: Any, store: Store) -> None:
    llm = ScriptedLLM(["done"])
    runner = make(llm=llm)
    events = await collect(runner.run("go", tools=NAMES, limits={name: 0}))

    assert limit_of(events) == ("limit_reached", name, 0)
    assert ("conclusion" in types_of(events), llm.calls) == (False, [])
    rest = await collect(runner.resume(id_of(events), limits={name: 100}))
    assert rest[-1].type == "trace_completed"


async def test_limits_of_the_configuration_hold_where_a_run_names_none(make: Any) -> None:
    runner = make(asks(look("a")), "so far", config={"limits": {"max_total_tokens": 15}})

    assert limit_of(await collect(runner.run("go", tools=NAMES))) == ("limit_reached", "max_total_tokens", 15)
    assert (await collect(runner.run("go", tools=NAMES, limits={"max_total_tokens": 99})))[-1].type == "trace_completed"


async def test_a_run_that_is_resumed_elsewhere_keeps_its_limits(make: Any, done: list[str]) -> None:
    first = make(asks(tool_request("pay", {"to": "a"})), "never")
    trace_id = id_of(await collect(first.run("go", tools=NAMES, limits={"max_total_tokens": 20})))
    other = make(llm=ScriptedLLM([asks(look("b")), "so far"], by_calls=True))
    (item,) = await other.pending()
    await other.decide(trace_id, item.call_id, "approve")

    assert limit_of(await collect(other.resume(trace_id))) == ("limit_reached", "max_total_tokens", 20)
    assert done == ["pay a"]


def test_what_is_left_of_the_limits_is_told_and_never_below_nothing() -> None:
    asked = Step("t/0", "t", "input", 0, (), {"task": "go", "limits": {"max_total_tokens": 12, "max_cost": 1.0, "max_wall_s": 9.0}})
    state = fold([asked, Step("t/1", "t", "llm_call", 1, (), {"response": "x", "prompt_tokens": 20, "cost": 0.25})])

    assert left_of(state, 2.5) == {"max_total_tokens": 0, "max_cost": 0.75, "max_wall_s": 6.5}


async def test_an_agent_that_a_run_calls_may_use_what_its_caller_has_left(make: Any, tools: ToolRegistry, done: list[str]) -> None:
    async def model(messages: list[Any], model: str, tools: Any = None, **_: Any) -> Any:
        if model == "below":
            return says("so far") if tools is None else asks(look(f"at {len(messages)}"))
        return says("done") if messages[-1]["role"] == "tool" else asks(tool_request("helper", {"task": "look around"}))

    tools.add_agent("helper", "Look around.", model="below", tools=["look"])
    events = await collect(make(llm=model).run("go", model="above", tools=["helper"], limits={"max_tool_calls": 3}, enable_memory=False))

    assert len(done) == 2, "one call was the agent's own"
    assert "so far" in results(events)[0]
    assert events[-1].type == "trace_completed"


async def test_limits_hold_without_a_store(make: Any) -> None:
    runner = make(asks(look("a")), "so far", trace_store=None)

    assert limit_of(await collect(runner.run("go", tools=NAMES, limits={"max_tool_calls": 0}))) == ("limit_reached", "max_tool_calls", 0)
    assert limit_of(await collect(runner.run("go", tools=NAMES, limits={"max_total_tokens": 5})))[:2] == ("limit_reached", "max_total_tokens")


# ---- time


@pytest.fixture
def slow(done: list[str]) -> ToolRegistry:
    """Tools that do not end by themselves."""
    registry = ToolRegistry()

    async def forever(where: str) -> str:
        done.append(where)
        await asyncio.Event().wait()
        return ""

    schema = {"type": "object", "properties": {"where": {"type": "string"}}, "required": ["where"]}
    registry.add("stare", schema, forever, description="Wait.", effect="read")
    registry.add("transfer", schema, forever, description="Wait.", effect="unsafe")
    return registry


@pytest.mark.parametrize("count", [1, 3])
async def test_time_stops_a_harmless_tool_and_the_run_ends_with_an_answer(count: int, make: Any, slow: ToolRegistry, store: Store) -> None:
    turn = asks(*[tool_request("stare", {"where": str(n)}) for n in range(count)])
    runner = make(llm=ScriptedLLM([turn, "so far", "done"], by_calls=True), tool_registry=slow, config={"cancel_grace_s": 0.0})
    events = await collect(runner.run("go", tools=["stare"], limits={"max_wall_s": 0.4}))

    assert limit_of(events) == ("limit_reached", "max_wall_s", 0.4)
    assert results(events) == ["This call was stopped: the limit of this run, max_wall_s = 0.4, is reached."] * count
    assert [event.data["content"] for event in events if event.type == "conclusion"] == ["so far"]
    with pytest.raises(LimitNotRaised, match="max_wall_s"):
        await collect(runner.resume(id_of(events)))
    assert (await collect(runner.resume(id_of(events), limits={"max_wall_s": 60})))[-1].type == "trace_completed"
    await steps_of(store, id_of(events))


async def test_time_leaves_an_unsafe_tool_in_doubt_and_the_run_waits(make: Any, slow: ToolRegistry, store: Store, done: list[str]) -> None:
    turn = asks(tool_request("transfer", {"where": "x"}), tool_request("stare", {"where": "y"}))
    runner = make(llm=ScriptedLLM([turn, "so far"], by_calls=True), tool_registry=slow, config={"cancel_grace_s": 0.0})
    events = await collect(runner.run("go", tools=["stare", "transfer"], limits={"max_wall_s": 0.4}, enable_memory=False))
    (item,) = await runner.pending()
    assert (events[-1].type, item.reason, item.call_id) == ("trace_waiting", "in_doubt", "1.0")
    await runner.resolve(id_of(events), item.call_id, "retry")
    rest = await collect(make(llm=runner.llm_call, tool_registry=slow).resume(id_of(events)))

    assert limit_of(rest) == ("limit_reached", "max_wall_s", 0.4)
    assert sorted(done) == ["x", "y"], "the time was over, so that it was not tried again"
    await steps_of(store, id_of(events))


async def test_time_interrupts_a_model_that_does_not_answer(make: Any, store: Store) -> None:
    asked: list[int] = []

    async def model(messages: Any, model: str, tools: Any = None, **_: Any) -> Any:
        asked.append(len(messages))
        if tools is not None:
            await asyncio.Event().wait()
        return says("what I know")

    events = await collect(make(llm=model).run("go", tools=NAMES, limits={"max_wall_s": 0.3}))

    assert limit_of(events) == ("limit_reached", "max_wall_s", 0.3)
    assert types_of(events)[-2:] == ["conclusion", "limit_reached"]
    assert asked == [1, 2]
    assert events[-1].data["cost_is_partial"] is True, "what was cut off may be paid all the same"


async def test_a_final_answer_that_does_not_come_is_not_waited_for_either(make: Any) -> None:
    async def model(**_: Any) -> Any:
        await asyncio.Event().wait()

    events = await collect(make(llm=model, config={"final_answer_timeout_s": 0.05}).run("go", limits={"max_wall_s": 0.05}))

    assert limit_of(events) == ("limit_reached", "max_wall_s", 0.05)
    assert "conclusion" not in types_of(events)


async def test_the_time_that_a_dead_owner_drove_counts_and_the_wait_for_a_person_does_not(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("pay", {"to": "a"})), "done"], by_calls=True))
    events = await collect(runner.run("go", tools=NAMES, limits={"max_wall_s": 30}))
    decision = {"call_id": "2.0", "verdict": "approve"}
    sequence = events[-2].data["sequence"] + 2
    await store.traces.add_step(Step.create(id_of(events), "approval_decided", sequence, decision, created_at=now() + timedelta(hours=5)))

    assert (await collect(runner.resume(id_of(events))))[-1].type == "trace_completed"


def test_driven_time_is_that_of_owners_from_their_first_step_to_their_last() -> None:
    def at(seconds: float, kind: str, epoch: int, **data: Any) -> Step:
        return Step("s", "t", kind, 0, (), data, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds), epoch)

    steps = [
        at(0, "input", 1),
        at(5, "llm_call", 1, took_s=5.0),
        at(5, "approval_requested", 1),
        at(90_000, "approval_decided", 1),
        at(90_004, "llm_call", 2, took_s=3.0),  # the owner's first: what it took
        at(90_006, "tool_started", 2),
        at(80_000, "tool_call", 2),  # the clock was set back
        at(80_001, "conclusion", 2),
    ]

    assert driven_s(steps) == pytest.approx(5 + 3 + 2 + 0 + 1)
    assert driven_s([]) == 0.0
