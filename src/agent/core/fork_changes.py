"""What a fork changed about what it inherits, in words: as it was, and as it is in the fork. Pure."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import agent.models.payloads as said
from agent.core.forking import changed_input
from agent.models.payloads import payload_of
from agent.models.trace import Step

Changes: TypeAlias = dict[str, tuple[Any, Any]]
"""By the name of what was changed: its value before, and in the fork."""

_OF_INPUT = {"task": "task", "messages": "messages", "system": "system prompt", "model": "model", "tools": "tools"}


class Inherited:
    """Follows the steps of a run from its first one on, and says of each fork among them what it changed."""

    def __init__(self) -> None:
        self._input = said.Input()
        self._memory: list[str] = []
        self._results: dict[str, tuple[str, Any]] = {}  # by step id: what to call it, and what the model was told

    def changes(self, step: Step) -> Changes:
        """Take in the next step; return what it changed, where it is a fork's first one."""
        payload = payload_of(step)
        match payload:
            case said.Input() if not payload.is_resume:
                self._input = payload
            case said.MemoryRead():
                self._memory = _items(payload.experiences, payload.skills)
            case said.ToolCall():
                self._results[step.step_id] = f"result of {payload.tool_name or 'a call'} (step {step.sequence})", payload.result
            case said.Forked():
                return self._forked(payload.changes)
            case _:
                pass
        return {}

    def _forked(self, changes: Mapping[str, Any]) -> Changes:
        before, self._input = self._input, changed_input(self._input, changes)
        found: Changes = {name: (getattr(before, key), getattr(self._input, key)) for key, name in _OF_INPUT.items() if key in changes}
        if "memory" in changes:
            given = changes["memory"] if isinstance(changes["memory"], dict) else {}
            memory, self._memory = self._memory, _items(given.get("experiences"), given.get("skills"))
            found["memory"] = memory, self._memory
        edits = changes.get("result")
        for step_id, edit in edits.items() if isinstance(edits, dict) else ():
            name, told = self._results.get(step_id, (f"result of step {step_id}", None))
            self._results[step_id] = name, edit.get("value") if isinstance(edit, dict) else edit
            found[name] = told, self._results[step_id][1]
        return found


def _items(experiences: Any, skills: Any) -> list[str]:
    """Return what memory told, an item a line."""
    rules = [f"{one.get('condition')}: {one.get('rule')}" for one in _dicts(experiences)]
    return [*rules, *(f"skill {one.get('name')}" for one in _dicts(skills))]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def between(a: Changes, b: Changes) -> Changes:
    """Return how what one fork changed differs from what another of the same run did."""
    found: Changes = {}
    for name in {**a, **b}:
        before = a[name][1] if name in a else b[name][0]
        after = b[name][1] if name in b else a[name][0]
        found[name] = before, after
    return found
