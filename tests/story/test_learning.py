"""It learns: from what people say and decide, once, for their own uid, and it can be undone."""

from typing import Any

from tests.story.promises import keeps

from agent.models.memory import Experience
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request


def runner_of(store: Store, *lines: Any, memory: bool = True, **parts: Any) -> AgentRunner:
    """Return a runner that plays lines, one a call."""
    llm = ScriptedLLM(lines or ["done"] * 200, by_calls=True)
    return AgentRunner(store.traces, store.memories if memory else None, store.states, llm_call=llm, **parts)


async def answered(runner: AgentRunner, task: str = "Bill the client", **options: Any) -> tuple[str, str]:
    events = await collect(runner.run(task, **options))
    return events[0].data["trace_id"], next(event.data["step_id"] for event in events if event.type == "conclusion")


async def told(runner: AgentRunner, task: str = "Bill the client", uid: str = "shop") -> list[str]:
    events = await collect(runner.run(task, uid=uid))
    return next(event.data["experience_ids"] for event in events if event.type == "memory_loaded")


@keeps("words-are-told")
async def test_a_correction_is_told_to_the_next_run_and_leads_back_to_who_said_it(store: Store) -> None:
    async with runner_of(store) as runner:
        trace_id, answer = await answered(runner, uid="shop")
        learnt = await runner.add_feedback(trace_id, answer, "correction", "Bill in euros.", by="ada", uid="shop")
        ids = await told(runner)
        experience = await store.memories.get(ids[0], uid="shop")
        assert isinstance(experience, Experience)
        feedback = await store.traces.get_step(trace_id, experience.evidence[1], uid="shop")

    assert ids == [learnt]
    assert (experience.rule, experience.author, experience.state, experience.trust) == ("Bill in euros.", "ada", "active", "person")
    assert experience.evidence[0] == answer
    assert (feedback.step_type, feedback.data["by"], feedback.parent_ids) == ("feedback", "ada", (answer,))


@keeps("decisions-are-feedback")
async def test_a_refused_call_is_a_case_against_it_and_its_reason_an_experience(store: Store, tools: Any) -> None:
    request = asks(tool_request("pay", {"to": "eve"}))

    async with runner_of(store, request, "refused", tool_registry=tools) as runner:
        events = await collect(runner.run("Pay the bill", tools=["pay"], uid="shop"))
        trace_id = events[0].data["trace_id"]
        (waiting,) = await runner.pending()
        await runner.decide(trace_id, waiting.call_id, "reject", reason="Never pay Eve.", by="ada")
        await collect(runner.resume(trace_id))
    assert isinstance(store.memories, LearningStore)
    (case,) = await store.memories.cases(uid="shop")
    (learnt,) = await store.memories.list(uid="shop")
    (use,) = await store.memories.uses(trace_id=trace_id)
    assert isinstance(learnt, Experience)

    assert (case.tool, case.sign, case.signal, case.author) == ("pay", -1, "rejected", "ada")
    assert (learnt.kind, "Never pay Eve." in learnt.rule) == ("dont", True)
    assert (use.outcome, use.outcome_from) == (0.0, "rejected")


@keeps("returning-says-nothing")
async def test_a_run_that_merely_ended_teaches_nothing(store: Store, tools: Any) -> None:
    async with runner_of(store, asks(tool_request("look", {"where": "x"})), "done", tool_registry=tools) as runner:
        events = await collect(runner.run("look", tools=["look"]))
        await runner.memory.learn(events[0].data["trace_id"], even_unasked=True) if runner.memory else None
    assert isinstance(store.memories, LearningStore)
    (use,) = await store.memories.uses()

    assert await store.memories.cases() == []
    assert await store.memories.list() == []
    assert use.outcome is None


@keeps("learnt-once")
async def test_what_was_recorded_and_not_learnt_is_learnt_by_the_next_run(store: Store) -> None:
    async with runner_of(store, memory=False) as without:
        trace_id, answer = await answered(without, uid="shop")
        await without.add_feedback(trace_id, answer, "correction", "Bill in euros.", uid="shop")
    async with runner_of(store) as runner:
        ids = [await told(runner), await told(runner)]

    assert len(await store.memories.list()) == 1
    assert ids[0] == ids[1] != []


@keeps("nobody-elses-words")
async def test_fifty_words_of_another_uid_reach_no_prompt(store: Store) -> None:
    async with runner_of(store) as runner:
        for number in range(50):
            trace_id, answer = await answered(runner, uid="mallory")
            await runner.add_feedback(trace_id, answer, "correction", f"Bill the client to account {number}.", by="shop", uid="mallory")
            await runner.outcome(trace_id, 1.0, by="shop", uid="mallory")
        events = await collect(runner.run("Bill the client", uid="shop"))
        steps = await store.traces.get_trace_steps(events[0].data["trace_id"])

    assert "account" not in str([step.to_dict() for step in steps])
    assert await store.memories.list(uid="shop") == []


@keeps("taken-back")
async def test_what_was_said_can_be_taken_back_and_given_again(store: Store) -> None:
    async with runner_of(store) as runner:
        trace_id, answer = await answered(runner, uid="shop")
        learnt = await runner.add_feedback(trace_id, answer, "correction", "Bill in euros.", uid="shop")
        (given,) = await runner.feedback.list(trace_id, uid="shop")
        await runner.feedback.revoke(trace_id, given.feedback_id, uid="shop")
        without = await told(runner)
        again = await runner.feedback.restore(trace_id, given.feedback_id, uid="shop")

        assert without == []
        assert again == learnt
        assert await told(runner) == [learnt]
