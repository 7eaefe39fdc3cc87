"""Results that are too long to be shown whole: the model is told how to read on, and can."""

import json
from typing import Any

import pytest

from agent.core.wording import wording
from agent.engine.cut_results import MAX_READ_CHARS
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

TEXT = "".join(f"line {number}: nothing of note\n" for number in range(5_000)).replace("line 4000: nothing", "line 4000: The Needle")


@pytest.fixture
def tools() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def fetch() -> str:
        "Fetch a page."
        return TEXT

    return registry


def names_of(call: dict[str, Any]) -> list[str]:
    return [schema["function"]["name"] for schema in call["tools"] or ()]


def read(**arguments: Any) -> Any:
    """A line that reads on in the result which was cut last."""

    def line(messages: Any) -> Any:
        note = next(m["content"] for m in reversed(messages) if "result_id=" in str(m["content"]))
        return asks(tool_request("read_result", {"result_id": note.rsplit('result_id="', 1)[1][:8], **arguments}))

    return line


async def told(make: Any, *lines: Any, **config: Any) -> tuple[ScriptedLLM, list[str]]:
    """Return the model, and the results that it was told."""
    llm = ScriptedLLM([asks(tool_request("fetch")), *lines, "done"])
    events = await collect(make(llm=llm, config=config).run("go", tools=["fetch"]))
    return llm, [event.data["result"] for event in events if event.type == "tool_result"]


async def test_a_model_reads_on_where_a_result_was_cut(make: Any) -> None:
    _, results = await told(make, read(offset=50_000), read(offset=50_000 + MAX_READ_CHARS, length=10), read(offset=10, length=1_000_000))

    assert f"[{len(TEXT) - 50_000} more characters are not shown. read_result(" in results[0]
    assert "offset=50000" in results[0]
    assert results[1] == f"[characters 50000 to 70000 of {len(TEXT)}; go on with offset=70000]\n" + TEXT[50_000:70_000]
    assert results[2] == f"[characters 70000 to 70010 of {len(TEXT)}; go on with offset=70010]\n" + TEXT[70_000:70_010]
    assert results[3].endswith(TEXT[10:20_010])


async def test_a_model_searches_in_a_result_that_was_cut(make: Any) -> None:
    _, results = await told(make, read(find="the needle"), read(find="nowhere (to be found"), read(find="line"))

    assert results[1].startswith(f"[offset {TEXT.index('The Needle')}] …")
    assert "line 4000: The Needle of note" in results[1]
    assert results[2] == f"['nowhere (to be found' is not in the {len(TEXT)} characters of this result]"
    assert results[3].count("[offset") == 20
    assert results[3].endswith("[only the first 20 places: search for more words]")


async def test_the_tool_is_offered_once_there_is_something_to_read_on_and_in_no_other_run(make: Any) -> None:
    llm, _ = await told(make)
    short, _ = await told(make, max_result_chars=1_000_000)
    without, results = await told(make, offer_read_result=False)

    assert [names_of(call) for call in llm.calls] == [["fetch"], ["fetch", "read_result"]]
    assert [names_of(call) for call in short.calls] == [["fetch"], ["fetch"]]
    assert [names_of(call) for call in without.calls] == [["fetch"], ["fetch"]]
    assert results[0].endswith("more characters are not shown]")


async def test_it_can_be_named_from_the_start(make: Any) -> None:
    llm = ScriptedLLM([asks(tool_request("fetch")), read(offset=60_000, length=5), "done"])
    events = await collect(make(llm=llm, config={"offer_read_result": True}).run("go", tools=["read_result", "fetch"]))

    assert [names_of(call) for call in llm.calls] == [["fetch", "read_result"]] * 3
    assert events[-1].type == "trace_completed"
    assert TEXT[60_000:60_005] in [event.data["result"] for event in events if event.type == "tool_result"][1]


async def test_a_tool_of_ones_own_with_this_name_goes_before_it(make: Any, tools: ToolRegistry) -> None:
    @tools.tool(effect="read")
    async def read_result(result_id: str) -> str:
        "Read something else."
        return "my own"

    llm, results = await told(make, read())

    assert names_of(llm.calls[1]) == ["fetch"]
    assert "not offered" in results[1]
    events = await collect(make(asks(tool_request("read_result", {"result_id": "x"})), "done").run("go", tools=["read_result"]))
    assert [event.data["result"] for event in events if event.type == "tool_result"] == ["my own"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"result_id": "../etc"}, "there is no cut result '../etc' here; there are: "),
        ({"offset": 10**9}, "is outside of the result"),
        ({"offset": -1}, "is outside of the result"),
        ({"length": "many"}, "cannot be used"),
        ({"nothing": 1}, "cannot be used"),
    ],
)
async def test_what_cannot_be_read_is_told_to_the_model(make: Any, arguments: dict[str, Any], words: str) -> None:
    _, results = await told(make, read(**arguments))

    assert words in results[1]


async def test_without_a_cut_result_it_is_a_tool_like_any_that_is_not_offered(make: Any) -> None:
    llm = ScriptedLLM([asks(tool_request("read_result", {"result_id": "x"})), "done"])
    events = await collect(make(llm=llm).run("go", tools=["fetch"]))

    assert "There is no tool 'read_result'" in next(event.data["result"] for event in events if event.type == "tool_result")


async def test_what_is_read_on_is_never_cut_again(make: Any, store: Store) -> None:
    _, results = await told(make, read(offset=100), read(find="line"), max_result_chars=100)

    assert results[1] == f"[characters 100 to 200 of {len(TEXT)}; go on with offset=200]\n" + TEXT[100:200]
    assert results[2].count("[offset") == 20
    assert not any("more characters are not shown" in result for result in results[1:])


async def test_a_run_that_is_resumed_reads_on(make: Any) -> None:
    events: list[Any] = []
    broken = ScriptedLLM([asks(tool_request("fetch")), RuntimeError("gone")])
    with pytest.raises(RuntimeError):
        await collect(make(llm=broken).run("go", tools=["fetch"]), into=events)
    llm = ScriptedLLM([RuntimeError("not asked"), read(offset=60_000, length=4), "done"])
    rest = await collect(make(llm=llm).resume(events[0].data["trace_id"]))

    assert types_of(rest)[-1] == "trace_completed"
    assert TEXT[60_000:60_004] in next(event.data["result"] for event in rest if event.type == "tool_result")


async def test_a_later_run_of_the_conversation_reads_on_in_another_process_too(make: Any) -> None:
    first = ScriptedLLM([asks(tool_request("fetch")), "a long page"])
    await collect(make(llm=first).run("fetch it", tools=["fetch"], conversation_id="talk"))
    for _ in range(2):  # the second one goes on from a run that inherited it itself
        llm = ScriptedLLM([read(offset=70_000, length=7), "done"])
        events = await collect(make(llm=llm).run("what is on it?", tools=["fetch"], conversation_id="talk"))

        assert names_of(llm.calls[0]) == ["fetch", "read_result"]
        assert TEXT[70_000:70_007] in next(event.data["result"] for event in events if event.type == "tool_result")


async def test_a_fork_reads_what_its_parent_was_told(make: Any) -> None:
    events = await collect(make(asks(tool_request("fetch")), "done").run("go", tools=["fetch"]))
    llm = ScriptedLLM([read(offset=60_000, length=6), "done"], by_calls=True)
    runner = make(llm=llm)
    fork_id = await runner.fork(events[0].data["trace_id"], 3)
    rest = await collect(runner.resume(fork_id))

    assert names_of(llm.calls[0]) == ["fetch", "read_result"]
    assert TEXT[60_000:60_006] in next(event.data["result"] for event in rest if event.type == "tool_result")
    assert (await runner.replay(fork_id)).identical


async def test_results_of_other_runs_cannot_be_read(make: Any) -> None:
    _, results = await told(make)
    result_id = results[0].rsplit('result_id="', 1)[1][:8]
    other = ScriptedLLM([asks(tool_request("read_result", {"result_id": result_id})), "done"])
    events = await collect(make(llm=other).run("go", tools=["fetch", "read_result"], uid="somebody else"))

    assert "there is no cut result" in next(event.data["result"] for event in events if event.type == "tool_result")


async def test_without_a_record_nothing_is_kept_and_nothing_offered(make: Any) -> None:
    llm = ScriptedLLM([asks(tool_request("fetch")), "done"])
    events = await collect(make(llm=llm, trace_store=None).run("go", tools=["fetch"]))

    assert names_of(llm.calls[1]) == ["fetch"]
    assert next(event.data["result"] for event in events if event.type == "tool_result").endswith("more characters are not shown]")


async def test_it_is_told_in_chinese_to_a_run_in_chinese(make: Any) -> None:
    llm, results = await told(make, read(offset=60_000, length=5), language="zh")
    shown = llm.calls[1]["tools"][1]["function"]

    assert "可继续阅读" in results[0]
    assert shown["description"] == wording("read_result", "zh").partition("\n")[0]
    assert "截断处" in json.dumps(shown, ensure_ascii=False)
    assert TEXT[60_000:60_005] in results[1]


async def test_a_person_is_asked_where_every_call_is_to_be_asked_about(make: Any) -> None:
    llm = ScriptedLLM([asks(tool_request("fetch")), read(offset=60_000, length=5), "done"])
    runner = make(llm=llm)
    events = await collect(runner.run("go", tools=["fetch"], auto_execute_tools=False))
    trace_id = events[0].data["trace_id"]
    for _ in range(2):
        (waiting,) = await runner.pending(trace_id=trace_id)
        await runner.decide(trace_id, waiting.call_id, "approve")
        events = await collect(runner.resume(trace_id))

    assert waiting.tool_name == "read_result"
    assert events[-1].type == "trace_completed"
    assert TEXT[60_000:60_005] in next(event.data["result"] for event in events if event.type == "tool_result")
