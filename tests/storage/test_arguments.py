"""Stores that are called with the wrong kind of thing: every method of each adapter says so in our words, and stays usable."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.errors import AgentError, BadInput
from agent.models.trace import Step, Trace
from agent.storage.protocols import Store

ODD: list[Any] = [5, -1, 2**70, 1.5, float("nan"), b"x", object(), [], {}, True, "", "\ud800", "x\x00y", "x" * 10_000]
Call = Callable[[Any], Awaitable[Any]]


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store("memory://" if request.param == "memory" else f"sqlite:///{tmp_path / 'runs.db'}") as opened:
        yield opened


def calls_of_traces(log: Any, trace: Trace, target: Path) -> list[Call]:
    own = trace.trace_id
    listed = [
        lambda v, name=name: log.list_traces(**{name: v})
        for name in ("uid", "status", "limit", "before", "agent_type", "conversation_id", "is_waiting", "is_unlearnt")
    ]
    return [
        *listed,
        *[lambda v, name=name: getattr(log, name)(v) for name in ("get_trace", "head", "read_steps", "get_steps", "get_trace_steps", "verify", "get_blob")],
        lambda v: log.get_trace(own, uid=v),
        lambda v: log.read_steps(own, after=v),
        lambda v: log.read_steps(own, limit=v),
        lambda v: log.get_steps(own, after=v, limit=v, uid=v),
        lambda v: log.get_step(v, "x"),
        lambda v: log.get_step(own, v),
        log.changes_since,
        lambda v: log.claim(v, expected_epoch=0),
        lambda v: log.claim(own, expected_epoch=v),
        log.create_trace,
        lambda v: log.open_trace(v, []),
        log.add_step,
        lambda v: log.add_steps(v, [], changes={"task": "x"}),
        lambda v: log.add_steps(v, [Step.create(own, "x", 1, {})]),
        lambda v: log.add_steps(own, v),
        lambda v: log.add_steps(own, [], changes=v),
        lambda v: log.update_trace(v, task="x"),
        lambda v: log.prune(before=v),
        lambda v: log.prune(before=trace.created_at, uid=v),
        lambda v: log.prune(before=trace.created_at, statuses=v),
        log.verify,
        lambda v: log.verify(own, head=v),
        lambda v: log.erase(v, [0], reason="x"),
        lambda v: log.erase(own, v, reason="x"),
        lambda v: log.erase(own, [0], reason=v),
        lambda v: log.backup(v if not isinstance(v, str) or not v.isprintable() or len(v) > 300 else target),
    ]


def calls_of_states(states: Any) -> list[Call]:
    return [
        *[lambda v, name=name: getattr(states, name)(v) for name in ("get", "delete", "list")],
        *[lambda v, name=name: getattr(states, name)("k", uid=v) for name in ("get", "delete", "list")],
        lambda v: states.set(v, 1),
        lambda v: states.set("k", 1, uid=v),
        lambda v: states.set("k", 1, if_version=v),
        lambda v: states.set("k", 1, ttl_s=v),
    ]


def calls_of_memories(memories: Any) -> list[Call]:
    searches = (memories.search_experiences, memories.search_skills)
    return [
        *[lambda v, name=name: memories.list(**{name: v}) for name in ("uid", "scope", "state", "kind", "limit", "before")],
        *[lambda v, name=name: getattr(memories, name)(v) for name in ("add_experience", "add_skill", "get", "retire", "forget")],
        *[lambda v, search=search: search(v, "q") for search in searches],
        *[lambda v, search=search: search("s", v) for search in searches],
        *[lambda v, search=search: search("s", "q", uid=v, limit=v) for search in searches],
        lambda v: memories.get("x", uid=v),
        lambda v: memories.retire("x", by=v),
        lambda v: memories.promote(v, by="x"),
        lambda v: memories.promote("x", by=v),
        lambda v: memories.history(uid=v, item_id=v),
        lambda v: memories.verify(head=v),
    ]


async def test_whatever_a_store_is_called_with_it_answers_or_refuses_in_our_words(store: Store, tmp_path: Path) -> None:
    trace = Trace.create(task="t", uid="u", conversation_id="talk")
    await store.traces.open_trace(trace, [Step.create(trace.trace_id, "input", 0, {})])

    for call in (*calls_of_traces(store.traces, trace, tmp_path / "copy.db"), *calls_of_states(store.states), *calls_of_memories(store.memories)):
        for odd in ODD:
            try:
                await call(odd)
            except AgentError as refusal:
                assert str(refusal)  # noqa: PT017  an answer is as good as a refusal
    steps = await store.traces.read_steps(trace.trace_id)
    assert [step.step_type for step in steps] == ["input"]
    assert (await store.traces.verify(trace.trace_id)).entries == 1


@pytest.mark.parametrize("call", ["list_traces", "read_steps", "get_trace", "changes_since", "claim"])
async def test_the_refusal_names_the_argument(store: Store, call: str) -> None:
    wrong: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
        "list_traces": ((), {"limit": "x"}, "limit is 'x': it is to be a whole number"),
        "read_steps": (("t",), {"after": None}, "after is None: it is to be a whole number"),
        "get_trace": ((5,), {}, "trace_id is 5: it is to be text"),
        "changes_since": (("x",), {}, "cursor is 'x': it is to be a whole number"),
        "claim": (("\ud800",), {"expected_epoch": 1}, "trace_id '\\ud800' holds half a character"),
    }
    args, keywords, sentence = wrong[call]

    with pytest.raises(BadInput) as refusal:
        await getattr(store.traces, call)(*args, **keywords)
    assert sentence in str(refusal.value)


async def test_a_state_is_asked_for_by_text_only(store: Store) -> None:
    for call in (store.states.get(5), store.states.delete(5), store.states.list(5), store.states.get("k", uid=5), store.states.set("k", 1, if_version="1")):  # type: ignore[arg-type]  # what is tested
        with pytest.raises(BadInput, match="is to be"):
            await call
