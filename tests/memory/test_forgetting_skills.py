"""Skills are forgotten with what they were made of, down to the bytes of their files."""

from pathlib import Path

import pytest

from agent.assemble import open_store
from agent.memory.skills import keep
from agent.models.memory import Experience, Skill, SkillFile, SkillFolder
from agent.skills.distilling import distill
from agent.skills.reading import with_id
from agent.storage.learning_port import LearningStore, Sources

TRACE = "01a2056f560f70008094d5872ff2badb"
CANARY = "canary-7f3a"


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


def lesson() -> Experience:
    return Experience.create("user", "write an invoice", f"Mention {CANARY}.", [f"{TRACE}/9"], "feedback", uid="ada", experience_id="exp-1")


@pytest.mark.parametrize("sources", [Sources(item_id="exp-1"), Sources(trace_id=TRACE), Sources(text=CANARY), Sources(uid="ada")])
async def test_a_skill_goes_with_the_experience_the_run_the_words_or_the_owner_that_it_comes_from(tmp_path: Path, sources: Sources) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        assert isinstance(store.memories, LearningStore)
        await store.memories.add_experience(lesson())
        skill = distill([lesson()], name="invoices")
        await keep(store.memories, skill)
        other = with_id(Skill.create("user", "letters", "How a letter is written.", "Dear you.", uid="bob", folder=SkillFolder()))
        await keep(store.memories, other)

        gone = await store.memories.forget_from(sources, by="ada")

        assert {"exp-1", skill.skill_id} <= set(gone)
        assert await store.memories.get(skill.skill_id) is None
        assert await store.memories.get(other.skill_id) is not None
        await store.memories.verify()
    assert CANARY.encode() not in bytes_of(tmp_path)


async def test_words_in_a_file_of_a_skill_are_found_and_forgotten_with_all_older_versions(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        assert isinstance(store.memories, LearningStore)
        for text in (f"the number is {CANARY}", "nothing any more"):
            files = (SkillFile("references/a.md", text.encode()), SkillFile("assets/b.bin", b"\xff" + CANARY.encode()))
            await keep(store.memories, with_id(Skill.create("user", "numbers", "Numbers.", "See the file.", uid="ada", folder=SkillFolder(files=files))))

        gone = await store.memories.forget_from(Sources(text=CANARY), by="ada")

        assert len(gone) == 2
        assert await store.memories.list(kind="skill") == []
    assert CANARY.encode() not in bytes_of(tmp_path)
