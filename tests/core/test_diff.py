"""Two runs beside each other."""

import time
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from agent.clock import now
from agent.core.diff import Diff, common, diff
from agent.models.trace import Step, step_id_of


def run(trace_id: str, *facts: tuple[str, dict[str, Any]]) -> list[Step]:
    """Return the steps of a run, each resting on the one before it."""
    ids = [step_id_of(trace_id, n) for n in range(len(facts))]
    return [Step(ids[n], trace_id, kind, n, ids[n - 1 : n] if n else (), data, now()) for n, (kind, data) in enumerate(facts)]


def asked(*calls: tuple[str, str]) -> tuple[str, dict[str, Any]]:
    return "llm_call", {"response": "", "tool_calls": [{"id": "x", "function": {"name": name, "arguments": arguments}} for name, arguments in calls]}


def ran(name: str, arguments: dict[str, Any], result: str) -> tuple[str, dict[str, Any]]:
    return "tool_call", {"call_id": "1.0", "tool_name": name, "arguments": arguments, "result": result, "took_s": time.monotonic()}


def answered(text: str, **more: Any) -> tuple[str, dict[str, Any]]:
    return "llm_call", {"response": text, "prompt_tokens": 10, "completion_tokens": 5, "cost": 0.5, **more}


START = ("input", {"task": "go", "model": "m"})
STARTED = ("tool_started", {"call_id": "1.0"})
A = run("a", START, asked(("look", '{"x": 1}')), STARTED, ran("look", {"x": 1}, "seen"), answered("end"), ("conclusion", {"content": "end"}))


def shown(found: Diff) -> list[tuple[str, str, Any]]:
    return [(node.status, node.step_type, node.changes) for node in found.nodes]


def test_a_run_beside_itself_is_shared_and_beside_its_equal_the_same() -> None:
    again = run("b", START, asked(("look", '{"x":1}')), STARTED, ran("look", {"x": 1}, "seen"), answered("end"), ("conclusion", {"content": "end"}))

    assert {node.status for node in diff(A, A).nodes} == {"shared"}
    assert {node.status for node in diff(A, again).nodes} == {"same"}
    assert diff(A, again).is_same
    assert [node.step_type for node in diff(A, again).nodes] == ["input", "llm_call", "tool_call", "llm_call", "conclusion"]


def test_what_changed_is_told_by_name() -> None:
    other = run(
        "b",
        ("input", {"task": "stay", "model": "m"}),
        asked(("look", '{"x": 2}')),
        STARTED,
        ran("look", {"x": 2}, "nothing"),
        answered("no"),
        ("conclusion", {"content": "no"}),
    )

    found = diff(A, other)

    assert shown(found) == [
        ("changed", "input", {"task": ("go", "stay")}),
        ("changed", "llm_call", {"tool_calls": ([{"name": "look", "arguments": {"x": 1}}], [{"name": "look", "arguments": {"x": 2}}])}),
        ("changed", "tool_call", {"arguments": ({"x": 1}, {"x": 2}), "result": ("seen", "nothing")}),
        ("changed", "llm_call", {"answer": ("end", "no")}),
        ("changed", "conclusion", {"answer": ("end", "no")}),
    ]
    assert not found.is_same


def test_what_only_one_of_them_has_is_added_or_removed_and_the_rest_stays_beside_its_like() -> None:
    other = run("b", START, asked(("wait", "{}")), ran("wait", {}, "ok"), *[(s.step_type, s.data) for s in A[1:]])

    found = diff(A, other)

    assert [node.status for node in found.nodes] == ["same", "added", "added", "same", "same", "same", "same"]
    assert [node.status for node in diff(other, A).nodes] == ["same", "removed", "removed", "same", "same", "same", "same"]
    assert (found.nodes[4].a_sequence, found.nodes[4].b_sequence, found.nodes[4].label) == (3, 5, "look")
    assert [node.rests_on for node in found.nodes] == [[], [0], [1], [0, 2], [], [4], [5]]


def test_a_fork_shares_what_it_inherited() -> None:
    fork = [*A[:4], *(Step(f"b/{s.sequence + 1}", "b", s.step_type, s.sequence + 1, s.parent_ids, s.data, now()) for s in A[4:])]
    fork.insert(4, Step("b/4", "b", "forked", 4, ("a/3",), {"trace_id": "a", "at": 3}))

    found = diff(A, fork)

    assert found.shared == 4
    assert [node.status for node in found.nodes] == ["shared", "shared", "shared", "added", "same", "same"]
    assert found.nodes[3].rests_on == [2]


def forked_run(trace_id: str, at: int, **changes: Any) -> list[Step]:
    """Return a fork of the run A, with what follows there."""
    step = Step(f"{trace_id}/{at + 1}", trace_id, "forked", at + 1, (f"a/{at}",), {"trace_id": "a", "at": at, "changes": changes})
    return [*A[: at + 1], step, *(Step(f"{trace_id}/{s.sequence + 1}", trace_id, s.step_type, s.sequence + 1, (), s.data, now()) for s in A[at + 1 :])]


def test_what_a_fork_changed_is_told_with_what_it_was() -> None:
    rule = {"experience_id": "e1", "condition": "always", "rule": "be kind"}
    changes = {"task": "stay", "model": "n", "schemas": [], "memory": {"experiences": [rule]}, "result": {"a/3": {"message_id": "x", "value": "unseen"}}}
    expected = {"task": ("go", "stay"), "model": ("m", "n"), "memory": ([], ["always: be kind"]), "result of look (step 3)": ("seen", "unseen")}
    fork = forked_run("b", 3, **changes)
    (node,) = [node for node in diff(A, fork).nodes if node.step_type == "forked"]
    (reversed_,) = [node for node in diff(fork, A).nodes if node.step_type == "forked"]

    assert (node.status, node.changes) == ("added", expected)
    assert (reversed_.status, reversed_.changes) == ("removed", {name: (y, x) for name, (x, y) in expected.items()})


def test_two_forks_of_a_run_are_compared_by_what_each_changed() -> None:
    found = diff(forked_run("b", 3, task="stay", model="n"), forked_run("c", 3, task="leave", result={"a/3": {"message_id": "x", "value": "unseen"}}))
    (node,) = [node for node in found.nodes if node.step_type == "forked"]

    assert (node.status, node.changes) == ("changed", {"task": ("stay", "leave"), "model": ("n", "m"), "result of look (step 3)": ("seen", "unseen")})
    assert "changed" not in {node.status for node in diff(forked_run("b", 3, task="stay"), forked_run("c", 3, task="stay")).nodes}


def test_a_fork_of_a_fork_tells_what_it_changed_of_that_one() -> None:
    first = forked_run("b", 3, result={"a/3": {"message_id": "x", "value": "unseen"}})
    step = Step("c/5", "c", "forked", 5, (), {"trace_id": "b", "at": 4, "changes": {"result": {"a/3": {"message_id": "x", "value": "lost"}}, "memory": None}})
    (node,) = [node for node in diff(first, [*first[:5], step]).nodes if node.status == "added"]

    assert node.changes == {"memory": ([], []), "result of look (step 3)": ("unseen", "lost")}


@pytest.mark.parametrize("changes", [{"result": 7}, {"result": {"a/9": 7}}, {"memory": 7, "task": None}, {"memory": {"experiences": 7, "skills": [7]}}])
def test_a_fork_that_nobody_made_is_compared_too(changes: dict[str, Any]) -> None:
    assert "forked" in [node.step_type for node in diff(A, forked_run("b", 3, **changes)).nodes]


def test_tokens_and_costs_are_compared() -> None:
    found = diff(A, run("b", START, answered("a"), answered("b", cost=None)))

    assert (found.tokens, found.cost, found.cost_is_partial) == ((15, 30), (0.5, 0.5), (True, True))
    assert found.to_dict()["tokens"] == {"a": 15, "b": 30, "difference": 15}


def longest(a: list[Any], b: list[Any]) -> int:
    """Return the length of a longest common subsequence, as the book says it."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row[:]
        for j, y in enumerate(b):
            row[j + 1] = before[j] + 1 if x == y else max(row[j], before[j + 1])
    return row[-1]


@pytest.mark.parametrize("seed", range(100))
def test_the_alignment_is_a_longest_one(seed: int) -> None:
    rng = Random(seed)
    a, b = ([(rng.choice("abcd"),) for _ in range(rng.randrange(30))] for _ in range(2))

    found = common(a, b)

    assert len(found) == longest(a, b)
    assert all(a[i] == b[j] for i, j in found)
    assert all(x[0] < y[0] and x[1] < y[1] for x, y in pairwise(found))


def test_long_runs_are_compared_in_no_time() -> None:
    rng = Random(1)
    a, b = ([(rng.choice("abcdef"),) for _ in range(5_000)] for _ in range(2))
    began = time.monotonic()

    assert common(a, b)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "data", [{"tool_calls": 7}, {"tool_calls": [{"function": {"arguments": "{"}}]}, {"tool_name": [], "arguments": {"a": float("nan")}}, {"cost": "x"}]
)
def test_strange_steps_are_compared_too(data: dict[str, Any]) -> None:
    for kind in ("llm_call", "tool_call", "later_kind", "approval_decided"):
        a, b = run("a", (kind, data)), run("b", (kind, {**data, "x": 1}))

        assert [node.status for node in diff(a, b).nodes] == ["changed"]
        assert diff(a, []).nodes[0].status == "removed"
