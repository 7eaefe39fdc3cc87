"""Policy hooks: each can add a question or a refusal, none takes one back, and one that fails protects."""

import asyncio
import functools
from typing import Any

import pytest
from tests.runner.conftest import Make

from agent.errors import ConfigInvalid
from agent.events import AgentEvent
from agent.models.policy import PolicyCall, Ruling, allow, ask, deny
from agent.testing.scripted import asks, tool_request
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry

SEND = tool_request("send", {"to": "ann"})
PAY = tool_request("pay", {"to": "ann"})


def no_letters_to_bob(call: PolicyCall) -> Ruling:
    return deny("bob moved away") if call.arguments.get("to") == "bob" else allow()


def ask_for_letters(call: PolicyCall) -> Ruling:
    return ask("letters cost money") if call.tool_name == "send" else allow()


def always_allow(call: PolicyCall) -> Ruling:
    return allow()


def broken(call: PolicyCall) -> Ruling:
    raise RuntimeError("no connection")


async def run(runner: Any, *tools: str, **more: Any) -> list[AgentEvent]:
    return [event async for event in runner.run("write", tools=list(tools), **more)]


async def resume(runner: Any, trace_id: str, **more: Any) -> list[AgentEvent]:
    return [event async for event in runner.resume(trace_id, **more)]


def told(runner: Any) -> list[str]:
    return [m["content"] for m in runner.llm_call.calls[-1]["messages"] if m["role"] == "tool"]


async def test_a_policy_has_a_person_asked_and_says_which_and_why(make: Make, done: list[str]) -> None:
    runner = make(asks(SEND), "done", config={"policies": [ask_for_letters]})
    events = await run(runner, "send")
    (item,) = await runner.pending()
    before = list(done)
    await runner.decide(item.trace_id, item.call_id, "approve", by="eve")

    await resume(runner, item.trace_id)

    assert events[-1].type == "trace_waiting"
    assert next(e for e in events if e.type == "awaiting_user_action").data["reasons"] == ["policy"]
    assert (item.reason, before, done) == ("policy", [], ["send ann"])
    assert item.detail is not None
    assert "ask_for_letters: letters cost money" in item.detail


async def test_a_refusal_is_told_to_the_model_and_nobody_is_asked(make: Make, done: list[str]) -> None:
    runner = make(asks(tool_request("send", {"to": "bob"})), "done", config={"policies": [ask_for_letters, no_letters_to_bob]})

    events = await run(runner, "send")

    assert events[-1].type == "trace_completed"
    assert done == []
    assert "no_letters_to_bob: bob moved away" in told(runner)[0]
    (result,) = [e for e in events if e.type == "tool_result"]
    assert result.data["ok"] is False


async def test_no_policy_takes_back_what_the_tool_or_another_policy_asks_for(make: Make, done: list[str]) -> None:
    runner = make(asks(PAY, SEND), "done", config={"policies": [ask_for_letters, always_allow]})

    await run(runner, "pay", "send")

    assert [item.reason for item in await runner.pending()] == ["confirmation", "policy"]
    assert done == []


async def test_the_words_of_all_who_ask_are_kept(make: Make) -> None:
    runner = make(asks(SEND), config={"policies": [ask_for_letters, broken]})
    await run(runner, "send")

    (item,) = await runner.pending()

    assert item.detail is not None
    assert "letters cost money" in item.detail
    assert "broken: it failed with RuntimeError: no connection" in item.detail


def answers_none(call: PolicyCall) -> Any:
    return None


def answers_true(call: PolicyCall) -> Any:
    return True


def answers_a_word(call: PolicyCall) -> Any:
    return "allow"


def answers_another_word(call: PolicyCall) -> Ruling:
    return Ruling("maybe")  # type: ignore[arg-type]  # what an author may write


def answers_later(call: PolicyCall) -> Any:
    async def later() -> Ruling:
        return allow()

    return later()


def ends_the_program(call: PolicyCall) -> Ruling:
    raise SystemExit(3)


class Odd:
    def __repr__(self) -> str:
        raise ValueError("no words")


def answers_the_unprintable(call: PolicyCall) -> Any:
    return Odd()


@pytest.mark.parametrize(
    "policy", [broken, answers_none, answers_true, answers_a_word, answers_another_word, answers_later, ends_the_program, answers_the_unprintable]
)
async def test_a_policy_that_fails_or_says_something_else_has_a_person_asked(make: Make, done: list[str], policy: Any) -> None:
    runner = make(asks(SEND), config={"policies": [policy]})

    events = await run(runner, "send")

    assert events[-1].type == "trace_waiting"
    (item,) = await runner.pending()
    assert item.reason == "policy"
    assert item.detail is not None
    assert policy.__name__ in item.detail
    assert done == []


async def test_a_policy_sees_the_call_and_cannot_change_it(make: Make, done: list[str]) -> None:
    seen: list[PolicyCall] = []

    def look(call: PolicyCall) -> Ruling:
        seen.append(call)
        call.arguments["to"] = "mallory"
        return allow()

    runner = make(asks(SEND), "done", config={"policies": [look, look]})
    events = await run(runner, "send", uid="ada", agent_type="clerk", deps={"role": "boss", "key": "k-12345678"})

    call = seen[1]
    assert done == ["send ann"]
    assert (call.tool_name, call.effect, call.uid, call.agent_type, call.task, call.call_id) == ("send", "unsafe", "ada", "clerk", "write", "2.0")
    assert (call.trace_id, call.deps["role"]) == (events[-1].data["trace_id"], "boss")
    assert "k-12345678" not in repr(call)


async def test_an_edit_does_not_get_around_a_refusal(make: Make, done: list[str]) -> None:
    runner = make(asks(PAY), "done", config={"policies": [no_letters_to_bob]})
    await run(runner, "pay")
    (item,) = await runner.pending()
    await runner.decide(item.trace_id, item.call_id, "edit", arguments={"to": "bob"})

    events = await resume(runner, item.trace_id)

    assert events[-1].type == "trace_completed"
    assert done == []
    assert "bob moved away" in told(runner)[0]


async def test_a_person_cannot_approve_what_is_refused_by_the_time_it_would_run(make: Make, done: list[str]) -> None:
    runner = make(asks(PAY), "done")
    await run(runner, "pay")
    (item,) = await runner.pending()
    await runner.decide(item.trace_id, item.call_id, "approve")
    stricter = make(asks(PAY), "done", config={"policies": [lambda _: deny("closed")]})

    await resume(stricter, item.trace_id)

    assert done == []
    assert "closed" in told(stricter)[0]


async def test_a_run_that_began_under_a_policy_asks_where_it_is_missing(make: Make, done: list[str]) -> None:
    runner = make(asks(PAY), asks(SEND), "done", config={"policies": [always_allow]})
    await run(runner, "pay", "send")
    (item,) = await runner.pending()
    await runner.decide(item.trace_id, item.call_id, "approve")
    without = make(asks(PAY), asks(SEND), "done")

    events = await resume(without, item.trace_id)

    assert events[-1].type == "trace_waiting"
    (second,) = await without.pending()
    assert (second.tool_name, second.reason) == ("send", "policy")
    assert "always_allow: the run began under it, and this process does not have it" in str(second.detail)
    assert done == ["pay ann"]


@pytest.mark.parametrize("verdict", ["approve", "reject"])
async def test_a_harmless_call_that_is_begun_again_elsewhere_meets_the_policies_too(make: Make, tools: ToolRegistry, verdict: Any) -> None:
    began: list[int] = []
    has_begun = asyncio.Event()

    @tools.tool(effect="read")
    async def listen(ctx: ToolContext) -> str:
        "Listen until something is heard."
        began.append(ctx.attempt)
        has_begun.set()
        if len(began) == 1:
            await asyncio.Event().wait()
        return "heard"

    first = make(asks(tool_request("listen")), "done")
    reading = asyncio.create_task(run(first, "listen"))
    await asyncio.wait_for(has_begun.wait(), 10)
    await first.aclose()
    trace_id = (await reading)[-1].data["trace_id"]
    later = make(asks(tool_request("listen")), "done", config={"policies": [lambda _: ask("who listens?")]})
    await resume(later, trace_id)
    (item,) = await later.pending()
    began_before = list(began)
    await later.decide(trace_id, item.call_id, verdict)

    events = await resume(later, trace_id)

    assert (item.reason, began_before) == ("policy", [1])
    assert events[-1].type == "trace_completed"
    assert began == ([1, 2] if verdict == "approve" else [1])


@pytest.mark.parametrize(("policy", "words"), [("no", "is no function"), (functools.partial(print), None)])
async def test_what_cannot_be_a_policy_is_refused_before_anything_is_recorded(make: Make, store: Any, policy: Any, words: str | None) -> None:
    runner = make("done", config={"policies": [policy]})
    if words is None:
        await run(runner)
        return

    with pytest.raises(ConfigInvalid, match=words):
        await run(runner)
    assert await store.traces.list_traces() == []


async def test_an_async_policy_is_refused_before_anything_is_recorded(make: Make, store: Any) -> None:
    async def later(call: PolicyCall) -> Ruling:
        return allow()

    with pytest.raises(ConfigInvalid, match="must answer at once"):
        await run(make("done", config={"policies": [later]}))
    with pytest.raises(ConfigInvalid, match="off, warn, ask"):
        await run(make("done", config={"taint": "yes"}))
    assert await store.traces.list_traces() == []
