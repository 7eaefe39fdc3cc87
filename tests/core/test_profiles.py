import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.advice import advise
from agent.core.profiles import Seen, covering
from agent.core.text import telling_length, tokens
from agent.models.learning import Case, Found

WORDS = st.lists(st.sampled_from(["card", "lost", "fee", "transfer", "pending", "卡片", "退款"]), min_size=1, max_size=6).map(" ".join)


def case(tool: str, task: str, number: int) -> Case:
    return Case(case_id=f"{tool}/{number}", scope="s", uid="u", task=task, tool=tool, sign=1, signal="outcome", trace_id=f"t{number}", step_id=f"t{number}/1")


def test_a_tool_whose_tasks_together_have_all_words_comes_before_one_whose_tasks_repeat_one() -> None:
    found = covering("lost card fee", [Seen("a", "lost purse", 1.0), Seen("a", "card fee", 1.0), Seen("b", "card", 1.0), Seen("b", "my card", 1.0)])

    assert found["a"] > 0.9 > found["b"]


def test_a_task_of_which_no_word_is_known_says_nothing_for_any_tool() -> None:
    assert covering("", [Seen("a", "card", 1.0)]) == {}
    assert covering("card", []) == {}
    assert covering("退款", [Seen("a", "card", 1.0), Seen("b", "card", 1.0)]) == pytest.approx({"a": 0.5, "b": 0.5})


@given(WORDS, st.lists(st.builds(Seen, st.sampled_from("abc"), WORDS, st.floats(0.01, 100)), min_size=1, max_size=20))
def test_the_parts_are_parts_of_one(task: str, seen: list[Seen]) -> None:
    found = covering(task, seen)

    assert sum(found.values()) == pytest.approx(1)
    assert set(found) == {one.tool for one in seen}


def test_between_cases_equally_like_the_task_the_words_of_all_decide() -> None:
    cases = [case("a", "lost purse", 1), case("a", "card fee", 2), case("b", "card", 3), case("b", "my card", 4)]
    found = [Found(one, 0.5) for one in cases]

    without, with_task = (advise(found, runs={}, scope="s", uid="u", task=task) for task in ("", "lost card fee"))

    assert [record.share for record in without.records] == pytest.approx([0.5, 0.5], abs=0.02)
    assert with_task.records[0].tool == "a"
    assert with_task.records[0].share > 0.6
    assert sum(r.share for r in with_task.records) <= sum(r.share for r in without.records) + 1e-9


def test_stop_words_make_a_text_no_longer_to_a_ranking() -> None:
    assert telling_length(tokens("where is my card")) == 1
    assert telling_length(tokens("who are you")) == 3
    assert telling_length(tokens("我的卡片")) == len(tokens("我的卡片"))
