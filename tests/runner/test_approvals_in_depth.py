"""Approvals where tools change meanwhile, arguments are nested, and models insist."""

import json
from typing import Any

import pytest
from tests.runner.conftest import Make

from agent.clock import now
from agent.errors import ApprovalExpired, BadInput, HashMismatch
from agent.events import AgentEvent
from agent.testing.scripted import asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

PAY = tool_request("pay", {"to": "ann"})


async def run(runner: Any, *tools: str, **more: Any) -> list[AgentEvent]:
    return [event async for event in runner.run("pay", tools=list(tools) or ["pay"], **more)]


async def resume(runner: Any, trace_id: str) -> list[AgentEvent]:
    return [event async for event in runner.resume(trace_id)]


def told(runner: Any) -> list[str]:
    return [m["content"] for m in runner.llm_call.calls[-1]["messages"] if m["role"] == "tool"]


# ---- the tool changes meanwhile


def changed(tools: ToolRegistry, **options: Any) -> None:
    tools.register(tools.get("pay").function, description="Pay someone, twice.", effect="unsafe", replace=True, **options)


@pytest.mark.parametrize("still_asks", [True, False])
async def test_a_request_about_a_tool_that_changed_is_asked_anew(make: Make, tools: ToolRegistry, done: list[str], still_asks: bool) -> None:
    runner = make(asks(PAY), "done")
    trace_id = (await run(runner))[-1].data["trace_id"]
    (old,) = await runner.pending()
    changed(tools, requires_confirmation=still_asks)
    with pytest.raises(HashMismatch, match="asks anew"):
        await runner.decide(trace_id, old.call_id, "approve")

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_waiting"
    (anew,) = await runner.pending()
    assert (anew.call_id, anew.reason, anew.arguments) == (old.call_id, "confirmation", {"to": "ann"})
    await runner.decide(trace_id, anew.call_id, "approve", args_hash=anew.args_hash)
    assert (await resume(runner, trace_id))[-1].type == "trace_completed"
    assert done == ["pay ann"]
    assert (await runner.replay(trace_id)).identical


async def test_a_request_whose_arguments_do_not_fit_the_changed_tool_is_refused(make: Make, tools: ToolRegistry, done: list[str]) -> None:
    runner = make(asks(PAY), "done")
    trace_id = (await run(runner))[-1].data["trace_id"]

    @tools.tool(name="pay", effect="unsafe", requires_confirmation=True, replace=True)
    async def pay(account: int) -> str:
        "Pay an account."
        done.append("wrong")
        return ""

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_completed"
    assert "account" in told(runner)[0]
    assert done == []


async def test_a_call_that_was_to_be_tried_again_and_is_asked_about_anew_heeds_the_answer(make: Make, tools: ToolRegistry, done: list[str]) -> None:
    runner = make(asks(tool_request("slow_pay")), "done")
    tools.register(tools.get("slow_pay").function, effect="unsafe", requires_confirmation=True, timeout_s=0.02, replace=True)
    trace_id = (await run(runner, "slow_pay"))[-1].data["trace_id"]
    (asked,) = await runner.pending()
    await runner.decide(trace_id, asked.call_id, "approve")
    await resume(runner, trace_id)
    (doubt,) = await runner.pending()
    await runner.resolve(trace_id, doubt.call_id, "retry")
    tools.register(tools.get("slow_pay").function, description="Other.", effect="unsafe", requires_confirmation=True, timeout_s=0.02, replace=True)
    await resume(runner, trace_id)
    (anew,) = await runner.pending()
    await runner.decide(trace_id, anew.call_id, "reject", reason="enough")

    events = await resume(runner, trace_id)

    assert (doubt.reason, anew.reason) == ("in_doubt", "confirmation")
    assert events[-1].type == "trace_completed"
    assert "enough" in told(runner)[0]


# ---- what is asked again


@pytest.mark.parametrize("again", ['{"amount": 1.0, "to": "ann"}', '{ "to": "ann", "amount": 1 }', '{"to": "\\u0061nn", "amount": 1e0}'])
@pytest.mark.parametrize(("language", "words"), [("en", "refused exactly this call"), ("zh", "已拒绝过完全相同的调用")])
async def test_an_equal_request_is_refused_unasked_however_it_is_written(
    make: Make, tools: ToolRegistry, done: list[str], again: str, language: str, words: str
) -> None:
    @tools.tool(effect="unsafe", requires_confirmation=True)
    async def give(to: str, amount: float) -> str:
        "Give."
        done.append("gave")
        return "gave"

    runner = make(asks(tool_request("give", '{"to": "ann", "amount": 1}')), asks(tool_request("give", again)), "done", config={"language": language})
    trace_id = (await run(runner, "give"))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "reject", reason="too much")

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_completed"
    assert "too much" in told(runner)[0]
    assert words in told(runner)[1]
    assert done == []


@pytest.mark.parametrize(("language", "words"), [("en", "A person changed the arguments"), ("zh", "执行前有人修改了参数")])
async def test_an_edit_is_told_in_the_language_of_the_run(make: Make, language: str, words: str) -> None:
    runner = make(asks(PAY), "done", config={"language": language})
    trace_id = (await run(runner))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "edit", arguments={"to": "bob"})

    await resume(runner, trace_id)

    assert words in told(runner)[0]
    assert '"bob"' in told(runner)[0]


async def test_what_expired_is_told_to_watchers_and_an_equal_request_is_not_asked_about_again(make: Make, tools: ToolRegistry, done: list[str]) -> None:
    @tools.tool(effect="unsafe", requires_confirmation=True, expires=1e-6)
    async def brief() -> str:
        "Wait, but not for long."
        done.append("too late")
        return ""

    runner = make(asks(tool_request("brief")), asks(tool_request("brief")), "done")
    events = await run(runner, "brief")
    if events[-1].type == "trace_waiting":
        events += await resume(runner, events[-1].data["trace_id"])

    decided = [event.data for event in events if event.type == "approval_decided"]
    assert [(d["verdict"], d["by"], d["tool_name"]) for d in decided] == [("expired", None, "brief")]
    assert events[-1].type == "trace_completed"
    assert "Nobody decided" in told(runner)[0]
    assert "Nobody decided about exactly this call in time before" in told(runner)[1]
    assert done == []


async def test_a_decision_after_the_expiry_fails_closed_and_says_so(make: Make, tools: ToolRegistry, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tools.register(tools.get("pay").function, effect="unsafe", requires_confirmation=True, expires=3600, replace=True)
    runner = make(asks(PAY), "done")
    trace_id = (await run(runner))[-1].data["trace_id"]
    (item,) = await runner.pending()
    assert item.expires_at is not None
    late = item.expires_at
    monkeypatch.setattr("agent.engine.approvals.now", lambda: late)
    with pytest.raises(ApprovalExpired):
        await runner.decide(trace_id, item.call_id, "approve")

    events = await resume(runner, trace_id)

    assert 3500 < (item.expires_at - now()).total_seconds() <= 3600
    assert events[-1].type == "trace_completed"
    assert done == []


async def test_watchers_are_told_of_decisions(make: Make, store: Any) -> None:
    runner = make(asks(PAY), "done")
    trace_id = (await run(runner))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "reject", reason="no", by="eve")
    await resume(runner, trace_id)

    (decided,) = [event.data async for event in runner.watch(trace_id) if event.type == "approval_decided"]

    assert {key: decided[key] for key in ("tool_name", "call_id", "verdict", "reason", "by")} == {
        "tool_name": "pay", "call_id": item.call_id, "verdict": "reject", "reason": "no", "by": "eve",
    }  # fmt: skip


# ---- edits


@pytest.fixture
def ship(tools: ToolRegistry, done: list[str]) -> None:
    @tools.tool(effect="unsafe", requires_confirmation=True, editable_params=["address", "count"])
    async def ship(address: dict[str, int | str], count: int, note: str = "") -> str:
        "Ship."
        done.append(json.dumps({"address": address, "count": count}))
        return "shipped"


SHIP = tool_request("ship", {"address": {"street": "Elm", "number": 5}, "count": 1})


@pytest.mark.usefixtures("ship")
@pytest.mark.parametrize(
    "arguments", [{"count": "2"}, {"count": 2.5}, {"count": True}, {"count": None}, {"address": {"street": ["Elm"]}}, {"address": '{"street": "Elm"}'}]
)
async def test_an_edit_of_another_type_is_refused_also_inside_of_objects(make: Make, done: list[str], arguments: dict[str, Any]) -> None:
    runner = make(asks(SHIP), "done")
    trace_id = (await run(runner, "ship"))[-1].data["trace_id"]
    (item,) = await runner.pending()

    with pytest.raises(BadInput):
        await runner.decide(trace_id, item.call_id, "edit", arguments=arguments)
    assert await runner.pending() == [item]
    await runner.decide(trace_id, item.call_id, "edit", arguments={"address": {"street": "Oak", "number": 7}})
    await resume(runner, trace_id)
    assert done == ['{"address": {"street": "Oak", "number": 7}, "count": 1}']


@pytest.mark.usefixtures("ship")
async def test_an_edit_of_another_type_that_nobody_could_check_is_asked_about_again(make: Make, store: Any, done: list[str]) -> None:
    runner = make(asks(SHIP), "done")
    trace_id = (await run(runner, "ship"))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await make(tool_registry=ToolRegistry()).decide(trace_id, item.call_id, "edit", arguments={"count": "2"})

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_waiting"
    (again,) = await runner.pending()
    assert (again.reason, again.arguments["count"]) == ("repaired_arguments", 2)
    await runner.decide(trace_id, again.call_id, "approve")
    assert (await resume(runner, trace_id))[-1].type == "trace_completed"
    assert done == ['{"address": {"street": "Elm", "number": 5}, "count": 2}']
    assert (await runner.replay(trace_id)).identical


async def test_a_secret_that_a_person_writes_into_an_edit_is_not_stored(make: Make, store: Any) -> None:
    runner = make(asks(PAY), "done", config={"secrets": {"PIN": "hunter2-hunter2"}})
    trace_id = (await run(runner))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "edit", arguments={"to": "ann hunter2-hunter2"})

    steps = await store.traces.get_trace_steps(trace_id)

    assert "hunter2" not in str(steps)
    assert "[secret:PIN]" in str(steps)


# ---- who is asked


@pytest.mark.parametrize("kind", ["raises", "later", "text", "ends"])
async def test_a_confirmation_rule_that_cannot_be_asked_asks(make: Make, tools: ToolRegistry, done: list[str], kind: str) -> None:
    async def soon() -> bool:
        return False

    def rule(arguments: dict[str, Any]) -> Any:
        if kind == "raises":
            raise RuntimeError("no")
        if kind == "ends":
            raise SystemExit(1)
        return soon() if kind == "later" else "perhaps"

    tools.register(tools.get("pay").function, effect="unsafe", requires_confirmation=rule, replace=True)
    runner = make(asks(PAY), "done")

    events = await run(runner)

    assert events[-1].type == "trace_waiting"
    assert done == []


async def test_calls_without_ids_and_with_equal_ones_are_asked_and_decided_each_for_itself(make: Make, done: list[str]) -> None:
    def named(call_id: Any, to: str) -> dict[str, Any]:
        return {"id": call_id, "type": "function", "function": {"name": "pay", "arguments": json.dumps({"to": to})}}

    calls = [named("a", "one"), named("a", "two"), named(None, "three"), named("", "four"), named(7, "five")]
    runner = make({"content": "", "tool_calls": calls, "cost": 0.0}, "done")
    events = await run(runner)
    (asked,) = [event.data for event in events if event.type == "awaiting_user_action"]
    items = await runner.pending()
    for item in items:
        verdict: Any = "approve" if item.arguments["to"] in ("two", "four") else "reject"
        await runner.decide(item.trace_id, item.call_id, verdict)

    ended = await resume(runner, items[0].trace_id)

    assert len({item.call_id for item in items}) == len(asked["editable_params"]) == 5
    assert asked["call_ids"] == [item.call_id for item in items]
    assert ended[-1].type == "trace_completed"
    assert sorted(done) == ["pay four", "pay two"]


async def test_a_thousand_calls_in_one_turn_all_wait_and_those_that_are_decided_run(make: Make, done: list[str]) -> None:
    runner = make(asks(*(tool_request("pay", {"to": str(n)}) for n in range(1000))), "done")
    events = await run(runner)
    items = await runner.pending()
    for item in (items[0], items[999], items[500]):
        await runner.decide(item.trace_id, item.call_id, "approve")

    ended = await resume(runner, items[0].trace_id)

    assert len(events[-1].data["call_ids"]) == len(items) == 1000
    assert ended[-1].type == "trace_waiting"
    assert len(await runner.pending()) == 997
    assert sorted(done) == ["pay 0", "pay 500", "pay 999"]


async def test_an_approval_has_all_its_fields(make: Make, tools: ToolRegistry) -> None:
    def rule(arguments: dict[str, Any], context: ToolContext) -> bool:
        return context.uid == "ada"

    tools.register(tools.get("pay").function, effect="unsafe", requires_confirmation=rule, editable_params=["to"], expires=60, replace=True)
    began = now()
    runner = make(asks(PAY), "done")
    trace_id = (await run(runner, uid="ada"))[-1].data["trace_id"]

    (item,) = await runner.pending(uid="ada")

    assert await runner.pending(uid="bob") == []
    assert (item.trace_id, item.tool_name, item.arguments, item.reason, item.detail, item.editable_params, item.uid) == (
        trace_id, "pay", {"to": "ann"}, "confirmation", None, ("to",), "ada",
    )  # fmt: skip
    assert item.asked_at is not None
    assert item.expires_at is not None
    assert abs((item.asked_at - began).total_seconds()) < 30
    assert len(item.args_hash) == 64
