"""What is known of the effect of memory: of one item, or of all that runs were told."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from agent.models.value import Value

Verdict = Literal["helps", "harms", "no_difference", "not_known"]
Stage = Literal["trusted", "probation", "quarantine"]


class Lift(Value, frozen=True, kw_only=True):
    """Outcomes of runs with less outcomes without. Only runs count in which chance decided, and of which somebody said how they went.

    `low` to `high` is a 95 % interval. `verdict` follows from it: above 0, below 0, around 0 and narrow, or not yet known.
    """

    scope: str
    estimate: float | None = None  # None: an arm has no run yet
    low: float = -1.0
    high: float = 1.0
    verdict: Verdict = "not_known"
    told: int = 0  # runs that count, with …
    withheld: int = 0  # … and without
    told_mean: float | None = None  # of their outcomes
    withheld_mean: float | None = None
    unknown_told: int = 0  # chance decided, but nobody said how they went
    unknown_withheld: int = 0
    certain: int = 0  # told without a chance of being withheld: they say nothing of the effect
    more_runs: int | None = None  # about so many of which the outcome is known would show a lift of `target`; None: there is a verdict
    target: float | None = None
    runs: int = 0  # that were looked at
    since: datetime | None = None  # when the oldest of them was


class ItemLift(Value, frozen=True, kw_only=True):
    """The effect of one item, drawn towards those of the others in its scope, and how it stands."""

    item_id: str
    kind: str  # rule, advice, skill
    lift: Lift
    stage: Stage = "trusted"
    suspicion: float = 1.0  # e-value: that runs told it go badly, whatever the cause
    harm: float = 1.0  # e-value: that telling it makes them go worse …
    help: float = 1.0  # … or better
    tosses: int = 0  # runs on probation in which a coin decided; 0 of one that is always told, since a person wrote it


def as_json(value: Value) -> dict[str, Any]:
    """Return a value as plain JSON data; moments as ISO 8601."""
    data: dict[str, Any] = msgspec.to_builtins(value)
    return data
