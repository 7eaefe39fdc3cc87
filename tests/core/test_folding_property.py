"""What holds for every log: any prefix folds, however it is cut, and what a model is shown of it is valid everywhere."""

import os
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.decide import CallModel, Rest, Wait, decide
from agent.core.fold import advance, fold, history, start
from agent.core.messages import Messages
from agent.core.prompt import expand, final_messages
from agent.testing.provider_shapes import anthropic_faults, openai_faults, shape_faults

sys.path.insert(0, str(Path(__file__).parent))

from random_logs import EFFECTS, RandomRun, any_steps  # type: ignore[import-not-found]  # it lies beside this file

EXAMPLES = int(os.environ.get("SEASONED_PROPERTY_EXAMPLES", "150"))
property_test = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32).map(Random)


@property_test
@given(seeds)
def test_the_history_of_every_prefix_is_valid_for_every_provider(rng: Random) -> None:
    run = RandomRun(rng).go_on(40)

    for step, state in zip(run.steps, run.states, strict=True):
        assert shape_faults(history(state)) == [], (step.sequence, step.step_type)


@property_test
@given(seeds)
def test_whenever_the_model_is_to_be_asked_the_request_is_valid(rng: Random) -> None:
    run = RandomRun(rng).go_on(40)

    for state in run.states:
        action = decide(state, 99, EFFECTS)
        if isinstance(action, CallModel):
            assert shape_faults(history(state, is_final_call=action.is_final), is_request=True) == []


@property_test
@given(seeds)
def test_a_conversation_over_several_runs_is_valid_at_every_prefix(rng: Random) -> None:
    inherited: Messages | None = None
    for number in range(4):
        run = RandomRun(rng, inherited, trace_id=f"t{number}").go_on(15)
        for state in run.states:
            assert shape_faults(history(state)) == []
        inherited = final_messages(run.state)


@property_test
@given(seeds)
def test_steps_in_any_order_fold_and_leave_no_call_unanswered(rng: Random) -> None:
    state = start()
    for step in any_steps(rng, 40, with_messages=False):
        state = advance(state, step)
        shown = history(state)
        assert openai_faults(shown) + anthropic_faults(shown) == [], (step.sequence, step.step_type, step.data)


@property_test
@given(seeds)
def test_any_steps_at_all_fold_and_decide_has_an_answer(rng: Random) -> None:
    state = start()
    for step in any_steps(rng, 40):
        state = advance(state, step)
        for epoch in (0, 1, 5):
            assert decide(state, epoch, EFFECTS, 2) is not None
        history(state)


@property_test
@given(seeds)
def test_any_steps_at_all_can_be_restored(rng: Random) -> None:
    steps = any_steps(rng, 40)

    assert [step.step_id for step in expand(steps)] == [step.step_id for step in steps]
    assert len(expand(steps[20:], with_messages=False, before=steps[:20])) == len(steps) - 20


@property_test
@given(seeds, st.data())
def test_folding_does_not_depend_on_where_it_was_stopped(rng: Random, data: st.DataObject) -> None:
    run = RandomRun(rng).go_on(40)
    cut = data.draw(st.integers(0, len(run.steps)))

    whole = fold(run.steps)

    assert whole == run.state
    assert fold(run.steps[cut:], fold(run.steps[:cut])) == whole


@property_test
@given(seeds)
def test_two_continuations_of_one_state_do_not_change_each_other(rng: Random) -> None:
    steps = RandomRun(rng).go_on(40).steps
    cut = rng.randrange(len(steps))
    base = fold(steps[:cut])
    shown = history(base)
    others = [step for step in RandomRun(rng).go_on(40).steps if step.sequence >= cut]

    one = fold(steps[cut:], base)
    two = fold(others, base)

    assert history(base) == shown
    assert fold(steps[cut:], fold(steps[:cut])) == one == fold(steps[cut:], base)
    assert fold(others, fold(steps[:cut])) == two


@property_test
@given(seeds)
def test_folding_changes_no_step(rng: Random) -> None:
    steps = any_steps(rng, 30)
    before = repr(steps)

    fold(steps)
    expand(steps)

    assert repr(steps) == before


@property_test
@given(seeds)
def test_a_run_that_rests_or_waits_is_not_moved_by_deciding_again(rng: Random) -> None:
    run = RandomRun(rng).go_on(40)

    for state in run.states:
        action = decide(state, run.epoch, EFFECTS)
        assert decide(state, run.epoch, EFFECTS) == action
        if isinstance(action, Wait):
            assert action.call_ids
        if isinstance(action, Rest):
            assert action.status == state.status or state.limit is not None


def test_a_planted_reuse_of_ids_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.core.calls._own_id", lambda sequence, position, here, taken: f"call_{position}")

    faults = [fault for seed in range(50) for state in RandomRun(Random(seed)).go_on(40).states for fault in shape_faults(history(state))]

    assert any("was used before" in fault for fault in faults)


def test_the_random_runs_reach_every_kind_of_step() -> None:
    seen = {step.step_type for seed in range(200) for step in RandomRun(Random(seed)).go_on(40).steps}

    assert seen >= {
        "input", "memory_read", "llm_call", "tool_started", "tool_call", "approval_requested", "approval_decided", "in_doubt", "in_doubt_resolved",
        "conclusion", "limit_reached", "paused", "failure", "cancelled", "feedback", "later_kind", "compaction",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "x", "name": "n", "content": ""}], "nothing directly before it"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}], "says nothing"),
        ([{"role": "assistant", "content": "a"}], "the first turn is not the user's"),
        ([{"role": "clown", "content": "a"}], "has the role"),
        ([{"role": "user", "content": "\ud800"}], "no JSON in UTF-8"),
        ([{"role": "user", "content": None}], "has a content of type"),
    ],
)
def test_the_readers_of_histories_see_what_providers_refuse(messages: list[dict[str, Any]], complaint: str) -> None:
    assert any(complaint in fault for fault in shape_faults(messages))


def _turn(*calls: tuple[str, str, str], answers: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    asked = [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in calls]
    told = [{"role": "tool", "tool_call_id": i, "name": n, "content": "ok"} for i, n in answers]
    return [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": asked}, *told]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        (_turn(("x", "n", "{}"), answers=()), "never answered"),
        (_turn(("x", "n", "{}"), answers=(("y", "n"),)), "is next"),
        (_turn(("x", "n", "{}"), ("x", "n", "{}"), answers=(("x", "n"), ("x", "n"))), "was used before"),
        (_turn(("x", "n", "{}"), ("y", "n", "{}"), answers=(("y", "n"), ("x", "n"))), "is next"),
        (_turn(("x", "two words", "{}"), answers=(("x", "two words"),)), "has the name"),
        (_turn(("x", "n", "{}"), answers=(("x", "m"),)), "is next"),
        (_turn(("x", "n", '{"a": NaN}'), answers=(("x", "n"),)), "no JSON"),
        (_turn(("x", "n", "[]"), answers=(("x", "n"),)), "no object"),
        (_turn(("", "n", "{}"), answers=(("", "n"),)), "has the id ''"),
        ([*_turn(("x", "n", "{}"), answers=()), {"role": "user", "content": "b"}], "are not answered before it"),
        ([*_turn(("x", "n", "{}"), answers=(("x", "n"), ("x", "n")))], "nothing directly before it"),
    ],
)
def test_the_readers_of_histories_see_what_is_wrong_with_calls(messages: list[dict[str, Any]], complaint: str) -> None:
    assert any(complaint in fault for fault in shape_faults(messages)), shape_faults(messages)


def test_the_readers_of_histories_take_what_is_right() -> None:
    first = _turn(("x", "n", "{}"), ("y", "n", '{"a": 1}'), answers=(("x", "n"), ("y", "n")))

    assert shape_faults([{"role": "system", "content": "s"}, *first, {"role": "assistant", "content": "done"}]) == []
    assert shape_faults(first, is_request=True) == []


def test_equal_messages_are_not_unequal() -> None:
    one, other = (Messages().plus({"role": "user", "content": "x"}) for _ in range(2))

    assert one == other
    assert not one != other  # noqa: SIM202  a struct answers the two apart
