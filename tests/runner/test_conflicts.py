"""The same again, nearly the same, the contrary: what becomes of a lesson beside those that are there."""

from typing import Any

import pytest

from agent.errors import BadInput, ExperienceNotFound
from agent.memory.conflicts import Conflicts
from agent.memory.memory import Memory
from agent.models.memory import Experience
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM


@pytest.fixture
def runner(make: Any) -> AgentRunner:
    made: AgentRunner = make(llm=ScriptedLLM(["done"] * 20, by_calls=True))
    return made


async def corrected(runner: AgentRunner, rule: str, task: str = "Bill the client", **options: Any) -> str:
    """Run a task, correct its answer, and return the id of what was learnt."""
    events = await collect(runner.run(task))
    answer = next(event.data["step_id"] for event in events if event.type == "conclusion")
    learnt = await runner.add_feedback(events[0].data["trace_id"], answer, "correction", rule, **options)
    assert learnt is not None
    return learnt


async def item(store: Store, experience_id: str) -> Experience:
    found = await store.memories.get(experience_id)
    assert isinstance(found, Experience)
    return found


async def active_in(store: Store) -> list[str]:
    return [one.experience_id for one in await store.memories.list(state="active") if isinstance(one, Experience)]


def conflicts_of(runner: AgentRunner) -> Conflicts:
    assert isinstance(runner.memory, Memory)
    assert runner.memory.conflicts is not None
    return runner.memory.conflicts


async def test_the_same_words_again_strengthen_what_is_known(runner: AgentRunner, store: Store) -> None:
    first = await corrected(runner, "Answer in euros.")
    before = await item(store, first)
    second = await corrected(runner, "  answer in EUROS ", task="bill the  client")
    after = await item(store, first)

    assert second == first
    assert len(await store.memories.list()) == 1
    assert after.evidence[:2] == before.evidence
    assert len(after.evidence) == 4
    assert after.confidence > before.confidence


async def test_feedback_taken_back_leaves_what_others_said_as_well(runner: AgentRunner, store: Store) -> None:
    learnt = await corrected(runner, "Answer in euros.")
    await corrected(runner, "Answer in euros.")
    newest, oldest = [trace.trace_id for trace in await store.traces.list_traces()]
    for n, trace_id in enumerate((newest, oldest)):
        (given,) = await runner.feedback.list(trace_id)
        await runner.feedback.revoke(trace_id, given.feedback_id)

        assert (await item(store, learnt)).state == ("active" if n == 0 else "retired")


async def test_the_contrary_closes_the_older_is_shown_as_a_diff_and_can_be_undone(runner: AgentRunner, store: Store) -> None:
    first = await corrected(runner, "Answer in dollars.", by="ada")
    second = await corrected(runner, "Answer in euros.", by="bob")
    closed = await item(store, first)
    (conflict,) = await conflicts_of(runner).list(uid="anonymous")
    back = await conflicts_of(runner).settle(first, "refuse", by="ada", uid="anonymous")

    assert (closed.state, closed.superseded_by, closed.valid_to is not None) == ("superseded", second, True)
    assert conflict.kind == "superseded"
    assert "- do: Answer in dollars." in conflict.diff
    assert "+ do: Answer in euros." in conflict.diff
    assert (back.experience_id, back.state) == (first, "active")
    assert (await item(store, second)).state == "retired"
    assert await conflicts_of(runner).list(uid="anonymous") == []


@pytest.mark.parametrize("is_edited", [False, True])
async def test_feedback_taken_back_brings_back_what_it_took_the_place_of_and_given_again_closes_it(is_edited: bool, runner: AgentRunner, store: Store) -> None:
    dollars = await corrected(runner, "Always use dollars.", by="ada")
    euros = await corrected(runner, "Always use euros.", by="bob")
    trace_id = (await store.traces.list_traces())[0].trace_id
    (given,) = await runner.feedback.list(trace_id)
    if is_edited:
        euros = await runner.feedback.edit(trace_id, given.feedback_id, content="Always use yen.") or ""
    for _ in range(2):
        await runner.feedback.revoke(trace_id, given.feedback_id)
        undone = [(await item(store, one)).state for one in (dollars, euros)]
        active = await active_in(store)
        assert await runner.feedback.restore(trace_id, given.feedback_id) == euros

        assert undone == ["active", "retired"]
        assert active == [dollars]
        assert (await item(store, dollars)).superseded_by == euros
        assert await active_in(store) == [euros]


async def test_a_lesson_taken_back_after_it_was_replaced_does_not_come_back_with_the_other(runner: AgentRunner, store: Store) -> None:
    for rule in ("Always use dollars.", "Always use euros."):
        await corrected(runner, rule)
    for trace in reversed(await store.traces.list_traces()):  # the older one first
        (given,) = await runner.feedback.list(trace.trace_id)
        await runner.feedback.revoke(trace.trace_id, given.feedback_id)

    assert [one.state for one in await store.memories.list()] == ["retired", "retired"]


@pytest.mark.parametrize("said", ["Thanks.", "不对", "Paris", "Politely."])
async def test_a_word_or_two_that_have_nothing_in_common_with_a_rule_stand_beside_it(said: str, runner: AgentRunner, store: Store) -> None:
    older = await corrected(runner, "Name the day of delivery as well, and who packed it.", by="ada")
    newer = await corrected(runner, said, by="bob")

    assert [(await item(store, one)).state for one in (older, newer)] == ["active", "active"]


async def test_what_speaks_of_something_else_stays_beside_it(runner: AgentRunner, store: Store) -> None:
    ids = [await corrected(runner, rule) for rule in ("Answer in euros.", "Name the day of delivery as well.")]

    assert [(await item(store, one)).state for one in ids] == ["active", "active"]
    assert await conflicts_of(runner).list(uid="anonymous") == []


@pytest.mark.parametrize("verdict", ["accept", "refuse"])
async def test_what_is_nearly_the_same_is_merged_only_by_a_person(verdict: Any, runner: AgentRunner, store: Store) -> None:
    first = await corrected(runner, "Name the date of delivery", task="Bill the client for the order")
    second = await corrected(runner, "Name the date of delivery and the hour", task="Bill the client for this order")
    (proposed,) = await conflicts_of(runner).list(uid="anonymous")
    told = await conflicts_of(runner).settle(proposed.conflict_id, verdict, by="ada", uid="anonymous")
    states = [(await item(store, one)).state for one in (first, second)]

    assert proposed.kind == "merge"
    if verdict == "refuse":
        assert (told.experience_id, states) == (second, ["active", "active"])
        assert await conflicts_of(runner).list(uid="anonymous") == []
    else:
        assert (told.rule, told.state, states) == ("Name the date of delivery and the hour", "active", ["retired", "superseded"])
        assert len(told.evidence) == 4
    with pytest.raises(ExperienceNotFound):
        await conflicts_of(runner).settle(proposed.conflict_id, verdict, uid="anonymous")


async def test_a_conflict_of_another_uid_is_not_shown_and_not_settled(runner: AgentRunner) -> None:
    first = await corrected(runner, "Answer in dollars.")
    await corrected(runner, "Answer in euros.")

    assert await conflicts_of(runner).list(uid="mallory") == []
    with pytest.raises(ExperienceNotFound):
        await conflicts_of(runner).settle(first, "refuse", uid="mallory")
    with pytest.raises(BadInput, match="accept or refuse"):
        await conflicts_of(runner).settle(first, "maybe", uid="anonymous")  # type: ignore[arg-type]  # on purpose
