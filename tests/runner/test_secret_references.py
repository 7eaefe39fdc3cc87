"""A tool that declares a secret gets its value where an argument refers to it; the record and the model never see it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agent.errors import ConfigInvalid, ToolFailed
from agent.runner import AgentRunner
from agent.storage.protocols import Store
from agent.testing.listening import collect
from agent.testing.scripted import ScriptedLLM, asks, tool_request
from agent.tools.registry import ToolRegistry

Make = Callable[..., AgentRunner]
DOOR, SAFE = "open-sesame-42", "left-left-right-7"
CONFIG: dict[str, Any] = {"secrets": {"DOOR": DOOR, "SAFE": SAFE, "PIN": "1234"}, "redact_environment": False}


@pytest.fixture
def given(tools: ToolRegistry) -> list[Any]:
    """What the tools were called with."""
    found: list[Any] = []

    @tools.tool(effect="read", secrets=["DOOR"])
    async def enter(words: list[str], note: str = "") -> str:
        "Say words at the door."
        found.append((words, note))
        return f"the door heard {words[0]}"

    @tools.tool(effect="read", secrets=True)
    def know_all(words: str) -> str:
        "Know all secrets."
        found.append(words)
        raise ToolFailed(f"cannot use {words}")

    @tools.tool(effect="read")
    async def plain(words: str) -> str:
        "Get no secret."
        found.append(words)
        return words

    return found


async def everything(store: Store, trace_id: str, model: ScriptedLLM) -> str:
    steps = [step.to_dict() for step in await store.traces.get_trace_steps(trace_id)]
    return json.dumps([steps, model.calls], default=str)


async def test_the_tool_gets_the_value_and_nobody_else_does(make: Make, store: Store, given: list[Any]) -> None:
    model = ScriptedLLM([asks(tool_request("enter", {"words": ["[secret:DOOR]", "[secret:SAFE]"], "note": "key=[secret:DOOR]!"})), "in"])
    runner = make(llm=model, config=CONFIG)
    events = await collect(runner.run(f"Enter with {DOOR}.", tools=["enter"]))
    told = await everything(store, events[0].data["trace_id"], model)

    assert given == [([DOOR, "[secret:SAFE]"], f"key={DOOR}!")]
    assert next(e for e in events if e.type == "tool_result").data["result"] == "the door heard [secret:DOOR]"
    assert DOOR not in told
    assert DOOR not in json.dumps([e.data for e in events])


async def test_a_tool_that_declares_none_gets_the_reference(make: Make, given: list[Any]) -> None:
    await collect(make(asks(tool_request("plain", {"words": "[secret:DOOR]"})), "done", config=CONFIG).run("go", tools=["plain"]))

    assert given == ["[secret:DOOR]"]


async def test_an_error_of_a_tool_with_all_secrets_is_redacted(make: Make, store: Store, given: list[Any]) -> None:
    model = ScriptedLLM([asks(tool_request("know_all", {"words": "[secret:SAFE]"})), "done"])
    events = await collect(make(llm=model, config=CONFIG).run("go", tools=["know_all"]))

    assert given == [SAFE]
    assert SAFE not in await everything(store, events[0].data["trace_id"], model)


@pytest.mark.parametrize("name", ["NOBODY", "PIN", "redacted"])
async def test_a_secret_that_is_not_known_here_keeps_the_tool_from_starting(name: str, make: Make, given: list[Any]) -> None:
    events = await collect(make(asks(tool_request("know_all", {"words": f"[secret:{name}]"})), "done", config=CONFIG).run("go", tools=["know_all"]))
    result = next(e for e in events if e.type == "tool_result").data

    assert given == []
    assert (result["ok"], f"no secret {name} here" in result["result"]) == (False, True)


@pytest.mark.parametrize("secrets", ["DOOR", [1], 7, [""]])
def test_secrets_that_are_no_names_are_refused(secrets: Any) -> None:
    with pytest.raises(ConfigInvalid, match="secrets="):
        ToolRegistry().register(lambda: None, name="tool", effect="read", secrets=secrets)
