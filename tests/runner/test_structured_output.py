"""Answers of a given form: checked, repaired within bounds, on the record, and the same after a crash."""

import json
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from pydantic import BaseModel, field_validator

from agent.core.fold import fold, history
from agent.errors import BadInput, OutputInvalid
from agent.events import AgentEvent
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect, types_of
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import ScriptedLLM, asks, says, tool_request

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city", "days"]}
GOOD = '{"city": "Ulm", "days": 3}'
ULM = {"city": "Ulm", "days": 3}


class Model(BaseModel):
    city: str
    days: int

    @field_validator("days")
    @classmethod
    def not_too_long(cls, days: int) -> int:
        if days > 30:
            raise ValueError("a trip has at most 30 days")
        return days


@dataclass
class Data:
    city: str
    days: int


class Typed(TypedDict):
    city: str
    days: int


def id_of(events: list[AgentEvent]) -> str:
    trace_id: str = events[0].data["trace_id"]
    return trace_id


def output_of(events: list[AgentEvent]) -> Any:
    return next(event.data["output"] for event in events if event.type == "conclusion")


def last_user(call: dict[str, Any]) -> str:
    return str([message["content"] for message in call["messages"] if message["role"] == "user"][-1])


async def kinds(store: Store, trace_id: str) -> list[str]:
    steps = await store.traces.read_steps(trace_id)
    for count in range(len(steps) + 1):
        assert shape_faults(history(fold(steps[:count]))) == []
    return [step.step_type for step in steps]


@pytest.mark.parametrize("output_type", [SCHEMA, Model, Data, Typed])
async def test_an_answer_that_fits_is_the_output_of_event_and_step(output_type: Any, make: Any, store: Store) -> None:
    llm = ScriptedLLM([asks(tool_request("look", {"where": "a"})), GOOD], by_calls=True)
    events = await collect(make(llm=llm).run("plan", tools=["look"], output_type=output_type, enable_memory=False))
    step = (await store.traces.get_trace_steps(id_of(events)))[-1]

    assert types_of(events)[-2:] == ["conclusion", "trace_completed"]
    assert (output_of(events), step.data["output"], step.data["content"]) == (ULM, ULM, GOOD)
    prompts = [message["content"] for message in llm.calls[0]["messages"]]
    assert prompts[-1] == "plan"
    assert prompts[-2].startswith("Answer the next message with one JSON value")
    assert '"city"' in prompts[-2]
    assert llm.calls[0]["settings"] == {}, "a plain model is given no keyword that the caller did not give"


@pytest.mark.parametrize("wrapped", [f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```", f"Here it is:\n```json\n{GOOD}\n```\nBye.", f"  \n{GOOD}\n"])
async def test_a_code_fence_around_the_answer_is_taken_off(wrapped: str, make: Any) -> None:
    assert output_of(await collect(make(wrapped).run("plan", output_type=SCHEMA))) == ULM


BAD = {
    "words": ("three days in Ulm", "it is not one JSON value"),
    "nothing": ("", "it is not one JSON value"),
    "a missing key": ('{"city": "Ulm"}', "'days' is a required property"),
    "another type": ('{"city": "Ulm", "days": "3"}', "is not of type 'integer'"),
    "a key twice": ('{"city": "Ulm", "city": "Bonn", "days": 3}', "given twice"),
    "not a number": ('{"city": "Ulm", "days": NaN}', "NaN is no JSON number"),
    "half a character": ('{"city": "\\ud800", "days": 3}', "surrogate"),
    "very deep": ("[" * 100_000 + "]" * 100_000, "nested deeper than"),
    "very long": (json.dumps({"city": "x" * 10_000_000, "days": 3}), "at most 1000000 are accepted"),
    "two values": (f"{GOOD} {GOOD}", "it is not one JSON value"),
    "fences and no end": ("```" * 1_000, "it is not one JSON value"),
}


@pytest.mark.parametrize("name", BAD)
async def test_an_answer_that_does_not_fit_is_told_to_the_model_which_answers_again(name: str, make: Any, store: Store) -> None:
    bad, problem = BAD[name]
    llm = ScriptedLLM([bad, GOOD], by_calls=True)
    events = await collect(make(llm=llm).run("plan", output_type=SCHEMA))

    assert (events[-1].type, output_of(events)) == ("trace_completed", ULM)
    assert problem in last_user(llm.calls[1])
    assert len(last_user(llm.calls[1])) < 3_000
    if bad:
        assert (await kinds(store, id_of(events)))[-5:] == ["memory_read", "llm_call", "output_rejected", "llm_call", "conclusion"]


async def test_validators_of_a_type_are_asked_too(make: Any) -> None:
    llm = ScriptedLLM(['{"city": "Ulm", "days": 31}', GOOD], by_calls=True)
    events = await collect(make(llm=llm).run("plan", output_type=Model))

    assert output_of(events) == ULM
    assert "a trip has at most 30 days" in last_user(llm.calls[1])


@pytest.mark.parametrize(("repairs", "calls"), [(None, 3), (0, 1), (1, 2)])
async def test_when_no_answer_fits_the_run_fails_and_a_resume_tries_again(repairs: int | None, calls: int, make: Any, store: Store) -> None:
    limits = {} if repairs is None else {"max_output_repairs": repairs}
    llm = ScriptedLLM([*["nonsense"] * calls, "still not", GOOD], by_calls=True)
    runner: AgentRunner = make(llm=llm)
    with pytest.raises(OutputInvalid, match="does not fit the output type: it is not one JSON value"):
        await collect(runner.run("plan", output_type=SCHEMA, limits=limits, enable_memory=False))
    (trace,) = await store.traces.list_traces()
    told = await collect(runner.watch(trace.trace_id))
    assert (told[-1].type, told[-1].data["error_type"]) == ("trace_failed", "OutputInvalid")
    assert len(llm.calls) == calls
    assert (await kinds(store, trace.trace_id))[-2:] == ["output_rejected", "failure"]
    if repairs == 0:
        llm.lines[calls] = GOOD
    rest = await collect(make(llm=llm).resume(trace.trace_id))

    assert (rest[-1].type, output_of(rest)) == ("trace_completed", ULM)


async def test_a_run_that_is_taken_up_elsewhere_needs_nothing_but_its_log(make: Any, store: Store) -> None:
    first = make(asks(tool_request("pay", {"to": "a"})), "never")
    trace_id = id_of(await collect(first.run("plan", tools=["pay"], output_type=Model, limits={"max_output_repairs": 1})))
    llm = ScriptedLLM(["no", GOOD], by_calls=True)
    other = make(llm=llm)
    (item,) = await other.pending()
    await other.decide(trace_id, item.call_id, "approve")
    events = await collect(other.resume(trace_id))

    assert (events[-1].type, output_of(events)) == ("trace_completed", ULM)
    assert len(llm.calls) == 2


async def test_at_a_limit_the_final_answer_is_read_where_it_fits_and_not_repaired(make: Any) -> None:
    look = asks(tool_request("look", {"where": "a"}))
    fits = await collect(make(llm=ScriptedLLM([look, GOOD], by_calls=True)).run("plan", tools=["look"], output_type=SCHEMA, max_iterations=1))
    does_not = await collect(make(llm=ScriptedLLM([look, "I was not done"], by_calls=True)).run("plan", tools=["look"], output_type=SCHEMA, max_iterations=1))

    assert [fits[-1].type, does_not[-1].type] == ["limit_reached", "limit_reached"]
    assert (output_of(fits), output_of(does_not)) == (ULM, None)


async def test_repairs_count_as_model_calls(make: Any) -> None:
    events = await collect(make(llm=ScriptedLLM(["no", "no", "no"], by_calls=True)).run("plan", output_type=SCHEMA, max_iterations=1))

    assert (events[-1].type, events[-1].data["limit"]) == ("limit_reached", "max_iterations")


async def test_with_a_response_format_of_the_caller_the_schema_is_not_told_again(make: Any) -> None:
    llm = ScriptedLLM([GOOD])
    events = await collect(make(llm=llm).run("plan", output_type=SCHEMA, response_format={"type": "json_object"}))

    assert output_of(events) == ULM
    assert [message["content"] for message in llm.calls[0]["messages"]] == ["plan"]
    assert llm.calls[0]["settings"] == {"response_format": {"type": "json_object"}}


@pytest.mark.parametrize(
    "output_type", [{"type": "nonsense"}, {"$ref": "https://example.org/schema.json"}, {"a": {1, 2}}, lambda: None, object(), {"title": "x" * 200_000}]
)
async def test_a_type_without_a_usable_schema_is_refused_before_anything_is_recorded(output_type: Any, make: Any, store: Store) -> None:
    with pytest.raises(BadInput, match="output_type"):
        await collect(make(GOOD).run("plan", output_type=output_type))
    with pytest.raises(BadInput, match="output_type"):
        await make(GOOD).call([{"role": "user", "content": "plan"}], output_type=output_type)

    assert await store.traces.list_traces() == []


@pytest.mark.parametrize(("output_type", "answer", "value"), [(list[int], "[1, 2]", [1, 2]), ({"enum": ["yes", "no"]}, '"yes"', "yes"), (int, "7", 7)])
async def test_an_answer_need_not_be_an_object(output_type: Any, answer: str, value: Any, make: Any) -> None:
    assert output_of(await collect(make(answer).run("plan", output_type=output_type))) == value


async def test_a_chinese_run_is_told_in_chinese(make: Any) -> None:
    llm = ScriptedLLM(["不", GOOD], by_calls=True)
    await collect(make(llm=llm, config={"language": "zh"}).run("计划", output_type=SCHEMA))

    assert "JSON 模式" in llm.calls[0]["messages"][0]["content"]
    assert "你的回答无法使用" in last_user(llm.calls[1])


# ---- a single call


async def test_a_call_returns_its_output_and_the_cost_of_all_tries(make: Any, store: Store) -> None:
    llm = ScriptedLLM([says("no", cost=0.5), says(GOOD, cost=0.25)], by_calls=True)
    result = await make(llm=llm).call([{"role": "user", "content": "plan"}], output_type=Model)
    steps = await store.traces.get_trace_steps(result.trace_id)
    trace = await store.traces.get_trace(result.trace_id)

    assert (result.output, result.reply, result.cost, result.tokens) == (ULM, GOOD, 0.75, {"prompt": 20, "completion": 10})
    assert [step.step_type for step in steps] == ["llm_call", "output_rejected", "llm_call", "conclusion"]
    assert [len(step.data["messages"]) for step in steps if step.step_type == "llm_call"] == [2, 4]
    assert steps[-1].data["output"] == ULM
    assert trace is not None
    assert (trace.status, trace.total_tokens, trace.total_cost) == ("completed", 30, 0.75)
    assert result.step_id == steps[2].step_id


async def test_a_call_whose_answers_never_fit_fails_with_all_of_them_on_record(make: Any, store: Store) -> None:
    with pytest.raises(OutputInvalid, match="does not fit the output type"):
        await make(llm=ScriptedLLM(["no", "never"], by_calls=True), config={"max_output_repairs": 1}).call(
            [{"role": "user", "content": "plan"}], output_type=SCHEMA
        )
    (trace,) = await store.traces.list_traces()

    assert (trace.status, trace.total_tokens) == ("failed", 30)
    kinds = [step.step_type for step in await store.traces.get_trace_steps(trace.trace_id)]
    assert kinds == ["llm_call", "output_rejected", "llm_call", "output_rejected", "failure"]


async def test_a_call_that_asks_for_tools_is_no_answer_yet(make: Any) -> None:
    result = await make(asks(tool_request("look", {"where": "a"}))).call([{"role": "user", "content": "plan"}], tools=["look"], output_type=SCHEMA)

    assert (result.output, len(result.tool_calls)) == (None, 1)
