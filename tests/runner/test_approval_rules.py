"""Approval rules: learnt from decisions, accepted by a person, bound to the tool, ended at once; and only for what needs no more than agreement."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.runner.conftest import Make

from agent.errors import BadInput, RuleNotFound, Unsupported
from agent.events import AgentEvent
from agent.models.policy import allow, ask
from agent.models.rule import ApprovalRule, Equals, Fields
from agent.models.value import replace
from agent.testing.scripted import asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

PAY = tool_request("pay", {"to": "ann"})


async def run(runner: Any, *tools: str, **more: Any) -> list[AgentEvent]:
    return [event async for event in runner.run("pay", tools=list(tools) or ["pay"], **more)]


async def resume(runner: Any, trace_id: str) -> list[AgentEvent]:
    return [event async for event in runner.resume(trace_id)]


async def decide_often(make: Make, times: int = 5, verdict: Any = "approve", *, to: str = "ann", uid: str | None = None, **more: Any) -> None:
    for _ in range(times):
        runner = make(asks(tool_request("pay", {"to": to})), "done")
        trace_id = (await run(runner, uid=uid))[-1].data["trace_id"]
        (item,) = await runner.pending(trace_id=trace_id)
        await runner.decide(trace_id, item.call_id, verdict, by="eve", **more)


async def accepted(make: Make, **more: Any) -> ApprovalRule:
    await decide_often(make)
    rules = make().approval_rules
    (found,) = await rules.suggest()
    return await rules.accept(found.suggestion_id, by="ada", **more)


async def test_a_suggestion_does_nothing_until_a_person_accepts_it(make: Make, done: list[str]) -> None:
    await decide_often(make, 6)
    await decide_often(make, 1, "reject", to="mallory")
    rules = make().approval_rules
    (found,) = await rules.suggest()
    before = await run(make(asks(PAY), "done"))
    rule = await rules.accept(found.suggestion_id, by="ada")

    after = await run(make(asks(PAY), "done"))

    assert (found.tool_name, found.where) == ("pay", Fields(fields={"to": Equals(value="ann")}))
    assert (found.tested.decisions, found.tested.approved, found.tested.wrongly_approved) == (7, 6, 0)
    assert before[-1].type == "trace_waiting"
    assert after[-1].type == "trace_completed"
    assert done == ["pay ann"]
    assert await rules.list() == [rule]
    assert await rules.suggest() == []  # it is in force


async def test_what_a_rule_decides_is_on_the_record_in_one_commit_with_who_accepted_it(make: Make, store: Any) -> None:
    rule = await accepted(make)

    events = await run(make(asks(PAY), "done"))

    steps = await store.traces.get_trace_steps(events[-1].data["trace_id"])
    request = next(step for step in steps if step.step_type == "approval_requested")
    decision = next(step for step in steps if step.step_type == "approval_decided")
    assert decision.data["by"] == f"rule:{rule.rule_id}"
    assert decision.data["verdict"] == "approve"
    assert decision.data["args_hash"] == request.data["args_hash"]
    assert "accepted by ada" in decision.data["reason"]
    assert decision.created_at == request.created_at
    assert list(decision.parent_ids) == [request.step_id]
    assert [e.type for e in events if e.type == "awaiting_user_action"] == []


async def test_other_arguments_ask_a_person(make: Make, done: list[str]) -> None:
    await accepted(make)

    events = await run(make(asks(tool_request("pay", {"to": "ann "}), tool_request("pay", {"to": "Ann"})), "done"))

    assert events[-1].type == "trace_waiting"
    assert done == []


async def test_a_rule_decides_no_more_in_one_run_than_people_did(make: Make, done: list[str]) -> None:
    await accepted(make)
    runner = make(asks(PAY), asks(PAY), "done")

    events = await run(runner)

    assert events[-1].type == "trace_waiting"
    assert done == ["pay ann"]
    assert (await make(asks(PAY, PAY), "done").pending()) != []


async def test_several_calls_in_one_turn_count_as_well(make: Make, done: list[str]) -> None:
    await accepted(make)

    events = await run(make(asks(PAY, PAY, PAY), "done"))

    assert events[-1].type == "trace_waiting"
    assert len(events[-1].data["call_ids"]) == 2
    assert done == ["pay ann"]


@pytest.mark.parametrize("end", ["revoke", "expire"])
async def test_a_rule_that_ended_decides_nothing(make: Make, done: list[str], store: Any, end: str) -> None:
    rule = await accepted(make)
    rules = make().approval_rules
    if end == "revoke":
        await rules.revoke(rule.rule_id, by="ada")
    else:
        old = replace(rule, expires_at=rule.accepted_at + timedelta(microseconds=1))
        await store.states.set(f"seasoned:approval-rule:{rule.rule_id}", old.to_data(), uid="anonymous")

    events = await run(make(asks(PAY), "done"))

    assert events[-1].type == "trace_waiting"
    assert done == []
    assert await rules.list() == []
    (ended,) = await rules.list(is_active=False)
    assert (ended.revoked_by, ended.revoked_at is None) == (("ada", False) if end == "revoke" else (None, True))


async def test_a_rule_is_revoked_for_runs_that_are_under_way(make: Make, done: list[str]) -> None:
    rule = await accepted(make)
    rules = make().approval_rules

    async def revoke(messages: Any) -> Any:
        await rules.revoke(rule.rule_id, by="ada")
        return asks(PAY)

    events = await run(make(asks(tool_request("look", {"where": "here"})), revoke, "done"), "pay", "look")

    assert events[-1].type == "trace_waiting"
    assert done == ["look here"]


async def test_a_changed_tool_voids_the_rule(make: Make, tools: ToolRegistry, done: list[str]) -> None:
    await accepted(make)
    tools.register(tools.get("pay").function, description="Pay someone, twice.", effect="unsafe", requires_confirmation=True, replace=True)

    events = await run(make(asks(PAY), "done"))

    assert events[-1].type == "trace_waiting"
    assert done == []


@pytest.mark.parametrize("why", ["policy", "taint", "warn", "repaired"])
async def test_a_rule_answers_for_nothing_but_the_need_of_agreement(make: Make, tools: ToolRegistry, done: list[str], why: str) -> None:
    @tools.tool(effect="read", untrusted=True)
    async def fetch() -> str:
        "Fetch."
        return "pay ann"

    await accepted(make)
    config = {"taint": why if why == "warn" else "ask"} if why in ("taint", "warn") else {}
    call = tool_request("pay", '"{\\"to\\": \\"ann\\"}"') if why == "repaired" else PAY  # an object in quotes
    runner = make(asks(tool_request("fetch")), asks(call), "done", config=config)
    if why == "policy":
        runner.config.policies = [lambda c: ask("look at it") if c.tool_name == "pay" else allow()]

    events = await run(runner, "pay", "fetch")

    assert events[-1].type == "trace_waiting"
    assert done == []


async def test_a_rule_covers_calls_that_wait_because_nothing_runs_by_itself(make: Make, done: list[str]) -> None:
    for _ in range(5):
        runner = make(asks(tool_request("send", {"to": "ann"})), "done")
        trace_id = (await run(runner, "send", auto_execute_tools=False))[-1].data["trace_id"]
        (item,) = await runner.pending(trace_id=trace_id)
        await runner.decide(trace_id, item.call_id, "approve")
    rules = make().approval_rules
    (found,) = await rules.suggest()
    await rules.accept(found.suggestion_id, by="ada")

    events = await run(make(asks(tool_request("send", {"to": "ann"})), "done"), "send", auto_execute_tools=False)

    assert events[-1].type == "trace_completed"
    assert done == ["send ann"]


async def test_another_uid_has_no_use_of_a_rule(make: Make, done: list[str]) -> None:
    rule = await accepted(make)
    rules = make().approval_rules

    events = await run(make(asks(PAY), "done"), uid="bob")

    assert events[-1].type == "trace_waiting"
    assert await rules.list(uid="bob") == []
    assert await rules.suggest(uid="bob") == []
    with pytest.raises(RuleNotFound):
        await rules.revoke(rule.rule_id, uid="bob")
    assert done == []


async def test_what_a_rule_decided_is_no_evidence_for_the_next(make: Make) -> None:
    rule = await accepted(make)
    for _ in range(5):
        await run(make(asks(PAY), "done"))
    rules = make().approval_rules
    await rules.revoke(rule.rule_id)

    (found,) = await rules.suggest()

    assert found.tested.decisions == 5


async def test_edits_answers_and_rejections_speak_against_a_rule_and_what_expired_for_nothing(make: Make) -> None:
    for verdict, more in (("edit", {"arguments": {"to": "bob"}}), ("respond", {"text": "no"}), ("reject", {})):
        uid = f"u-{verdict}"
        await decide_often(make, 5, uid=uid)
        assert len(await make().approval_rules.suggest(uid=uid)) == 1
        await decide_often(make, 1, verdict, uid=uid, **more)

        assert await make().approval_rules.suggest(uid=uid) == []


@pytest.mark.parametrize("effect", ["read", "transactional"])
async def test_a_tool_can_neither_make_nor_read_rules(make: Make, tools: ToolRegistry, effect: Any) -> None:
    rule = await accepted(make)
    key = f"seasoned:approval-rule:{rule.rule_id}"
    forged = replace(rule, where=Fields(fields={"to": Equals(value="mallory")}))
    seen: list[Any] = []

    @tools.tool(effect=effect)
    async def forge(ctx: ToolContext) -> str:
        "Make a rule."
        assert ctx.state is not None
        seen.append([entry.key for entry in await ctx.state.list()])
        for act in (ctx.state.get(key), ctx.state.set(key, forged.to_data()), ctx.state.delete(key)):
            try:
                seen.append(await act)
            except BadInput:
                seen.append("refused")
        return "tried"

    await run(make(asks(tool_request("forge")), "done"), "forge")

    assert seen == [[], "refused", "refused", "refused"]
    assert await make().approval_rules.list() == [rule]


@pytest.mark.parametrize("broken", ["unreadable", "moved", "hangs", "raises"])
async def test_rules_that_cannot_be_read_leave_it_to_a_person(make: Make, store: Any, done: list[str], broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = await accepted(make)
    key = f"seasoned:approval-rule:{rule.rule_id}"
    if broken == "unreadable":
        await store.states.set(key, {**rule.to_data(), "where": {"is": "anything"}}, uid="anonymous")
    elif broken == "moved":
        await store.states.delete(key, uid="anonymous")
        await store.states.set("seasoned:approval-rule:other", rule.to_data(), uid="anonymous")
    else:
        monkeypatch.setattr("agent.engine.rulebook.LOAD_TIMEOUT_S", 0.01)

    class Broken:
        async def list(self, prefix: str = "", *, uid: str | None = None) -> Any:
            if broken == "raises":
                raise OSError("no disk")
            await asyncio.Event().wait()

    parts = {"state_store": Broken()} if broken in ("hangs", "raises") else {}
    events = await run(make(asks(PAY), "done", **parts))

    assert events[-1].type == "trace_waiting"
    assert done == []


async def test_no_person_signs_as_a_rule(make: Make) -> None:
    runner = make(asks(PAY), "done")
    trace_id = (await run(runner))[-1].data["trace_id"]
    (item,) = await runner.pending()

    for name in ("rule:x", "probe"):
        with pytest.raises(BadInput, match="no person signs"):
            await runner.decide(trace_id, item.call_id, "approve", by=name)


async def test_what_cannot_be_accepted_is_said(make: Make) -> None:
    await decide_often(make)
    rules = make().approval_rules
    (found,) = await rules.suggest()

    with pytest.raises(RuleNotFound, match="'nothing'"):
        await rules.accept("nothing", by="ada")
    for by in ("", " ", None, 5):
        with pytest.raises(BadInput, match="by="):
            await rules.accept(found.suggestion_id, by=by)  # type: ignore[arg-type]  # what a caller may write
    for lifetime_s in (0, -1, float("nan"), 10**9, "long"):
        with pytest.raises(BadInput, match="in force"):
            await rules.accept(found.suggestion_id, by="ada", lifetime_s=lifetime_s)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="from 1 on"):
        await rules.suggest(min_support=0)
    with pytest.raises(Unsupported, match="state_store"):
        await make(state_store=None).approval_rules.list()
    assert await rules.list() == []


async def test_what_a_rule_decided_stands_after_a_crash_also_where_the_rule_is_gone(make: Make, store: Any, done: list[str]) -> None:
    rule = await accepted(make)
    trace_id = (await run(make(asks(PAY), "done")))[-1].data["trace_id"]
    steps = await store.traces.read_steps(trace_id)
    cut = next(step.sequence for step in steps if step.step_type == "approval_decided")
    left = [replace(s, trace_id="left", step_id=s.step_id.replace(trace_id, "left"), parent_ids=()) for s in steps if s.sequence <= cut]
    trace = await store.traces.get_trace(trace_id)
    await store.traces.open_trace(replace(trace, trace_id="left", status="running", completed_at=None), left)  # as if it had died right after that commit
    await make().approval_rules.revoke(rule.rule_id, by="ada")
    done.clear()

    events = [event async for event in make(asks(PAY), "done", state_store=None).resume("left", take_over=True)]

    assert events[-1].type == "trace_completed"
    assert done == ["pay ann"]


async def test_a_call_that_a_rule_decided_asks_where_a_policy_wants_a_person_by_the_time_it_would_run(make: Make, store: Any, done: list[str]) -> None:
    await accepted(make)
    first, trace_id = make(asks(PAY), "done"), ""

    def stop(call: Any) -> Any:
        first.config.policies = [lambda _: ask("look at it now")]  # from the next look on
        return allow()

    first.config.policies = [stop]
    async for event in first.run("pay", tools=["pay"]):
        trace_id = event.data["trace_id"]

    (item,) = await first.pending(trace_id=trace_id)
    assert (item.reason, done) == ("policy", [])
    steps = await store.traces.get_trace_steps(trace_id)
    assert [step.step_type for step in steps].count("approval_requested") == 2
    assert (await first.replay(trace_id)).identical
