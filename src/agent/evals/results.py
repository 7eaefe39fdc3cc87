"""What came of an eval: each arm, each arm beside another, and how they did as they learnt."""

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal, TypeAlias

import msgspec

from agent.evals.arms import ARMS
from agent.evals.cells import Cell, Setting
from agent.evals.paired import MIN_RESAMPLES, Estimate, Table, difference_of, mcnemar, mean_of, share_of, verdict_of
from agent.evals.scorers import PASS
from agent.models.value import Value

Part: TypeAlias = Literal["train", "held_out"]
MAX_POINTS = 20
"""Points of a learning curve."""
MIN_TASKS_A_POINT = 3
"""Tasks that a point of a learning curve is made of, at least; times seeds."""
MAX_EXAMPLES = 20
"""Tasks that are named because memory made them wrong."""


class ArmResult(Value, frozen=True, kw_only=True):
    """How one arm did in one part of the set; means are of a run."""

    arm: str
    part: Part
    runs: int
    score: Estimate | None
    right: Estimate | None  # the share of runs whose score counts as right
    unknown: int = 0  # runs without a score
    failed: int = 0
    corrected: int = 0
    tokens: float = 0.0
    memory_tokens: float = 0.0
    took_s: float = 0.0
    cost_usd: float = 0.0  # of all runs, as far as it is known
    cost_is_partial: bool = False


class Comparison(Value, frozen=True, kw_only=True):
    """One arm beside another, by pairs of the same task and seed."""

    arm: str
    beside: str
    part: Part
    difference: Estimate | None  # of scores
    harm: Estimate | None  # the share of pairs that are wrong in this arm and right in the other
    gain: Estimate | None  # and the other way round
    mcnemar_p: float | None = None  # of one seed
    verdict: str = ""


class Point(Value, frozen=True):
    """A piece of a learning curve: the tasks from position `first` to before `until`, and the mean score there."""

    first: int
    until: int
    score: Estimate


class Curve(Value, frozen=True):
    """How an arm did as it went on."""

    arm: str
    points: tuple[Point, ...]


class Harmed(Value, frozen=True):
    """A run that was right without and wrong with memory."""

    task_id: str
    seed: int
    trace_id: str
    beside: str  # the run that was right
    why: str


class Results(Value, frozen=True, kw_only=True):
    """All that a report says."""

    setting: Setting
    runs: int
    wanted: int  # runs that there will be when the eval is done
    arms: tuple[ArmResult, ...]
    comparisons: tuple[Comparison, ...]
    curves: tuple[Curve, ...]
    harmed: tuple[Harmed, ...] = ()

    @property
    def is_done(self) -> bool:
        """Return whether all runs are there."""
        return self.runs >= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


def results_of(setting: Setting, cells: Sequence[Cell]) -> Results:
    """Return what the cells of an eval say so far."""
    arms = [arm for arm in ARMS if arm in setting.arms]
    parts: list[Part] = [part for part in ("train", "held_out") if any(cell.split == part for cell in cells)]
    compared = [_comparison(cells, arm, beside, part) for part in parts for arm, beside in _pairs(arms)]
    return Results(
        setting=setting,
        runs=len(cells),
        wanted=setting.wanted,
        arms=tuple(_arm(cells, arm, part) for part in parts for arm in arms),
        comparisons=tuple(compared),
        curves=tuple(_curve(cells, arm) for arm in arms) if any(cell.split == "train" for cell in cells) else (),
        harmed=_harmed(cells),
    )


def _pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    base = [(arm, "none") for arm in arms if arm != "none" and "none" in arms]
    return base + [("memory", other) for other in ("placebo", "random") if "memory" in arms and other in arms]


def _table(cells: Sequence[Cell], arm: str, part: str, *, is_right: bool = False) -> Table:
    table: dict[str, dict[int, float]] = {}
    for cell in cells:
        if cell.arm == arm and cell.split == part and cell.score is not None:
            table.setdefault(cell.task_id, {})[cell.seed] = float(cell.score >= PASS) if is_right else cell.score
    return table


def _arm(cells: Sequence[Cell], arm: str, part: Part) -> ArmResult:
    own = [cell for cell in cells if cell.arm == arm and cell.split == part]
    runs = len(own)
    return ArmResult(
        arm=arm,
        part=part,
        runs=runs,
        score=mean_of(_table(own, arm, part)),
        right=mean_of(_table(own, arm, part, is_right=True)),
        unknown=sum(cell.score is None for cell in own),
        failed=sum(cell.error is not None for cell in own),
        corrected=sum(cell.is_corrected for cell in own),
        tokens=fmean(cell.tokens for cell in own) if runs else 0.0,
        memory_tokens=fmean(cell.memory_tokens for cell in own) if runs else 0.0,
        took_s=fmean(cell.took_s for cell in own) if runs else 0.0,
        cost_usd=sum(cell.cost_usd or 0.0 for cell in own),
        cost_is_partial=any(cell.cost_is_partial or cell.cost_usd is None for cell in own),
    )


def _comparison(cells: Sequence[Cell], arm: str, beside: str, part: Part) -> Comparison:
    difference = difference_of(_table(cells, arm, part), _table(cells, beside, part))
    one, other = _table(cells, arm, part, is_right=True), _table(cells, beside, part, is_right=True)
    harm = share_of(one, other, lambda with_it, without: with_it < without)
    gain = share_of(one, other, lambda with_it, without: with_it > without)
    is_single = harm is not None and gain is not None and harm.pairs == harm.tasks
    return Comparison(
        arm=arm,
        beside=beside,
        part=part,
        difference=difference,
        harm=harm,
        gain=gain,
        mcnemar_p=mcnemar(_count(gain), _count(harm)) if is_single else None,
        verdict=verdict_of(difference),
    )


def _count(share: Estimate | None) -> int:
    return round(share.interval.estimate * share.pairs) if share is not None else 0


def _curve(cells: Sequence[Cell], arm: str) -> Curve:
    own = [cell for cell in cells if cell.arm == arm and cell.split == "train"]
    length = max((cell.position for cell in cells if cell.split == "train"), default=-1) + 1
    step = max(MIN_TASKS_A_POINT, -(-length // MAX_POINTS))
    points: list[Point] = []
    for first in range(0, length, step):
        until = min(first + step, length)
        # by position, not by task: at one place every seed has another task
        table: dict[str, dict[int, float]] = {}
        for cell in own:
            if first <= cell.position < until and cell.score is not None:
                table.setdefault(str(cell.position), {})[cell.seed] = cell.score
        score = mean_of(table, most=MIN_RESAMPLES)  # a band to look at
        if score is not None:
            points.append(Point(first, until, score))
    return Curve(arm, tuple(points))


def _harmed(cells: Sequence[Cell]) -> tuple[Harmed, ...]:
    without = {(cell.task_id, cell.seed): cell for cell in cells if cell.arm == "none"}
    found: list[Harmed] = []
    for cell in cells:
        other = without.get((cell.task_id, cell.seed))
        if cell.arm == "memory" and other is not None and cell.is_right is False and other.is_right:
            found.append(Harmed(cell.task_id, cell.seed, cell.trace_id, other.trace_id, cell.why))
    return tuple(found[:MAX_EXAMPLES])
