"""The adapters do the same: one random life of a memory, lived in RAM and in SQLite, and again from the log."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.errors import AgentError
from agent.models.learning import Case, Use, Used
from agent.models.memory import Experience, Skill
from agent.storage.learning_port import LearningStore, Sources
from agent.storage.ram.memories import RamMemoryStore
from agent.storage.sqlite.database import Database
from agent.storage.sqlite.memories import SqliteMemoryStore
from agent.storage.sqlite.memory_evidence import PROJECTIONS
from agent.storage.sqlite.parts import Part
from agent.testing.clock import FakeClock

EXAMPLES = int(os.environ.get("SEASONED_MEMORY_LIVES", "60"))
WORDS = ["refund", "refunds", "order", "card", "the", "退款", "订单", "请问退款", "check", "paid", "ＣＡＲＤ", "don't"]
IDS = [f"i{n}" for n in range(6)]
SCOPES = ["agent:a", "agent:b"]
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
ids, scopes, uids = st.sampled_from(IDS), st.sampled_from(SCOPES), st.sampled_from([None, "a", "b"])
traces = st.sampled_from(["t0", "t1", "t2"])
evidence = st.sampled_from(["t0/1", "t1/2", "t2/3", "i0", "i1", "elsewhere"])
sources = st.one_of(
    st.builds(Sources, trace_id=st.sampled_from(["t0", "t1"]), uid=st.sampled_from([None, None, "a"])),
    st.builds(Sources, text=st.sampled_from(["refund", "退款", "tool of"]), item_id=st.sampled_from([None, None, "i0"])),
    st.builds(Sources, uid=st.sampled_from(["a", "b"]), source=st.sampled_from([None, "manual"])),
    st.builds(Sources, item_id=st.sampled_from(IDS)),
)
steps = st.one_of(
    st.tuples(st.just("add"), ids, scopes, uids, texts, texts, st.sampled_from([None, -5, 5]), st.sampled_from(["active", "active", "shadow"])),
    st.tuples(st.just("skill"), ids, scopes, uids, st.sampled_from(["n", "m"]), texts),
    st.tuples(st.just("retire"), ids, uids),
    st.tuples(st.just("supersede"), ids, ids, uids, texts),
    st.tuples(st.just("promote"), ids, uids),
    st.tuples(st.just("forget"), ids, uids),
    st.tuples(st.just("search"), scopes, texts, uids, st.integers(0, 4)),
    st.tuples(st.just("case"), st.lists(st.tuples(ids, scopes, uids, texts, traces, st.sampled_from([None, -5, 5])), max_size=3)),
    st.tuples(st.just("edit"), ids, uids, st.one_of(st.just(""), texts), st.lists(evidence, max_size=2)),
    st.tuples(st.just("state"), ids, st.sampled_from(["candidate", "shadow", "active", "retired", "superseded"]), uids),
    st.tuples(st.just("restore"), ids, uids),
    st.tuples(st.just("use"), traces, scopes, uids, st.lists(ids, max_size=3), st.sampled_from(["injected", "withheld", "none"])),
    st.tuples(st.just("outcome"), traces, st.sampled_from([None, 0, 0.5, 1]), uids),
    st.tuples(st.just("forget_from"), sources),
    st.tuples(st.just("wait"), st.integers(1, 4)),
)


async def perform(store: LearningStore, step: tuple[Any, ...], clock: FakeClock) -> Any:
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
        "case": lambda cases: store.add_cases([a_case(clock, *given) for given in cases]),
        "edit": lambda i, uid, rule, rests_on: store.edit(i, {"rule": rule} if rule else {"evidence": rests_on}, uid=uid, by="Bob"),
        "state": lambda i, state, uid: store.set_state(i, state, uid=uid, by="Ann", reason="so"),
        "restore": lambda i, uid: store.restore(i, uid=uid, by="Ann"),
        "use": lambda trace, scope, uid, told, arm: store.record_use(a_use(trace, scope, uid, told, arm, clock)),
        "outcome": lambda trace, value, uid: store.record_outcome(trace, value, signal="score", by="Bob", uid=uid),
        "forget_from": lambda sources: store.forget_from(sources, by="Ann"),
    }
    try:
        return await moves[step[0]](*step[1:])
    except AgentError as error:
        return repr(error)


def a_case(clock: FakeClock, case_id: str, scope: str, uid: str | None, task: str, trace_id: str, ends: int | None) -> Case:
    return Case(
        case_id=f"c{case_id}" if uid else case_id,
        scope=scope,
        uid=uid,
        task=task,
        tool=f"tool of {case_id}",
        arguments={"x": [task]},
        sign=1,
        signal="approved",
        trace_id=trace_id,
        step_id=f"{trace_id}/1",
        created_at=clock.now(),
        valid_to=None if ends is None else clock.now() + timedelta(seconds=ends),
    )


def a_use(trace_id: str, scope: str, uid: str | None, told: list[str], arm: Any, clock: FakeClock) -> Use:
    items = tuple(Used(item_id=item_id, kind="advice", rank=rank, score=0.5) for rank, item_id in enumerate(told))
    return Use(trace_id=trace_id, scope=scope, uid=uid, at=clock.now(), items=items, arm=arm)


async def seen(store: LearningStore) -> list[Any]:
    """Return all that anybody can see of a memory."""
    whole: list[Any] = []
    for uid in (None, "a", "b", "c"):
        whole += [await store.history(uid=uid), await store.list(uid=uid), await store.list(uid=uid, kind="skill")]
        whole += [await store.get(item_id, uid=uid) for item_id in IDS]
        for scope in SCOPES:
            whole += [await store.search_experiences(scope, query, uid=uid, limit=9) for query in ("refund order", "退款 card")]
            whole += [await store.search_skills(scope, "order refund", uid=uid, limit=9), await store.run_count(scope, uid=uid)]
        states = ("active", "shadow", "candidate", "retired")
        for kind in ("experience", "skill", "case"):
            whole += [await store.search("refund 退款", scopes=SCOPES, kind=kind, uid=uid, states=states, limit=9)]
        whole += [await store.cases(uid=uid), await store.cases(uid=uid, trace_id="t1", tool="tool of i1", scopes=SCOPES[:1]), await store.uses(uid=uid)]
        whole += [await store.uses(uid=uid, item_id="i1"), await store.uses(uid=uid, scope=SCOPES[0], trace_id="t0")]
        whole += [await store.history(uid=uid, item_id=item_id) for item_id in (*IDS, "t0")]
    return whole


A_CUT: list[tuple[Any, ...]] = [
    ("add", "i0", "agent:a", "a", "refund", "order", None, "active"),
    ("case", [("i1", "agent:a", None, "refund", "t0", None)]),
    ("edit", "i0", None, "", ["t0/1", "t1/2"]),
    ("promote", "i0", None),
    ("edit", "i0", None, "check", []),
    ("edit", "i0", None, "order", ["t0/1"]),
    ("use", "t0", "agent:a", None, ["i0"], "injected"),
    ("forget_from", Sources(trace_id="t0")),
    ("edit", "i0", None, "order 退款", ["t1/2"]),
    ("forget_from", Sources(text="check")),
    ("retire", "i0", None),
    ("restore", "i0", None),
]


@example(A_CUT)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=30))
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
        assert (await in_file.verify()).erased == (await in_ram.verify()).erased
        tables = await Part(database, "memory").read(rows)
        await in_file.rebuild()
        assert await seen(in_file) == whole
        assert await Part(database, "memory").read(rows) == tables
        await database.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder)))


def rows(db: Any) -> list[Any]:
    """Return the projection, shelves by what they stand for."""
    return [db.execute(question).fetchall() for question in PROJECTIONS.values()]
