"""The contract of `MemoryCurator`, one test for each sentence; it includes that of `MemoryStore`, and is used like it."""
# ruff: noqa: PLR2004  # an expected number is a literal

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from agent.clock import now
from agent.errors import BadInput, ExperienceNotFound, StoreUnusable
from agent.models.memory import Experience, Skill
from agent.models.value import replace
from agent.storage.protocols import MemoryCurator
from agent.testing.contracts.memories import MemoryStoreContract, found, lesson


class MemoryCuratorContract(MemoryStoreContract):
    """Inherit it, and add the fixture `store`."""

    async def test_a_skill_is_found_by_name_description_and_content(self, store: MemoryCurator) -> None:
        """`search_skills` returns active skills of the scope that fit."""
        skill = Skill.create("agent:default", "invoices", "How to write an invoice", "Add the tax number. 税号", uid="u")
        await store.add_skill(skill)

        for query in ("invoice", "writing", "tax", "税号"):
            assert await store.search_skills("agent:default", query, uid="u") == [skill]
            assert await store.search_skills("agent:default", query, uid="v") == []
            assert await store.search_skills("agent:other", query) == []
        assert await found(store, "invoice") == []

    async def test_a_skill_replaces_the_one_of_the_same_scope_owner_and_name(self, store: MemoryCurator) -> None:
        """The same scope, owner and name replaces the older one, which stays on the record."""
        for uid in (None, "a", "b"):
            await store.add_skill(Skill.create("agent:default", "invoices", f"old of {uid}", "", uid=uid))
        new = Skill.create("agent:default", "invoices", "new", "", uid="a")

        assert await store.add_skill(new) == new.skill_id
        assert [skill.description for skill in await store.search_skills("agent:default", "invoices", uid="a")] == ["new", "old of None"]
        assert len(await store.list(kind="skill", state="superseded")) == 1
        assert [skill.description for skill in await store.search_skills("agent:default", "invoices", uid="b", limit=1)] == ["old of b"]

    async def test_a_skill_that_is_not_active_replaces_nothing(self, store: MemoryCurator) -> None:
        """A draft waits beside what is in use, and is not found."""
        for state in ("active", "shadow"):
            await store.add_skill(Skill.create("agent:default", "invoices", state, "", state=state))

        assert [skill.description for skill in await store.search_skills("agent:default", "invoices")] == ["active"]
        assert len(await store.list(kind="skill")) == 2

    async def test_the_same_skill_again_is_an_edit(self, store: MemoryCurator) -> None:
        """The same id and other words: an edit; the same words: nothing."""
        skill = Skill.create("agent:default", "invoices", "old", "")
        for version in (skill, skill, replace(skill, description="new")):
            await store.add_skill(version)

        assert [item.to_dict()["description"] for item in await store.list(kind="skill")] == ["new"]
        assert await store.search_skills("agent:default", "old") == []
        assert [entry["change"] for entry in await store.history()] == ["added", "edited"]

    async def test_an_id_is_of_one_thing(self, store: MemoryCurator) -> None:
        """An id that is another owner's, or another kind's, is refused: nothing is lost unseen."""
        await store.add_experience(lesson("refund", experience_id="x", uid="a"))
        await store.add_skill(Skill.create("agent:default", "invoices", "", "", skill_id="y"))
        refused = [
            store.add_experience(lesson("theirs", experience_id="x", uid="b")),
            store.add_experience(lesson("a skill's", experience_id="y")),
            store.add_skill(Skill.create("agent:default", "n", "", "", skill_id="x")),
            store.add_skill(Skill.create("agent:default", "another name", "", "", skill_id="y")),
        ]

        assert [type(await _outcome(operation)) for operation in refused] == [BadInput] * 4
        assert len(await store.list()) == len(await store.list(kind="skill")) == 1

    async def test_what_cannot_be_recorded_is_refused(self, store: MemoryCurator) -> None:
        """BadInput, and nothing is written."""
        bad: list[Any] = [
            lesson("\ud800"),
            lesson("x", scope=""),
            lesson("x", experience_id="i" * 10_000),
            lesson("x" * 3_000_000),
            lesson("x", state="actve"),
            lesson("x", confidence=7),
            lesson("x", confidence=float("nan")),
            lesson("x", uid=b"bytes"),
            replace(lesson("x"), rule=None),
            {"condition": "x"},
            Skill.create("s", "n", "d", "c"),
        ]
        bad_skills: list[Any] = [Skill.create("agent:default", "", "", ""), lesson("x"), None]

        assert [type(await _outcome(store.add_experience(item))) for item in bad] == [BadInput] * len(bad)
        assert [type(await _outcome(store.add_skill(item))) for item in bad_skills] == [BadInput] * len(bad_skills)
        assert await store.list() == await store.list(kind="skill") == []
        assert await store.history() == []

    async def test_moments_become_aware_utc(self, store: MemoryCurator) -> None:
        """A naive moment is local; all come back in UTC."""
        east = datetime(2026, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
        local = datetime(2026, 1, 1)  # noqa: DTZ001 (as a caller may hand one in)
        await store.add_experience(lesson("refund", experience_id="e", created_at=east, valid_from=local))
        item = await store.get("e")

        assert isinstance(item, Experience)
        assert item.created_at.isoformat() == "2026-01-01T00:00:00+00:00"
        assert item.valid_from == local.astimezone(UTC)
        assert item.valid_from.tzinfo is UTC

    async def test_an_item_is_got_by_its_id_by_those_who_see_it(self, store: MemoryCurator) -> None:
        """`get` returns an experience or skill, or None (also where it is another uid's)."""
        mine, shared = lesson("mine", uid="a"), Skill.create("agent:default", "shared", "", "")
        await store.add_experience(mine)
        await store.add_skill(shared)

        assert [await store.get(mine.experience_id, uid=uid) for uid in (None, "a", "b")] == [mine, mine, None]
        assert [await store.get(shared.skill_id, uid=uid) for uid in (None, "a", "b")] == [shared] * 3
        assert [await store.get(item_id) for item_id in ("", "nothing", "\ud800", "'")] == [None] * 4

    async def test_the_list_is_newest_first_and_comes_in_pages(self, store: MemoryCurator) -> None:
        """Newest first; `before` is the last id of the page before."""
        begin = datetime(2026, 1, 1, tzinfo=UTC)
        for minute in (3, 1, 5, 2, 4, 2):
            await store.add_experience(lesson("refund", str(minute), created_at=begin + timedelta(minutes=minute)))
        pages: list[Any] = [await store.list(limit=2)]
        while pages[-1]:
            pages.append(await store.list(limit=2, before=pages[-1][-1].experience_id))

        assert [[item.rule for item in page] for page in pages] == [["5", "4"], ["3", "2"], ["2", "1"], []]
        assert [item for page in pages for item in page] == await store.list()
        assert await store.list(limit=0) == []
        assert await store.list(kind="skill") == []

    async def test_the_list_is_filtered_by_owner_scope_state_and_kind(self, store: MemoryCurator) -> None:
        """Each filter is exact; they are joined by and."""
        for uid in (None, "a", "b"):
            for scope in ("agent:x", "agent:y"):
                await store.add_experience(lesson(f"{uid} {scope}", scope=scope, uid=uid, state="active" if scope == "agent:x" else "shadow"))
        await store.add_skill(Skill.create("agent:x", "n", "", "", uid="b"))

        assert len(await store.list()) == 6
        assert {item.uid for item in await store.list(uid="a")} == {None, "a"}
        assert {item.scope for item in await store.list(scope="agent:y")} == {"agent:y"}
        assert {item.scope for item in await store.list(uid="b", state="shadow")} == {"agent:y"}
        assert [len(await store.list(kind="skill", uid=uid)) for uid in (None, "a", "b")] == [1, 0, 1]
        assert await store.list(scope="agent:\ud800", state="\ud800", uid="\ud800") == []
        assert isinstance(await _outcome(store.list(kind="lesson")), BadInput)

    async def test_a_page_begins_after_an_item_that_is_there(self, store: MemoryCurator) -> None:
        """ExperienceNotFound where `before` is not there (or another uid's)."""
        theirs = await store.add_experience(lesson("refund", uid="a"))

        assert isinstance(await _outcome(store.list(before="nothing")), ExperienceNotFound)
        assert isinstance(await _outcome(store.list(before=theirs, uid="b")), ExperienceNotFound)
        assert await store.list(before=theirs, uid="a") == []

    async def test_what_is_retired_is_kept_but_not_found(self, store: MemoryCurator) -> None:
        """`retire` takes an item out of use; it stays on the record; a second time changes nothing."""
        item_id = await store.add_experience(lesson("refund"))
        for _ in range(2):
            await store.retire(item_id, by="Ann")

        item = await store.get(item_id)
        assert item is not None
        assert item.state == "retired"
        assert await found(store, "refund") == []
        assert [(entry["change"], entry["by"]) for entry in await store.history(item_id=item_id)] == [("added", None), ("retired", "Ann")]

    async def test_a_successor_takes_the_place_of_an_experience(self, store: MemoryCurator) -> None:
        """`supersede` closes and links the old one, and records the new one for the same owner; a second time changes nothing."""
        old = await store.add_experience(lesson("refund", "pay at once", uid="a"))
        successor = lesson("refund", "ask first")
        began = now()
        new = await store.supersede(old, successor, by="Ann", uid="a")
        again = await store.supersede(old, successor, by="Ann", uid="a")

        closed = await store.get(old)
        assert isinstance(closed, Experience)
        assert new == again == successor.experience_id
        assert (closed.state, closed.superseded_by, closed.rule) == ("superseded", new, "pay at once")
        assert closed.valid_to is not None
        assert abs(closed.valid_to - began) < timedelta(minutes=1)
        assert await store.search_experiences("agent:default", "refund", uid="a") == [replace(successor, uid="a")]
        assert [(entry["change"], entry["item_id"]) for entry in await store.history()] == [("added", old), ("superseded", old), ("added", new)]

    async def test_what_cannot_succeed_is_refused_and_nothing_is_changed(self, store: MemoryCurator) -> None:
        """Another owner's, a known id, a skill: BadInput."""
        old = await store.add_experience(lesson("refund", uid="a"))
        other = await store.add_experience(lesson("another", uid="a"))
        skill = await store.add_skill(Skill.create("agent:default", "n", "", ""))
        shared = await store.add_experience(lesson("everybody's refund"))
        before = await store.history()
        refused = [
            store.supersede(old, lesson("refund", uid="b")),
            store.supersede(shared, lesson("refund", uid="b"), uid="b"),
            store.supersede(old, lesson("refund", experience_id=other)),
            store.supersede(old, lesson("refund", experience_id=old)),
            store.supersede(skill, lesson("refund")),
            store.supersede(old, lesson("\ud800")),
        ]

        assert [type(await _outcome(operation)) for operation in refused] == [BadInput] * len(refused)
        assert await store.history() == before

    async def test_what_is_there_already_may_take_the_place_of_another(self, store: MemoryCurator) -> None:
        """Given just as it is, it is linked and not recorded twice."""
        old = await store.add_experience(lesson("refund", uid="a"))
        new = await store.get(await store.add_experience(lesson("another", uid="a")))
        assert isinstance(new, Experience)
        assert await store.supersede(old, new, by="ada") == new.experience_id
        closed = await store.get(old)

        assert isinstance(closed, Experience)
        assert (closed.state, closed.superseded_by) == ("superseded", new.experience_id)
        assert await store.get(new.experience_id) == new
        assert [(entry["change"], entry["item_id"]) for entry in await store.history()][2:] == [("superseded", old)]

    async def test_of_two_successors_one_wins(self, store: MemoryCurator) -> None:
        """The second is told who was first."""
        old = await store.add_experience(lesson("refund"))
        outcomes = await asyncio.gather(*(store.supersede(old, lesson("refund", str(n))) for n in range(5)), return_exceptions=True)

        assert [type(outcome) for outcome in outcomes].count(BadInput) == 4
        assert len(await found(store, "refund")) == 1

    async def test_what_is_promoted_is_shared_within_its_scope(self, store: MemoryCurator) -> None:
        """`promote` shares an owned item within its scope; who did it is recorded."""
        item_id = await store.add_experience(lesson("refund", uid="a"))
        assert await found(store, "refund", uid="b") == []
        for _ in range(2):
            await store.promote(item_id, by="Ann", uid="a")

        assert await found(store, "refund", uid="b") == ["refund"]
        assert await found(store, "refund", scope="agent:other") == []
        assert [(entry["change"], entry["by"]) for entry in await store.history(uid="b")] == [("promoted", "Ann")]

    async def test_a_promoted_skill_replaces_the_shared_one_of_its_name(self, store: MemoryCurator) -> None:
        """There is one shared skill of a name."""
        await store.add_skill(Skill.create("agent:default", "invoices", "shared", ""))
        mine = await store.add_skill(Skill.create("agent:default", "invoices", "mine", "", uid="a"))
        await store.promote(mine, by="Ann")

        assert [skill.description for skill in await store.search_skills("agent:default", "invoices", uid="b")] == ["mine"]

    async def test_what_is_forgotten_leaves_only_that_it_was(self, store: MemoryCurator) -> None:
        """`forget` removes an item's words; that it was forgotten stays known."""
        item = lesson("refund", "secret", uid="a")
        await store.add_experience(item)
        await store.forget(item.experience_id, by="Ann", uid="a")

        assert await store.get(item.experience_id) is None
        assert await store.list() == []
        assert await found(store, "refund secret") == []
        history = await store.history(uid="a", item_id=item.experience_id)
        assert [(entry["change"], entry["by"]) for entry in history] == [("added", None), ("forgotten", "Ann")]
        assert "secret" not in repr(history)

    async def test_what_was_forgotten_does_not_come_back(self, store: MemoryCurator) -> None:
        """The same id again is taken for the forgotten one."""
        item, skill = lesson("refund"), Skill.create("agent:default", "n", "", "")
        for item_id in (await store.add_experience(item), await store.add_skill(skill)):
            await store.forget(item_id)

        assert await store.add_experience(item) == item.experience_id
        assert await store.add_skill(skill) == skill.skill_id
        assert await store.list() == await store.list(kind="skill") == []

    async def test_verify_follows_the_log_and_tells_what_was_forgotten(self, store: MemoryCurator) -> None:
        """`verify`: what was forgotten is no fault; with `head` the log must have gone on from there."""
        empty = await store.verify()
        first = await store.add_experience(lesson("refund", uid="a"))
        head = (await store.verify()).head
        second = await store.add_skill(Skill.create("agent:default", "n", "", "words"))
        await store.retire(first, by="Bob")
        await store.forget(first, by="Ann")
        await store.promote(second, by="Bob")

        found = await store.verify(head=head)
        assert (empty.entries, found.entries) == (0, 4)
        assert [(gone.item_id, gone.by) for gone in found.erased] == [(first, "Ann")]
        assert (await store.verify(head=found.head)) == found
        for wrong in ("00" * 16, "no hex"):
            with pytest.raises(StoreUnusable):
                await store.verify(head=wrong)

    async def test_another_uids_item_is_as_if_it_were_not_there(self, store: MemoryCurator) -> None:
        """ExperienceNotFound, as for an id that never was."""
        item_id = await store.add_experience(lesson("refund", uid="a"))
        before = await store.history()
        for uid, wanted in (("b", item_id), ("", item_id), ("a", "nothing"), (None, "\ud800")):
            refused = [
                store.retire(wanted, uid=uid),
                store.supersede(wanted, lesson("refund"), uid=uid),
                store.promote(wanted, by="Bob", uid=uid),
                store.forget(wanted, uid=uid),
            ]

            assert [type(await _outcome(operation)) for operation in refused] == [ExperienceNotFound] * 4
            assert await store.history(uid=uid, item_id=wanted) == []
        assert await store.history() == before

    async def test_who_did_it_is_a_name(self, store: MemoryCurator) -> None:
        """BadInput where the log cannot keep it; nothing is changed."""
        item_id = await store.add_experience(lesson("refund", uid="a"))
        refused = [store.retire(item_id, by="\ud800"), store.forget(item_id, by="x" * 10_000), store.promote(item_id, by="\ud800")]

        assert [type(await _outcome(operation)) for operation in refused] == [BadInput] * 3
        assert await found(store, "refund") == ["refund"]

    async def test_the_log_is_numbered_in_order_and_shown_to_those_it_concerns(self, store: MemoryCurator) -> None:
        """`history` is oldest first; a uid sees entries of its own items and of nobody's."""
        ids = [await store.add_experience(lesson("refund", uid=uid, author="Ann")) for uid in (None, "a", "b")]
        for item_id in ids:
            await store.retire(item_id, by="Bob")
        log = await store.history()

        assert [(entry["change"], entry["item_id"], entry["by"]) for entry in log] == [
            *(("added", i, "Ann") for i in ids),
            *(("retired", i, "Bob") for i in ids),
        ]
        assert [entry["number"] for entry in log] == sorted({entry["number"] for entry in log})
        assert all(entry["at"].tzinfo is UTC for entry in log)
        assert [entry["item_id"] for entry in await store.history(uid="a")] == ids[:2] * 2
        assert [entry["change"] for entry in await store.history(item_id=ids[2])] == ["added", "retired"]


async def _outcome(operation: Any) -> Any:
    try:
        return await operation
    except (BadInput, ExperienceNotFound) as error:
        return error
