"""A run as a graph: what a step rests on, and what rests on it."""

from agent.core.graph import ancestors, children_of, descendants
from agent.models.trace import Step

STEPS = [
    Step("t/0", "t", "input", 0),
    Step("t/1", "t", "memory_read", 1, ("t/0",)),
    Step("t/2", "t", "llm_call", 2, ("t/0", "t/1")),
    Step("t/3", "t", "tool_call", 3, ("t/2",)),
    Step("t/4", "t", "tool_call", 4, ("t/2",)),
    Step("t/5", "t", "llm_call", 5, ("t/3", "t/4")),
    Step("t/6", "t", "feedback", 6, ("t/3", "elsewhere/9")),
]


def ids(steps: list[Step]) -> list[int]:
    return [step.sequence for step in steps]


def test_what_a_step_rests_on_is_found_through_all_its_parents() -> None:
    assert ids(ancestors(STEPS, "t/5")) == [0, 1, 2, 3, 4]
    assert ids(ancestors(STEPS, "t/6")) == [0, 1, 2, 3]
    assert ancestors(STEPS, "t/0") == []
    assert ancestors(STEPS, "nowhere") == []


def test_what_rests_on_a_step_is_found_through_all_its_children() -> None:
    assert ids(descendants(STEPS, "t/1")) == [2, 3, 4, 5, 6]
    assert ids(descendants(STEPS, "t/4")) == [5]
    assert descendants(STEPS, "t/6") == []
    assert ids(children_of(STEPS)["t/2"]) == [3, 4]


def test_a_log_whose_steps_name_each_other_ends() -> None:
    circle = [Step("t/0", "t", "x", 0, ("t/1",)), Step("t/1", "t", "x", 1, ("t/0",))]

    assert ids(ancestors(circle, "t/0")) == [1]
    assert ids(descendants(circle, "t/0")) == [1]
