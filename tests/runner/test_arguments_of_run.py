"""What a caller may hand to `run` and `call`, what becomes of it, and what is never stored."""

import asyncio
import copy
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_store
from agent.config import AgentConfig
from agent.errors import BadInput, FeedbackInvalid, SettingMissing, StoreClosed, ToolNotFound
from agent.events import AgentEvent
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

PAY = asks(tool_request("pay", {"to": "ada"}))
CALLED = [
    {"role": "user", "content": "look"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}]},
]


async def test_settings_go_to_the_model_and_those_on_the_list_are_stored(make: Any, store: Store) -> None:
    llm = ScriptedLLM(["done"])
    events = await collect(make(llm=llm).run("go", temperature=0.5, api_key="sk-secret-secret", client=object()))
    (first, *_) = await store.traces.get_trace_steps(events[0].data["trace_id"])
    trace = await store.traces.get_trace(events[0].data["trace_id"])

    assert llm.calls[0]["settings"].keys() == {"temperature", "api_key", "client"}
    assert first.data["settings"] == {"temperature": 0.5}
    assert first.data["unstored"] == ["api_key", "client"]
    assert trace is not None
    assert trace.context == {"model": "gpt-4o", "temperature": 0.5}


async def test_nothing_is_passed_to_the_model_that_the_caller_did_not_give(make: Any) -> None:
    async def model(messages: Any, model: str, tools: Any) -> dict[str, Any]:
        return {"content": "done"}

    assert types_of(await collect(make(llm=model).run("go")))[-1] == "trace_completed"


async def test_a_resume_without_a_setting_that_is_never_stored_says_which(make: Any) -> None:
    runner = make(llm=ScriptedLLM([RuntimeError("no"), "done"], by_calls=True))
    events: list[AgentEvent] = []
    with pytest.raises(RuntimeError):
        await collect(runner.run("go", api_key="sk-secret-secret", temperature=0.5), into=events)
    trace_id = events[0].data["trace_id"]
    with pytest.raises(SettingMissing, match="api_key"):
        await collect(runner.resume(trace_id))
    await collect(runner.resume(trace_id, api_key="sk-another-secret"))

    assert runner.llm_call.calls[1]["settings"] == {"temperature": 0.5, "api_key": "sk-another-secret"}


async def test_messages_of_the_caller_are_neither_changed_nor_kept(make: Any, store: Store) -> None:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "S"}, {"role": "user", "content": "before"}, {"role": "assistant", "content": "yes"}]
    given = copy.deepcopy(messages)
    llm = ScriptedLLM([asks(tool_request("look", {"where": "x"})), "done"])
    events = await collect(make(llm=llm).run("go", messages=messages, tools=["look"], enable_memory=False))
    messages[1]["content"] = "changed later"
    steps = await store.traces.get_trace_steps(events[0].data["trace_id"])

    assert given[0] == messages[0]
    assert len(messages) == len(given)
    assert [m["content"] for m in steps[1].data["messages"]] == ["S", "before", "yes", "go"]
    assert [len(step.data["messages"]) for step in steps if step.step_type == "llm_call"] == [4, 6]


@pytest.mark.parametrize(
    ("system_prompt", "given", "seen"),
    [
        (None, [], []),
        ("A", [], ["A"]),
        (None, ["B"], ["B"]),
        ("A", ["A"], ["A"]),
        ("A", ["B"], ["A\n\nB"]),
        (None, ["A", "B"], ["A\n\nB"]),
        ("A", [[{"type": "text", "text": "B"}]], ["A\n\nB"]),
        ("", [""], []),
    ],
)
async def test_a_system_message_is_kept_and_not_doubled(system_prompt: str | None, given: list[Any], seen: list[str], make: Any) -> None:
    llm = ScriptedLLM(["done"])
    messages = [{"role": "system", "content": text} for text in given]
    await collect(make(llm=llm).run("go", messages=messages, system_prompt=system_prompt))

    assert [m["content"] for m in llm.calls[0]["messages"] if m["role"] == "system"] == seen
    assert llm.calls[0]["messages"][-1] == {"role": "user", "content": "go"}


async def test_calls_in_the_callers_messages_reach_the_model_whole(make: Any) -> None:
    llm = ScriptedLLM(["done"])
    await collect(make(llm=llm).run("go", messages=[*CALLED, {"role": "tool", "tool_call_id": "a", "content": "seen"}]))

    assert shape_faults(llm.calls[0]["messages"], is_request=True) == []
    assert llm.calls[0]["messages"][2]["name"] == "look"


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        (["hello"], r"messages\[0\] is no message"),
        ([{"content": "x"}], r"messages\[0\] is no message"),
        ([{"role": "clown"}], r"messages\[0\] is no message"),
        ([{"role": "user", "content": {1, 2}}], r"messages\[0\] cannot be recorded"),
        ([{"role": "user", "content": float("nan")}], r"messages\[0\] cannot be recorded"),
        (CALLED, r"messages\[2\] should be the answer to the tool call 'a'"),
        ([*CALLED, {"role": "user", "content": "x"}], r"messages\[2\] should be the answer"),
        ([{"role": "tool", "tool_call_id": "a", "content": "x"}], r"messages\[0\] answers the tool call 'a'"),
        ([{"role": "assistant", "tool_calls": [{"id": "a"}]}], r"messages\[0\] has a tool call without"),
        ([*CALLED, {"role": "tool", "tool_call_id": "a", "content": "x"}, CALLED[1]], "which another call has already"),
    ],
)
async def test_messages_that_no_provider_would_take_are_refused_and_named(messages: list[Any], problem: str, make: Any, store: Store) -> None:
    with pytest.raises(BadInput, match=problem):
        await collect(make("done").run("go", messages=messages))

    assert await store.traces.list_traces() == []


@pytest.mark.parametrize("task", [None, 5, [], ["x"], [{"text": "x"}], {"type": "text"}, b"x", [{"type": "text", "text": {1}}]])
async def test_a_task_that_is_neither_text_nor_parts_is_refused(task: Any, make: Any, store: Store) -> None:
    with pytest.raises(BadInput, match="the task must be text"):
        await collect(make("done").run(task))

    assert await store.traces.list_traces() == []


async def test_images_in_the_task_reach_the_model_and_the_words_name_the_trace(make: Any, store: Store) -> None:
    task = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    llm = ScriptedLLM(["a cat"])
    events = await collect(make(llm=llm).run(task))
    trace = await store.traces.get_trace(events[0].data["trace_id"])

    assert llm.calls[0]["messages"][-1]["content"] == task
    assert trace is not None
    assert trace.task == "what is this?"


async def test_a_task_with_half_a_character_is_repaired(make: Any, store: Store) -> None:
    events = await collect(make("done").run("a\ud800b"))

    assert types_of(events)[-1] == "trace_completed"
    assert events[0].data["task"] == "a\ufffdb"


async def test_a_tool_that_is_not_registered_is_named_before_anything_is_recorded(make: Any, store: Store) -> None:
    with pytest.raises(ToolNotFound, match="lokk"):
        await collect(make("done").run("go", tools=["lokk"]))

    assert await store.traces.list_traces() == []


async def test_without_a_uid_a_run_belongs_to_nobody_in_particular(make: Any, store: Store) -> None:
    events = await collect(make("done").run("go"))
    trace = await store.traces.get_trace(events[0].data["trace_id"])

    assert trace is not None
    assert trace.uid == "anonymous"


@pytest.mark.parametrize("uid", ["", "  ", 5])
async def test_an_empty_uid_is_refused(uid: Any, make: Any) -> None:
    with pytest.raises(BadInput, match="names nobody"):
        await collect(make("done").run("go", uid=uid))
    with pytest.raises(BadInput, match="names nobody"):
        await make("done").call([{"role": "user", "content": "x"}], uid=uid)


async def test_without_a_model_the_runner_says_how_to_give_one() -> None:
    with pytest.raises(BadInput, match="open_model"):
        await collect(AgentRunner().run("go"))
    with pytest.raises(ValueError, match="llm_call"):
        await AgentRunner().call([])


async def test_a_model_set_later_is_used(make: Any) -> None:
    runner = make("first")
    runner.llm_call = ScriptedLLM(["second"])
    events = await collect(runner.run("go"))

    assert events[-2].data["content"] == "second"


async def test_a_single_call_returns_what_the_model_said_and_is_recorded(make: Any, store: Store) -> None:
    reply = asks(tool_request("look", {"where": "x"}), content="hm", cost=0.25)
    result = await make(reply).call([{"role": "user", "content": "hi"}], tools=["look"], uid="ada", api_key="sk-secret-secret")
    trace = await store.traces.get_trace(result.trace_id)
    (step,) = await store.traces.get_trace_steps(result.trace_id)

    assert (result.reply, result.tokens, result.cost) == ("hm", {"prompt": 10, "completion": 5}, 0.25)
    assert result.tool_calls == reply["tool_calls"]
    assert step.step_id == result.step_id
    assert step.data["messages"] == [{"role": "user", "content": "hi"}]
    assert trace is not None
    assert (trace.mode, trace.status, trace.uid, trace.total_tokens, trace.total_cost) == ("call", "completed", "ada", 15, 0.25)
    assert "sk-secret" not in str(trace.to_dict()) + str(step.to_dict())


async def test_a_single_call_that_fails_closes_its_trace(make: Any, store: Store) -> None:
    with pytest.raises(RuntimeError, match="no model"):
        await make(RuntimeError("no model")).call([{"role": "user", "content": "hi"}])
    (trace,) = await store.traces.list_traces()
    (step,) = await store.traces.get_trace_steps(trace.trace_id)

    assert trace.status == "failed"
    assert trace.completed_at is not None
    assert (step.step_type, step.data["error"]) == ("failure", "no model")


async def test_a_single_call_can_leave_no_trace(make: Any, store: Store) -> None:
    result = await make("hello").call([{"role": "user", "content": "hi"}], trace=False)

    assert (result.reply, result.trace_id, result.step_id) == ("hello", None, None)
    assert await store.traces.list_traces() == []


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.iterdir())


async def test_secrets_of_the_environment_are_nowhere_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: ToolRegistry) -> None:
    secret, named, shaped = "hunter2hunter2hunter2", "correct-horse-battery", "sk-" + "a1" * 20
    monkeypatch.setenv("SOME_API_KEY", secret)

    @tools.tool(effect="read")
    def leak() -> str:
        "Return too much."
        return f"{secret} and {named} and {shaped}"

    @tools.tool(effect="read")
    def fail() -> str:
        "Raise too much."
        raise RuntimeError(f"{secret} {named}")

    llm = ScriptedLLM(
        [asks(tool_request("leak"), tool_request("fail"), tool_request("look", {"where": secret}), content=named), RuntimeError(f"bad key {secret}")]
    )
    config = AgentConfig(secrets={"HORSE": named})
    async with open_store(f"sqlite:///{tmp_path / 'runs.db'}") as store:
        async with AgentRunner(store.traces, tool_registry=tools, llm_call=llm, config=config) as runner:
            with pytest.raises(RuntimeError):
                await collect(runner.run(f"use {secret} and {shaped}", messages=[{"role": "user", "content": named}], tools=["leak", "look", "fail"]))
        (trace,) = await store.traces.list_traces()
        shown = str([step.to_dict() for step in await store.traces.get_trace_steps(trace.trace_id)])
    disk = bytes_below(tmp_path)

    for value in (secret, named, shaped):
        assert value not in shown
        assert value.encode() not in disk
        assert value not in str(llm.calls[1]["messages"]), "nor are they sent on"
    assert "[secret:SOME_API_KEY]" in shown
    assert "[secret:HORSE]" in shown


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"model": None}, "model must be text, not None"),
        ({"agent_type": 5}, "agent_type must be text, not 5"),
        ({"system_prompt": 5}, "system_prompt must be text or left out, not 5"),
        ({"conversation_id": 5}, "conversation_id must be text or left out, not 5"),
        ({"tools": "look"}, "tools must be a list of names, not 'look'"),
        ({"tools": [["look"]]}, "tools must be a list of names"),
        ({"tools": 5}, "tools must be a list or left out, not 5"),
        ({"messages": 5}, "messages must be a list or left out, not 5"),
        ({"limits": "many"}, "limits must be a dict"),
        ({"limits": {"max_fun": 1}}, "no limit is called 'max_fun'; there are: max_iterations, max_tool_calls"),
        ({"limits": {"max_cost": float("nan")}}, "max_cost must be a number from 0 on, not nan"),
        ({"limits": {"max_wall_s": -1}}, "max_wall_s must be a number from 0 on, not -1"),
        ({"limits": {"max_total_tokens": 1.5}}, "max_total_tokens must be a whole number from 0 on, not 1.5"),
        ({"limits": {"max_repeated_calls": 0}}, "max_repeated_calls must be a whole number from 1 on, not 0"),
        ({"limits": {"max_tool_calls": True}}, "max_tool_calls must be a whole number from 0 on, not True"),
        ({"limits": {"max_iterations": "many"}}, "max_iterations must be a whole number from 0 on, not 'many'"),
    ],
)
async def test_an_argument_of_the_wrong_kind_is_named_before_anything_is_recorded(arguments: Any, problem: str, make: Any, store: Store) -> None:
    with pytest.raises(BadInput, match=problem):
        await collect(make("done").run("go", **arguments))

    assert await store.traces.list_traces() == []


@pytest.mark.parametrize("act", ["pause", "cancel"])
async def test_who_stops_a_run_is_named_in_text_or_not_at_all(act: str, make: Any, store: Store) -> None:
    runner = make(PAY)
    trace_id = (await collect(runner.run("go", tools=["pay"])))[0].data["trace_id"]
    before = await store.traces.read_steps(trace_id)
    with pytest.raises(BadInput, match="by must say who did it in text"):
        await getattr(runner, act)(trace_id, by=["me"])
    with pytest.raises(FeedbackInvalid, match="target_step_id must be the id of a step"):
        await runner.add_feedback(trace_id, None, "positive", "good")

    assert await store.traces.read_steps(trace_id) == before


async def test_switches_may_be_anything_that_is_true_or_false(make: Any, done: list[str]) -> None:
    events = await collect(make(PAY).run("go", tools=["pay"], auto_execute_tools=0, enable_memory=0))

    assert events[-1].type == "trace_waiting"
    assert "memory_loaded" not in types_of(events)
    assert done == []


async def test_limits_of_the_configuration_hold_where_a_run_has_none(make: Any) -> None:
    runner = make("never", config={"limits": {"max_iterations": 0}})

    assert types_of(await collect(runner.run("go")))[-1] == "limit_reached"
    assert types_of(await collect(runner.run("go", limits={"max_iterations": 1})))[-1] == "trace_completed"


async def test_a_limit_that_cannot_be_is_refused_by_resume_and_leaves_the_record_alone(make: Any, store: Store) -> None:
    runner = make("never")
    events = await collect(runner.run("go", max_iterations=0))
    trace_id = events[0].data["trace_id"]
    before = await store.traces.read_steps(trace_id)
    with pytest.raises(BadInput, match="max_iterations must be"):
        await collect(runner.resume(trace_id, limits={"max_iterations": "many"}))

    assert await store.traces.read_steps(trace_id) == before


@pytest.mark.parametrize("task", ["", " \n\t"])
async def test_a_blank_task_is_refused_before_anything_is_recorded(task: str, make: Any, store: Store) -> None:
    with pytest.raises(BadInput, match="the task is blank: say what is to be done"):
        await collect(make("unused").run(task))

    assert await store.traces.list_traces() == []


async def test_a_run_whose_store_is_closed_under_it_is_parked_and_not_lost(tmp_path: Path) -> None:
    url, gate, is_asked = f"sqlite:///{tmp_path / 'runs.db'}", asyncio.Event(), asyncio.Event()

    async def wait(messages: Any) -> Any:
        is_asked.set()
        await gate.wait()
        return asks(tool_request("look", {"where": "x"}))

    events: list[AgentEvent] = []
    store = await open_store(url)
    runner = AgentRunner(store.traces, llm_call=ScriptedLLM([wait]))
    reading = asyncio.ensure_future(collect(runner.run("go"), into=events))
    await is_asked.wait()
    await store.close()
    gate.set()
    with pytest.raises(StoreClosed):
        await reading
    await runner.aclose()
    async with open_store(url) as again, AgentRunner(again.traces, llm_call=ScriptedLLM(["done"])) as other:
        rest = await collect(other.resume(events[0].data["trace_id"]))

    assert types_of(rest) == ["llm_call_completed", "conclusion", "trace_completed"]
