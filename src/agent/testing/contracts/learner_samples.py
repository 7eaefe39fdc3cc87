"""What the contract of learning stores is tried with."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

from agent.errors import BadInput, ExperienceNotFound
from agent.models.learning import Case, Use
from agent.storage.learning_port import LearningStore

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def case(case_id: str, task: str = "refund a card", **fields: Any) -> Case:
    """Return a case of the scope that these tests search."""
    given: dict[str, Any] = {"scope": "agent:default", "uid": None, "tool": "pay", "sign": 1, "signal": "positive", "trace_id": "t", "step_id": "t/1"}
    return Case(case_id=case_id, task=task, **given | fields)


def use(trace_id: str, **fields: Any) -> Use:
    """Return a use of that scope."""
    return Use(trace_id=trace_id, **{"scope": "agent:default", "uid": None} | fields)


async def outcome(operation: Awaitable[Any]) -> Any:
    """Return what an operation raised, or gave."""
    try:
        return await operation
    except (BadInput, ExperienceNotFound) as error:
        return error


async def told(store: LearningStore, query: str = "refund card", **options: Any) -> list[str]:
    """Return the ids of what `search` finds."""
    options = {"scopes": ["agent:default"]} | options
    return [one.item.case_id if isinstance(one.item, Case) else one.item.to_dict().get("experience_id", "") for one in await store.search(query, **options)]
