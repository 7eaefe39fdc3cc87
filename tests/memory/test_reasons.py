"""Why a line stood in a prompt, back to the step it was learnt from, and what was learnt lately."""

from datetime import timedelta

import pytest
from tests.memory.conftest import SCOPE, UID, Runs

from agent.clock import now
from agent.config import AgentConfig
from agent.core.advice import item_id_of
from agent.errors import ExperienceNotFound, TraceNotFound
from agent.memory.reasons import MAX_EVIDENCE, Reasons
from agent.models.learning import Case, Use, Used
from agent.models.memory import Experience
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store
from agent.testing.scripted import ScriptedLLM


@pytest.fixture
def reasons(store: Store, memories: LearningStore) -> Reasons:
    return Reasons(memories, store.traces)


async def answered(store: Store, task: str, **config: object) -> tuple[str, str]:
    """Run a task; return the run and the step of its answer."""
    async with AgentRunner(store.traces, store.memories, llm_call=ScriptedLLM(["Ada ordered apples."]), config=AgentConfig(**config)) as runner:  # type: ignore[arg-type]  # from keywords
        events = [event async for event in runner.run(task, agent_type="clerk", uid=UID)]
    answer = next(event.data for event in events if event.type == "conclusion")
    return answer["trace_id"], answer["step_id"]


async def corrected(store: Store, trace_id: str, step_id: str) -> str:
    async with AgentRunner(store.traces, store.memories) as runner:
        experience_id = await runner.add_feedback(trace_id, step_id, "correction", "Name the day of delivery as well.", by="ada", uid=UID)
    assert experience_id is not None
    return experience_id


def told(item_id: str, kind: str = "rule") -> Used:
    return Used(item_id=item_id, kind="advice" if kind == "advice" else "rule", rank=0, score=0.4)


def case(number: int, *, tool: str = "pay", sign: int = 1) -> Case:
    return Case(
        case_id=f"case-{number:03}",
        scope=SCOPE,
        uid=UID,
        task=f"refund {number}",
        tool=tool,
        sign=1 if sign > 0 else -1,
        signal="correction",
        trace_id="run-0",
        step_id=f"run-0/{number}",
        author="ada",
    )


async def test_a_line_leads_back_to_the_words_it_was_learnt_from(store: Store, reasons: Reasons, runs: Runs) -> None:
    trace_id, step_id = await answered(store, "Which fruit did Ada order?")
    item_id = await corrected(store, trace_id, step_id)
    later = await runs.one(1.0, told(item_id))
    await runs.one(None, told(item_id))

    why = await reasons.why_item(item_id, uid=UID)

    assert why.says.endswith("Name the day of delivery as well.")
    assert (why.kind, why.state, why.source, why.author, why.trust) == ("rule", "active", "feedback", "ada", "person")
    assert why.evidence[0].step_id == step_id
    said = {one.step_type: one for one in why.evidence}
    assert said["conclusion"].says == "Ada ordered apples."
    assert (said["feedback"].says, said["feedback"].by) == ("Name the day of delivery as well.", "ada")
    assert all(one.trace_id == trace_id for one in why.evidence)
    assert (why.record.told, why.record.told_known, why.record.told_mean) == (2, 1, 1.0)
    assert later in [use.trace_id for use in why.uses]
    assert why.lift is not None
    assert why.lift.lift.verdict == "not_known"


async def test_a_feedback_leads_to_what_came_of_it(store: Store, memories: LearningStore, reasons: Reasons, runs: Runs) -> None:
    trace_id, step_id = await answered(store, "Which fruit did Ada order?")
    assert (await reasons.came_of(trace_id, step_id, uid=UID)).experiences == ()

    item_id = await corrected(store, trace_id, step_id)
    await runs.one(1.0, told(item_id))
    feedback = next(step for step in await store.traces.get_trace_steps(trace_id) if step.step_type == "feedback")

    for step in (step_id, feedback.step_id):
        (why,) = (await reasons.came_of(trace_id, step, uid=UID)).experiences
        assert (why.item_id, why.author, why.record.told_mean) == (item_id, "ada", 1.0)
    await memories.forget(item_id, by="ada", uid=UID)
    (gone,) = (await reasons.came_of(trace_id, feedback.step_id, uid=UID)).experiences
    assert (gone.item_id, gone.state, gone.says) == (item_id, "forgotten", "")
    with pytest.raises(TraceNotFound):
        await reasons.came_of(trace_id, step_id, uid="other")


async def test_another_uids_item_is_not_there(store: Store, reasons: Reasons) -> None:
    item_id = await corrected(store, *await answered(store, "Which fruit did Ada order?"))

    with pytest.raises(ExperienceNotFound):
        await reasons.why_item(item_id, uid="other")
    with pytest.raises(ExperienceNotFound):
        await reasons.why_item("exp-unknown", uid=UID)


async def test_a_run_says_what_became_of_each_item(store: Store, memories: LearningStore, reasons: Reasons) -> None:
    item_id = await corrected(store, *await answered(store, "Which fruit did Ada order?"))
    trace_id, _ = await answered(store, "Which fruit did Grace order?")
    await memories.record_use(Use(trace_id=trace_id, scope=SCOPE, uid=UID, items=(told(item_id), told("exp-gone"))))  # where recall did not do so before

    why = await reasons.why_run(trace_id, uid=UID)

    assert "Name the day of delivery as well." in why.block
    first = why.items[0]
    assert (first.arm, first.propensity, first.why.item_id, first.why.author) == ("injected", 1.0, item_id, "ada")
    assert first.why.evidence


async def test_a_run_without_memory_was_told_nothing(store: Store, reasons: Reasons) -> None:
    trace_id, _ = await answered(store, "Which fruit did Ada order?", enable_memory=False)

    why = await reasons.why_run(trace_id, uid=UID)

    assert (why.use, why.block, why.items) == (None, "", ())
    with pytest.raises(TraceNotFound):
        await reasons.why_run(trace_id, uid="other")


async def test_evidence_that_cannot_be_read_is_named_all_the_same(memories: LearningStore, reasons: Reasons) -> None:
    evidence = tuple(f"run-gone/{n}" for n in range(MAX_EVIDENCE + 3))
    item_id = await memories.add_experience(Experience.create(SCOPE, "", "Be brief.", evidence, uid=UID))

    why = await reasons.why_item(item_id, uid=UID)

    assert [one.step_id for one in why.evidence] == list(evidence[:MAX_EVIDENCE])
    assert why.evidence_left_out == 3
    assert {one.step_type for one in why.evidence} == {None}


async def test_advice_leads_back_to_its_cases(memories: LearningStore, reasons: Reasons, runs: Runs) -> None:
    await memories.add_cases([case(1), case(2), case(3, sign=-1), case(4, tool="mail")])
    item_id = item_id_of(SCOPE, UID, "pay")
    await runs.one(1.0, told(item_id, "advice"), arm="injected", propensity=0.9)

    why = await reasons.why_item(item_id, uid=UID)

    assert (why.kind, why.says) == ("advice", "pay: 2 cases for it, 1 against it")
    assert sorted((one.step_id, one.sign, one.by) for one in why.evidence) == [("run-0/1", 1, "ada"), ("run-0/2", 1, "ada"), ("run-0/3", -1, "ada")]
    with pytest.raises(ExperienceNotFound):
        await reasons.why_item(item_id, uid="other")


async def test_what_was_learnt_lately(memories: LearningStore, reasons: Reasons) -> None:
    begun = now() - timedelta(days=7)
    await memories.add_experience(Experience.create(SCOPE, "", "An old one.", uid=UID, created_at=begun - timedelta(days=1)))
    new = await memories.add_experience(Experience.create(SCOPE, "", "Be brief.", uid=UID, author="ada"))
    await memories.add_experience(Experience.create(SCOPE, "", "Of another.", uid="other"))
    await memories.add_cases([case(1), case(2), case(3, sign=-1), case(4, tool="mail")])

    learnt = await reasons.learnt_since(begun, uid=UID)

    assert [one.experience_id for one in learnt.experiences] == [new]
    assert (learnt.cases, learnt.cases_for, learnt.cases_against) == (4, {"pay": 2, "mail": 1}, {"pay": 1})
    assert [lift.scope for lift in learnt.lifts] == [SCOPE]
    assert not learnt.is_partial
    assert (await reasons.learnt_since(now() + timedelta(days=1), uid=UID)).experiences == ()
