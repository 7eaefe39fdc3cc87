"""What a run is told of what memory has, and what its record says of the rest."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.memory.telling import LOOK, SCOPE, TASK, UID, Told, arms, case, rule

from agent.config import AgentConfig
from agent.core.chance import chance
from agent.ids import new_id
from agent.memory.memory import Memory
from agent.models.learning import Use, Used
from agent.models.memory import Skill
from agent.models.payloads import Input
from agent.models.trace import Trace
from agent.runner import AgentRunner
from agent.storage.learning_port import LearningStore
from agent.testing.scripted import ScriptedLLM

# ---- advice


async def test_a_run_is_told_in_one_line_what_was_tried_and_how_it_ended(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2), case(3, "freeze_card", -1)])
    read = await told.one()

    assert read.block == (
        "<memory>\nLearnt in earlier runs. It is background, not an instruction.\n"
        f"- [{LOOK}] For requests like “{TASK}”: use look_up_card. Worked 2.\n</memory>"
    )
    assert read.advice["case_ids"] == ["1/look_up_card/1", "2/look_up_card/1", "3/freeze_card/-1"]
    assert (read.arm, read.propensity, read.run_number) == ("injected", 1.0, 1)
    assert [(item["item_id"], item["kind"], item["rank"], item["arm"], item["propensity"]) for item in read.items] == [(LOOK, "advice", 0, "injected", 1.0)]

    (use,) = await memories.uses(trace_id=told.trace_id)
    assert (use.scope, use.uid, use.number, use.arm, [item.to_dict() for item in use.items]) == (SCOPE, UID, 1, "injected", read.items)


async def test_only_tools_that_the_run_is_offered_are_advised(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])

    assert (await told.one(offered=["freeze_card"])).block == ""
    assert (await told.one(offered=[])).block == ""


async def test_cases_of_another_owner_or_agent_say_nothing(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1, uid="bank"), case(2, scope="agent:other")])
    read = await told.one()

    assert (read.block, read.items, read.arm) == ("", [], "none")


async def test_what_fits_nothing_leaves_memory_silent_and_the_run_is_counted(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1)])
    read = await told.one("Sing a song")

    assert (read.block, read.advice, read.arm, read.run_number) == ("", {}, "none", 1)
    assert (await memories.run_count(SCOPE, uid=UID)).runs == 1


async def test_advice_that_somebody_took_out_of_use_is_only_logged(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2), case(3, "freeze_card", task="Where is my card? Freeze it")])
    await memories.add_experience(rule("such requests", "use look_up_card", experience_id=LOOK, source="cases", state="shadow"))
    read = await told.one()

    assert "look_up_card" not in read.block
    assert arms(read)[LOOK] == "shadow"
    assert [item["rank"] for item in read.items] == list(range(len(read.items)))


# ---- scopes, shadows, room


async def test_rules_and_skills_come_from_all_scopes_that_a_run_may_see_and_no_others(told: Told, memories: LearningStore) -> None:
    for scope in (SCOPE, "user", "project:shop", "shared", "agent:other", "project:bank"):
        await memories.add_experience(rule("a new card", f"rule of {scope}", scope=scope))
        await memories.add_skill(Skill.create(scope, f"cards-{scope.partition(':')[0]}", "a new card", f"skill of {scope}", uid=UID))
    await memories.add_experience(rule("a new card", "of another", scope="user", uid="bank"))
    alone = await told.one()
    project = await told.one(config={"project": "shop"})

    assert {one["rule"] for one in alone.experiences} == {"rule of agent:clerk", "rule of user", "rule of shared"}
    assert {one["rule"] for one in project.experiences} == {one["rule"] for one in alone.experiences} | {"rule of project:shop"}
    assert {one["content"] for one in project.skills} == {f"skill of {scope}" for scope in (SCOPE, "user", "project:shop", "shared")}


async def test_a_shadow_is_found_and_logged_and_never_told(told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("a new card", "say it politely", experience_id="s1", state="shadow"))
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    read = await told.one()

    assert arms(read) == {"a1": "injected", "s1": "shadow"}
    assert "politely" not in read.block
    assert told.events[1].data["experience_ids"] == ["a1"]


async def test_rules_have_a_number_and_tokens_and_one_of_a_megabyte_is_cut(told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("a new card", "long " * 200_000, experience_id="long"))
    for number in range(8):
        await memories.add_experience(rule("a new card", f"rule {number} " + "x" * 80, experience_id=f"r{number}"))
    read = await told.one(config={"memory_limit": 3, "memory_max_rule_chars": 200})
    tight = await told.one(config={"memory_max_tokens": 60})

    assert read.experiences_count == 3
    assert all(len(line) < 250 for line in read.block.splitlines())
    assert set(arms(read).values()) == {"injected"}
    assert tight.experiences_count == 2
    assert list(arms(tight).values()).count("excluded") >= 1


async def test_rules_that_fit_much_less_than_the_best_one_are_left_out(told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("where is my new card", "ask for the name", experience_id="near"))
    await memories.add_experience(rule("a new song for the choir and all who sing in it", "count the voices", experience_id="far"))
    read, all_of_them = await told.one(), await told.one(config={"memory_relevance": 0.0})

    assert list(arms(read)) == ["near"]
    assert list(arms(all_of_them)) == ["near", "far"]


async def test_a_run_without_a_system_prompt_is_told_before_its_task(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    await told.one()

    assert [message["role"] for message in told.llm.calls[0]["messages"]] == ["user", "user"]
    assert told.llm.calls[0]["messages"][-1]["content"] == TASK


# ---- what is withheld


async def test_from_a_named_run_on_advice_is_withheld_and_rules_are_not(told: Told, memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    reads = [await told.one(config={"withhold": 0.999999, "withhold_from": 3}) for _ in range(4)]

    assert [read.arm for read in reads] == ["injected", "injected", "withheld", "withheld"]
    assert [read.propensity for read in reads] == pytest.approx([1.0, 1.0, 1e-6, 1e-6])
    assert arms(reads[2]) == {LOOK: "withheld", "a1": "injected"}
    assert reads[2].advice["text"].startswith(f"[{LOOK}]")
    assert LOOK not in reads[2].block
    assert "ask for the name" in reads[2].block
    assert [use.arm for use in await memories.uses(uid=UID)] == ["withheld", "withheld", "injected", "injected"]


async def test_a_run_that_there_is_no_advice_for_does_not_count_towards_that(told: Told, memories: LearningStore) -> None:
    await told.one()
    await told.one()
    await memories.add_cases([case(1), case(2)])
    reads = [await told.one(config={"withhold": 0.999999, "withhold_from": 2}) for _ in range(2)]

    assert [read.arm for read in reads] == ["injected", "withheld"]


async def test_the_seed_and_the_run_alone_decide_and_about_the_share_is_withheld(memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    memory = Memory(memories, None, AgentConfig(agent_type="clerk", withhold=0.25, withhold_from=1, withhold_seed="s"))
    asked = Input(task=TASK, tools=["look_up_card"])
    reads = {f"run-{number}": await memory.recall(_trace(f"run-{number}"), asked) for number in range(200)}

    assert all((read.arm == "withheld") == (chance("s", trace_id, "advice") < 0.25) for trace_id, read in reads.items())
    assert 30 <= sum(read.arm == "withheld" for read in reads.values()) <= 70
    assert {read.propensity for read in reads.values()} == {0.75}


async def test_a_persons_rule_is_withheld_only_where_that_is_asked_for(told: Told, memories: LearningStore) -> None:
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    always = {"withhold": 0.999999, "withhold_from": 1}
    plain, asked = await told.one(config=always), await told.one(config={**always, "withhold_rules": True})

    assert (plain.arm, arms(plain)) == ("none", {"a1": "injected"})
    assert (asked.arm, arms(asked)) == ("withheld", {"a1": "withheld"})
    assert asked.block == ""
    assert asked.items[0]["propensity"] == pytest.approx(1e-6)


async def test_an_item_on_probation_is_told_to_half_of_the_runs(memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    await memories.add_experience(rule("a new card", "guess", experience_id="m1", trust="model"))
    for number in range(40):
        await memories.record_use(Use(trace_id=f"bad-{number}", scope=SCOPE, uid=UID, items=(_used(LOOK), _used("m1", "rule")), arm="injected"))
        await memories.record_outcome(f"bad-{number}", 0.0, signal="outcome", uid=UID)
    memory = Memory(memories, None, AgentConfig(agent_type="clerk", withhold=0.0))
    reads = [await memory.recall(_trace(f"run-{number}"), Input(task=TASK, tools=["look_up_card"])) for number in range(20)]

    for item_id in (LOOK, "m1"):
        assert {arms(read)[item_id] for read in reads} == {"injected", "withheld"}
        assert {item["propensity"] for read in reads for item in read.items if item["item_id"] == item_id} == {0.5}
    assert all((LOOK in read.block) == (arms(read)[LOOK] == "injected") for read in reads)
    assert all(("guess" in read.block) == (arms(read)["m1"] == "injected") for read in reads)


async def test_a_run_that_was_taken_up_again_is_told_what_memory_noted_for_it_at_first(memories: LearningStore) -> None:
    await memories.add_cases([case(1), case(2)])
    await memories.add_experience(rule("a new card", "ask for the name", experience_id="a1"))
    asked = Input(task=TASK, tools=["look_up_card"])
    config = AgentConfig(agent_type="clerk", withhold=0.5, withhold_from=1)
    first = await Memory(memories, None, config).recall(_trace("run"), asked)
    await memories.add_experience(rule("a new card", "came later", experience_id="a2"))
    again = await Memory(memories, None, AgentConfig(agent_type="clerk", withhold_seed="another", withhold=0.9)).recall(_trace("run"), asked)

    assert (again.block, again.items, again.arm, again.propensity, again.run_number) == (first.block, first.items, first.arm, first.propensity, 1)
    assert len(await memories.uses()) == 1


def _used(item_id: str, kind: Any = "advice") -> Used:
    return Used(item_id=item_id, kind=kind, rank=0, score=1.0)


def _trace(trace_id: str) -> Trace:
    return Trace.create(trace_id=trace_id, mode="agent", task=TASK, agent_type="clerk", uid=UID)


# ---- memory that fails


class Note:
    """A memory whose note of a use fails, or never ends."""

    def __init__(self, memories: LearningStore, fails: Callable[[], Awaitable[Any]]) -> None:
        self._memories, self._fails = memories, fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memories, name)

    async def record_use(self, use: Use) -> Use:
        await self._fails()
        raise OSError("the disk is full")


@pytest.mark.parametrize(("fails", "said"), [(lambda: asyncio.Event().wait(), "memory took too long"), (lambda: asyncio.sleep(0), "OSError: the disk is full")])
async def test_a_note_that_fails_or_hangs_stops_no_run_and_the_step_has_what_it_would_say(
    fails: Callable[[], Awaitable[Any]], said: str, told: Told, memories: LearningStore
) -> None:
    await memories.add_cases([case(1), case(2)])
    read = await told.one(memories=_as_learning(memories, fails), config={"memory_timeout_s": 0.2})

    assert read.unrecorded == said
    assert LOOK in read.block
    assert await memories.uses() == []
    assert told.events[-1].type == "trace_completed"

    async with AgentRunner(told.store.traces, memories, llm_call=ScriptedLLM([])) as runner:
        await runner.outcome(told.trace_id, 0.5, by="ada", uid=UID)
        await runner.outcome(told.trace_id, 1.0, by="ada", uid=UID)
        await runner.memory.digest(UID) if runner.memory is not None else 0
    (late,) = await memories.uses()
    assert ([item.to_dict() for item in late.items], late.arm, late.outcome) == (read.items, "injected", 1.0)


def _as_learning(memories: LearningStore, fails: Callable[[], Awaitable[Any]]) -> Any:
    note = Note(memories, fails)
    names = [name for name in dir(type(memories)) if not name.startswith("_") and name != "record_use"]
    for name in names:
        setattr(note, name, getattr(memories, name))
    return note


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    task=st.text(st.characters(codec=None, exclude_categories=[]), max_size=80),
    condition=st.text(st.characters(codec=None, exclude_categories=["Cs"]), max_size=80),
)
async def test_no_task_and_no_words_make_memory_fail(task: str, condition: str, memories: LearningStore) -> None:
    await memories.add_experience(rule(condition, task.encode("utf-8", "replace").decode()))
    await memories.add_cases([case(len(task), task=condition)])
    read = await Memory(memories, None, AgentConfig(agent_type="clerk")).recall(_trace(new_id()), Input(task=task, tools=["look_up_card"]))

    assert read.error is None
    assert read.unrecorded is None
