"""What the run that a fork comes from did is not done again unasked, and a permission is used once."""

from typing import Any

from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry


def seen(llm: ScriptedLLM, number: int = -1) -> list[Any]:
    """Return the contents of the messages that a model saw."""
    return [message["content"] for message in llm.calls[number]["messages"]]


LOOK = asks(tool_request("look", {"where": "x"}))
SEND = asks(tool_request("send", {"to": "ann"}))
PAY = asks(tool_request("pay", {"to": "ann"}))


async def test_an_unsafe_call_that_the_parent_made_is_asked_about_before_it_is_made_again(make: Any, a_run: Any, store: Store, done: list[str]) -> None:
    runner, trace_id = await a_run(SEND, "the end")
    for at in (0, 1, 2):  # before it was asked for, asked for, announced
        fork_id = await runner.fork(trace_id, at)
        events = await collect(make(llm=ScriptedLLM([asks(tool_request("send", '{ "to":"ann" }')), "ok"])).resume(fork_id))
        (item,) = await runner.pending(trace_id=fork_id)

        assert done == ["send ann"]
        assert events[-1].type == "trace_waiting"
        assert (item.tool_name, item.arguments, item.reason) == ("send", {"to": "ann"}, "policy")
        assert f"run {trace_id}" in (item.detail or "")
        assert "made this call already (step 2" in (item.detail or "")
    await runner.decide(fork_id, item.call_id, "approve")
    await collect(make(llm=ScriptedLLM([SEND, "ok"])).resume(fork_id))
    assert done == ["send ann", "send ann"]


async def test_a_call_with_other_arguments_and_a_harmless_one_are_not_asked_about(make: Any, a_run: Any, done: list[str]) -> None:
    runner, trace_id = await a_run(asks(tool_request("send", {"to": "ann"}), tool_request("look", {"where": "x"})), "the end")
    fork_id = await runner.fork(trace_id, 0)
    again = asks(tool_request("send", {"to": "bob"}), tool_request("look", {"where": "x"}))
    events = await collect(make(again, "ok").resume(fork_id))

    assert events[-1].type == "trace_completed"
    assert sorted(done) == ["look x", "look x", "send ann", "send bob"]


async def test_a_call_that_the_fork_inherited_with_its_result_is_not_asked_about(make: Any, a_run: Any, done: list[str]) -> None:
    runner, trace_id = await a_run(SEND, "the end")
    fork_id = await runner.fork(trace_id, 3)
    await collect(make(llm=ScriptedLLM([SEND, "ok"], by_calls=True)).resume(fork_id))

    assert done == ["send ann", "send ann"]  # the model asks for one more, as it could have in the first run


async def test_what_a_grandparent_made_and_what_a_parent_makes_later_is_asked_about(make: Any, a_run: Any, store: Store, done: list[str]) -> None:
    runner, trace_id = await a_run(LOOK, SEND, "the end")
    child = await runner.fork(trace_id, 3)
    grandchild = await runner.fork(child, 4)
    early = await runner.fork(child, 2)
    await collect(make(llm=ScriptedLLM([asks(tool_request("send", {"to": "cleo"})), "ok"], by_calls=True)).resume(child))
    for fork_id in (grandchild, early):
        both = asks(tool_request("send", {"to": "ann"}), tool_request("send", {"to": "cleo"}))
        await collect(make(llm=ScriptedLLM([both, "ok"], by_calls=True)).resume(fork_id))
        details = [item.detail or "" for item in await runner.pending(trace_id=fork_id)]

        assert [trace_id in details[0], child in details[1], len(details)] == [True, True, 2]
    assert [step.trace_id for step in await store.traces.get_trace_steps(grandchild)][:6] == [trace_id] * 4 + [child] + [grandchild]
    assert done == ["look x", "send ann", "send cleo", "look x"]


async def test_what_a_parent_makes_while_the_fork_asks_its_model_is_asked_about(make: Any, a_run: Any, store: Store, done: list[str]) -> None:
    runner, trace_id = await a_run(LOOK, PAY)
    fork_id = await runner.fork(trace_id, 3)

    async def meanwhile(_: Any) -> Any:
        (item,) = await runner.pending(trace_id=trace_id)
        await runner.decide(trace_id, item.call_id, "approve")
        await collect(make(llm=ScriptedLLM(["the end"], by_calls=True)).resume(trace_id))
        return PAY

    await collect(make(llm=ScriptedLLM([meanwhile, "ok"], by_calls=True)).resume(fork_id))
    (item,) = await runner.pending(trace_id=fork_id)

    assert done == ["look x", "pay ann"]
    assert item.reason == "policy"


async def test_requests_of_a_waiting_run_wait_again_in_its_fork(make: Any, a_run: Any, store: Store, done: list[str]) -> None:
    runner, trace_id = await a_run(PAY)
    last = (await store.traces.head(trace_id)).next_sequence - 1
    fork_id = await runner.fork(trace_id, last)
    (item,) = await runner.pending(trace_id=fork_id)
    await runner.decide(trace_id, item.call_id, "approve")
    assert (await collect(make("ok").resume(fork_id)))[-1].type == "trace_waiting"
    await runner.decide(fork_id, item.call_id, "edit", arguments={"to": "bob"})
    for run in (trace_id, fork_id):
        await collect(make("the end", llm=ScriptedLLM(["the end"], by_calls=True)).resume(run))

    assert (item.trace_id, item.reason) == (fork_id, "confirmation")
    assert done == ["pay ann", "pay bob"]


async def test_a_permission_is_used_once_also_by_a_fork(make: Any, a_run: Any, store: Store, done: list[str]) -> None:
    runner, trace_id = await a_run(PAY)
    (item,) = await runner.pending(trace_id=trace_id)
    await runner.decide(trace_id, item.call_id, "approve")
    decided = (await store.traces.head(trace_id)).next_sequence - 1
    before = await runner.fork(trace_id, decided)
    await collect(make("the end", llm=ScriptedLLM(["the end"], by_calls=True)).resume(trace_id))
    after = await runner.fork(trace_id, decided)

    (early,), (late,) = await runner.pending(trace_id=before), await runner.pending(trace_id=after)
    assert (early.reason, late.reason) == ("confirmation", "policy")
    assert f"run {trace_id}" in (late.detail or "")
    assert done == ["pay ann"]


async def test_a_call_in_doubt_is_in_doubt_in_the_fork_and_resolved_there(make: Any, store: Store) -> None:
    runner = make(asks(tool_request("slow_pay", {})))
    events = await collect(runner.run("go", tools=["slow_pay"], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    fork_id = await runner.fork(trace_id, 3)
    (item,) = await runner.pending(trace_id=fork_id)
    await runner.resolve(fork_id, item.call_id, "done", result="it was paid")
    llm = ScriptedLLM(["ok"], by_calls=True)
    await collect(make(llm=llm).resume(fork_id))

    assert item.reason == "in_doubt"
    assert seen(llm)[-1] == "it was paid"
    assert [item.trace_id for item in await runner.pending()] == [trace_id]


async def test_an_idempotent_call_that_was_inherited_keeps_its_key(make: Any, a_run: Any, store: Store, tools: ToolRegistry) -> None:
    keys: list[tuple[str, str]] = []

    @tools.tool(effect="idempotent")
    async def put(ctx: ToolContext) -> str:
        "Put."
        keys.append((ctx.idempotency_key, ctx.step_id))
        return "ok"

    runner, trace_id = await a_run(asks(tool_request("put")), "the end", tools=["put"])
    child = await runner.fork(trace_id, 2)
    grandchild = await runner.fork(child, 3)
    for fork_id in (child, grandchild):
        await collect(make(llm=ScriptedLLM(["ok"], by_calls=True)).resume(fork_id))

    assert keys == [(f"{trace_id}/1.0", f"{trace_id}/1")] * 3


async def test_an_agent_that_the_parent_called_is_asked_about_and_then_carried_out_by_a_run_of_the_forks_own(
    make: Any, store: Store, done: list[str], tools: ToolRegistry
) -> None:
    tools.add_agent("helper", "Helps.", tools=["send"])

    def line(messages: list[dict[str, Any]]) -> Any:
        if messages[-1]["role"] == "tool":
            return "the end"
        return SEND if messages[-1]["content"] == "help" else asks(tool_request("helper", {"task": "help"}))

    runner = make(llm=ScriptedLLM([line, line]))
    events = await collect(runner.run("go", tools=["helper"], enable_memory=False))
    trace_id = events[0].data["trace_id"]
    for at in (0, 1, 3):
        fork_id = await runner.fork(trace_id, at)
        assert (await collect(runner.resume(fork_id)))[-1].type == "trace_waiting"
        (item,) = await runner.pending(trace_id=fork_id)
        assert (item.tool_name, item.reason) == ("helper", "policy")
    assert done == ["send ann"]
    await runner.decide(fork_id, item.call_id, "approve")
    assert (await collect(runner.resume(fork_id)))[-1].type == "trace_completed"

    assert done == ["send ann", "send ann"]
    assert await store.traces.get_trace(f"{fork_id}.{item.call_id}") is not None
