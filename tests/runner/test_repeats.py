"""The bound on repeats: a model that asks the same again and again is told so, then stopped."""

from collections.abc import Callable
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.core.fold import fold, history
from agent.errors import LimitNotRaised
from agent.events import AgentEvent
from agent.models.trace import Step
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, read_until
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import asks, says, tool_request
from agent.tools.registry import ToolRegistry

NAMES = ["look", "pay", "send"]


def look(where: str) -> dict[str, Any]:
    return tool_request("look", {"where": where})


def id_of(events: list[AgentEvent]) -> str:
    trace_id: str = events[0].data["trace_id"]
    return trace_id


def limit_of(events: list[AgentEvent]) -> tuple[str, Any, Any]:
    return events[-1].type, events[-1].data.get("limit"), events[-1].data.get("value")


def results(events: list[AgentEvent]) -> list[str]:
    return [event.data["result"] for event in events if event.type == "tool_result"]


async def steps_of(store: Store, trace_id: str) -> list[Step]:
    steps = await store.traces.read_steps(trace_id)
    for count in range(len(steps) + 1):
        assert shape_faults(history(fold(steps[:count]))) == []
    return steps


def looping(stop_when: Callable[[str], bool], call: dict[str, Any] | None = None) -> Any:
    """A model that makes the same call until a result lets it stop."""

    async def model(messages: list[Any], model: str, tools: Any = None, **_: Any) -> Any:
        last = messages[-1]
        if tools is None or (last["role"] == "tool" and stop_when(last["content"])):
            return says("done")
        return asks(call or look("here"))

    return model


async def test_a_model_that_repeats_itself_is_told_so_and_then_stopped(make: Any, store: Store, done: list[str]) -> None:
    runner = make(llm=looping(lambda _: False), config={"max_repeated_calls": 3})
    events = await collect(runner.run("go", tools=NAMES, max_iterations=50))

    assert limit_of(events) == ("limit_reached", "max_repeated_calls", 3)
    assert done == ["look here"] * 3
    assert [result.startswith("This call was not run again") for result in results(events)] == [False] * 3 + [True] * 3
    with pytest.raises(LimitNotRaised, match="max_repeated_calls"):
        await collect(runner.resume(id_of(events)))
    rest = await collect(runner.resume(id_of(events), limits={"max_repeated_calls": 4}))
    assert (limit_of(rest), len(done)) == (("limit_reached", "max_repeated_calls", 4), 7)
    await steps_of(store, id_of(events))


async def test_a_model_that_listens_goes_on(make: Any) -> None:
    runner = make(llm=looping(lambda result: result.startswith("This call was not run again")), config={"max_repeated_calls": 3})

    assert (await collect(runner.run("go", tools=NAMES, max_iterations=50)))[-1].type == "trace_completed"


async def test_polling_whose_result_changes_is_left_alone(make: Any, tools: ToolRegistry) -> None:
    count = iter(range(100))

    @tools.tool(effect="read")
    async def poll() -> str:
        "How far it is."
        return f"{next(count)} %"

    runner = make(llm=looping(lambda result: result == "30 %", tool_request("poll")), config={"max_repeated_calls": 2})

    assert (await collect(runner.run("go", tools=["poll"], max_iterations=50)))[-1].type == "trace_completed"


async def test_by_default_ten_repeats_are_allowed_and_arguments_count_however_they_are_written(make: Any, tools: ToolRegistry, done: list[str]) -> None:
    spellings = ['{"a": 1, "b": 2}', '{"b":2,"a":1}', '{"b": 2,  "a": 1}']
    number = iter(range(100))

    @tools.tool(effect="read")
    async def add(a: int, b: int) -> int:
        "Add."
        done.append("add")
        return a + b

    async def model(messages: list[Any], model: str, tools: Any = None, **_: Any) -> Any:
        return says("done") if tools is None else asks(tool_request("add", spellings[next(number) % 3]))

    events = await collect(make(llm=model).run("go", tools=["add"], max_iterations=99))

    assert AgentConfig().max_repeated_calls == 10
    assert limit_of(events) == ("limit_reached", "max_repeated_calls", 10)
    assert done == ["add"] * 10


async def test_a_repeat_is_counted_the_same_in_a_process_that_takes_over(make: Any, store: Store, done: list[str]) -> None:
    runner: AgentRunner = make(llm=looping(lambda _: False), config={"max_repeated_calls": 4})
    stream = runner.run("go", tools=NAMES, max_iterations=50)
    for _ in range(2):
        await read_until(stream, "tool_result")
    await runner.aclose()
    trace_id = (await store.traces.list_traces())[0].trace_id
    events = await collect(make(llm=looping(lambda _: False), config={"max_repeated_calls": 4}).resume(trace_id))

    assert limit_of(events) == ("limit_reached", "max_repeated_calls", 4)
    assert done == ["look here"] * 4


async def test_without_a_bound_on_repeats_a_model_may_repeat_itself(make: Any, done: list[str]) -> None:
    events = await collect(make(llm=looping(lambda _: False), config={"max_repeated_calls": None}).run("go", tools=NAMES, max_iterations=25))

    assert limit_of(events) == ("limit_reached", "max_iterations", 25)
    assert len(done) == 25
