import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.advice import FIRM, FIRM_UNPROVEN, HALF_LIFE, UNKNOWN, WORTH_A_WORD, advise, item_id_of, weight_of
from agent.models.learning import Advice, Case, Found, Signal
from agent.models.value import replace

TOOLS = ["a", "b", "c"]


def case(tool: str, sign: int = 1, *, number: int = 0, **fields: Any) -> Case:
    given: dict[str, Any] = {"signal": "outcome", "task": f"task of {tool}", "trace_id": f"t{number}", "scope": "agent:clerk", "uid": "u", **fields}
    return Case(case_id=f"{tool}/{sign}/{number}", step_id=f"t{number}/1", tool=tool, sign=1 if sign > 0 else -1, **given)


def told(*found: tuple[Case, float], runs: int = 0, **options: Any) -> Advice:
    return advise([Found(one, score) for one, score in found], runs={"agent:clerk": runs}, scope="agent:clerk", uid="u", **options)


SIGNALS: list[Signal] = ["outcome", "correction", "approved", "tool_error"]
CASES = st.lists(
    st.builds(
        lambda tool, sign, number, weight, run, signal, likeness: (case(tool, sign, number=number, weight=weight, run_number=run, signal=signal), likeness),
        st.sampled_from(TOOLS), st.sampled_from([1, -1]), st.integers(0, 1_000), st.sampled_from([1.0, 2.0]), st.integers(0, 5_000),
        st.sampled_from(SIGNALS), st.floats(0, 1.2),
    ),
    max_size=50,
    unique_by=lambda entry: entry[0].case_id,
)  # fmt: skip


def test_a_tool_that_worked_on_tasks_like_this_one_is_named_with_its_record() -> None:
    advice = told((case("a", number=1, task="Where is my card?"), 0.9), (case("a", number=2), 0.7), (case("b", -1, number=3), 0.6))

    assert advice.form == "instruction"
    assert advice.text == f"[{item_id_of('agent:clerk', 'u', 'a')}] For requests like “Where is my card?”: use a. Worked 2."
    assert [record.tool for record in advice.records] == ["a"]
    assert advice.case_ids == ("a/1/1", "a/1/2", "b/-1/3")


def test_the_share_is_as_the_formula_says() -> None:
    advice = told(
        (case("a", number=1), 0.5),
        (case("a", -1, number=2), 0.4),
        (
            case("b", number=3, weight=2.0),
            0.6,
        ),
        runs=HALF_LIFE,
    )

    whole = 0.5**4 + 2 * 0.6**4 + 0.3**4
    assert {record.tool: record.share for record in advice.records} == pytest.approx({"b": 2 * 0.6**4 / whole})
    assert pytest.approx(0.3**4) == UNKNOWN


def test_unsure_it_tells_the_records_of_up_to_three_tools() -> None:
    advice = told(*[(case(tool, number=1), 0.8) for tool in "abc"], (case("a", -1, number=2), 0.5))

    assert advice.form == "evidence"
    assert advice.text.endswith("For requests like “task of a”: b 33 % (worked 1 of 1); c 33 % (worked 1 of 1); a 31 % (worked 1 of 2).")
    assert all(WORTH_A_WORD <= record.share < FIRM for record in advice.records)


def test_what_is_far_away_leaves_it_silent() -> None:
    advice = told((case("a", number=1), 0.15))

    assert (advice.form, advice.text) == ("none", "")
    assert advice.records[0].share < WORTH_A_WORD
    assert told() == Advice()
    assert told((case("a", -1), 1.0)).form == "none"


def test_corrections_alone_need_a_larger_share_to_be_an_instruction() -> None:
    found = [(case("a", number=1, signal="correction"), 0.9), (case("b", number=2, signal="correction"), 0.82)]

    assert FIRM < told(*found).share < FIRM_UNPROVEN
    assert told(*found).form == "evidence"
    assert told(*found, (case("c", number=3, signal="approved"), 0.1)).form == "instruction"


def test_a_tool_that_is_not_offered_is_not_named_and_still_counts_in_the_shares() -> None:
    found = [(case("a", number=1), 0.9), (case("b", number=2), 0.8)]

    assert told(*found, offered=["b"]).form == "evidence"
    assert told(*found, offered=["b"]).share == pytest.approx(0.8**4 / (0.9**4 + 0.8**4 + UNKNOWN))
    assert told(*found, offered=["z"]) == Advice(case_ids=("a/1/1", "b/1/2"))
    assert told(*found, offered=[]).text == ""


def test_a_case_ages_by_what_came_after_it_of_its_tool_and_counts_by_where_it_comes_from() -> None:
    assert weight_of(case("a", weight=2.0), 0.5, HALF_LIFE) == pytest.approx(0.5**4)
    assert weight_of(case("a"), 0.5, -3) == 0.5**4

    old, other = (case("a", number=1), 0.8), (case("b", number=1), 0.75)
    assert told(old, other, runs=9 * HALF_LIFE).records[0].tool == "a", "nobody tried it again: no reason to doubt it"
    failed_since = case("a", -1, number=2, run_number=HALF_LIFE), 0.1
    assert told(old, other, failed_since, runs=9 * HALF_LIFE).records[0].tool == "b"
    from_web = replace(case("b", number=1), trust="web")
    assert told((case("a"), 0.7), (from_web, 0.8)).records[0].tool == "a"
    assert told((case("a"), 0.7), (from_web, 0.8), trust_of=lambda _: 1.0).records[0].tool == "b"


def test_arguments_are_told_where_several_runs_agree_on_what_somebody_wrote() -> None:
    def edited(number: int, arguments: dict[str, Any], sign: int = 1) -> tuple[Case, float]:
        return case("pay", sign, number=number, arguments=arguments, signal="edited", weight=2.0 if sign > 0 else 1.0), 0.8

    first = edited(1, {"currency": "EUR", "amount": 5})
    assert told(first).arguments == {}

    advice = told(first, edited(2, {"currency": "EUR", "amount": 7}), edited(2, {"currency": "USD", "amount": 7}, -1))
    assert advice.arguments == {"currency": "EUR"}
    assert 'use pay with currency="EUR". Worked 2, failed 1.' in advice.text
    assert told(first, edited(2, {"currency": "USD"}), edited(3, {"currency": "EUR"})).arguments == {}

    approved = [(case("pay", number=n, arguments={"unit": "kg"}, signal="approved"), 0.8) for n in range(3)]
    assert told(*approved).arguments == {}, "the model chose it by itself each time"


def test_it_speaks_chinese() -> None:
    assert told((case("查询", task="我的卡在哪里"), 0.9), language="zh").text.endswith("对于类似“我的卡在哪里”的请求:使用 查询。成功 1 次。")
    assert told((case("a"), 0.8), (case("b"), 0.8), language="zh").text.endswith("a 50%(1 次中成功 1 次);b 50%(1 次中成功 1 次)。")


@given(CASES, st.randoms(use_true_random=False))
def test_shares_are_parts_of_one_and_no_order_changes_anything(found: list[tuple[Case, float]], chance: random.Random) -> None:
    advice = told(*found, runs=5_000)
    shuffled = list(found)
    chance.shuffle(shuffled)

    assert all(0 <= record.share <= 1 for record in advice.records)
    assert sum(record.share for record in advice.records) <= 1 + 1e-9
    assert told(*shuffled, runs=5_000) == advice
    assert told(*found, *found, runs=5_000) == advice, "a case has one vote"


@given(CASES, st.floats(0.01, 1))
def test_a_case_for_a_tool_never_lowers_its_share_and_one_against_it_never_raises_it(found: list[tuple[Case, float]], likeness: float) -> None:
    def share(extra: list[tuple[Case, float]]) -> float:
        return told(*found, *extra, runs=5_000, offered=["a"]).share

    assert share([(case("a", number=9_999), likeness)]) >= share([]) - 1e-12
    assert share([(case("a", -1, number=9_999), likeness)]) <= share([]) + 1e-12


@given(CASES, st.sampled_from([2, 5]))
def test_more_of_the_same_makes_it_surer_and_changes_no_ranking(found: list[tuple[Case, float]], times: int) -> None:
    more = [(replace(one, weight=one.weight * times), likeness) for one, likeness in found]
    first, second = told(*found, runs=5_000), told(*more, runs=5_000)

    assert second.share >= first.share - 1e-12
    if first.form == second.form == "evidence":
        assert second.records[0].tool == first.records[0].tool


ANY = st.text(st.characters(codec=None, exclude_categories=[]), max_size=300)  # half characters too


@given(ANY, ANY, st.sampled_from(["en", "zh"]))
def test_no_task_and_no_name_of_a_tool_makes_a_second_line_or_closes_a_block(task: str, tool: str, language: str) -> None:
    text = told((case(tool, task=task), 1.0), language=language).text

    assert len(text.splitlines()) == 1
    assert "<" not in text
    assert text.encode()
