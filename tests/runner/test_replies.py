"""Replies that hold what no record can: the run fails with a sentence that names the place, and the store goes on."""

from typing import Any

import pytest

from agent.errors import BadInput
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.scripted import says

CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


class Mute:
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize("odd", [object(), {"deep": [object()]}, CIRCLE, 10**5_000], ids=["object", "inside", "circle", "huge"])
async def test_a_provider_state_that_no_record_can_hold_is_named(odd: Any, make: Any, store: Store) -> None:
    runner: AgentRunner = make(says("a", provider_state=odd), "b")
    events: list[Any] = []

    with pytest.raises(BadInput, match="provider_state"):
        await collect(runner.run("t", enable_memory=False), into=events)
    trace = await store.traces.get_trace(events[0].data["trace_id"])
    assert (types_of(events)[-1], trace and trace.status) == ("trace_failed", "failed")


@pytest.mark.parametrize("key", ["content", "finish_reason", "response_id", "reasoning", "usage", "model", "tool_calls"])
@pytest.mark.parametrize(
    "odd",
    [object(), Mute(), 10**5_000, float("nan"), b"x", {"a": {1, 2}}, CIRCLE, "\ud800", {Mute(): 1}],
    ids=["object", "mute", "huge", "nan", "bytes", "set", "circle", "surrogate", "key"],
)
async def test_any_other_part_of_a_reply_is_recorded_as_text_where_it_is_nothing_better(key: str, odd: Any, make: Any, store: Store) -> None:
    runner: AgentRunner = make({"content": "a", key: odd}, "b")
    events = await collect(runner.run("t", enable_memory=False))

    assert events[-1].type == "trace_completed"
    assert (await store.traces.verify(events[0].data["trace_id"])).entries > 0
