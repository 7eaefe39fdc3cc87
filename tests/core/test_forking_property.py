"""What holds for every fork: whatever it changes, wherever it begins, what a model is shown of it is valid, and it goes on."""

import os
import sys
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

import agent.models.payloads as said
from agent.clock import now
from agent.core.decide import decide
from agent.core.fold import advance, fold, history
from agent.core.state import RunState
from agent.models.trace import Step
from agent.testing.provider_shapes import anthropic_faults, openai_faults, shape_faults

sys.path.insert(0, str(Path(__file__).parent))

from random_logs import EFFECTS, RandomRun, any_json  # type: ignore[import-not-found]  # it lies beside this file

EXAMPLES = int(os.environ.get("SEASONED_PROPERTY_EXAMPLES", "150"))
property_test = settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 2**32).map(Random)


def forked(state: RunState, changes: Any) -> RunState:
    """Return the state of a fork that begins here."""
    at = state.next_sequence - 1
    return advance(state, Step("f", "f", "forked", at + 1, (), said.Forked(trace_id="t", at=at, changes={}).to_data() | {"changes": changes}, now()))


def any_changes(rng: Random, state: RunState) -> dict[str, Any]:
    """Return changes as an engine would record them."""
    told = [m["tool_call_id"] for m in state.messages if m["role"] == "tool"] + [c.call.message_id for c in state.turn]
    all_of_them: dict[str, Any] = {
        "task": rng.choice(("another task", [{"type": "text", "text": "look"}])),
        "system": rng.choice((None, "Be long.")),
        "messages": rng.choice(([], [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])),
        "model": "m2",
        "tools": None,
        "memory": rng.choice((None, {}, {"block": "known: y"})),
        "result": {f"s{n}": {"message_id": message_id, "value": "edited"} for n, message_id in enumerate(told) if rng.random() < 0.5},
    }
    return {name: value for name, value in all_of_them.items() if rng.random() < 0.4}


@property_test
@given(seeds)
def test_what_a_fork_shows_to_a_model_is_valid_at_every_cut(rng: Random) -> None:
    run = RandomRun(rng).go_on(rng.randrange(1, 25))
    for cut in range(1, len(run.steps) + 1):
        state = fold(run.steps[:cut])
        changes = any_changes(rng, state)
        after = forked(state, changes)
        shown = history(after)

        assert shape_faults(shown) == openai_faults(shown) == anthropic_faults(shown) == []
        open_calls = [call for call in after.turn if call.result is None and not call.is_in_doubt]
        assert all(call.started_epoch is None and (call.decision is None or call.decision.verdict not in ("approve", "edit")) for call in open_calls)
        decide(after, 1, EFFECTS)
        if not changes:
            assert shown == history(state)


@property_test
@given(seeds)
def test_changes_that_nobody_records_are_passed_over(rng: Random) -> None:
    state = fold(RandomRun(rng).go_on(12).steps)
    names = ("task", "system", "messages", "model", "tools", "schemas", "memory", "result")
    after = forked(state, {name: any_json(rng) for name in names if rng.random() < 0.5} if rng.random() < 0.9 else any_json(rng))

    history(after)
    assert after.next_sequence == state.next_sequence + 1
    decide(after, 1, EFFECTS)
