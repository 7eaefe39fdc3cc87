"""The table of endings: status, last events, what is raised, what is on the record."""

import asyncio
from typing import Any

import pytest

from agent.errors import BadInput, LimitNotRaised, ModelUnavailable, RunError, TraceNotFound
from agent.events import AgentEvent
from agent.runner import AgentRunner
from agent.storage.protocols import Store, TraceHead
from agent.storage.ram.traces import RamTraceStore
from agent.testing.listening import collect, read_until, types_of
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request
from agent.tools.registry import ToolRegistry

LOOK = asks(tool_request("look", {"where": "here"}))
PAY = asks(tool_request("pay", {"to": "ada"}))
SLOW_PAY = asks(tool_request("slow_pay"))


def id_of(events: list[AgentEvent]) -> str:
    trace_id: str = events[0].data["trace_id"]
    return trace_id


async def status(store: Store, trace_id: str) -> tuple[str, bool, str | None]:
    """Return status, whether the trace has an end, and its owner."""
    head = await store.traces.head(trace_id)
    return head.trace.status, head.trace.completed_at is not None, head.owner


async def do(runner: AgentRunner, act: str, trace_id: str, **options: Any) -> None:
    """Resume, watch, pause or cancel."""
    method = getattr(runner, act)
    if act in ("resume", "watch"):
        await collect(method(trace_id, **options))
    else:
        await method(trace_id, **options)


async def kinds(store: Store, trace_id: str) -> list[str]:
    return [step.step_type for step in await store.traces.read_steps(trace_id)]


async def test_an_answer_completes_the_run(make: Any, store: Store) -> None:
    events = await collect(make(LOOK, "done").run("go", tools=["look"], enable_memory=False))

    assert types_of(events) == ["trace_started", "llm_call_completed", "tool_executing", "tool_result", "llm_call_completed", "conclusion", "trace_completed"]
    assert await status(store, id_of(events)) == ("completed", True, None)
    assert await kinds(store, id_of(events)) == ["input", "llm_call", "tool_started", "tool_call", "llm_call", "conclusion"]
    assert events[-1].data == {"trace_id": id_of(events), "total_tokens": 30, "total_cost": 0.0, "cost_is_partial": False}


async def test_each_event_has_the_data_that_the_table_names(make: Any) -> None:
    events = await collect(make(LOOK, "done").run("go", tools=["look"], agent_type="clerk"))
    data = {event.type: event.data for event in events}
    durable = ["trace_started", "memory_loaded", "llm_call_completed", "tool_executing", "tool_result", "conclusion"]

    assert all(event.data["trace_id"] == id_of(events) for event in events)
    assert all({"step_id", "sequence"} <= data[name].keys() for name in durable)
    assert {"task": "go", "agent_type": "clerk"}.items() <= data["trace_started"].items()
    assert {"skills_count": 0, "experiences_count": 0, "experience_ids": []}.items() <= data["memory_loaded"].items()
    assert data["step_started"] == {"trace_id": id_of(events), "iteration": 1, "step_type": "llm_call"}
    assert {"content": "done", "tool_calls": None, "tokens": 15, "cost": 0.0}.items() <= data["llm_call_completed"].items()
    assert {"tool_name": "look", "arguments": {"where": "here"}, "call_id": "2.0"}.items() <= data["tool_executing"].items()
    assert {"tool_name": "look", "result": "seen here", "call_id": "2.0", "ok": True}.items() <= data["tool_result"].items()
    assert {"content": "done", "is_final": True, "output": None}.items() <= data["conclusion"].items()


async def test_a_run_waits_for_a_person_when_all_harmless_calls_are_done(make: Any, store: Store, done: list[str]) -> None:
    turn = asks(tool_request("pay", {"to": "ada"}), tool_request("look", {"where": "a"}), tool_request("look", {"where": "b"}))
    events = await collect(make(turn).run("go", tools=["look", "pay"], enable_memory=False))
    asked = next(event for event in events if event.type == "awaiting_user_action").data

    assert types_of(events)[-2:] == ["awaiting_user_action", "trace_waiting"]
    assert await status(store, id_of(events)) == ("waiting", False, None)
    assert sorted(done) == ["look a", "look b"]
    assert asked["confirmation_flags"] == [True, False, False]
    assert asked["call_ids"] == ["1.0", "1.1", "1.2"]
    assert asked["reasons"] == ["confirmation", None, None]
    assert [call["function"]["name"] for call in asked["tool_calls"]] == ["pay", "look", "look"]
    assert asked["tool_calls"] == events[2].data["tool_calls"] == turn["tool_calls"], "as the model gave them"
    assert asked["editable_params"] == dict(zip([call["id"] for call in turn["tool_calls"]], [["to"], [], []], strict=True))
    assert events[-1].data["call_ids"] == ["1.0"]


async def test_a_call_whose_end_is_unknown_makes_the_run_wait(make: Any, store: Store) -> None:
    events = await collect(make(SLOW_PAY).run("go", tools=["slow_pay"], enable_memory=False))
    asked = events[-2].data

    assert types_of(events)[-2:] == ["awaiting_user_action", "trace_waiting"]
    assert asked["reasons"] == ["in_doubt"]
    assert await status(store, id_of(events)) == ("waiting", False, None)
    assert (await kinds(store, id_of(events)))[-1] == "in_doubt"


async def test_at_the_limit_one_answer_without_tools_is_asked_for(make: Any, store: Store) -> None:
    llm = ScriptedLLM([LOOK, LOOK, "what I have"], by_calls=True)
    events = await collect(make(llm=llm).run("go", tools=["look"], max_iterations=2, enable_memory=False))

    assert types_of(events)[-2:] == ["conclusion", "limit_reached"]
    assert {"limit": "max_iterations", "value": 2}.items() <= events[-1].data.items()
    assert {"content": "what I have", "is_final": False}.items() <= events[-2].data.items()
    assert await status(store, id_of(events)) == ("limit_reached", True, None)
    assert [call["tools"] is None for call in llm.calls] == [False, False, True]


async def test_no_iterations_means_no_model_call_and_no_conclusion(make: Any, store: Store) -> None:
    llm = ScriptedLLM(["never"])
    events = await collect(make(llm=llm).run("go", max_iterations=0))

    assert types_of(events)[-1] == "limit_reached"
    assert "conclusion" not in types_of(events)
    assert llm.calls == []
    assert await status(store, id_of(events)) == ("limit_reached", True, None)


@pytest.mark.parametrize("bound", [-1, 1.5, True, "3"])
async def test_a_limit_that_is_no_number_of_calls_is_refused_before_anything_is_recorded(bound: Any, make: Any, store: Store) -> None:
    with pytest.raises(BadInput, match="max_iterations"):
        await collect(make("done").run("go", max_iterations=bound))

    assert await store.traces.list_traces() == []


async def test_a_run_at_its_limit_goes_on_with_a_raised_one_only(make: Any, store: Store) -> None:
    llm = ScriptedLLM([LOOK, "what I have", LOOK, "done"], by_calls=True)
    runner = make(llm=llm)
    trace_id = id_of(await collect(runner.run("go", tools=["look"], max_iterations=1, enable_memory=False)))
    with pytest.raises(LimitNotRaised, match="max_iterations"):
        await collect(runner.resume(trace_id))
    with pytest.raises(LimitNotRaised, match="more than 1"):
        await collect(runner.resume(trace_id, limits={"max_iterations": 1}))
    events = await collect(runner.resume(trace_id, limits={"max_iterations": 3}))

    assert types_of(events)[-1] == "trace_completed"
    assert await status(store, trace_id) == ("completed", True, None)
    assert llm.calls[2]["messages"][-1]["role"] == "user"
    assert llm.calls[2]["tools"]


async def test_a_cancelled_run_ends_for_good(make: Any, store: Store) -> None:
    runner = make(asks(tool_request("slow_look"), tool_request("slow_pay")), config={"cancel_grace_s": 0.0})
    runner.tools.get("slow_pay")
    stream = runner.run("go", tools=["slow_look", "slow_pay"], enable_memory=False)
    events = await read_until(stream, "tool_executing")
    await runner.cancel(id_of(events), by="me")
    rest = await collect(stream)

    assert (rest[-1].type, rest[-1].data["by"]) == ("trace_cancelled", "me")
    assert await status(store, id_of(events)) == ("cancelled", True, None)
    assert await collect(runner.resume(id_of(events))) == []
    await runner.cancel(id_of(events))
    with pytest.raises(RunError, match="nothing to pause"):
        await runner.pause(id_of(events))


async def test_cancelling_says_what_is_known_of_every_started_call(make: Any, store: Store, tools: ToolRegistry) -> None:
    both = asyncio.Event()

    @tools.tool(effect="unsafe")
    async def hang() -> str:
        "Hang."
        both.set()
        await asyncio.Event().wait()
        return ""

    @tools.tool(effect="read")
    async def hang_looking() -> str:
        "Hang."
        await asyncio.Event().wait()
        return ""

    runner = make(asks(tool_request("hang_looking"), tool_request("hang")), config={"cancel_grace_s": 0.01})
    stream = runner.run("go", tools=["hang", "hang_looking"], enable_memory=False)
    events = await read_until(stream, "tool_executing")
    await both.wait()
    await runner.cancel(id_of(events))
    await collect(stream)
    steps = await store.traces.read_steps(id_of(events))

    told = {step.data["call_id"]: step.step_type for step in steps if step.step_type in ("tool_call", "in_doubt")}
    assert told == {"1.0": "tool_call", "1.1": "in_doubt"}
    (cancelled,) = [step for step in steps if step.step_type == "cancelled"]
    assert cancelled.data["in_flight"] == ["1.0", "1.1"]


async def test_a_paused_run_is_not_resumed_by_itself_and_goes_on_when_told(make: Any, store: Store, done: list[str]) -> None:
    gate = asyncio.Event()

    async def wait(messages: Any) -> Any:
        await gate.wait()
        return LOOK

    runner = make(wait, "done")
    stream = runner.run("go", tools=["look"], enable_memory=False)
    events = await read_until(stream, "step_started")
    await runner.pause(id_of(events), by="me")
    gate.set()
    rest = await collect(stream)

    assert (rest[-1].type, rest[-1].data["by"]) == ("trace_paused", "me")
    assert await status(store, id_of(events)) == ("paused", False, None)
    assert done == []
    await runner.pause(id_of(events))
    assert types_of(await collect(runner.resume(id_of(events))))[-1] == "trace_completed"
    assert done == ["look here"]


async def test_a_failure_of_the_model_is_told_then_raised_and_can_be_tried_again(make: Any, store: Store) -> None:
    llm = ScriptedLLM([LOOK, ModelUnavailable("overloaded"), "done"], by_calls=True)
    runner = make(llm=llm)
    events: list[AgentEvent] = []
    with pytest.raises(ModelUnavailable, match="overloaded"):
        await collect(runner.run("go", tools=["look"], enable_memory=False), into=events)

    assert {"error": "overloaded", "error_type": "ModelUnavailable", "total_tokens": 15}.items() <= events[-1].data.items()
    trace = await store.traces.get_trace(id_of(events))
    assert trace is not None
    assert (trace.status, trace.total_tokens) == ("failed", 15), "what was used before it is not lost"
    assert types_of(await collect(runner.resume(id_of(events)))) == ["llm_call_completed", "conclusion", "trace_completed"]
    assert len(llm.calls) == 3


@pytest.mark.parametrize("error", [asyncio.CancelledError("within"), KeyboardInterrupt("stop"), SystemExit(3)])
async def test_a_model_that_cancels_itself_or_wants_to_end_the_program_fails_the_run(error: BaseException, make: Any, store: Store) -> None:
    events: list[AgentEvent] = []
    with pytest.raises((ModelUnavailable, KeyboardInterrupt, SystemExit)):
        await collect(make(error).run("go"), into=events)
    trace_id = events[0].data["trace_id"]
    trace = await store.traces.get_trace(trace_id)
    again = await collect(make("better").resume(trace_id))

    assert events[-1].type == "trace_failed"
    assert trace is not None
    assert trace.status == "failed"
    assert again[-1].type == "trace_completed"


@pytest.mark.parametrize("moment", ["trace_started", "step_started", "llm_call_completed", "tool_result"])
async def test_a_run_that_its_own_reader_cancels_is_cancelled_there(moment: str, make: Any, store: Store) -> None:
    runner = make(asks(tool_request("look", {"where": "a"})), "done")
    types: list[str] = []
    async for event in runner.run("go", tools=["look"]):
        if event.type == moment and "trace_cancelled" not in types and moment not in types:
            await runner.cancel(event.data["trace_id"])
        types.append(event.type)
    trace = await store.traces.get_trace(event.data["trace_id"])

    assert types[-1] == "trace_cancelled"
    assert trace is not None
    assert trace.status == "cancelled"


class SlowToLook(RamTraceStore):
    """A store that takes long to say where a trace stands: a quick run would end meanwhile."""

    async def head(self, trace_id: str) -> TraceHead:
        for _ in range(200):
            await asyncio.sleep(0)
        return await super().head(trace_id)


@pytest.mark.parametrize("moment", ["trace_started", "step_started", "llm_call_completed", "tool_result"])
@pytest.mark.parametrize(("act", "ending"), [("cancel", "trace_cancelled"), ("pause", "trace_paused")])
async def test_a_quick_run_does_not_end_while_a_cancel_or_a_pause_is_recorded(moment: str, act: str, ending: str, tools: ToolRegistry) -> None:
    async with AgentRunner(SlowToLook(), tool_registry=tools, llm_call=ScriptedLLM([asks(tool_request("look", {"where": "a"})), "done"])) as runner:
        types: list[str] = []
        async for event in runner.run("go", tools=["look"]):
            if event.type == moment and moment not in types:
                with pytest.raises(TraceNotFound):
                    await do(runner, act, event.data["trace_id"], uid="somebody else")
                await do(runner, act, event.data["trace_id"])
            types.append(event.type)

    assert types[-1] == ending


async def test_a_waiting_run_that_nobody_decided_tells_so_and_ends(make: Any, store: Store) -> None:
    runner = make(PAY)
    trace_id = id_of(await collect(runner.run("go", tools=["pay"], enable_memory=False)))
    before = await kinds(store, trace_id)
    events = await collect(runner.resume(trace_id))

    assert types_of(events) == ["trace_waiting"]
    assert await kinds(store, trace_id) == before


async def test_a_completed_run_yields_nothing_when_it_is_resumed(make: Any) -> None:
    runner = make("done")
    trace_id = id_of(await collect(runner.run("go")))

    assert await collect(runner.resume(trace_id)) == []
    with pytest.raises(RunError, match="nothing to cancel"):
        await runner.cancel(trace_id)


@pytest.mark.parametrize("act", ["resume", "watch", "pause", "cancel"])
async def test_a_run_that_is_not_there_is_named(act: str, make: Any) -> None:
    runner = make("unused")
    with pytest.raises(TraceNotFound, match="'nowhere'"):
        await do(runner, act, "nowhere")


@pytest.mark.parametrize("act", ["resume", "watch", "pause", "cancel"])
async def test_another_uids_run_is_as_if_it_were_not_there(act: str, make: Any) -> None:
    runner = make(PAY)
    trace_id = id_of(await collect(runner.run("go", tools=["pay"], uid="ada")))
    with pytest.raises(TraceNotFound):
        await do(runner, act, trace_id, uid="bob")


async def test_calls_that_are_not_to_be_executed_by_themselves_wait(make: Any, store: Store, done: list[str]) -> None:
    events = await collect(make(LOOK).run("go", tools=["look"], auto_execute_tools=False, enable_memory=False))

    assert types_of(events)[-2:] == ["awaiting_user_action", "trace_waiting"]
    assert events[-2].data["reasons"] == ["manual"]
    assert done == []
    assert "conclusion" not in await kinds(store, id_of(events))


async def test_totals_count_calls_that_were_repeated_and_say_when_the_cost_is_not_known(make: Any, store: Store) -> None:
    events = await collect(make(asks(tool_request("look", {"where": "a"}), cost=0.5), says("done", cost=None)).run("go", tools=["look"]))
    trace = await store.traces.get_trace(id_of(events))

    assert {"total_cost": 0.5, "cost_is_partial": True}.items() <= events[-1].data.items()
    assert trace is not None
    assert (trace.total_tokens, trace.total_cost, trace.cost_is_partial) == (30, 0.5, True)
