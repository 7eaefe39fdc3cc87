"""How long runs are made shorter is the program's choice: strategies of its own, and settings that are checked."""

from collections.abc import Callable
from typing import Any

import pytest
from tests.runner.readers import Worker, config, reading_tools

from agent.errors import BadInput
from agent.events import AgentEvent
from agent.models.compaction import CompactionRequest, Summary
from agent.models.trace import Step
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.tools.registry import ToolRegistry


@pytest.fixture
def tools() -> ToolRegistry:
    return reading_tools()


async def steps_of(store: Store, events: list[AgentEvent]) -> list[Step]:
    return await store.traces.get_trace_steps(events[0].data["trace_id"])


# ---- strategies of one's own


def plain(request: CompactionRequest) -> str:
    return f"{len(request.fold)} messages of {request.tokens} tokens"


async def waits(request: CompactionRequest) -> Summary:
    return Summary(text="own words", until=request.cuts[0], is_model_call=True, prompt_tokens=1, completion_tokens=1, cost=0.25)


async def asks_the_model(request: CompactionRequest) -> Summary:
    return await request.summarise()


@pytest.mark.parametrize(("strategy", "words"), [(plain, "messages of"), (waits, "own words"), (asks_the_model, "the first looks")])
async def test_a_strategy_of_ones_own_is_asked(make: Any, store: Store, strategy: Callable[..., Any], words: str) -> None:
    worker = Worker(12)
    events = await collect(make(llm=worker, config=config(compaction=strategy)).run("read all", tools=["read"]))
    folds = [step.data for step in await steps_of(store, events) if step.step_type == "compaction"]

    assert events[-1].type == "trace_completed"
    assert words in folds[0]["summary"]
    assert bool(worker.summed) is (strategy is asks_the_model)
    assert any(words in str(message["content"]) for message in worker.seen[-1])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (None, "left the history as it is"),
        (7, "returns a Summary, text, or None, not int"),
        (Summary(text="x", until=-3), "none of the cuts"),
        ([], "list"),
    ],
)
async def test_what_a_strategy_should_not_say_is_told_and_the_run_goes_on(make: Any, answer: Any, complaint: str) -> None:
    events = await collect(make(llm=Worker(8), config=config(compaction=lambda request: answer)).run("read all", tools=["read"]))
    told = [event.data["error"] for event in events if event.type == "compacted"]

    assert events[-1].type == "trace_completed"
    assert told
    assert all(complaint in error for error in told)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"context_window": 0}, "context_window of 'm' is 0"),
        ({"context_window": {"m": "big"}}, "context_window of 'm' is 'big'"),
        ({"compaction": "sumary"}, "compaction='sumary' is neither"),
        ({"compact_at": 80}, "compact_at=80 is to be a share"),
        ({"compact_keep": 0}, "compact_keep=0 is to be a share"),
        ({"keep_turns": -1}, "keep_turns=-1 is to be a whole number"),
    ],
)
async def test_settings_that_make_no_sense_are_refused_before_anything_is_recorded(make: Any, store: Store, more: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        await collect(make(llm=Worker(1), config=config(**more)).run("go", model="m"))

    assert await store.traces.list_traces() == []
