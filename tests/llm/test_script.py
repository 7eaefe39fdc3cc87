"""`scripted:FILE.json`: replies that were written down beforehand, from Python as from the shell."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.assemble import open_model, open_store
from agent.errors import BadInput, ModelRejected
from agent.llm.contract import StreamingModel, Token, is_free
from agent.llm.fallback import Fallback
from agent.llm.local import LocalModel
from agent.llm.retry import Retrying
from agent.runner import AgentRunner
from agent.testing.listening import collect, read_until
from agent.testing.scripted import ScriptedLLM
from agent.tools.registry import ToolRegistry

USER = [{"role": "user", "content": "hello"}]
LOOK = {"content": "I look.", "tool_calls": [{"name": "look", "arguments": {"where": "a"}}]}


@pytest.fixture
def tools() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def look(where: str) -> str:
        "Look."
        return f"seen {where}"

    return registry


def script(folder: Path, *replies: Any) -> str:
    (folder / "script.json").write_text(json.dumps(replies), encoding="utf-8")
    return f"scripted:{folder / 'script.json'}"


async def test_a_script_is_opened_by_name_and_drives_a_run(tmp_path: Path, tools: ToolRegistry) -> None:
    async with AgentRunner(tool_registry=tools, llm_call=open_model(script(tmp_path, LOOK, "Done."))) as runner:
        events = await collect(runner.run("go", tools=["look"]))

    assert [event.data["result"] for event in events if event.type == "tool_result"] == ["seen a"]
    assert "".join(event.data["text"] for event in events if event.type == "token" and event.data["kind"] == "text") == "I look. Done. "
    assert (events[-1].type, events[-1].data["total_cost"], events[-1].data["cost_is_partial"]) == ("trace_completed", 0.0, False)


async def test_it_is_the_default_model_where_the_environment_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "hi")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEASONED_MODEL", "scripted:script.json")
    model = open_model()

    assert (await model(messages=USER, model="any"))["content"] == "hi"
    assert model.name == "scripted:script.json"


async def test_which_reply_comes_next_follows_from_the_prompt_alone(tmp_path: Path) -> None:
    model = open_model(script(tmp_path, "one", [{"if": "secret", "content": "two, and I know"}, "two"], [{"if": "x", "content": "y"}]))
    said = [*USER, {"role": "assistant", "content": "one"}]

    assert (await model(messages=said, model=""))["content"] == "two"
    assert (await model(messages=[{"role": "system", "content": "the secret"}, *said], model=""))["content"] == "two, and I know"
    with pytest.raises(ModelRejected, match="no reply for this prompt"):
        await model(messages=[*said, said[-1]], model="")
    with pytest.raises(ModelRejected, match="has 3 replies and was asked for number 4"):
        await model(messages=[*said, said[-1], said[-1]], model="")


async def test_a_reply_takes_its_time_streamed_or_not(tmp_path: Path) -> None:
    model = open_model(script(tmp_path, {"content": "a b", "delay_s": 30}))

    for asking in (model(messages=USER, model=""), anext(aiter(model.stream(USER, ""))), _all(model)):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asking, 0.05)


async def _all(model: Any) -> list[Any]:
    assert isinstance(model, StreamingModel)
    return [piece async for piece in model.stream(USER, "")]


async def test_a_script_tells_its_calls_too(tmp_path: Path) -> None:
    *tokens, reply = await _all(open_model(script(tmp_path, LOOK)))

    assert [token.text for token in tokens if token.kind == "text"] == ["I ", "look. "]
    assert tokens[-1] == Token("tool_arguments", '{"where": "a"}')
    assert reply["tool_calls"][0]["function"]["name"] == "look"


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "no JSON"), ("{}", "a JSON list"), ("[]", "a JSON list"), ("[7]", "reply 1"), ("[[]]", "an empty list"), ('[{"text": "x"}]', "unknown keys text")],
)
def test_what_is_no_script_is_refused_with_the_place(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "bad.json").write_text(content, encoding="utf-8")

    with pytest.raises(BadInput, match=says):
        open_model(f"scripted:{tmp_path / 'bad.json'}")


def test_a_script_that_is_not_there_and_an_option_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        open_model("scripted:nowhere.json")
    with pytest.raises(BadInput, match="takes no base_url"):
        open_model(script(tmp_path, "hi"), base_url="http://127.0.0.1:1")


# ---- what is lost of a free model cost nothing


def test_scripts_and_the_embedded_model_are_free_and_what_wraps_them_too(tmp_path: Path) -> None:
    free, paid = open_model(script(tmp_path, "hi")), ScriptedLLM(["hi"])

    assert is_free(free)
    assert is_free(Retrying(LocalModel()))
    assert is_free(Fallback([Retrying(free)]))
    assert not is_free(Fallback([Retrying(free), Retrying(paid)]))


async def test_a_call_that_was_lost_with_its_process_or_failed_cost_nothing(tmp_path: Path, tools: ToolRegistry) -> None:
    async with open_store("memory://") as store:
        first = AgentRunner(store.traces, tool_registry=tools, llm_call=open_model(script(tmp_path, LOOK, {"content": "late", "delay_s": 60})))
        trace_id = (await read_until(first.run("go", tools=["look"]), "tool_result"))[0].data["trace_id"]
        await first.aclose()  # while the model is asked
        async with AgentRunner(store.traces, tool_registry=tools, llm_call=open_model(script(tmp_path, LOOK))) as runner:
            failed = await read_until(runner.resume(trace_id), "trace_failed")
            runner.llm_call = open_model(script(tmp_path, LOOK, "Done."))
            events = await collect(runner.resume(trace_id))

    for ending in (failed[-1], events[-1]):
        assert (ending.data["total_cost"], ending.data["cost_is_partial"]) == (0.0, False)
    assert events[-1].type == "trace_completed"
