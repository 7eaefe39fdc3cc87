"""The adapters do the same: one random life of a memory, lived in RAM and in SQLite, and again from the log."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import AgentError
from agent.models.memory import Experience, Skill
from agent.storage.protocols import MemoryCurator
from agent.storage.ram.memories import RamMemoryStore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore
from agent.storage.sqlite.parts import Part
from agent.testing.clock import FakeClock

WORDS = ["refund", "refunds", "order", "card", "the", "退款", "订单", "请问退款", "check", "paid", "ＣＡＲＤ", "don't"]
IDS = [f"i{n}" for n in range(6)]
SCOPES = ["agent:a", "agent:b"]
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
ids, scopes, uids = st.sampled_from(IDS), st.sampled_from(SCOPES), st.sampled_from([None, "a", "b"])
steps = st.one_of(
    st.tuples(st.just("add"), ids, scopes, uids, texts, texts, st.sampled_from([None, -5, 5]), st.sampled_from(["active", "active", "shadow"])),
    st.tuples(st.just("skill"), ids, scopes, uids, st.sampled_from(["n", "m"]), texts),
    st.tuples(st.just("retire"), ids, uids),
    st.tuples(st.just("supersede"), ids, ids, uids, texts),
    st.tuples(st.just("promote"), ids, uids),
    st.tuples(st.just("forget"), ids, uids),
    st.tuples(st.just("search"), scopes, texts, uids, st.integers(0, 4)),
    st.tuples(st.just("wait"), st.integers(1, 4)),
)


async def perform(store: MemoryCurator, step: tuple[Any, ...], clock: FakeClock) -> Any:
    async def search(scope: str, query: str, uid: str | None, limit: int) -> list[Any]:
        return [await store.search_experiences(scope, query, uid=uid, limit=limit), await store.search_skills(scope, query, uid=uid, limit=limit)]

    def add(item_id: str, scope: str, uid: str | None, condition: str, rule: str, begins: int | None, state: str) -> Awaitable[str]:
        moment = clock.now()
        valid_from = None if begins is None else moment + timedelta(seconds=begins)
        return store.add_experience(
            Experience.create(scope, condition, rule, experience_id=item_id, uid=uid, created_at=moment, valid_from=valid_from, state=state),
        )

    moves: dict[str, Callable[..., Awaitable[Any]]] = {
        "add": add,
        "skill": lambda i, scope, uid, name, text: store.add_skill(Skill.create(scope, name, text, "", skill_id=i, uid=uid, created_at=clock.now())),
        "retire": lambda i, uid: store.retire(i, uid=uid, by="Ann"),
        "supersede": lambda i, new, uid, text: store.supersede(
            i, Experience.create("agent:a", text, "", experience_id=new, uid=uid, created_at=clock.now()), uid=uid
        ),
        "promote": lambda i, uid: store.promote(i, by="Ann", uid=uid),
        "forget": lambda i, uid: store.forget(i, uid=uid),
        "search": search,
    }
    try:
        return await moves[step[0]](*step[1:])
    except AgentError as error:
        return repr(error)


async def seen(store: MemoryCurator) -> list[Any]:
    """Return all that anybody can see of a memory."""
    whole: list[Any] = []
    for uid in (None, "a", "b", "c"):
        whole += [await store.history(uid=uid), await store.list(uid=uid), await store.list(uid=uid, kind="skill")]
        whole += [await store.get(item_id, uid=uid) for item_id in IDS]
        for scope in SCOPES:
            whole += [await store.search_experiences(scope, query, uid=uid, limit=9) for query in ("refund order", "退款 card")]
            whole += [await store.search_skills(scope, "order refund", uid=uid, limit=9)]
    return whole


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=25))
def test_both_stores_and_a_rebuilt_one_tell_the_same(life: list[tuple[Any, ...]]) -> None:
    async def live(folder: Path) -> None:
        clock = FakeClock()
        database = await Database.open(folder / "memory.db")
        in_ram, in_file = RamMemoryStore(now=clock.now), SqliteMemoryStore(database, now=clock.now)
        for step in life:
            clock.pass_s(step[1] if step[0] == "wait" else 0.0015)
            if step[0] != "wait":
                assert await perform(in_ram, step, clock) == await perform(in_file, step, clock)
        whole = await seen(in_ram)

        assert await seen(in_file) == whole
        tables = await Part(database, "memory").read(rows)
        await in_file.rebuild()
        assert await seen(in_file) == whole
        assert await Part(database, "memory").read(rows) == tables
        await database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


def rows(db: Any) -> list[Any]:
    """Return the projection, shelves by what they stand for."""
    postings = "select kind, scope, owner, token, item, count from memory_posting join memory_shelf on memory_shelf.no = shelf order by item, token"
    columns = "i.no, id, kind, scope, owner, name, state, created, valid_from, valid_to, length, data"
    items = f"select {columns} from memory_item i join memory_shelf s on s.no = i.shelf order by i.no"
    return [db.execute(items).fetchall(), db.execute(postings).fetchall(), db.execute("select count(*) from memory_shelf").fetchall()]
