"""The contract of `LearningStore`, one test for each sentence; it includes that of `MemoryCurator`, and is used like it."""
# ruff: noqa: PLR2004  # an expected number is a literal

from datetime import timedelta
from typing import Any

import pytest

from agent.clock import now
from agent.errors import BadInput, ExperienceNotFound
from agent.models.memory import Experience, Skill
from agent.models.value import replace
from agent.storage.learning_port import LearningStore
from agent.testing.contracts.curators import MemoryCuratorContract
from agent.testing.contracts.learner_samples import BEGIN, case, outcome, told
from agent.testing.contracts.learner_uses import ForgettingContract, UsesContract
from agent.testing.contracts.memories import found, lesson


class CasesContract:
    """Searching over scopes, kinds and states; cases."""

    async def test_several_scopes_are_searched_as_one_collection(self, store: LearningStore) -> None:
        """`search` returns what fits a query, best first; of several scopes as one collection."""
        for n, scope in enumerate(["agent:default", "user:u", "user:u", "agent:other"]):
            await store.add_experience(lesson("refund " + "card " * n, scope=scope, experience_id=f"e{n}"))
        scopes = ["user:u", "agent:default", "user:u", "nowhere", "\ud800"]
        both = await store.search("refund a card", scopes=scopes)

        assert {one.item.to_dict()["experience_id"] for one in both if isinstance(one.item, Experience)} == {"e0", "e1", "e2"}
        assert [one.score for one in both] == sorted((one.score for one in both), reverse=True)
        assert await told(store, scopes=[]) == []
        (alone,) = await store.search("refund a card", scopes=["agent:default"])
        assert alone.score != next(one.score for one in both if one.item == alone.item)

    async def test_what_is_told_has_the_scores_of_the_search_of_the_seed(self, store: LearningStore) -> None:
        """One scope and the defaults give what `search_experiences` gives; `limit` and `floor` cut it."""
        for n in range(6):
            await store.add_experience(lesson("refund " + "order " * n, uid=[None, "a", "b"][n % 3]))
        items = [one.item for one in await store.search("refund", scopes=["agent:default"], uid="a")]

        assert items == await store.search_experiences("agent:default", "refund", uid="a")
        assert len(items) == 4
        assert len(await told(store, "refund", uid="a", limit=2)) == 2
        assert await told(store, "refund", limit=-1) == await told(store, "refund", floor=2.0) == []

    async def test_items_in_other_states_are_found_when_asked_for(self, store: LearningStore) -> None:
        """`states`: active ones only, unless others are asked for."""
        for state in ("active", "shadow", "candidate", "retired"):
            await store.add_experience(lesson("refund", experience_id=state, state=state))

        assert await told(store, "refund") == ["active"]
        assert set(await told(store, "refund", states=("active", "shadow"))) == {"active", "shadow"}
        assert set(await told(store, "refund", states=["candidate", "retired", "shadow"])) == {"candidate", "retired", "shadow"}
        await store.set_state("shadow", "active")
        assert set(await told(store, "refund")) == {"active", "shadow"}
        assert await told(store, "refund", states=[]) == []

    async def test_a_strange_question_is_refused(self, store: LearningStore) -> None:
        """BadInput: the kind or a state is not known, or scopes is no list."""
        strange: list[dict[str, Any]] = [{"kind": "lesson"}, {"states": ["actve"]}, {"scopes": "agent:default"}, {"states": "active"}, {"limit": "2"}]

        assert [type(await outcome(store.search("refund", **{"scopes": ["s"]} | options))) for options in strange] == [BadInput] * 5

    async def test_cases_are_found_by_their_task(self, store: LearningStore) -> None:
        """`kind="case"`: by the task; of its own uid and nobody's; expired ones are left out."""
        late, early = now() + timedelta(hours=1), now() - timedelta(hours=1)
        cases = [case("c1"), case("c2", uid="a"), case("c3", uid="b"), case("c4", valid_to=late), case("c5", valid_to=early), case("c6", "another thing")]
        await store.add_cases(cases)

        assert set(await told(store, kind="case")) == {"c1", "c2", "c3", "c4"}
        assert set(await told(store, kind="case", uid="a")) == {"c1", "c2", "c4"}
        assert await told(store) == await told(store, kind="skill") == []
        assert await told(store, kind="case", scopes=["agent:other"]) == []
        (one,) = [one for one in await store.search("refund", scopes=["agent:default"], kind="case") if one.item == cases[0]]
        assert 0 < one.score < 1.5

    async def test_a_case_is_recorded_once(self, store: LearningStore) -> None:
        """An id that is known, or was forgotten, is passed over; the first stands."""
        first = case("c", arguments={"amount": 3, "to": ["x", None]}, author="Ann", weight=2.0, created_at=BEGIN)
        await store.add_cases([first, case("c", "another task"), case("d")])
        await store.add_cases([case("c", "a third task")])
        await store.forget("d")
        await store.add_cases([case("d"), case("e", created_at=BEGIN - timedelta(days=1))])

        assert await store.cases() == [first, case("e", created_at=BEGIN - timedelta(days=1))]
        assert [(entry["change"], entry["by"]) for entry in await store.history(item_id="c")] == [("added", "Ann")]

    async def test_of_cases_all_or_none_are_recorded(self, store: LearningStore) -> None:
        """BadInput where one cannot be: nothing was."""
        await store.add_experience(lesson("refund", experience_id="e"))
        bad: list[Any] = [
            case("", "x"),
            case("b", tool=""),
            case("b", sign=2),
            case("b", signal="mood"),
            case("b", weight=float("nan")),
            case("b", weight=-1.0),
            case("b", arguments=["x"]),
            case("b", "\ud800"),
            case("b", "x" * 3_000_000),
            case("e"),
            lesson("x"),
            None,
        ]

        assert [type(await outcome(store.add_cases([case("a"), one]))) for one in bad] == [BadInput] * len(bad)
        assert await store.cases() == []
        assert len(await store.history()) == 1

    async def test_cases_are_listed_newest_first_and_filtered(self, store: LearningStore) -> None:
        """`cases` returns them newest first; `before` is the id of the last one seen."""
        given = [
            case(f"c{n}", created_at=BEGIN + timedelta(minutes=n % 4), tool=f"t{n % 2}", trace_id=f"r{n % 3}", uid=[None, "a", "b"][n % 3]) for n in range(6)
        ]
        await store.add_cases([*given, case("far", scope="user:u", created_at=BEGIN)])

        async def ids(**options: Any) -> list[str]:
            """Return the ids of what is listed."""
            return [one.case_id for one in await store.cases(**options)]

        assert await ids(scopes=["agent:default"]) == ["c3", "c2", "c5", "c1", "c4", "c0"]
        assert await ids(uid="a", scopes=["agent:default", "user:u"]) == ["c3", "c1", "far", "c4", "c0"]
        assert await ids(tool="t1") == ["c3", "c5", "c1"]
        assert await ids(trace_id="r2", tool="t1") == ["c5"]
        assert await ids(limit=2, before="c2") == ["c5", "c1"]
        assert await ids(scopes=[]) == await ids(trace_id="\ud800") == []
        assert [await outcome(store.cases(before="c1", uid="b"))] != [[]]
        assert isinstance(await outcome(store.cases(before="nothing")), ExperienceNotFound)

    async def test_a_case_is_never_changed(self, store: LearningStore) -> None:
        """It is forgotten as a whole, and is neither an experience nor a skill."""
        await store.add_cases([case("c")])
        refused = [store.retire("c"), store.promote("c", by="Ann"), store.supersede("c", lesson("x")), store.edit("c", {}), store.set_state("c", "shadow")]

        assert [type(await outcome(operation)) for operation in refused] == [BadInput] * 5
        assert await store.get("c") is None
        assert await store.list() == []
        await store.forget("c", by="Ann")
        assert await store.cases() == []
        assert await told(store, kind="case") == []


class EditsContract:
    """Edits, states and undoing."""

    async def test_an_edit_is_a_new_version_under_the_same_id(self, store: LearningStore) -> None:
        """The older versions stay in the log; found by the new words only."""
        item = lesson("refund", "pay at once", uid="a", experience_id="e")
        await store.add_experience(item)
        after = await store.edit("e", {"rule": "ask first", "evidence": ["t/1"], "confidence": 0.9}, by="Ann", uid="a")

        assert after == replace(item, rule="ask first", evidence=("t/1",), confidence=0.9)
        assert await store.get("e") == after
        assert await store.edit("e", {"rule": "ask first"}, by="Bob") == after
        assert await found(store, "pay at once") == []
        log = await store.history(item_id="e")
        assert [(entry["change"], entry["by"], entry["item"]["rule"]) for entry in log] == [("added", None, "pay at once"), ("edited", "Ann", "ask first")]

    async def test_what_an_edit_may_not_change_is_refused(self, store: LearningStore) -> None:
        """BadInput or ExperienceNotFound: nothing was changed."""
        await store.add_experience(lesson("refund", experience_id="e", uid="a"))
        skill = await store.add_skill(Skill.create("s", "n", "", ""))
        before = await store.history()
        bad: list[Any] = [
            {"uid": "b"},
            {"state": "active"},
            {"colour": 1},
            {"confidence": 2},
            {"rule": None},
            {"kind": "maybe"},
            {"trust": "god"},
            {"rule": "\ud800"},
            [],
        ]

        assert [type(await outcome(store.edit("e", changes))) for changes in bad] == [BadInput] * len(bad)
        assert isinstance(await outcome(store.edit(skill, {"rule": "x"})), BadInput)
        assert [type(await outcome(store.edit(item_id, {}, uid="b"))) for item_id in ("e", "nothing")] == [ExperienceNotFound] * 2
        assert await store.history() == before

    async def test_a_state_is_set_with_a_reason(self, store: LearningStore) -> None:
        """`set_state` makes it candidate, shadow, active or retired; the same again changes nothing; who and why stays on the record."""
        item = lesson("refund", experience_id="e")
        await store.add_experience(item)
        for state in ("shadow", "shadow", "candidate", "active", "retired"):
            assert await store.set_state("e", state, by="Ann", reason=f"to {state}") == replace(item, state=state)

        log = [(entry["change"], entry["state"], entry["reason"], entry["by"]) for entry in await store.history()]
        assert log[1:] == [("state_set", state, f"to {state}", "Ann") for state in ("shadow", "candidate", "active", "retired")]
        bad: list[Any] = [("e", "superseded"), ("e", "actve"), ("e", None), ("nothing", "active")]
        refused = [type(await outcome(store.set_state(item_id, state))) for item_id, state in bad]
        assert refused == [BadInput, BadInput, BadInput, ExperienceNotFound]
        assert isinstance(await outcome(store.set_state("e", "active", reason="\ud800")), BadInput)
        new = await store.supersede("e", lesson("refund", "ask"))
        assert isinstance(await outcome(store.set_state("e", "active")), BadInput)
        assert (await store.set_state(new, "shadow")).state == "shadow"

    @pytest.mark.parametrize("state", ["active", "shadow"])
    async def test_what_was_superseded_is_restored_and_its_successor_retired(self, store: LearningStore, state: str) -> None:
        """It is again as it was before; its successor is then retired."""
        item = lesson("refund", "pay", experience_id="e", uid="a", state=state, valid_to=now() + timedelta(days=1))
        await store.add_experience(item)
        new = await store.supersede("e", lesson("refund", "ask first"), by="Ann", uid="a")

        assert await store.restore("e", by="Bob", uid="a") == item
        assert await store.get("e") == item
        successor = await store.get(new)
        assert successor is not None
        assert successor.state == "retired"
        assert [(entry["change"], entry["by"]) for entry in (await store.history())[-2:]] == [("restored", "Bob"), ("state_set", "Bob")]
        assert await told(store, "refund", states=("active", "shadow")) == ["e"]
        assert [type(await outcome(store.restore(one, uid=uid))) for one, uid in (("e", "a"), ("e", "b"), ("x", None))] == [BadInput] + [ExperienceNotFound] * 2

    async def test_what_was_retired_is_restored_with_what_was_edited_since(self, store: LearningStore) -> None:
        """Retired by either way; an edit meanwhile is kept."""
        await store.add_experience(lesson("refund", experience_id="e", state="shadow"))
        await store.retire("e", by="Ann")
        assert (await store.restore("e")).state == "shadow"
        await store.set_state("e", "retired", reason="wrong")
        await store.edit("e", {"rule": "better"})
        restored = await store.restore("e")

        assert (restored.state, restored.rule) == ("shadow", "better")

    async def test_of_a_row_of_successors_the_last_is_restored_first(self, store: LearningStore) -> None:
        """BadInput while the successor was superseded in its turn: two would speak at once."""
        for item_id, successor in (("a", "b"), ("b", "c")):
            await store.add_experience(lesson("refund", experience_id=item_id))
            await store.supersede(item_id, lesson("refund", successor, experience_id=successor))

        assert isinstance(await outcome(store.restore("a")), BadInput)
        await store.restore("b")
        await store.restore("a")
        states = {item.experience_id: item.state for item in await store.list() if isinstance(item, Experience)}
        assert states == {"a": "active", "b": "retired", "c": "retired"}


class LearningStoreContract(MemoryCuratorContract, CasesContract, EditsContract, UsesContract, ForgettingContract):
    """Inherit it, and add the fixture `store`."""
