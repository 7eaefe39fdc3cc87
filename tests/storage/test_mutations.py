"""A flipped bit anywhere in a real file is found, or changed nothing; and honest use, whatever it is, raises no alarm."""

import contextlib
import os
import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.assemble import open_store
from agent.errors import AgentError
from agent.models.memory import Experience, Skill
from agent.models.trace import Step, Trace, step_id_of
from agent.runner import AgentRunner
from agent.storage.codec import blob_bytes, commitment_of
from agent.storage.protocols import Store
from agent.storage.sqlite.rows import SEALED
from agent.storage.sqlite.schema import PAGE_SIZE
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

FLIPS = int(os.environ.get("SEASONED_FLIPS", "250"))
TABLES = (
    "trace",
    "step",
    "step_name",
    "blob",
    "blob_use",
    "memory_log",
    "memory_item",
    "memory_shelf",
    "memory_posting",
    "memory_origin",
    "memory_use",
    "memory_used",
)


async def filled(path: Path) -> dict[str, str]:
    """Make a file with runs, blobs, an erasure and a memory; return its heads."""
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def look(n: int) -> str:
        "Look."
        return "seen " * (40_000 if n == 2 else 2)

    async with open_store(f"sqlite:///{path}") as store:
        async with AgentRunner(
            store.traces, store.memories, tool_registry=registry, llm_call=ScriptedLLM([asks(tool_request("look", {"n": 2})), "done"])
        ) as runner:
            for number in range(3):
                await collect(runner.run(f"task {number}", tools=["look"], system_prompt="Be brief. " * 30, uid="me"))
            (newest, *_) = await store.traces.list_traces()
            await runner.add_feedback(newest.trace_id, step_id_of(newest.trace_id, 1), "correction", "Not so loud.")
        await store.traces.add_step(Step.create(newest.trace_id, "note", 40, {"text": "hand-made"}, step_id="mine"))
        await store.traces.erase(newest.trace_id, [1], reason="asked", by="Ann")
        await store.memories.add_skill(Skill.create("agent:default", "n", "d", "words of a skill"))
        heads = {trace.trace_id: (await store.traces.verify(trace.trace_id)).head for trace in await store.traces.list_traces()}
        return {**heads, "memory": (await store.memories.verify()).head}


def evidence(path: Path) -> list[Any]:
    """Return all rows as they stand in the tables; packed bytes by what they hold."""
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    db.create_function("held", 1, commitment_of)
    db.create_function("raw", 1, blob_bytes)
    chosen = {
        "trace": f"no, {', '.join(SEALED)}, tail, seal",  # not what only grows: a note of what is to be learnt, no record
        "step": "id, trace, seq, epoch, kind, at, parents, hash, held(data)",
        "blob": "id, hash, raw(data)",
        "memory_shelf": "kind, scope, owner, no",  # another tokenizer has the index made anew
    }
    try:
        return [db.execute(f"select {chosen.get(table, '*')} from {table} not indexed order by 1, 2").fetchall() for table in TABLES]
    finally:
        db.close()


async def alarm(path: Path, heads: Mapping[str, str | None]) -> str | None:
    """Return what is reported of a file; None: nothing."""
    try:
        async with open_store(f"sqlite:///{path}") as store:
            there = {trace.trace_id for trace in await store.traces.list_traces()}
            for name, head in heads.items():
                if name == "memory":
                    await store.memories.verify(head=head)
                elif name not in there:
                    return f"trace {name} is gone"
                else:
                    await store.traces.verify(name, head=head)
    except AgentError as error:
        return str(error)
    return None


async def test_a_flipped_bit_is_found_or_changed_nothing(tmp_path: Path) -> None:
    heads = await filled(tmp_path / "runs.db")
    whole, before = (tmp_path / "runs.db").read_bytes(), evidence(tmp_path / "runs.db")
    chance, image = random.Random(5), tmp_path / "flipped.db"
    assert await alarm(tmp_path / "runs.db", heads) is None
    found, used = 0, [place for place, byte in enumerate(whole) if byte and place >= PAGE_SIZE]  # the first page is no record: header, definitions
    for number in range(FLIPS):
        place, bit = chance.choice(used) if number % 10 else chance.randrange(PAGE_SIZE, len(whole)), 1 << chance.randrange(8)
        image.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
        reported = await alarm(image, heads)
        found += reported is not None
        if reported is None:
            assert evidence(image) == before, f"bit {bit} of byte {place} changed the record, and nothing was reported"
        for left in tmp_path.glob("flipped.db*"):  # noqa: ASYNC240
            left.unlink()

    assert found > FLIPS // 2, "most of what is in use is evidence"


@pytest.mark.parametrize("column", SEALED)
async def test_a_field_of_a_run_that_was_changed_behind_the_store_is_found(tmp_path: Path, column: str) -> None:
    await filled(tmp_path / "runs.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.db")) as db:
        (trace_id, value) = db.execute(f"select id, {column} from trace order by no limit 1").fetchone()
        other = value + 1 if isinstance(value, int | float) else f"x{value}" if isinstance(value, str) else b"x" + (value or b"")
        db.execute(f"update trace set {column}=? where id=?", (other, trace_id))
        db.commit()
    reported = await alarm(tmp_path / "runs.db", {trace_id: None})

    assert reported is not None


# ---- honest use

names = st.sampled_from(["note", "tool_call", "llm_call"])
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add_steps"), names, st.integers(1, 3)),
        st.tuples(st.just("add_step"), names, st.integers(0, 60)),
        st.tuples(st.just("update"), st.sampled_from(["running", "waiting", "completed", "failed"]), st.integers(0, 9)),
        st.tuples(st.just("claim"), st.just(""), st.just(0)),
        st.tuples(st.just("erase"), st.just("asked"), st.integers(0, 5)),
        st.tuples(st.just("fork"), st.just(""), st.integers(0, 3)),
        st.tuples(st.just("learn"), st.sampled_from(["a", "b"]), st.integers(0, 3)),
        st.tuples(st.just("forget"), st.just(""), st.integers(0, 3)),
    ),
    max_size=14,
)


async def do(store: Store, trace: Trace, word: tuple[str, str, int]) -> None:
    what, text, number = word
    log, memories, trace_id = store.traces, store.memories, trace.trace_id
    head = await log.head(trace_id)
    match what:
        case "add_steps":
            await log.add_steps(trace_id, [Step.create(trace_id, text, head.next_sequence + n, {"n": n, "text": "x" * 9_000 * n}) for n in range(number)])
        case "add_step":
            await log.add_step(Step.create(trace_id, text, number, {"text": text}))
        case "update":
            await log.update_trace(trace_id, status=text, total_tokens=number)
        case "claim":
            await log.claim(trace_id, expected_epoch=head.epoch)
        case "erase":
            await log.erase(trace_id, [number], reason=text)
        case "fork":
            await log.create_trace(Trace.create(uid=trace.uid, parent_trace_id=trace_id, fork_at=number))
        case "learn":
            await memories.add_experience(Experience.create("s", f"condition {number}", text, uid=text, experience_id=f"e{number}"))
        case _:
            await memories.forget(f"e{number}", by="Ann")


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=operations)
async def test_honest_use_raises_no_alarm(url: str, tmp_path_factory: pytest.TempPathFactory, words: list[tuple[str, str, int]]) -> None:
    place = url.format(tmp_path_factory.mktemp("honest") / "runs.db")
    async with open_store(place) as store:
        trace = Trace.create(uid="me", task="t")
        await store.traces.open_trace(trace, [Step.create(trace.trace_id, "input", 0, {"task": "t"})])
        heads: dict[str, str] = {}
        memory_head: str | None = None
        for word in words:
            try:
                await do(store, trace, word)
            except AgentError:
                continue  # refused: nothing was written
            for found in await store.traces.list_traces():
                checked = await store.traces.verify(found.trace_id, head=heads.get(found.trace_id))
                heads[found.trace_id] = checked.head
            memory_head = (await store.memories.verify(head=memory_head)).head
