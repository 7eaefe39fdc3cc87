"""What was forgotten is in no byte of the file or its journal, and the chains still hold."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.models.learning import Case, Use, Used
from agent.models.memory import Experience, Skill
from agent.storage.learning_port import Sources
from agent.storage.sqlite.store import SqliteStore
from agent.testing.contracts.trace_samples import fact, opened

CANARIES = ("Xylophonist", "qwertzuiopü", "退款秘密", "xylophonist", "退款")
SECRET = "Xylophonist qwertzuiopü 退款秘密"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "runs.db")
    yield store
    await store.close()


def left_in(folder: Path, words: tuple[str, ...] = CANARIES) -> list[str]:
    """Return which words stand in any file of the folder."""
    data = b"".join(path.read_bytes() for path in folder.iterdir())
    return [word for word in words if word.encode() in data]


async def a_run_with_a_secret(store: SqliteStore, trace_id: str, uid: str | None) -> None:
    """Record a run that says the secret at all sizes, and all that memory makes of it, among what says nothing of it."""
    steps = [
        fact("", 0, "input", task=SECRET, system=SECRET * 20, model="m", tools=[]),
        fact("", 1, "note", text=SECRET * 400),
        fact("", 2, "feedback", text=f"{SECRET}, please"),
        fact("", 3, "note", text=[SECRET * 9000, "large enough for a blob"]),
    ]
    await opened(store.traces, steps, trace_id=trace_id, uid=uid, task=SECRET, context={"said": SECRET})
    await store.traces.update_trace(trace_id, status="completed")
    memories = store.memories
    await memories.add_cases(
        [
            Case(
                case_id=f"{trace_id} {n}",
                scope="s",
                uid=uid,
                task=SECRET if n % 3 == 0 else f"harmless {n}",
                tool="pay",
                arguments={SECRET: [SECRET * 30]} if n % 3 == 0 else None,
                sign=1,
                signal="correction",
                trace_id=trace_id if n % 3 == 0 else "another",
                step_id=f"{trace_id if n % 3 == 0 else 'another'}/2",
            )
            for n in range(30)
        ]
    )
    lesson = await memories.add_experience(Experience.create("s", SECRET, "pay", evidence=(f"{trace_id}/2",), uid=uid))
    await memories.edit(lesson, {"rule": f"never {SECRET}"})
    await memories.set_state(lesson, "shadow", reason=SECRET)
    later = await memories.supersede(lesson, Experience.create("s", SECRET, "ask", evidence=(f"{trace_id}/2",), uid=uid))
    await memories.add_skill(Skill.create("s", f"skill {trace_id}", "", f"{SECRET}\nevidence: {later}"))
    kept = await memories.add_experience(Experience.create("s", SECRET, "", evidence=(f"{trace_id}/2",), experience_id=f"kept {trace_id}"))
    await memories.edit(kept, {"condition": "harmless", "evidence": ("another/1",)})
    await memories.record_use(Use(trace_id=trace_id, scope="s", uid=uid, items=(Used(item_id=lesson, kind="rule", rank=0, score=0.5),)))


async def test_a_run_and_all_that_was_learnt_from_it_leave_no_byte(tmp_path: Path, store: SqliteStore) -> None:
    await a_run_with_a_secret(store, "t", "u")
    assert left_in(tmp_path) == list(CANARIES)
    head = (await store.memories.verify()).head

    gone = await store.memories.forget_from(Sources(trace_id="t"), by="Ann")
    assert await store.traces.erase("t", range(4), reason="asked for", by="Ann") == [0, 1, 2, 3]

    assert left_in(tmp_path) == []
    assert len(gone) == 14
    assert {erasure.item_id for erasure in (await store.memories.verify(head=head)).erased} == set(gone)
    assert (await store.traces.verify("t")).erased[0].by == "Ann"
    assert {item.to_dict()["condition"] for item in await store.memories.list()} == {"harmless"}
    assert len(await store.memories.cases()) == 20
    await store.memories.rebuild()
    assert left_in(tmp_path) == []
    await store.memories.verify()


async def test_an_owner_leaves_no_byte(tmp_path: Path, store: SqliteStore) -> None:
    for trace_id in ("t1", "t2"):
        await a_run_with_a_secret(store, trace_id, "u")

    await store.memories.forget_from(Sources(uid="u"))
    for trace in await store.traces.list_traces(uid="u"):
        await store.traces.erase(trace.trace_id, range(4), reason="asked for")
    assert left_in(tmp_path) == []
    assert await store.memories.cases(uid="u") == []
    await store.memories.verify()


@pytest.mark.parametrize("word", ["Xylophonist", "退款秘密"])
async def test_a_text_leaves_no_byte_in_memory(tmp_path: Path, store: SqliteStore, word: str) -> None:
    await a_run_with_a_secret(store, "t", None)

    await store.memories.forget_from(Sources(text=word))
    assert left_in(tmp_path) == [*CANARIES[:3], "退款"]  # on the record of the run, which is another matter
    await store.traces.erase("t", range(4), reason="asked for")
    assert left_in(tmp_path) == []
    await store.memories.verify()


async def test_no_word_is_left_where_rows_were_moved_between_pages(tmp_path: Path, store: SqliteStore) -> None:
    """SQLite blanks what is deleted, and not what it leaves behind as it moves a row that is still there: this life has such rows."""
    chance = random.Random(5)
    words: dict[int, list[str]] = {}

    async def add(n: int) -> None:
        """Add an experience of one of five runs, with a word of its own."""
        word = "".join(chance.choice("abcdefghijklmnop") for _ in range(12))
        words.setdefault(n % 5, []).append(word)
        await store.memories.add_experience(
            Experience.create("s", word, "r " * chance.randint(1, 300), evidence=(f"t{n % 5}/1",), experience_id=f"e{n}"),
        )

    await asyncio.gather(*(add(n) for n in range(200)))
    for rule, most in (("longer ", 300), ("shorter ", 30)):
        ids = chance.sample([f"e{n}" for n in range(200)], 200)
        await asyncio.gather(*(store.memories.edit(item_id, {"rule": rule * chance.randint(1, most)}) for item_id in ids))
    for run in range(4):
        await store.memories.forget_from(Sources(trace_id=f"t{run}"))

    assert left_in(tmp_path, tuple(word for run in range(4) for word in words[run])) == []
    assert len(left_in(tmp_path, tuple(words[4]))) == 40
    await store.memories.verify()
