"""A lesson that does harm is found out by the runs that are told it and those that are not, and goes by itself."""

from collections.abc import Sequence
from typing import Any

from tests.memory.conftest import SCOPE, UID

from agent.core.advice import item_id_of
from agent.memory.credit import Credit
from agent.models.learning import Case
from agent.models.memory import Experience
from agent.models.value import replace
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.storage.protocols import Store
from agent.tools.registry import ToolRegistry

ENOUGH = 150
"""Runs after which harm as plain as this is found with near certainty; the median is about 25."""
RULE = "Answer refunds with no."


async def obedient(messages: Any, model: str, tools: Any = None, **kw: Any) -> Any:
    """A model that does what it is told, wrongly where it is told wrongly."""
    return {
        "content": "no" if any(RULE in str(message["content"]) or "use pay" in str(message["content"]) for message in messages) else "yes",
        "tool_calls": None,
    }


async def one_run(runner: AgentRunner, *, is_reported: bool = True, tools: Sequence[str] | None = None) -> bool:
    """Run a task and say how it went; return whether it went well."""
    events = [event async for event in runner.run("Can I have refunds?", agent_type="clerk", uid=UID, tools=tools)]
    answer = next(event.data for event in events if event.type == "conclusion")
    if is_reported:
        await runner.outcome(answer["trace_id"], float(answer["content"] == "yes"), by="ada", uid=UID)
    return bool(answer["content"] == "yes")


async def add(memories: LearningStore, trust: str) -> str:
    return await memories.add_experience(Experience.create(SCOPE, "refunds", RULE, source=trust, trust=trust, uid=UID))


async def state_of(memories: LearningStore, item_id: str) -> str:
    found = await memories.get(item_id, uid=UID)
    assert found is not None
    return found.state


async def test_a_models_lesson_that_does_harm_is_told_to_nobody_after_a_while(store: Store, memories: LearningStore) -> None:
    item_id = await add(memories, "model")
    async with AgentRunner(store.traces, memories, llm_call=obedient) as runner:
        runs = 0
        while await state_of(memories, item_id) == "active" and runs < ENOUGH:
            await one_run(runner)
            runs += 1

        assert await state_of(memories, item_id) == "shadow"
        assert all([await one_run(runner) for _ in range(5)])
    assert (await memories.history(item_id=item_id, uid=UID))[-1]["by"] == "quarantine"
    item = await Credit(memories).item(item_id, uid=UID)
    assert item is not None
    assert item.stage == "quarantine"
    assert item.lift.estimate is not None
    assert item.lift.estimate < 0
    assert 9 <= item.lift.certain < runs  # told to all until it was suspected


async def test_advice_from_cases_that_does_harm_is_told_to_nobody_after_a_while(store: Store, memories: LearningStore) -> None:
    item_id = item_id_of(SCOPE, UID, "pay")
    case = Case(case_id="case", scope=SCOPE, uid=UID, task="Can I have refunds?", tool="pay", sign=1, signal="approved", trace_id="run-0", step_id="run-0/1")
    await memories.add_cases([replace(case, case_id=f"case-{n}", trace_id=f"run-{n}", step_id=f"run-{n}/1") for n in range(5)])
    registry = ToolRegistry()
    registry.add("pay", {"type": "object", "properties": {}}, lambda: "paid", description="Pay.", effect="unsafe")
    async with AgentRunner(store.traces, memories, llm_call=obedient, tool_registry=registry) as runner:
        runs = 0
        while await memories.get(item_id, uid=UID) is None and runs < ENOUGH:
            await one_run(runner, tools=["pay"])
            runs += 1

        assert await state_of(memories, item_id) == "shadow"
        assert all([await one_run(runner, tools=["pay"]) for _ in range(5)])
        await Credit(memories).put_back(item_id, by="ada", uid=UID)
        assert not await one_run(runner, tools=["pay"])


async def test_a_persons_own_words_are_told_to_all_whatever_comes_of_them(store: Store, memories: LearningStore) -> None:
    item_id = await add(memories, "person")
    async with AgentRunner(store.traces, memories, llm_call=obedient) as runner:
        assert not any([await one_run(runner) for _ in range(40)])

    assert await state_of(memories, item_id) == "active"
    item = await Credit(memories).item(item_id, uid=UID)
    assert item is not None
    assert (item.stage, item.tosses, item.lift.certain, item.lift.verdict) == ("probation", 0, 40, "not_known")


async def test_runs_of_which_nobody_says_how_they_went_accuse_nothing(store: Store, memories: LearningStore) -> None:
    item_id = await add(memories, "model")
    async with AgentRunner(store.traces, memories, llm_call=obedient) as runner:
        assert not any([await one_run(runner, is_reported=False) for _ in range(30)])

    assert await state_of(memories, item_id) == "active"
