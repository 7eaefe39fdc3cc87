"""What people say of a run: on the record first, then learnt; changed, taken back and given again as new steps."""

from typing import Any

import pytest

from agent.errors import BadInput, FeedbackInvalid, StepNotFound, TraceNotFound
from agent.models.memory import Experience
from agent.models.trace import Trace
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request


async def answered(runner: AgentRunner, task: str = "bill a client", **options: Any) -> tuple[str, str]:
    """Return the trace and the answer's step of a run."""
    events = await collect(runner.run(task, **options))
    return events[0].data["trace_id"], next(e.data["step_id"] for e in events if e.type == "conclusion")


async def learnt_in(store: Store) -> list[Experience]:
    return [item for item in await store.memories.list() if isinstance(item, Experience)]


async def trace_of(store: Store, trace_id: str) -> Trace:
    trace = await store.traces.get_trace(trace_id)
    assert trace is not None
    return trace


async def state_of(store: Store, experience_id: str | None) -> str:
    item = await store.memories.get(experience_id or "")
    assert item is not None
    return item.state


async def told(runner: AgentRunner, task: str = "bill a client") -> list[str]:
    """Return the ids of what a new run is told."""
    events = await collect(runner.run(task))
    return next((e.data["experience_ids"] for e in events if e.type == "memory_loaded"), [])


async def test_an_edited_correction_takes_the_place_of_what_was_learnt_and_both_stay_on_the_record(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM(["done"] * 9))
    trace_id, answer = await answered(runner)
    first = await runner.add_feedback(trace_id, answer, "correction", "bill in dollars", by="ada")
    (given,) = await runner.feedback.list(trace_id)
    second = await runner.feedback.edit(trace_id, given.feedback_id, content="bill in euros", by="bob")
    steps = await store.traces.read_steps(trace_id)
    (now,) = await runner.feedback.list(trace_id)

    assert [step.step_type for step in steps[-4:]] == ["feedback", "memory_write", "feedback", "memory_write"]
    assert (await state_of(store, first), await state_of(store, second)) == ("superseded", "active")
    assert (now.content, now.by, now.versions, now.experience_id) == ("bill in euros", "bob", 2, second)
    assert await told(runner) == [second]


async def test_feedback_taken_back_retires_what_was_learnt_and_can_be_given_again(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM(["done"] * 9))
    trace_id, answer = await answered(runner)
    learnt = await runner.add_feedback(trace_id, answer, "correction", "bill in euros")
    (given,) = await runner.feedback.list(trace_id)
    await runner.feedback.revoke(trace_id, given.feedback_id, by="ada")
    await runner.feedback.revoke(trace_id, given.feedback_id, by="ada")
    after = (await state_of(store, learnt), await told(runner), (await runner.feedback.list(trace_id))[0].is_revoked)
    with pytest.raises(FeedbackInvalid, match="nothing is changed|says that already|not taken back") as refused:
        await runner.feedback.restore(*await _other(runner))

    assert after == ("retired", [], True)
    assert "not taken back" in str(refused.value)


async def _other(runner: AgentRunner) -> tuple[str, str]:
    trace_id, answer = await answered(runner, "water the plants")
    await runner.add_feedback(trace_id, answer, "positive", "good")
    return trace_id, (await runner.feedback.list(trace_id))[0].feedback_id


async def test_a_correction_turned_into_praise_is_told_no_more(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM(["done"] * 9))
    trace_id, answer = await answered(runner)
    learnt = await runner.add_feedback(trace_id, answer, "correction", "bill in euros")
    (given,) = await runner.feedback.list(trace_id)

    assert await runner.feedback.edit(trace_id, given.feedback_id, feedback_type="positive") is None
    assert await state_of(store, learnt) == "retired"


async def test_feedback_that_is_not_there_cannot_be_changed(make: Any, store: Store) -> None:
    runner = make("done")
    trace_id, answer = await answered(runner, uid="ada")
    await runner.add_feedback(trace_id, answer, "correction", "bill in euros")
    (given,) = await runner.feedback.list(trace_id)
    before = await store.traces.read_steps(trace_id)
    with pytest.raises(StepNotFound, match="no feedback"):
        await runner.feedback.revoke(trace_id, answer)
    with pytest.raises(TraceNotFound):
        await runner.feedback.revoke(trace_id, given.feedback_id, uid="bob")
    with pytest.raises(TraceNotFound):
        await runner.feedback.list(trace_id, uid="bob")
    with pytest.raises(FeedbackInvalid, match="needs words"):
        await runner.feedback.edit(trace_id, given.feedback_id, content=" ")
    with pytest.raises(FeedbackInvalid, match="says that already"):
        await runner.feedback.edit(trace_id, given.feedback_id, content="bill in euros")

    assert await store.traces.read_steps(trace_id) == before


async def test_feedback_is_not_lost_when_it_was_not_to_be_learnt_and_can_be_learnt_later(make: Any, store: Store) -> None:
    runner = make("done")
    trace_id, answer = await answered(runner, enable_memory=False)
    at_first = await runner.add_feedback(trace_id, answer, "correction", "bill in euros", extract_experience=False)
    unlearnt = await store.traces.list_traces(is_unlearnt=True)
    asked = await runner.memory.learn(trace_id)
    later = await runner.memory.learn(trace_id, even_unasked=True)
    again = await runner.memory.learn(trace_id, even_unasked=True)

    assert (at_first, unlearnt, asked) == (None, [], [])
    assert later == again
    assert [item.experience_id for item in await learnt_in(store)] == later


async def test_feedback_given_without_a_memory_is_learnt_by_the_next_who_has_one(make: Any, store: Store) -> None:
    without = AgentRunner(store.traces, llm_call=ScriptedLLM(["done"]))
    trace_id, answer = await answered(without)
    assert await without.add_feedback(trace_id, answer, "correction", "bill in euros") is None
    assert [trace.trace_id for trace in await store.traces.list_traces(is_unlearnt=True)] == [trace_id]
    ids = await told(make(llm=ScriptedLLM(["done"])))

    assert [item.experience_id for item in await learnt_in(store)] == ids
    assert await store.traces.list_traces(is_unlearnt=True) == []


async def test_a_memory_that_fails_to_learn_leaves_it_for_later_and_says_so(make: Any, store: Store, caplog: Any) -> None:
    class Away:
        """The store, but nothing can be added."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store.memories, name)

        async def add_experience(self, experience: Any) -> str:
            raise OSError("memory is away")

    runner = make(llm=ScriptedLLM(["done"]), memory_store=Away())
    trace_id, answer = await answered(runner)
    failed = await runner.add_feedback(trace_id, answer, "correction", "bill in euros")
    left = [trace.trace_id for trace in await store.traces.list_traces(is_unlearnt=True)]
    later = await make(llm=ScriptedLLM([])).memory.digest()

    assert failed is None
    assert "left for later" in caplog.text
    assert left == [trace_id]
    assert later == 1
    assert [item.rule for item in await learnt_in(store)] == ["bill in euros"]


async def test_a_forgotten_lesson_stays_forgotten_and_the_others_go_on_being_learnt(make: Any, store: Store, caplog: Any) -> None:
    runner = make(llm=ScriptedLLM(["done"] * 9))
    trace_id, answer = await answered(runner)
    gone = await runner.add_feedback(trace_id, answer, "correction", "Answer with the name of the city only.", by="ada")
    await store.memories.forget(gone)
    await runner.add_feedback(trace_id, answer, "correction", "Answer with the name of the city.", by="bob")
    first = (await runner.feedback.list(trace_id))[0].feedback_id
    await runner.feedback.revoke(trace_id, first)
    again = await runner.feedback.restore(trace_id, first)
    eves = await runner.add_feedback(trace_id, answer, "correction", "Write it in capitals.", by="eve")
    learnt = await runner.memory.learn(trace_id, even_unasked=True)

    assert again is None
    assert await state_of(store, eves) == "active"
    assert gone not in learnt
    assert eves in learnt
    assert await store.memories.get(gone) is None
    assert "was forgotten, and is not learnt again" in caplog.text
    assert "Traceback" not in caplog.text
    assert await store.traces.list_traces(is_unlearnt=True) == []


async def test_a_refusal_with_a_reason_is_learnt_without_being_asked_twice(make: Any, store: Store) -> None:
    llm = ScriptedLLM([asks(tool_request("pay", {"to": "eve"})), "refused", "done"])
    runner = make(llm=llm)
    events = await collect(runner.run("pay the bill", tools=["pay"]))
    trace_id = events[0].data["trace_id"]
    (waiting,) = await runner.pending()
    await runner.decide(trace_id, waiting.call_id, "reject", reason="Never pay Eve.", by="ada")
    await collect(runner.resume(trace_id))
    await runner.aclose()
    (learnt,) = await learnt_in(store)

    assert (learnt.kind, learnt.author, learnt.rule) == ("dont", "ada", "pay was refused: Never pay Eve.")
    assert learnt.evidence == (next(step.step_id for step in await store.traces.read_steps(trace_id) if step.step_type == "approval_decided"),)
    assert (await trace_of(store, trace_id)).learnt >= 0


async def test_the_outcome_of_a_run_is_a_step_and_a_number_from_0_to_1(make: Any, store: Store) -> None:
    runner = make("done")
    trace_id, _ = await answered(runner)
    await runner.outcome(trace_id, 1, by="ada")
    await runner.outcome(trace_id, 0.25)
    steps = await store.traces.read_steps(trace_id)
    for value in (1.5, -0.1, float("nan"), True, None, "1"):
        with pytest.raises(BadInput, match="from 0"):
            await runner.outcome(trace_id, value)
    with pytest.raises(TraceNotFound):
        await runner.outcome("nowhere", 1.0)
    with pytest.raises(TraceNotFound):
        await runner.outcome(trace_id, 1.0, uid="bob")

    assert [(step.step_type, step.data) for step in steps[-2:]] == [("outcome", {"value": 1.0, "by": "ada"}), ("outcome", {"value": 0.25})]
    assert await store.traces.read_steps(trace_id) == steps


async def test_a_run_that_says_nothing_is_not_learnt_from(make: Any, store: Store) -> None:
    runner = make(llm=ScriptedLLM([asks(tool_request("look", {"where": "x"})), "done"]))
    events = await collect(runner.run("look", tools=["look"]))
    trace = await trace_of(store, events[0].data["trace_id"])

    assert types_of(events)[-1] == "trace_completed"
    assert (trace.signalled, trace.learnt) == (-1, -1)


async def test_what_others_say_never_reaches_the_prompt_of_a_uid(make: Any, store: Store) -> None:
    llm = ScriptedLLM(["done"] * 120, by_calls=True)
    runner = make(llm=llm)
    for number in range(50):
        trace_id, answer = await answered(runner, "bill a client", uid="mallory")
        await runner.add_feedback(trace_id, answer, "correction", f"Bill a client to account {number} of mallory.", uid="mallory")
    llm.calls.clear()
    await collect(runner.run("bill a client", uid="ada"))

    assert len(await store.memories.list(uid="mallory")) >= 1
    assert await store.memories.list(uid="ada") == []
    assert [message["content"] for message in llm.calls[0]["messages"]] == ["bill a client"]
