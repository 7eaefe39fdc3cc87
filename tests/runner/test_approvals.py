"""Calls that wait for a person: decided once, by the first, bound to what was asked."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent import AgentRunner, AlreadyDecided, ToolContext, open_store
from agent.errors import ApprovalExpired, BadInput, HashMismatch, InDoubt, NotEditable, NotInDoubt, NotPending, TraceNotFound
from agent.events import AgentEvent
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

PAY = {"to": "ann", "amount": 5.0}


class Bank:
    """A registry with a tool that needs a person, one that does not, and one that hangs; and what they did."""

    def __init__(self) -> None:
        self.paid: list[dict[str, Any]] = []
        self.looked = 0
        self.tools = ToolRegistry()
        self.tools.register(self.pay, effect="unsafe", requires_confirmation=True, editable_params=["amount"])
        self.tools.register(self.look, effect="read")
        self.tools.register(self.hang, effect="unsafe", timeout_s=0.01)
        self.tools.register(self.brief, effect="unsafe", requires_confirmation=True, expires=1e-6)

    async def pay(self, to: str, amount: float) -> str:
        """Pay someone."""
        self.paid.append({"to": to, "amount": amount})
        return f"paid {amount} to {to}"

    async def look(self) -> str:
        """Look at the balance."""
        self.looked += 1
        return "100"

    async def hang(self) -> str:
        """Never return."""
        await asyncio.Event().wait()
        return "never"

    async def brief(self) -> str:
        """Wait for a person, but not for long."""
        self.paid.append({})
        return "too late"


@pytest.fixture(params=["memory://", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Any) -> AsyncIterator[Any]:
    async with open_store(request.param if "//" in request.param else f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        yield opened


@pytest.fixture
def bank() -> Bank:
    return Bank()


def runner_of(store: Any, bank: Bank, *lines: Any) -> AgentRunner:
    return AgentRunner(store.traces, tool_registry=bank.tools, llm_call=ScriptedLLM(lines))


async def run(runner: AgentRunner, *tools: str, **more: Any) -> list[AgentEvent]:
    return [event async for event in runner.run("pay ann", tools=list(tools), **more)]


async def resume(runner: AgentRunner, trace_id: str) -> list[AgentEvent]:
    return [event async for event in runner.resume(trace_id)]


def told(runner: AgentRunner) -> list[str]:
    assert isinstance(runner.llm_call, ScriptedLLM)
    return [m["content"] for m in runner.llm_call.calls[-1]["messages"] if m["role"] == "tool"]


async def test_an_approved_call_runs_once_as_asked_and_harmless_ones_did_not_wait(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY), tool_request("look")), "done")
    trace_id = (await run(runner, "pay", "look"))[-1].data["trace_id"]
    looked_before = bank.looked
    (item,) = await runner.pending()
    decided = await runner.decide(trace_id, item.call_id, "approve", by="eve", args_hash=item.args_hash)
    paid_before = list(bank.paid)

    events = await resume(runner, trace_id)

    assert (looked_before, paid_before) == (1, [])
    assert (item.tool_name, item.arguments, item.reason, item.editable_params) == ("pay", PAY, "confirmation", ("amount",))
    assert (decided.verdict, decided.decided_by) == ("approve", "eve")
    assert bank.paid == [PAY]
    assert events[-1].type == "trace_completed"
    assert await runner.pending() == []


async def test_an_edit_changes_only_what_may_be_edited_and_the_model_is_told(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY)), "done")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    (item,) = await runner.pending(trace_id=trace_id)
    with pytest.raises(NotEditable, match="to"):
        await runner.decide(trace_id, item.call_id, "edit", arguments={"to": "mallory"})
    with pytest.raises(BadInput, match="amount"):
        await runner.decide(trace_id, item.call_id, "edit", arguments={"amount": "7"})
    await runner.decide(trace_id, item.call_id, "edit", arguments={"amount": 7.0})

    await resume(runner, trace_id)

    assert bank.paid == [{"to": "ann", "amount": 7.0}]
    assert "changed the arguments" in told(runner)[0]
    steps = await store.traces.get_trace_steps(trace_id)
    assert next(s for s in steps if s.step_type == "tool_call").data["arguments"] == {"to": "ann", "amount": 7.0}


async def test_a_rejection_is_told_with_its_reason_and_the_same_request_is_not_asked_again(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY)), asks(tool_request("pay", PAY)), "gave up")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "reject", reason="too much")

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_completed"
    assert bank.paid == []
    assert "too much" in told(runner)[0]
    assert "refused exactly this call" in told(runner)[1]


async def test_a_response_takes_the_place_of_the_result(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY)), "done")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    await runner.decide(trace_id, (await runner.pending())[0].call_id, "respond", text="ask her for her account first")

    await resume(runner, trace_id)

    assert "ask her for her account first" in told(runner)[0]
    assert bank.paid == []


async def test_of_a_hundred_decisions_one_wins_and_the_call_runs_once(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY)), "done")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    (item,) = await runner.pending()

    outcomes = await asyncio.gather(*(runner.decide(trace_id, item.call_id, "approve", by=f"p{n}") for n in range(100)), return_exceptions=True)

    winners = [o for o in outcomes if not isinstance(o, BaseException)]
    assert len(winners) == 1
    lost = [o for o in outcomes if isinstance(o, AlreadyDecided)]
    assert len(lost) == 99
    assert {o.decision.by for o in lost} == {winners[0].decided_by}
    await resume(runner, trace_id)
    assert bank.paid == [PAY]
    with pytest.raises(AlreadyDecided):
        await runner.decide(trace_id, item.call_id, "reject")


async def test_partial_decisions_run_what_was_decided(store: Any, bank: Bank) -> None:
    second = {"to": "bob", "amount": 1.0}
    runner = runner_of(store, bank, asks(tool_request("pay", PAY), tool_request("pay", second)), "done")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    first_item, second_item = await runner.pending()
    await runner.decide(trace_id, second_item.call_id, "approve")

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_waiting"
    assert bank.paid == [second]
    assert [item.call_id for item in await runner.pending()] == [first_item.call_id]


async def test_a_request_that_nobody_decides_in_time_fails_closed(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("brief")), "done")
    trace_id = (await run(runner, "brief"))[-1].data["trace_id"]
    waiting = await runner.pending()
    if waiting:
        with pytest.raises(ApprovalExpired):
            await runner.decide(trace_id, waiting[0].call_id, "approve")

    await resume(runner, trace_id)

    assert bank.paid == []
    assert "in time" in told(runner)[0]
    steps = await store.traces.get_trace_steps(trace_id)
    assert [s.data["verdict"] for s in steps if s.step_type == "approval_decided"] == ["expired"]


async def test_a_decision_is_bound_to_the_arguments_and_to_the_tool(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY)), "done")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    (item,) = await runner.pending()
    with pytest.raises(HashMismatch):
        await runner.decide(trace_id, item.call_id, "approve", args_hash="0" * 64)
    await runner.decide(trace_id, item.call_id, "approve")
    other = Bank()
    other.tools.register(other.pay, name="pay", description="Pay someone, twice.", effect="unsafe", requires_confirmation=True, replace=True)

    events = await resume(runner_of(store, other, asks(tool_request("pay", PAY)), "done"), trace_id)

    assert events[-1].type == "trace_waiting"
    assert other.paid == []


async def test_what_does_not_wait_cannot_be_decided(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY)), "done")
    trace_id = (await run(runner, "pay"))[-1].data["trace_id"]
    (item,) = await runner.pending()

    with pytest.raises(NotInDoubt):
        await runner.resolve(trace_id, item.call_id, "done")
    with pytest.raises(NotPending):
        await runner.decide(trace_id, "99.0", "approve")
    with pytest.raises(TraceNotFound):
        await runner.decide("nowhere", item.call_id, "approve")
    with pytest.raises(TraceNotFound):
        await runner.decide(trace_id, item.call_id, "approve", uid="someone else")
    with pytest.raises(BadInput):
        await runner.decide(trace_id, item.call_id, "maybe")  # type: ignore[arg-type]  # what a caller may write
    with pytest.raises(BadInput, match="who did it"):
        await runner.decide(trace_id, item.call_id, "approve", by=5)  # type: ignore[arg-type]
    with pytest.raises(NotEditable, match="^5, to of 'pay'"):
        await runner.decide(trace_id, item.call_id, "edit", arguments={5: 5, "to": "me"})  # type: ignore[dict-item]
    assert bank.paid == []
    assert await runner.pending(trace_id=trace_id) == [item]


@pytest.mark.parametrize(
    ("outcome", "result", "expected"),
    [
        ("done", "sent at 9", "sent at 9"),
        ("not_done", None, "did not take effect"),
        ("done", None, "took effect"),
        ("done", {"ok": True}, '{"ok": true}'),
    ],
)
async def test_a_call_in_doubt_is_resolved_by_a_person(store: Any, bank: Bank, outcome: Any, result: Any, expected: str) -> None:
    runner = runner_of(store, bank, asks(tool_request("hang")), "done")
    trace_id = (await run(runner, "hang"))[-1].data["trace_id"]
    (item,) = await runner.pending()
    with pytest.raises(InDoubt):
        await runner.decide(trace_id, item.call_id, "approve")
    with pytest.raises(BadInput, match="at most 100000 characters"):
        await runner.resolve(trace_id, item.call_id, "done", result=["x" * 100_000])
    await runner.resolve(trace_id, item.call_id, outcome, result=result, by="eve")

    events = await resume(runner, trace_id)

    assert (item.reason, item.attempt) == ("in_doubt", 1)
    assert events[-1].type == "trace_completed"
    assert expected in told(runner)[0]


async def test_a_retry_is_a_new_attempt_with_the_same_key(store: Any, bank: Bank) -> None:
    keys: list[tuple[str, int]] = []

    async def once(ctx: ToolContext) -> str:
        """Hang the first time."""
        keys.append((ctx.idempotency_key, ctx.attempt))
        if len(keys) == 1:
            await asyncio.Event().wait()
        return "fine"

    bank.tools.register(once, effect="unsafe", timeout_s=0.01)
    runner = runner_of(store, bank, asks(tool_request("once")), "done")
    trace_id = (await run(runner, "once"))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.resolve(trace_id, item.call_id, "retry")

    events = await resume(runner, trace_id)

    assert events[-1].type == "trace_completed"
    assert [attempt for _, attempt in keys] == [1, 2]
    assert len({key for key, _ in keys}) == 1


async def test_a_cancelled_run_keeps_only_what_is_in_doubt_in_the_inbox(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("pay", PAY), tool_request("hang")), "done")
    trace_id = (await run(runner, "pay", "hang"))[-1].data["trace_id"]
    await runner.cancel(trace_id)

    (item,) = await runner.pending()

    assert item.reason == "in_doubt"
    await runner.resolve(trace_id, item.call_id, "not_done")
    assert await runner.pending() == []


async def test_with_automatic_execution_off_every_call_waits(store: Any, bank: Bank) -> None:
    runner = runner_of(store, bank, asks(tool_request("look")), "done")
    trace_id = (await run(runner, "look", auto_execute_tools=False))[-1].data["trace_id"]
    (item,) = await runner.pending()
    await runner.decide(trace_id, item.call_id, "approve")

    await resume(runner, trace_id)

    assert item.reason == "manual"
    assert bank.looked == 1


async def test_a_call_that_a_dead_owner_left_running_in_a_cancelled_run_is_in_doubt(tmp_path: Any, bank: Bank) -> None:
    begun = asyncio.Event()

    async def slow() -> str:
        """Begin, and never end."""
        begun.set()
        await asyncio.Event().wait()
        return "never"

    bank.tools.register(slow, effect="unsafe")
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as mine, open_store(f"sqlite:///{tmp_path / 'runs.db'}") as theirs:
        owner = runner_of(theirs, bank, asks(tool_request("slow")), "done")
        reading = asyncio.create_task(run(owner, "slow"))
        await asyncio.wait_for(begun.wait(), 10)
        (trace,) = await mine.traces.list_traces()
        driver = owner._engine.drivers[trace.trace_id]
        driver.interrupt = lambda: None  # type: ignore[method-assign]  # as if it died before it heard of the cancel
        runner = runner_of(mine, bank)
        await runner.cancel(trace.trace_id)

        (item,) = await runner.pending()
        await runner.resolve(trace.trace_id, item.call_id, "done", by="eve")

        assert (item.reason, item.tool_name) == ("in_doubt", "slow")
        assert await runner.pending() == []
        reading.cancel()
        await owner.aclose()
