"""A run as a graph: what rests on what."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from agent.models.trace import Step

Neighbours: TypeAlias = Callable[[Step], Sequence[str]]


def children_of(steps: Iterable[Step]) -> dict[str, list[Step]]:
    """Return for every step id the steps that rest on it, by sequence."""
    children: dict[str, list[Step]] = {}
    for step in steps:
        for parent in step.parent_ids:
            children.setdefault(parent, []).append(step)
    return children


def ancestors(steps: Sequence[Step], step_id: str) -> list[Step]:
    """Return everything that a step rests on, by sequence, without itself; ids that are not here are passed over."""
    known = {step.step_id: step for step in steps}
    return _reach(known, step_id, lambda step: step.parent_ids)


def descendants(steps: Sequence[Step], step_id: str) -> list[Step]:
    """Return everything that rests on a step, by sequence, without itself."""
    known, children = {step.step_id: step for step in steps}, children_of(steps)
    return _reach(known, step_id, lambda step: [child.step_id for child in children.get(step.step_id, ())])


def _reach(known: dict[str, Step], step_id: str, neighbours: Neighbours) -> list[Step]:
    found: dict[str, Step] = {}
    todo = [step_id]
    while todo:
        step = known.get(todo.pop())
        if step is None:
            continue
        for other in neighbours(step):
            if other in known and other not in found and other != step_id:
                found[other] = known[other]
                todo.append(other)
    return sorted(found.values(), key=lambda step: step.sequence)
