"""What a caller asks of memory for one run, embeddings that order what was found, and forks that change it."""

import asyncio
from typing import Any

import pytest
from tests.memory.telling import LOOK, SCOPE, TASK, UID, Told, arms, case, rule, tools

from agent.config import AgentConfig
from agent.errors import BadInput, ExperienceNotFound
from agent.memory.memory import Memory
from agent.models.memory import Skill
from agent.models.payloads import Input
from agent.models.trace import Trace
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM

# ---- what a caller asks for


async def test_a_pinned_item_is_told_whatever_it_is_about_and_an_excluded_one_never(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    await memories.add_experience(rule("greetings", "say hello first", experience_id="p1", state="shadow"))
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    await memories.add_skill(Skill.create(SCOPE, "songs", "how to sing", "La la.", uid=UID, skill_id="k1"))
    read = await told.one(memory={"pinned": ["p1", "k1", "p1"], "excluded": ["a1", LOOK]})

    assert {"say hello first", "La la."} <= {line.split(": ")[-1] for line in read.block.splitlines()}
    assert "ask for the name" not in read.block
    assert arms(read) == {LOOK: "excluded", "p1": "injected", "a1": "excluded", "k1": "injected"}
    steps = await told.store.traces.get_trace_steps(told.trace_id)
    assert steps[0].data["memory"] == {"pinned": ["p1", "k1"], "excluded": ["a1", LOOK]}


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"pinned": ["nothing"]}, ExperienceNotFound, "nothing"),
        ({"pinned": ["theirs"]}, ExperienceNotFound, "theirs"),
        ({"excluded": ["theirs"]}, ExperienceNotFound, "theirs"),
        ({"pinned": ["gone"]}, BadInput, "retired"),
        ({"pinned": ["a1"], "excluded": ["a1"]}, BadInput, "both"),
        ({"pinned": "a1"}, BadInput, "list of ids"),
        ({"pin": ["a1"]}, BadInput, "pinned"),
        (["a1"], BadInput, "dict"),
        ({"pinned": [f"x{n}" for n in range(101)]}, BadInput, "100"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused_before_anything_is_recorded(
    asked: Any, error: type[Exception], said: str, told: Told, memories: LearningStore
) -> None:
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    await memories.add_experience(rule("a new card", "of another", experience_id="theirs", uid="bank"))
    await memories.add_experience(rule("a new card", "old", experience_id="gone", state="retired"))
    with pytest.raises(error, match=said):
        await told.one(memory=asked)

    assert await told.store.traces.list_traces() == []


async def test_to_ask_memory_for_items_in_a_run_without_memory_is_refused(told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    with pytest.raises(BadInput, match="reads none"):
        await told.one(memory={"pinned": ["a1"]}, enable_memory=False)


@pytest.mark.parametrize("withhold", [1.0, -0.1, float("nan")])
async def test_a_share_that_is_none_is_refused(withhold: float, told: Told) -> None:
    with pytest.raises(BadInput, match="withhold"):
        await told.one(config={"withhold": withhold})


async def test_a_first_step_that_anybody_wrote_stops_no_run(memories: LearningStore) -> None:
    trace = Trace.create(trace_id="run", mode="agent", task=TASK, agent_type="clerk", uid=UID)
    read = await Memory(memories, None, AgentConfig()).recall(trace, Input(task=TASK, memory={"pinned": 5, "excluded": [["x"], 7]}))

    assert read.error is None


# ---- embeddings


def _counted(texts: list[str]) -> list[list[float]]:
    return [[float(text.count("card")), float(text.count("lost") + text.count("gone"))] for text in texts]


async def _counted_later(texts: list[str]) -> list[list[float]]:
    await asyncio.sleep(0)
    return _counted(texts)


@pytest.mark.parametrize("embed", [_counted, _counted_later])
async def test_an_embedding_puts_what_was_found_in_order(embed: Any, told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("card card card", "about cards", experience_id="cards"))
    await memories.add_experience(rule("a card is gone", "gone " * 30, experience_id="gone"))
    without, read = (
        await told.one("lost card lost", config={"memory_relevance": 0.0}),
        await told.one("lost card lost", config={"embed": embed, "memory_relevance": 0.0}),
    )

    assert [one["experience_id"] for one in without.experiences] == ["cards", "gone"]
    assert [one["experience_id"] for one in read.experiences] == ["gone", "cards"]


@pytest.mark.parametrize("embed", [lambda _: 1 / 0, lambda texts: [[1.0]] * (len(texts) - 1), lambda texts: [[float("nan")]] * len(texts), lambda _: None])
async def test_an_embedding_that_fails_leaves_the_order_as_it_was(embed: Any, told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    read = await told.one(config={"embed": embed})

    assert [one["experience_id"] for one in read.experiences] == ["a1"]
    assert read.error is None


# ---- forks


async def test_a_fork_keeps_the_advice_unless_it_is_excluded(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    await told.one()
    llm = ScriptedLLM(["a", "b"])
    async with AgentRunner(told.store.traces, memories, tool_registry=tools(), llm_call=llm, config=AgentConfig(agent_type="clerk")) as runner:
        for excluded in (["a1"], [LOOK]):
            fork = await runner.fork(told.trace_id, 1, uid=UID, exclude_memory=excluded)
            await collect(runner.resume(fork))
        with pytest.raises(BadInput, match=LOOK):
            await runner.fork(told.trace_id, 1, uid=UID, exclude_memory=["nothing"])

    without_rule, without_advice = (str(call["messages"]) for call in llm.calls)
    assert LOOK in without_rule
    assert "ask for the name" not in without_rule
    assert LOOK not in without_advice
    assert "ask for the name" in without_advice
