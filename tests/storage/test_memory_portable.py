"""What a memory holds, as text and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import BadInput
from agent.models.learning import Case
from agent.models.memory import Experience, Skill
from agent.storage.memory_portable import Item, as_json_lines, as_markdown, owned_by, read_items

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
owners = st.sampled_from(["u", None])
experiences = st.builds(Experience.create, st.just("agent:a"), words, words, st.lists(words, max_size=3), words, st.floats(0, 1), uid=owners)
skills = st.builds(Skill.create, st.just("user"), words, words, words, uid=owners)
cases = st.builds(
    Case,
    case_id=st.uuids().map(str),
    scope=words,
    uid=owners,
    task=words,
    tool=words,
    arguments=st.none() | st.dictionaries(words, words | st.integers(), max_size=3),
    sign=st.sampled_from([1, -1]),
    signal=st.just("approved"),
    trace_id=words,
    step_id=words,
)


@given(st.lists(st.one_of(experiences, skills, cases), max_size=5))
def test_both_forms_give_the_same_items_again(items: list[Item]) -> None:
    for lines in (as_json_lines(items), as_markdown(items)):
        assert [one.item for one in read_items("\n".join(lines) + "\n")] == items


@given(st.text())
def test_any_text_is_read_or_refused_with_its_line(text: str) -> None:
    try:
        read_items(text)
    except BadInput as error:
        assert "line " in str(error)  # noqa: PT017  any text will do, most are refused


def test_what_is_nobodys_or_anothers_is_taken_over_only_where_that_is_said() -> None:
    mine, theirs, shared = (Experience.create("agent:a", "c", "r", uid=uid) for uid in ("u", "eve", None))
    found = read_items("\n".join(as_json_lines([mine, theirs, shared])))

    with pytest.raises(BadInput, match="line 2: .* is 'eve''s"):
        owned_by(found, "u")
    with pytest.raises(BadInput, match="line 3: .* is shared"):
        owned_by([found[0], found[2]], "u")
    assert [item.uid for item in owned_by(found, "u", take_over=True)] == ["u", "u", "u"]
    assert [item.uid for item in owned_by([found[0], found[2]], "u", may_share=True)] == ["u", None]
