"""The embedded model itself, on tools like the built-in ones; needs the extras `local` and `local-weights`."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import ModelNotConfigured, ModelRejected
from agent.llm.contract import Reply, Token
from agent.llm.local import LocalModel, local_status
from agent.llm.weights import find_weights

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(300)]

FILES = {"order_1.txt": "Order 1 by Li Wei\napples: 12\n", "order_2.txt": "Order 2 by Anna\napples: 30\n"}


def schema(name: str, description: str, **properties: dict[str, Any]) -> dict[str, Any]:
    required = [key for key, value in properties.items() if "default" not in value]
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [
    schema("calculator", "Work out an arithmetic expression.", expression={"type": "string"}),
    schema("read_file", "Read a text file, or some of its lines.", path={"type": "string"}, offset={"type": "integer", "default": 1}),
    schema("list_files", "List the files of a folder, one a line, with sizes in bytes.", path={"type": "string", "default": "."}),
]


def run_tool(name: str, arguments: dict[str, Any]) -> str:
    match name:
        case "list_files":
            return "\n".join(f"{file} {len(text)}" for file, text in FILES.items())
        case "read_file":
            return FILES.get(arguments["path"], "The tool failed: no such file")
        case _:
            left, _, right = arguments["expression"].partition("+")
            return str(int(left) + int(right))


@pytest.fixture(scope="module")
def usable() -> None:
    is_usable, advice = local_status()
    if not is_usable or find_weights().source == "hub":
        pytest.skip(f"the embedded model is not here: {advice}")


@pytest.fixture
async def model(usable: None) -> AsyncIterator[LocalModel]:
    model = LocalModel()
    yield model
    await model.aclose()


async def solve(model: LocalModel, task: str) -> tuple[str, list[str]]:
    """Return the answer to `task`, and the names of the tools that were called."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": task}]
    called: list[str] = []
    while len(called) < 8:
        reply = await model(messages, "local", TOOLS)
        if not reply["tool_calls"]:
            return reply["content"], called
        [call] = reply["tool_calls"]
        called.append(call["function"]["name"])
        told = run_tool(called[-1], json.loads(call["function"]["arguments"]))
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": told},
        ]
    return "", called


@pytest.mark.parametrize(
    "task",
    [
        "How many apples are in the two order files together? Use the calculator.",
        "读取 order_1.txt 和 order_2.txt,苹果总数是多少?用计算器计算。",
    ],
)
async def test_a_task_is_answered_with_tools(model: LocalModel, task: str) -> None:
    answer, called = await solve(model, task)

    assert "42" in answer
    assert {"read_file", "calculator"} <= set(called)


async def test_without_tools_it_answers_in_text_as_it_forms(model: LocalModel) -> None:
    parts = [part async for part in model.stream([{"role": "user", "content": "Say hello."}], "local", max_tokens=24)]
    *tokens, reply = parts

    assert isinstance(reply, dict)
    assert all(isinstance(token, Token) and token.kind == "text" for token in tokens)
    assert "".join(token.text for token in tokens if isinstance(token, Token)) == reply["content"]
    assert reply["cost"] == 0.0
    assert reply["prompt_tokens"] > 0
    assert 0 < reply["completion_tokens"] <= 24


async def test_the_answer_beside_tools_is_streamed_too(model: LocalModel) -> None:
    messages: list[dict[str, Any]] = [{"role": "user", "content": "What is 3 + 4?"}]
    call = {"id": "1", "type": "function", "function": {"name": "calculator", "arguments": '{"expression": "3 + 4"}'}}
    messages += [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "7"}]
    *tokens, reply = [part async for part in model.stream(messages, "local", TOOLS, tool_choice="none")]

    assert isinstance(reply, dict)
    assert "7" in reply["content"]
    assert "".join(token.text for token in tokens if isinstance(token, Token)) == reply["content"]
    assert len(tokens) > 1


async def test_a_wished_tool_and_a_wished_shape_are_kept_to(model: LocalModel) -> None:
    messages = [{"role": "user", "content": "What is 12 * 12?"}]
    called = await model(messages, "local", TOOLS, tool_choice={"type": "function", "function": {"name": "calculator"}})
    shape = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"], "additionalProperties": False}
    shaped = await model(
        [{"role": "user", "content": "3 + 4 = ?"}], "local", response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": shape}}
    )

    assert called["tool_calls"][0]["function"]["name"] == "calculator"
    assert list(json.loads(shaped["content"])) == ["total"]


async def test_a_conversation_that_is_too_long_is_shortened_or_refused_clearly(usable: None) -> None:
    small = LocalModel(context_tokens=1024, max_reply_tokens=32)
    call = {"id": "1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a.txt"}'}}
    long_result: list[dict[str, Any]] = [
        {"role": "user", "content": "What is in a.txt?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "pears 7731 " * 2000},
    ]
    try:
        reply: Reply = await small(long_result, "local", TOOLS[1:2])
        with pytest.raises(ModelRejected, match="begin a new one"):
            await small([{"role": "user", "content": "pears 7731 " * 2000}], "local", TOOLS)
        with pytest.raises(ModelRejected, match="begin a new one"):
            await small([{"role": "user", "content": "pears 7731 " * 2000}], "local")
    finally:
        await small.aclose()

    assert reply["prompt_tokens"] <= 1024


async def test_a_reader_that_goes_away_frees_the_model_for_the_next(model: LocalModel) -> None:
    stream = model.stream([{"role": "user", "content": "Count from 1 to 500, one number a line."}], "local", max_tokens=512)
    await anext(stream)
    await stream.aclose()

    async with asyncio.timeout(60):
        reply = await model([{"role": "user", "content": "Say hi."}], "local", max_tokens=4)
    assert reply["completion_tokens"] <= 4


async def test_weights_that_cannot_be_loaded_are_named(usable: None, tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(1000))

    with pytest.raises(ModelNotConfigured, match=r"'broken\.gguf' cannot be loaded"):
        await LocalModel(str(tmp_path / "broken.gguf")).start()


def test_nothing_is_written_beside_the_answer_and_the_process_ends(usable: None) -> None:
    code = (
        "import asyncio\nfrom agent.llm.local import LocalModel\n"
        "async def main():\n    print((await LocalModel()([{'role': 'user', 'content': 'Say hi.'}], 'local', max_tokens=4))['completion_tokens'] <= 4)\n"
        "asyncio.run(main())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")
