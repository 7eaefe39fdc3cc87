"""Tools that only stand in for those of a recorded run: they give its results again, and make nothing happen."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.core.wording import wording
from agent.models.digest import canonical_hash
from agent.models.trace import Step
from agent.tools.invoke import to_text
from agent.tools.registry import ToolRegistry


class StandIns:
    """The tools of a run, as its schemas tell of them. A call with the same arguments has the recorded result, any other none.

    Calls that were made several times have their results in order, then the last one again.
    """

    def __init__(self, schemas: Sequence[Mapping[str, Any]], steps: Sequence[Step], *, language: str) -> None:
        """Take what a run was offered, and its steps.

        Raises:
            SchemaUnsupported, ConfigInvalid: a tool of it cannot be offered again.
        """
        self.registry = ToolRegistry()
        self._language = language
        self._results: dict[str, deque[str]] = defaultdict(deque)
        for step in steps:
            if step.step_type == "tool_call":
                data = step.data
                self._results[canonical_hash([data.get("tool_name"), data.get("arguments")])].append(to_text(data.get("result")))
        for schema in schemas:
            function = schema.get("function", schema)
            name = str(function.get("name"))
            self.registry.add(
                name, dict(function.get("parameters") or {}), self._function(name), description=str(function.get("description") or ""), effect="read"
            )

    def _function(self, name: str) -> Callable[..., str]:
        def stand_in(seasoned_arguments: dict[str, Any]) -> str:
            """Return what the call had as its result."""
            found = self._results.get(canonical_hash([name, seasoned_arguments]))
            if not found:
                return wording("stubbed", self._language)
            return found.popleft() if len(found) > 1 else found[0]

        return stand_in
