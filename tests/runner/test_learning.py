"""What a run says of itself becomes cases, and how it went; by the steps alone, once, and undone with them."""

from typing import Any

import pytest

from agent.models.learning import Case, Use
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request


@pytest.fixture
async def memories(store: Store) -> LearningStore:
    if not isinstance(store.memories, LearningStore):
        pytest.skip("this store keeps no cases yet")
    return store.memories


def summary(cases: list[Case]) -> list[tuple[str, int, float, str]]:
    return sorted((case.tool, case.sign, case.weight, case.signal) for case in cases)


async def ran(runner: Any, *tools: str, task: str = "find the order", **options: Any) -> tuple[str, list[Any]]:
    events = await collect(runner.run(task, tools=list(tools), **options))
    return events[0].data["trace_id"], events


async def use_of(memories: LearningStore, trace_id: str) -> Use:
    (use,) = await memories.uses(trace_id=trace_id)
    return use


async def test_a_correction_of_a_call_speaks_against_it_and_twice_for_what_is_named(make: Any, memories: LearningStore) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("look", {"where": "x"})), "done"]))
    trace_id, events = await ran(runner, "look")
    target = next(event.data["step_id"] for event in events if event.type == "tool_result")
    corrected = {"tool_name": "search", "arguments": {"q": "order 7"}}
    assert await runner.add_feedback(trace_id, target, "correction", "", corrected=corrected, by="ada") is None
    cases = await memories.cases(trace_id=trace_id)
    (right,) = [case for case in cases if case.sign == 1]

    assert summary(cases) == [("look", -1, 1.0, "correction"), ("search", 1, 2.0, "correction")]
    assert (right.task, right.scope, right.uid, right.author, right.trust, right.arguments) == (
        "find the order", "agent:default", "anonymous", "ada", "person", {"q": "order 7"}
    )  # fmt: skip
    assert await memories.list() == []


async def test_other_arguments_for_the_same_tool_speak_for_it(make: Any, memories: LearningStore) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("look", {"where": "x", "deep": True})), "done"]))
    trace_id, events = await ran(runner, "look")
    target = next(event.data["step_id"] for event in events if event.type == "llm_call_completed")
    await runner.add_feedback(trace_id, target, "correction", "", corrected={"arguments": {"where": "y"}})
    (case,) = await memories.cases(trace_id=trace_id)

    assert (case.tool, case.sign, case.weight, case.arguments) == ("look", 1, 2.0, {"where": "y", "deep": True})


async def test_feedback_taken_back_takes_its_cases_back_and_what_it_said_of_the_run(make: Any, memories: LearningStore) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("look", {"where": "x"})), "done"]))
    trace_id, events = await ran(runner, "look")
    target = next(event.data["step_id"] for event in events if event.type == "tool_result")
    await runner.add_feedback(trace_id, target, "negative", "not there")
    before = (summary(await memories.cases(trace_id=trace_id)), (await use_of(memories, trace_id)).outcome)
    (given,) = await runner.feedback.list(trace_id)
    await runner.feedback.revoke(trace_id, given.feedback_id)
    after = (await memories.cases(trace_id=trace_id), (await use_of(memories, trace_id)).outcome)
    await runner.feedback.restore(trace_id, given.feedback_id)
    again = (summary(await memories.cases(trace_id=trace_id)), (await use_of(memories, trace_id)).outcome)

    assert before == ([("look", -1, 1.0, "negative")], 0.0)
    assert after == ([], None)
    assert again == before


async def test_a_tool_that_returned_says_nothing_and_one_that_failed_speaks_against_itself_for_a_while(make: Any, memories: LearningStore) -> None:
    llm = ScriptedLLM([asks(tool_request("look", {"where": "x"})), asks(tool_request("broken")), "done"])
    runner = make(llm=llm)
    trace_id, _ = await ran(runner, "look", "broken")
    await runner.aclose()
    (case,) = await memories.cases(trace_id=trace_id)

    assert (case.tool, case.sign, case.signal, case.trust) == ("broken", -1, "tool_error", "verified_tool")
    assert case.valid_to is not None
    assert (case.valid_to - case.created_at).days == 30
    assert (await use_of(memories, trace_id)).outcome_from == "tool_error"


async def test_the_outcome_of_a_run_speaks_for_its_tools_where_nothing_more_exact_was_said(make: Any, memories: LearningStore) -> None:
    llm = ScriptedLLM([asks(tool_request("look", {"where": "x"})), asks(tool_request("send", {"to": "bob"})), asks(tool_request("broken")), "done"])
    runner = make(llm=llm)
    trace_id, _ = await ran(runner, "look", "send", "broken")
    await runner.outcome(trace_id, 0.0, by="ada")
    await runner.outcome(trace_id, 1.0, by="ada")
    cases = await memories.cases(trace_id=trace_id)
    use = await use_of(memories, trace_id)

    assert summary(cases) == [("broken", -1, 1.0, "tool_error"), ("look", 1, 0.5, "outcome"), ("send", 1, 0.5, "outcome")]
    assert (use.outcome, use.outcome_from, use.outcome_by) == (1.0, "outcome", "ada")


async def test_a_persons_decisions_on_calls_are_cases_and_tell_how_the_run_went(make: Any, memories: LearningStore) -> None:
    llm = ScriptedLLM([asks(tool_request("pay", {"to": "eve"})), asks(tool_request("pay", {"to": "bob"})), "done"])
    runner = make(llm=llm)
    trace_id, _ = await ran(runner, "pay")
    (first,) = await runner.pending()
    await runner.decide(trace_id, first.call_id, "edit", arguments={"to": "ann"}, by="ada")
    await collect(runner.resume(trace_id))
    (second,) = await runner.pending()
    await runner.decide(trace_id, second.call_id, "reject", by="ada")
    await collect(runner.resume(trace_id))
    await runner.aclose()
    cases = await memories.cases(trace_id=trace_id)
    use = await use_of(memories, trace_id)

    assert summary(cases) == [("pay", -1, 1.0, "rejected"), ("pay", 1, 1.0, "edited")]
    assert [case.arguments for case in cases if case.signal == "edited"] == [{"to": "ann"}]
    assert (use.outcome_from, use.outcome_by) == ("rejected", "ada")
    assert use.outcome is not None
    assert 0 < use.outcome < 0.5


async def test_learning_twice_changes_nothing(make: Any, memories: LearningStore, store: Store) -> None:
    llm = ScriptedLLM([asks(tool_request("look", {"where": "x"})), asks(tool_request("broken")), "done"])
    runner = make(llm=llm)
    trace_id, events = await ran(runner, "look", "broken")
    answer = next(event.data["step_id"] for event in events if event.type == "conclusion")
    await runner.add_feedback(trace_id, answer, "correction", "Say where.")
    before = (await memories.history(), await store.traces.read_steps(trace_id))
    await runner.memory.learn(trace_id, even_unasked=True)
    await runner.memory.learn(trace_id)

    assert (await memories.history(), await store.traces.read_steps(trace_id)) == before


async def test_a_run_without_memory_is_learnt_from_only_when_asked(make: Any, memories: LearningStore) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("broken")), "done"]))
    trace_id, _ = await ran(runner, "broken", enable_memory=False)
    await runner.memory.learn(trace_id)
    before = await memories.cases()
    await runner.memory.learn(trace_id, even_unasked=True)

    assert before == []
    assert summary(await memories.cases()) == [("broken", -1, 1.0, "tool_error")]


@pytest.mark.parametrize("verdict", ["approve", "edit"])
async def test_an_agreement_to_a_call_speaks_for_it_only_once_it_has_run(verdict: str, make: Any, memories: LearningStore) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("pay", {"to": "eve"})), "done"]))
    trace_id, _ = await ran(runner, "pay")
    (waiting,) = await runner.pending()
    await runner.decide(trace_id, waiting.call_id, verdict, by="ada", **({"arguments": {"to": "ann"}} if verdict == "edit" else {}))
    await runner.memory.learn(trace_id)
    before = await memories.cases(trace_id=trace_id)
    await collect(runner.resume(trace_id))
    await runner.aclose()

    assert before == []
    assert [(case.tool, case.sign) for case in await memories.cases(trace_id=trace_id)] == [("pay", 1)]


async def test_an_agreement_to_a_call_that_failed_does_not_speak_for_it(make: Any, memories: LearningStore, tools: Any) -> None:
    async def order(what: str) -> str:
        "Order."
        raise RuntimeError(f"no {what}")

    tools.tool(effect="unsafe", requires_confirmation=True)(order)
    runner = make(llm=ScriptedLLM([asks(tool_request("order", {"what": "lemons"})), "done"]))
    trace_id, _ = await ran(runner, "order")
    (waiting,) = await runner.pending()
    await runner.decide(trace_id, waiting.call_id, "approve", by="ada")
    await collect(runner.resume(trace_id))
    await runner.aclose()

    assert [case for case in await memories.cases(trace_id=trace_id) if case.sign > 0] == []
