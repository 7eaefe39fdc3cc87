import json
from typing import Any

import pytest

from agent.errors import Unsupported
from agent.llm.local_context import estimated_tokens, fitting_prompt
from agent.llm.local_grounds import objection
from agent.llm.local_prompt import plain_turns, prompt_for
from agent.llm.local_schema import Said


def tool(name: str) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} does it.\nMore.",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
        },
    }


def call(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    made = {"id": call_id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"role": "assistant", "content": None, "tool_calls": [made]}


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


FILES = [tool("list_files"), tool("read_file"), tool("calculator")]
TASK = {"role": "user", "content": "How many apples are in a.txt and b.txt?"}
FIRST = [TASK, call("1", "read_file", path="a.txt"), result("1", "apples: 3")]


def test_a_longer_conversation_begins_with_the_turns_of_the_shorter_one() -> None:
    shorter = prompt_for(FIRST, FILES).turns
    longer = prompt_for([*FIRST, call("2", "read_file", path="b.txt"), result("2", "apples: 4")], FILES).turns

    assert longer[: len(shorter)] == shorter


def test_a_result_comes_with_its_call_the_task_and_what_is_not_read_yet() -> None:
    turn = prompt_for(FIRST, FILES).turns[-1]

    assert turn["content"] == "read_file(a.txt) returned:\napples: 3\n\nTask: How many apples are in a.txt and b.txt?\nNot read yet: b.txt. Next step?"


def test_a_chinese_task_is_framed_in_chinese() -> None:
    prompt = prompt_for([{"role": "user", "content": "a.txt里有多少个苹果?"}], FILES)

    assert prompt.turns[-1]["content"] == "任务:a.txt里有多少个苹果?"
    assert prompt.must_look
    assert "箱子" in prompt.turns[1]["content"]


def test_system_words_and_memory_are_kept() -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Background: x"}, {"role": "user", "content": "Do it"}]
    turns = prompt_for(messages, [tool("other")]).turns

    assert turns[0]["content"].endswith("Be kind.")
    assert turns[-1]["content"] == "Background: x\n\nTask: Do it"


def test_what_memory_tells_stands_with_the_system_words_and_what_it_names_may_be_used() -> None:
    told = "<memory>\n- [E1] rooms: Open rooms_2026.txt\n</memory>"
    prompt = prompt_for([{"role": "user", "content": told}, {"role": "user", "content": "Who sits in room 7?"}], [tool("read_file")])

    assert prompt.turns[0]["content"].endswith(told)
    assert prompt.turns[-1]["content"].startswith("Task: Who sits in room 7?")
    assert told in prompt.seen


def test_malformed_arguments_and_missing_results_do_not_break_it() -> None:
    broken = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "read_file", "arguments": '{"path'}}]}
    turns = prompt_for([TASK, broken, result("1", "no"), result("?", "stray")], FILES).turns

    assert 'read_file({"path) returned:\nno' in turns[-1]["content"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(tool="read_file", arguments={"path": "a.txt"}), "repeated"),
        (Said(tool="read_file", arguments={"path": "b.txt"}), None),
        (Said(tool="read_file", arguments={"path": "c.txt"}), "unknown file"),
        (Said(tool="calculator", arguments={"expression": "10 + 20"}), "unknown numbers"),
        (Said(tool="calculator", arguments={"expression": "3 + 4"}), None),
        (Said(answer="7"), None),
    ],
)
def test_a_call_needs_grounds(said: Said, why: str | None) -> None:
    assert objection(said, prompt_for(FIRST, FILES)) == why


def test_the_same_call_is_fine_again_after_another_word_of_the_user() -> None:
    prompt = prompt_for([*FIRST, {"role": "assistant", "content": "3"}, {"role": "user", "content": "Look again"}], FILES)

    assert objection(Said(tool="read_file", arguments={"path": "a.txt"}), prompt) is None


def test_the_oldest_results_are_shortened_first() -> None:
    messages = [TASK]
    for number in range(4):
        messages += [call(str(number), "read_file", path=f"{number}.txt"), result(str(number), f"{number}" * 3000)]
    turns = fitting_prompt(messages, FILES, 3200).turns
    results = [turn["content"] for turn in turns if turn["content"].startswith("read_file(") and "room" not in turn["content"]]

    assert [len(text) > 3000 for text in results] == [False, False, True, True]
    assert sum(estimated_tokens(turn["content"]) for turn in turns) <= 3200


def test_one_result_that_is_too_long_is_cut_to_what_fits() -> None:
    turns = fitting_prompt([*FIRST[:2], result("1", "x" * 50_000)], FILES, 3000).turns

    assert 1000 < len(turns[-1]["content"]) < 9000


def test_images_are_refused_in_clear_words() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}

    with pytest.raises(Unsupported, match="'image_url' parts"):
        plain_turns([message])


@pytest.mark.parametrize("offered", [["list_files", "read_file", "calculator"], ["list_files", "read_file"], ["calculator"], ["pay"]])
@pytest.mark.parametrize("task", ["Do it", "请做"])
def test_the_example_calls_only_offered_tools_and_ends_with_an_answer(offered: list[str], task: str) -> None:
    turns = prompt_for([{"role": "user", "content": task}], [tool(name) for name in offered]).turns
    said = [json.loads(turn["content"]) for turn in turns if turn["role"] == "assistant"]

    assert "final_answer" in said[-1]
    assert offered == ["pay"] or {reply["tool"] for reply in said[:-1]} <= set(offered)


def test_listed_names_in_any_script_count_as_not_read_yet() -> None:
    listed = [{"role": "user", "content": "请读取订单.txt"}, call("1", "list_files", path="."), result("1", "order_1.txt 54\n订单.txt 78")]
    prompt = prompt_for(listed, FILES)

    assert "还没读:订单.txt。下一步?" in prompt.turns[-1]["content"]
    assert prompt.must_look


def test_an_answer_is_not_withheld_for_ever_for_a_file_that_is_not_there() -> None:
    messages = [TASK]
    for number in range(7):
        assert prompt_for(messages, FILES).must_look
        messages += [call(str(number), "read_file", path=f"{number}.txt"), result(str(number), "no such file")]

    assert not prompt_for(messages, FILES).must_look


@pytest.mark.parametrize(
    ("task", "must_look"), [("What did Grace order? Look into the files.", True), ("小林订了什么?请查看文件。", True), ("Hello!", False), ("2 + 2?", False)]
)
def test_a_task_about_files_needs_a_look_into_one(task: str, must_look: bool) -> None:
    asked = [{"role": "user", "content": task}]

    assert prompt_for(asked, FILES).must_look == must_look
    assert not prompt_for([*asked, call("1", "read_file", path="a.txt"), result("1", "text")], FILES).must_look
    assert not prompt_for(asked, [tool("calculator")]).must_look
