"""What of a long history is folded, and what stays: by position, without a model."""

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import agent.models.payloads as said
from agent.clock import now
from agent.core.compact import Window, folded, folding_of, prompt_tokens, transcript
from agent.core.decide import CallModel, Compact, decide
from agent.core.estimate import Tally, cut_to, message_tokens, text_tokens
from agent.core.fold import advance, history, start
from agent.core.state import RunState
from agent.models.message import user_message
from agent.models.payloads import Payload
from agent.models.trace import Step
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import tool_request

sys.path.insert(0, str(Path(__file__).parent))

from random_logs import EFFECTS, RandomRun  # type: ignore[import-not-found]  # it lies beside this file

SUMMARY = user_message("so far")


def after(*payloads: Payload) -> RunState:
    """Return the state after steps that say this."""
    state = start()
    for payload in payloads:
        sequence = state.next_sequence
        state = advance(state, Step(f"t/{sequence}", "t", payload.step_type, sequence, (), payload.to_data(), now(), 1))
    return state


def turns(count: int, chars: int = 400, reported: int = 0) -> list[Payload]:
    """Return turns of one call with a result of so many characters each."""
    steps: list[Payload] = []
    for number in range(count):
        asked = tool_request("look", {"n": number}, call_id=f"c{number}")
        steps.append(said.LlmCall(response="", tool_calls=[asked], prompt_tokens=reported))
        steps.append(said.ToolCall(call_id=f"{2 * number + 2}.0", tool_name="look", result="r" * chars))
    return steps


def long_run(count: int = 10, **more: Any) -> RunState:
    return after(said.Input(task="the task", system="S", tools=["look"]), said.MemoryRead(block="known: x"), *turns(count, **more))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32).map(Random))
def test_what_is_folded_leaves_a_valid_history_with_task_memory_and_last_turns(rng: Random) -> None:
    window = Window(tokens=rng.choice((1, 30, 300)), keep=rng.choice((0.0, 0.4)), keep_turns=rng.choice((0, 1, 3)))
    for state in RandomRun(rng).go_on(40).states:
        folding = folding_of(state, window)
        if folding is None:
            continue
        before, after_it = history(state), folded(state.messages, folding, SUMMARY).to_list()
        tail = state.messages.to_list()[folding.until :]

        assert shape_faults(after_it + before[state.messages.count :]) == []
        assert after_it[len(after_it) - len(tail) :] == tail
        assert sum(message.get("role") == "assistant" for message in tail) >= min(window.keep_turns, sum(m.get("role") == "assistant" for m in before))
        assert all(message in after_it for message in before if message.get("role") == "system" or message.get("content") == state.input.task)
        assert state.memory is None or not state.memory.block or any(state.memory.block in str(message.get("content")) for message in after_it)
        assert len(after_it) <= len(before)


def test_the_oldest_turns_go_and_as_many_of_the_last_as_have_room_stay() -> None:
    state = long_run(10)
    shown = folded(state.messages, folding_of(state, Window(tokens=1000, keep=0.3)), SUMMARY).to_list()  # type: ignore[arg-type]

    assert [message["content"][:8] for message in shown[:4]] == ["S", "known: x", "the task", "so far"]
    assert [message["role"] for message in shown[4:]] == ["assistant", "tool"] * 2
    assert shown[-1] == state.messages.last


def test_nothing_is_folded_where_all_of_it_has_to_stay() -> None:
    assert folding_of(long_run(2), Window(tokens=10)) is None
    assert folding_of(after(said.Input(task="t" * 10_000)), Window(tokens=10)) is None
    assert folding_of(long_run(10, chars=1), Window(tokens=1_000_000, keep=0.0)) is None  # what it would save is not worth it


def test_folding_is_decided_on_near_the_window_only() -> None:
    state = long_run(10)
    tokens = prompt_tokens(state)

    assert isinstance(decide(state, 1, EFFECTS, window=Window(tokens=int(tokens / 0.85))), Compact)
    assert isinstance(decide(state, 1, EFFECTS, window=Window(tokens=int(tokens / 0.75))), CallModel)
    assert isinstance(decide(state, 1, EFFECTS), CallModel)


def test_what_the_provider_counted_goes_before_what_is_estimated() -> None:
    told = long_run(10, reported=5_000)

    assert 5_000 < prompt_tokens(told) < 5_200
    assert prompt_tokens(long_run(10)) < 1_500
    assert prompt_tokens(long_run(10, reported=9)) == prompt_tokens(long_run(10))  # counted without what was in a cache: not believed


def test_an_attempt_that_failed_is_not_repeated_at_every_step() -> None:
    window, failed = Window(tokens=100, retry_after=3), said.Compaction(through=5, summary="", error="no")
    state = long_run(10)
    now_is = [decide(state, 1, EFFECTS, window=window)]
    for payloads in ([failed], turns(2)[:1], turns(2)[:1], turns(2)[:1]):
        for payload in payloads:
            state = advance(state, Step("x", "t", payload.step_type, state.next_sequence, (), payload.to_data(), now(), 1))
        answered = advance(
            state, Step("y", "t", "tool_call", state.next_sequence, (), said.ToolCall(call_id=f"{state.turn_sequence}.0", result="r").to_data(), now(), 1)
        )
        now_is.append(decide(answered, 1, EFFECTS, window=window))

    assert [type(action) for action in now_is] == [Compact, CallModel, CallModel, CallModel, Compact]


@pytest.mark.parametrize(
    ("text", "tokens"), [("", 0), ("a" * 400, 100), ("中" * 400, 300), ("中a" * 200, 200), ("한" * 100, 75), ("か" * 100, 75), ("é" * 400, 100)]
)
def test_tokens_are_estimated_by_script(text: str, tokens: float) -> None:
    assert text_tokens(text) == tokens
    assert text_tokens(cut_to(text, tokens / 2)) <= tokens / 2


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32).map(Random))
def test_a_tally_changes_no_estimate(rng: Random) -> None:
    tally, run = Tally(), RandomRun(rng).go_on(40)
    for state in [*run.states, *rng.sample(run.states, min(len(run.states), 10))]:
        assert prompt_tokens(state, tally) == pytest.approx(prompt_tokens(state))


def test_messages_of_any_shape_have_a_size() -> None:
    assert message_tokens({"role": "user", "content": [{"type": "text", "text": "a" * 40}, {"type": "image_url"}, 7]}) == 4 + 10 + 1000 + 1000
    assert message_tokens({"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "abcd", "arguments": {"x": 1}}}, 3]}) == 4 + 4 + 1 + 2
    assert message_tokens({"role": "assistant", "content": 5, "tool_calls": "x"}) == 4


def test_a_transcript_names_who_spoke_and_leaves_out_the_middle_of_what_is_long() -> None:
    text = transcript(
        [
            {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url"}]},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": '{"n": 1}'}}, None]},
            {"role": "tool", "name": "look", "content": "a" * 50 + "b" * 50},
        ],
        30,
    )

    assert text == '<user> see\n[image_url]\n\n<assistant>\n<call> look {"n": 1}\n\n<tool look> ' + "a" * 20 + " […70…] " + "b" * 10
