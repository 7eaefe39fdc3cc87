import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.llm.local_schema import MAX_ARGUMENT_CHARS, AnswerText, reply_schema, understood

READ = {
    "type": "function",
    "function": {"name": "read_file", "parameters": {"type": "object", "properties": {"path": {"type": "string", "pattern": "^a"}}, "required": ["path"]}},
}
TIME = {"type": "function", "function": {"name": "current_time", "description": "now"}}


def test_each_tool_and_the_answer_are_one_way_to_reply() -> None:
    schema = reply_schema([READ, TIME])

    assert [sorted(way["properties"]) for way in schema["oneOf"]] == [["arguments", "tool"], ["arguments", "tool"], ["final_answer"]]
    assert all(way["additionalProperties"] is False for way in schema["oneOf"])
    assert schema["oneOf"][0]["properties"]["arguments"]["properties"]["path"] == {"type": "string", "minLength": 0, "maxLength": MAX_ARGUMENT_CHARS}


def test_what_is_left_out_cannot_be_chosen_but_something_always_can() -> None:
    assert reply_schema([READ], leave_out={"read_file"})["required"] == ["final_answer"]
    assert reply_schema([READ], leave_out={"final_answer"})["properties"]["tool"] == {"const": "read_file"}
    assert reply_schema([READ], leave_out={"final_answer", "read_file"})["required"] == ["final_answer"]


def test_references_are_followed_and_recursion_ends() -> None:
    tree = {
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/Node"}},
    }
    schema = reply_schema([{"type": "function", "function": {"name": "t", "parameters": tree}}])

    assert "$ref" not in json.dumps(schema)
    assert schema["oneOf"][0]["properties"]["arguments"]["properties"]["root"]["properties"]["next"]["type"] == "object"


def test_a_call_and_an_answer_are_told_apart() -> None:
    call = understood('{"tool": "read_file", "arguments": {"path": "苹果.txt"}}')
    answer = understood('{"final_answer": "42"}')
    shaped = understood('{"final_answer": {"total": 42}}')

    assert (call.tool, json.loads(call.raw_arguments)) == ("read_file", {"path": "苹果.txt"})
    assert (answer.answer, answer.tool) == ("42", None)
    assert shaped.answer == '{"total":42}'


def test_a_reply_that_was_cut_off_keeps_what_there_is() -> None:
    assert understood('{"final_answer": "There are 4').answer == "There are 4"
    assert understood('{"tool": "read_file", "arguments": {"pa').raw_arguments == '{"pa'
    assert understood('{"to').answer is None


@given(st.text(), st.integers(min_value=1, max_value=7), st.booleans())
def test_the_answer_forms_piece_by_piece_into_the_same_text(text: str, size: int, ascii_only: bool) -> None:
    raw = json.dumps({"final_answer": text}, ensure_ascii=ascii_only)
    forming = AnswerText()

    told = "".join(forming.add(raw[at : at + size]) for at in range(0, len(raw), size))

    assert told == text


@pytest.mark.parametrize("raw", ['{"tool": "final_answer", "arguments": {}}', "", "{", "nothing"])
def test_what_is_no_answer_tells_no_text(raw: str) -> None:
    assert AnswerText().add(raw) == ""
