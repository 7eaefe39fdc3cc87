"""Replays of logs that somebody changed, and of logs that nobody wrote."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

import agent.models.payloads as said
from agent.clock import now
from agent.core.fold import advance, start
from agent.core.replay import Replay, prompt_hash, replay
from agent.models.digest import canonical_hash
from agent.models.payloads import Payload
from agent.models.trace import Step, Trace, step_id_of
from agent.models.value import replace

sys.path.insert(0, str(Path(__file__).parent))

from random_logs import RandomRun, any_steps  # type: ignore[import-not-found]  # it lies beside this file

TRACE = Trace.create(trace_id="t", status="completed")


def log(*payloads: Payload) -> list[Step]:
    """Return the steps of a run, with the fingerprint of each prompt."""
    state, steps = start(), list[Step]()
    for number, payload in enumerate(payloads):
        data = payload.to_data()
        if isinstance(payload, said.LlmCall):
            data["prompt_hash"] = prompt_hash(state, is_final=payload.is_final_call)
        steps.append(Step(step_id_of("t", number), "t", payload.step_type, number, (), data, now(), 1))
        state = advance(state, steps[-1])
    return steps


CALLS = [{"id": f"c{n}", "function": {"name": name, "arguments": "{}"}} for n, name in enumerate(("look", "pay", "send"))]
RUN = log(
    said.Input(task="go", model="m", tools=["look", "pay", "send"], enable_memory=True, max_iterations=5),
    said.MemoryRead(block="known: x"),
    said.LlmCall(response="", tool_calls=CALLS),
    said.ToolStarted(call_id="2.0"),
    said.ApprovalRequested(call_id="2.1", tool_name="pay", args_hash=canonical_hash({})),
    said.ToolStarted(call_id="2.2"),
    said.ToolCall(call_id="2.0", tool_name="look", result="seen"),
    said.InDoubtStep(call_id="2.2", cause="timeout"),
    said.ApprovalDecided(call_id="2.1", verdict="approve", args_hash=canonical_hash({})),
    said.ToolStarted(call_id="2.1"),
    said.ToolCall(call_id="2.1", tool_name="pay", result="paid"),
    said.InDoubtResolved(call_id="2.2", outcome="done"),
    said.ToolCall(call_id="2.2", tool_name="send", result="sent", is_executed=False),
    said.LlmCall(response="the end"),
    said.Conclusion(reply=13),
    said.Feedback(target_step_id="t/14", feedback_type="positive"),
)


def changed(number: int, **data: Any) -> Callable[[list[Step]], list[Step]]:
    return lambda steps: [replace(s, data={**s.data, **data}) if s.sequence == number else s for s in steps]


def without(number: int) -> Callable[[list[Step]], list[Step]]:
    """Drop a step and close the gap, as somebody would who knows what he does."""
    return lambda steps: [replace(s, sequence=n) for n, s in enumerate(s for s in steps if s.sequence != number)]


def kept(steps: Sequence[Step]) -> Replay:
    return replay(TRACE, steps)


def test_a_run_as_it_was_recorded_is_identical() -> None:
    assert kept(RUN) == Replay(trace_id="t", identical=True, steps=16)


@pytest.mark.parametrize(
    ("change", "sequence", "reason"),
    [
        (changed(0, task="stay"), 2, "an earlier step was changed"),
        (changed(1, block="known: y"), 2, "an earlier step was changed"),
        (changed(0, enable_memory=False), 1, "memory is read once"),
        (changed(0, max_iterations=1), 13, "without tools"),
        (changed(2, tool_calls=CALLS[:2]), 5, "no such call is open"),
        (changed(3, call_id="2.7"), 3, "no such call is open"),
        (changed(3, attempt=2), 3, "it would be attempt 1, not 2"),
        (changed(4, args_hash=canonical_hash({"to": "me"})), 4, "other arguments"),
        (changed(6, result="nothing"), 13, "an earlier step was changed"),
        (changed(8, verdict="reject"), 9, "a person's word on the call was reject"),
        (changed(8, args_hash="00"), 8, "other arguments than those that were asked about"),
        (changed(11, outcome="not_done"), None, ""),  # who reads the log cannot know it: the hash chain does
        (changed(13, response="another end"), None, ""),
        (changed(13, tool_calls=CALLS), 14, "no answer yet"),
        (changed(13, is_final_call=True), 13, "without tools"),
        (changed(14, content="another end"), 14, "not what the model said"),
        (changed(14, reply=2), 14, "that of step 13"),
        (changed(14, is_final=False), 14, "no answer yet"),
        (lambda steps: [replace(s, data={"erased": True}) if s.sequence == 2 else s for s in steps], 2, "was erased"),
        (changed(3, call_id=7), 3, "do not have the form"),
        (lambda steps: steps[:14], 14, "the log ends before"),
        (lambda steps: steps[1:], 0, "missing"),
        (lambda steps: [*steps[:5], steps[4], *steps[5:]], 4, "there already"),
        (lambda steps: [*steps[:5], *steps[6:]], 6, "missing"),
        (without(0), 0, "another runner recorded it"),
        (without(1), 1, "the model was not to be asked"),
        (without(2), 2, "no such call is open"),
        (without(3), 5, "without having been announced"),
        (without(4), 7, "no such call waits"),
        (without(7), 10, "no such call is in doubt"),
        (without(8), 8, "waits for a person, and began all the same"),
        (without(10), 12, "the model was not to be asked"),
        (without(11), 11, "waits for a person"),
        (without(13), 13, "no answer yet"),
        (without(14), 15, "the log ends before"),
        (lambda steps: [*steps, replace(steps[0], sequence=16)], 16, "one input"),
        (lambda steps: [*steps, replace(steps[13], sequence=16)], 16, "not to be asked"),
        (lambda steps: [*steps, Step("f", "t", "failure", 16, (), {"error": "x"})], 16, "the run had ended"),
        (lambda steps: [*steps[:3], *(replace(s, trace_id="u") for s in steps[3:])], 3, "a fork begins with a step that says so"),
        (lambda steps: [*steps, Step("f", "t", "forked", 16, (), {"trace_id": "u", "at": 15})], 16, "a fork begins with"),
        (lambda steps: [*steps, Step("x", "t", "later_kind", 16, (), {})], None, ""),
    ],
)
def test_a_change_is_told_where_it_first_shows(change: Callable[[list[Step]], list[Step]], sequence: int | None, reason: str) -> None:
    found = kept(change(RUN))

    assert found.identical == (sequence is None)
    assert found.sequence == sequence or reason == "missing"
    assert reason in (found.reason or "")
    if not found.identical:
        assert found.expected
        assert found.found


def test_what_follows_is_told_with_what_was_found() -> None:
    assert kept(without(1)(RUN)).expected == "memory_read"
    assert kept(without(13)(RUN)).expected == "llm_call"
    assert kept(without(3)(RUN)).expected == "tool_started of call 2.0"
    assert kept(without(8)(RUN)).found == "tool_started of call 2.1"


def test_a_limit_ends_a_run_where_it_is_reached_and_nowhere_else() -> None:
    steps = log(
        said.Input(task="go", model="m", max_iterations=1),
        said.LlmCall(tool_calls=CALLS[:1]),
        said.ToolStarted(call_id="1.0"),
        said.ToolCall(call_id="1.0", result="seen"),
        said.LlmCall(response="so far", is_final_call=True),
        said.Conclusion(reply=4, is_final=False),
        said.LimitReached(limit="max_iterations", value=1),
    )
    trace = Trace.create(trace_id="t", status="limit_reached")

    assert replay(trace, steps).identical
    assert "another limit" in (replay(trace, changed(6, value=2)(steps)).reason or "")
    assert "no limit was reached" in (replay(trace, [*steps[:4], replace(steps[6], sequence=4)]).reason or "")


def test_calls_that_an_earlier_version_still_ran_beyond_the_tokens_of_a_run_are_no_difference() -> None:
    steps = log(
        said.Input(task="go", model="m", tools=["send"], limits={"max_total_tokens": 10}),
        said.LlmCall(tool_calls=CALLS[2:], prompt_tokens=20),
        said.ToolStarted(call_id="1.0"),
        said.ToolCall(call_id="1.0", tool_name="send", result="sent"),
        said.LlmCall(response="so far", is_final_call=True, limit="max_total_tokens"),
        said.Conclusion(reply=4, is_final=False),
        said.LimitReached(limit="max_total_tokens", value=10),
    )

    assert replay(replace(TRACE, status="limit_reached"), steps).identical


def test_a_single_call_has_decided_nothing() -> None:
    assert replay(Trace.create(mode="call"), []).identical


@pytest.mark.parametrize("seed", range(200))
def test_a_log_that_nobody_wrote_is_told_from_ours_without_a_crash(seed: int) -> None:
    rng = Random(seed)
    for steps in (any_steps(rng, 30), RandomRun(rng).go_on(30).steps):
        found = replay(Trace.create(trace_id="t", status=rng.choice(("running", "completed", "failed"))), steps)

        assert found.identical or found.reason
