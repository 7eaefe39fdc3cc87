"""The parts of the contract of `LearningStore` that are about uses, and about forgetting."""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio
from datetime import timedelta
from typing import Any

from agent.errors import BadInput
from agent.models.learning import Used
from agent.models.memory import Skill
from agent.models.value import replace
from agent.storage.learning_port import LearningStore, RunCount, Sources
from agent.testing.contracts.learner_samples import BEGIN, case, outcome, use
from agent.testing.contracts.memories import lesson


class UsesContract:
    """Uses and outcomes."""

    async def test_a_use_gets_the_next_number_of_its_scope_and_owner(self, store: LearningStore) -> None:
        """`record_use` returns it with its number; `run_count` counts runs, and those for which there was advice."""
        arms = ["none", "injected", "withheld", "none"]
        numbers = [(await store.record_use(use(f"t{n}", arm=arm, propensity=0.9))).number for n, arm in enumerate(arms)]
        other = await store.record_use(use("mine", uid="a", arm="injected"))
        far = await store.record_use(use("far", scope="user:u"))

        assert (numbers, other.number, far.number) == ([1, 2, 3, 4], 1, 1)
        assert await store.run_count("agent:default", uid=None) == RunCount(4, 2)
        assert await store.run_count("agent:default", uid="a") == RunCount(1, 1)
        assert await store.run_count("user:u", uid=None) == RunCount(1, 0)
        assert await store.run_count("\ud800", uid="\ud800") == RunCount(0, 0)

    async def test_the_first_use_of_a_run_stands(self, store: LearningStore) -> None:
        """Of a trace that has one already the first stands and is returned, also of many at once."""
        item = Used(item_id="e", kind="advice", rank=0, score=0.5, arm="withheld", propensity=0.1)
        first = await store.record_use(use("t", items=(item,), at=BEGIN))
        again = await asyncio.gather(*(store.record_use(use("t", uid=uid)) for uid in ("a", None, "b")))

        assert again == [first] * 3
        assert await store.uses() == [first]
        assert first.items == (item,)
        assert (await store.verify()).entries == 1

    async def test_an_outcome_is_set_and_taken_back(self, store: LearningStore) -> None:
        """0..1, with who says so; None: it is not known after all. A trace without a use, or another uid's, is passed over."""
        await store.record_use(use("t", uid="a"))
        await store.record_outcome("t", 0.5, signal="edited", by="Ann", uid="a")
        for _ in range(2):
            await store.record_outcome("t", 1, signal="score", by="Bob")
        await store.record_outcome("t", 0.0, signal="negative", uid="b")
        await store.record_outcome("nothing", 0.0, signal="negative")

        (judged,) = await store.uses()
        assert (judged.outcome, judged.outcome_from, judged.outcome_by) == (1.0, "score", "Bob")
        await store.record_outcome("t", None, signal="outcome")
        (unknown,) = await store.uses()
        assert (unknown.outcome, unknown.outcome_from, unknown.outcome_by) == (None, None, None)
        assert [entry["change"] for entry in await store.history(item_id="t")] == ["used", "judged", "judged", "judged"]
        assert await store.history() == []
        for value, signal in ((2, "score"), (-0.1, "score"), (float("nan"), "score"), (True, "score"), (1, "mood")):
            wrong: Any = signal
            assert isinstance(await outcome(store.record_outcome("t", value, signal=wrong)), BadInput)

    async def test_uses_are_listed_newest_first_and_filtered(self, store: LearningStore) -> None:
        """Of one item, one scope, one run, one owner (and nobody's), since a moment."""
        for n in range(6):
            items = tuple(Used(item_id=f"e{m}", kind="rule", rank=m, score=0.5) for m in range(n % 3))
            uid, scope = [None, "a", "b"][n % 3], ["agent:default", "user:u"][n % 2]
            await store.record_use(use(f"t{n}", items=items, uid=uid, scope=scope, at=BEGIN + timedelta(minutes=n)))

        async def ids(**options: Any) -> list[str]:
            """Return the runs of what is listed."""
            return [one.trace_id for one in await store.uses(**options)]

        assert await ids() == ["t5", "t4", "t3", "t2", "t1", "t0"]
        assert await ids(uid="a") == ["t4", "t3", "t1", "t0"]
        assert await ids(scope="user:u", limit=2) == ["t5", "t3"]
        assert await ids(item_id="e1") == ["t5", "t2"]
        assert await ids(item_id="e0", uid="a", scope="user:u") == ["t1"]
        assert await ids(trace_id="t3") == ["t3"]
        assert await ids(trace_id="t2", uid="a") == await ids(scope="\ud800", item_id="\ud800") == []
        assert await ids(since=BEGIN + timedelta(minutes=4)) == ["t5", "t4"]
        assert [one.number for one in await store.uses(scope="user:u", uid="b")] == [1, 1]

    async def test_a_use_that_cannot_be_recorded_is_refused(self, store: LearningStore) -> None:
        """BadInput: nothing was recorded."""
        item = Used(item_id="e", kind="rule", rank=0, score=0.5, propensity=0.0)
        bad: list[Any] = [
            use(""),
            use("t", scope=""),
            use("t", arm="maybe"),
            use("t", propensity=0.0),
            use("t", items=(item,)),
            use("\ud800"),
            use("t", outcome=2.0),
            None,
        ]

        assert [type(await outcome(store.record_use(one))) for one in bad] == [BadInput] * len(bad)
        assert await store.uses() == []
        assert (await store.verify()).entries == 0


class ForgettingContract:
    """Forgetting by where something came from."""

    async def test_what_came_from_a_run_goes_with_its_use(self, store: LearningStore) -> None:
        """Experiences, cases and uses of it; what rests on other evidence besides stays without that part."""
        await store.add_experience(lesson("from it", experience_id="gone", evidence=("t/1", "t/2")))
        await store.add_experience(lesson("from both", experience_id="both", evidence=("o/1", "t/9")))
        await store.add_experience(lesson("from another", experience_id="kept", evidence=("o/1",), state="shadow"))
        kept = await store.edit("kept", {"evidence": ("o/1", "t/3"), "confidence": 0.9})
        await store.add_cases([case("c1"), case("c2", trace_id="o")])
        for trace_id in ("t", "o"):
            await store.record_use(use(trace_id))
        dry = await store.forget_from(Sources(trace_id="t"), is_dry_run=True)
        assert len(await store.list()) == 3

        assert await store.forget_from(Sources(trace_id="t"), by="Ann") == dry == ["both", "c1", "gone", "t"]
        assert await store.list() == [replace(kept, evidence=("o/1",))]
        assert [one.case_id for one in await store.cases()] == ["c2"]
        assert [one.trace_id for one in await store.uses()] == ["o"]
        verified = await store.verify()
        assert [(gone.item_id, gone.by) for gone in verified.erased] == [(item_id, "Ann") for item_id in ("both", "c1", "gone", "t")]
        log = await store.history(item_id="kept")
        assert [(entry["change"], entry["item"] is None) for entry in log] == [("added", True), ("edited", True), ("cut", False)]
        assert await store.forget_from(Sources(trace_id="t")) == []

    async def test_words_that_came_from_a_run_go_also_where_others_said_the_same(self, store: LearningStore) -> None:
        """Kept is only what has its words from elsewhere."""
        await store.add_experience(lesson("refund", experience_id="e", evidence=("t/1",)))
        await store.edit("e", {"evidence": ("t/1", "o/1")})

        assert await store.forget_from(Sources(trace_id="o"), is_dry_run=True) == []
        assert await store.forget_from(Sources(trace_id="t")) == ["e"]

    async def test_what_was_an_owners_goes(self, store: LearningStore) -> None:
        """By uid: items, also those that were promoted, cases, uses, and what others derived from that owner's runs."""
        await store.add_experience(lesson("mine", experience_id="e1", uid="a"))
        await store.add_experience(lesson("was mine", experience_id="e2", uid="a"))
        await store.promote("e2", by="Bob")
        await store.add_experience(lesson("another's", experience_id="e3", uid="b"))
        await store.add_experience(lesson("from a run of mine", experience_id="e4", evidence=("run of a/3",)))
        await store.add_cases([case("c1", uid="a"), case("c2")])
        await store.record_use(use("run of a", uid="a"))
        await store.record_use(use("another run"))

        assert await store.forget_from(Sources(uid="a")) == ["c1", "e1", "e2", "e4", "run of a"]
        assert [item.to_dict()["experience_id"] for item in await store.list()] == ["e3"]
        assert [one.trace_id for one in await store.uses()] == ["another run"]
        assert await store.run_count("agent:default", uid="a") == RunCount(0, 0)
        await store.verify()

    async def test_what_holds_a_text_goes_also_from_older_versions(self, store: LearningStore) -> None:
        """`text`: words, as they stand, anywhere in an item: of one that lost them only the older versions go."""
        await store.add_experience(lesson("call 0815 first", experience_id="e1"))
        await store.add_experience(lesson("call", "0815", experience_id="e2"))
        edited = await store.edit("e2", {"rule": "nobody"}, by="Ann")
        await store.add_skill(Skill.create("s", "n", "", "dial 0815", skill_id="s1"))
        await store.add_cases([case("c1", arguments={"to": {"number": "0815"}}), case("c2", arguments={"number": 815})])

        assert await store.forget_from(Sources(text="0815")) == ["c1", "e1", "s1"]
        assert await store.get("e2") == edited
        assert "0815" not in repr(await store.history(item_id="e2"))
        assert await store.forget_from(Sources(text="0815")) == await store.forget_from(Sources(text="\ud800")) == []
        assert (await store.edit("e2", {"rule": "somebody"})).rule == "somebody"
        await store.verify()

    async def test_what_is_given_is_joined_by_and(self, store: LearningStore) -> None:
        """Items for which all that is given holds; BadInput where nothing is given."""
        for n, (source, uid) in enumerate([("import", "a"), ("import", "b"), ("manual", "a")]):
            await store.add_experience(lesson("refund", experience_id=f"e{n}", source=source, uid=uid, evidence=(f"t{n}/1",)))

        async def meant(**given: Any) -> list[str]:
            """Return what would go."""
            return await store.forget_from(Sources(**given), is_dry_run=True)

        assert await meant(source="import") == ["e0", "e1"]
        assert await meant(source="import", uid="a") == ["e0"]
        assert await meant(uid="a", trace_id="t2") == ["e2"]
        assert await meant(item_id="e1", uid="a") == await meant(source="impor") == await meant(text="refund", trace_id="t9") == []
        assert await meant(item_id="e1", text="refund") == ["e1"]
        bad: list[Any] = [Sources(), Sources(text=""), None]
        assert [type(await outcome(store.forget_from(sources))) for sources in bad] == [BadInput] * 3

    async def test_what_was_derived_from_an_item_goes_with_it(self, store: LearningStore) -> None:
        """A lesson that rests on it, and a skill that cites it, in their turn too."""
        first = await store.add_experience(lesson("refund", evidence=("t/1",)))
        await store.add_experience(lesson("merged", experience_id="e2", evidence=(first,)))
        await store.add_skill(Skill.create("s", "refunds", "", f"Ask first.\nevidence: [{first}]", skill_id="s1"))
        await store.add_experience(lesson("on that", experience_id="e3", evidence=("e2", "o/1")))
        await store.add_experience(lesson("unrelated", experience_id="e4"))

        assert sorted(await store.forget_from(Sources(trace_id="t"))) == sorted([first, "e2", "s1", "e3"])
        assert [item.to_dict()["experience_id"] for item in await store.list()] == ["e4"]

    async def test_what_was_forgotten_is_not_recorded_again(self, store: LearningStore) -> None:
        """Neither a case nor a use; numbers go on."""
        for trace_id in ("t1", "t2", "t3"):
            await store.record_use(use(trace_id, arm="injected"))
        await store.forget_from(Sources(trace_id="t2"), by="Ann")

        await store.record_use(use("t2"))
        await store.record_outcome("t2", 1.0, signal="score")
        assert [one.trace_id for one in await store.uses()] == ["t3", "t1"]
        assert (await store.record_use(use("t4", arm="injected"))).number == 4
        assert await store.run_count("agent:default", uid=None) == RunCount(4, 4)
