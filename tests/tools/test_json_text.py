"""Strict JSON: the short way that most arguments take answers as the long way does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tools.json_text import NotJson, parse_json

LONG = " " * 10_001  # a text this long is looked at in the long way only

texts = st.text(max_size=20) | st.sampled_from(["a:b", '{"a": 1}', "\ud800", "\\", '"'])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
objects = st.dictionaries(texts, scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=2), max_size=4)


def outcome(text: str) -> Any:
    try:
        return parse_json(text)
    except NotJson:
        return "refused"


@given(objects, st.booleans(), st.integers(0, 60), st.sampled_from(["", ":", '"', ",", "}", '"a":1,', "\\ud800", "1e999", "99999999999999999999"]))
def test_a_short_text_is_read_as_the_same_text_behind_blanks_is(value: dict[str, Any], is_ascii: bool, place: int, inserted: str) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    text = text[:place] + inserted + text[place:]

    assert repr(outcome(text)) == repr(outcome(LONG + text))


@pytest.mark.parametrize(
    "text",
    ['{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', '{"a": 18446744073709551616}', '{"a": NaN}', '{"a": 1e999}', '{"a": 1} 2', "{'a': 1}"],
)
def test_what_is_no_strict_json_is_refused_however_short(text: str) -> None:
    with pytest.raises(NotJson):
        parse_json(text)
