"""A search that looks only at what can be among the best finds what one that scores everything finds, with the same scores."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import now
from agent.models.learning import Case
from agent.models.memory import Experience
from agent.storage.learning_port import LearningStore
from agent.storage.ram.memories import RamMemoryStore
from agent.storage.sqlite import memory_best
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore

WORDS = [f"{a}{b}" for a in ("kar", "mon", "tel", "pur", "sig", "zek") for b in ("lo", "ma", "ti", "bu", "ren", "sax", "qui", "vo", "de", "pf")]
WEIGHTS = [1 / (rank + 1) for rank in range(len(WORDS))]


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[list[LearningStore]]:
    database = await Database.open(tmp_path / "memory.db")
    yield [RamMemoryStore(), SqliteMemoryStore(database)]
    await database.close()


def text(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, WEIGHTS, k=chance.randint(1, 12)))


async def fill(stores: list[LearningStore], chance: random.Random, count: int) -> None:
    """Record cases and experiences of three scopes and owners; a third of the cases has expired, and few experiences are active."""
    begin = now() - timedelta(days=9)
    cases = [
        Case(
            case_id=f"{n:04}",
            scope=f"s{n % 3}",
            uid=chance.choice([None, "a", "b"]),
            task=text(chance),
            tool="t",
            sign=1,
            signal="score",
            trace_id="t",
            step_id="t/1",
            created_at=begin + timedelta(minutes=n // 3),
            valid_to=now() + timedelta(days=chance.choice([-1, 1])) if n % 3 == 0 and n % 2 else None,
        )
        for n in range(count)
    ]
    states = ["active", "shadow", "retired"]
    lessons = [
        Experience.create(f"s{n % 3}", text(chance), text(chance), experience_id=f"e{n:04}", state=chance.choice(states), created_at=begin)
        for n in range(count // 2)
    ]
    for store in stores:
        await store.add_cases(cases)
        for lesson in lessons:
            await store.add_experience(lesson)


@pytest.mark.parametrize("seed", range(3))
async def test_both_find_the_same_with_the_same_scores(stores: list[LearningStore], seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(memory_best, "SEEK", [0, 1, 8][seed])  # looks each posting up, some, few
    monkeypatch.setattr(memory_best, "MANY", [200, 0, 20][seed])
    await fill(stores, chance, 700)

    found = 0
    for _ in range(40):
        query, scopes = text(chance), chance.sample(["s0", "s1", "s2"], chance.randint(1, 3))
        states = chance.sample(["active", "shadow", "retired"], chance.randint(1, 3))
        limit, floor, uid = chance.choice([1, 3, 10, 50]), chance.choice([None, 0.0, 0.3]), chance.choice([None, "a", "c"])
        for kind in ("case", "experience"):
            in_ram, in_file = [await s.search(query, scopes=scopes, kind=kind, uid=uid, states=states, limit=limit, floor=floor) for s in stores]
            assert in_file == in_ram
            found += len(in_ram)
    assert found > 400
