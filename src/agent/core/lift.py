"""What the uses of memory say of its effect: who counts, in which arm, and what follows.

A run counts where a known chance decided whether it was told, and where somebody or something said how it went. Neither a run
that everybody would have been told, nor one that merely completed, says anything.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from math import ceil, fsum

from agent.core.evalues import Trial
from agent.core.probation import Standing, standing_after
from agent.core.statistics import Arms, Interval, difference, effective, noisy_difference, population_of, runs_needed, shrunken
from agent.models.learning import Use, Used
from agent.models.lift import ItemLift, Lift, Verdict
from agent.models.value import Value, replace

TARGETS = (0.2, 0.1, 0.05)
"""Lifts that are worth knowing of, the largest first: how many more runs are needed is said for the first that still takes more."""
NARROW = 0.05
"""Half the width of an interval around 0 from which on there is no difference that matters."""
FEWEST = 5
"""Runs that each arm has at least before there is a verdict: an item is not said to help only because others do."""
USUAL_SHARE = 0.1
"""The share of runs that is withheld where none was as yet: the default of `AgentConfig.withhold`."""
HALF = 0.5
"""An outcome below is a failure, where it has to be one or the other."""
FEWEST_FAILURES = 8
"""No fewer failures of told runs amount to a suspicion, whatever else happened: each adds a factor of 1.36 at most, and 10 are needed."""


class Chance(Value, frozen=True, gc=False):
    """What became of something in one run: whether it was told, with which chance, and how the run went (None: nobody said)."""

    is_told: bool
    propensity: float
    outcome: float | None


def memory_lift(uses: Sequence[Use], scope: str) -> Lift:
    """Return the lift of all advice together, from the uses of one scope and owner."""
    found = [chance for use in uses if (chance := advice_chance(use)) is not None]
    return _judged(scope, uses, found, difference(arms_of(found)))


def item_lifts(uses: Sequence[Use], scope: str) -> list[ItemLift]:
    """Return the lift of each item in the uses of one scope and owner, given newest first; the most used item first.

    Items are drawn towards each other: see `statistics.shrunken`.
    """
    chances = item_chances(uses)
    kinds = {item.item_id: item.kind for use in uses for item in use.items}
    noisy = {item_id: one for item_id, found in chances.items() if (one := noisy_difference(arms_of(found))) is not None}
    population = population_of(list(noisy.values())) if noisy else None
    lifts: list[ItemLift] = []
    for item_id, found in sorted(chances.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        own = noisy.get(item_id)
        lift = _judged(scope, uses, found, shrunken(own, population) if own is not None and population is not None else None)
        lifts.append(with_standing(ItemLift(item_id=item_id, kind=kinds[item_id], lift=lift), standing_of(found)))
    return lifts


def item_chances(uses: Sequence[Use], only: Container[str] | None = None) -> dict[str, list[Chance]]:
    """Return what became of each item in these uses, or `only` of some, in their order."""
    chances: dict[str, list[Chance]] = {}
    for use in uses:
        for item in use.items:
            if only is not None and item.item_id not in only:
                continue
            chance = item_chance(use, item)
            if chance is not None:
                chances.setdefault(item.item_id, []).append(chance)
    return chances


def may_be_suspected(found: Iterable[Chance]) -> bool:
    """Whether an item failed often enough to be on probation at all: a cheap look before the whole test."""
    return sum(one.is_told and one.outcome is not None and one.outcome < HALF for one in found) >= FEWEST_FAILURES


def with_standing(item: ItemLift, standing: Standing) -> ItemLift:
    """Return an item with what the sequential test says."""
    return replace(item, stage=standing.stage, suspicion=standing.suspicion.value, harm=standing.harm.value, help=standing.help.value, tosses=standing.tosses)


def standing_of(found: Sequence[Chance]) -> Standing:
    """Return what the sequential test says of an item, from what became of it in its runs, newest first."""
    return standing_after(Trial(one.is_told, one.propensity, one.outcome) for one in reversed(found) if one.outcome is not None)


def advice_chance(use: Use) -> Chance | None:
    """Return what became of the advice of a run; None where there was none."""
    return None if use.arm == "none" else Chance(use.arm == "injected", use.propensity, use.outcome)


def item_chance(use: Use, item: Used) -> Chance | None:
    """Return what became of one item in a run; None where it was only logged, or left out by request or for want of room.

    Advice that is told or withheld together with other advice was not left to a chance of its own: what such runs say is
    said of all of it, so that here nothing counts as left to chance.
    """
    if item.arm not in {"injected", "withheld"}:
        return None
    is_shared = item.kind == "advice" and item.propensity == use.propensity and sum(other.kind == "advice" for other in use.items) > 1
    if is_shared and item.arm == "withheld":
        return None
    return Chance(item.arm == "injected", 1.0 if is_shared else item.propensity, use.outcome)


def arms_of(chances: Iterable[Chance]) -> list[Arms]:
    """Return the runs that count, apart by the chance that decided."""
    parts: dict[float, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))
    for one in chances:
        if one.outcome is not None and 0 < one.propensity < 1:
            parts[round(one.propensity, 6)][0 if one.is_told else 1].append(one.outcome)
    return [
        Arms(
            told=len(told),
            told_sum=fsum(told),
            told_squares=fsum(outcome * outcome for outcome in told),
            withheld=len(withheld),
            withheld_sum=fsum(withheld),
            withheld_squares=fsum(outcome * outcome for outcome in withheld),
        )
        for _, (told, withheld) in sorted(parts.items())
    ]


def _judged(scope: str, uses: Sequence[Use], found: Sequence[Chance], interval: Interval | None) -> Lift:
    """Return what was found, counted, with the verdict of its interval."""
    left = [one for one in found if 0 < one.propensity < 1]
    told, withheld = _outcomes(left, is_told=True), _outcomes(left, is_told=False)
    lift = Lift(
        scope=scope,
        told=len(told),
        withheld=len(withheld),
        told_mean=_mean(told),
        withheld_mean=_mean(withheld),
        unknown_told=sum(one.is_told and one.outcome is None for one in left),
        unknown_withheld=sum(not one.is_told and one.outcome is None for one in left),
        certain=sum(one.is_told and one.propensity >= 1 for one in found),
        runs=len(uses),
        since=min((use.at for use in uses), default=None),
    )
    if interval is not None:
        verdict = _verdict(interval) if min(lift.told, lift.withheld) >= FEWEST else "not_known"
        lift = replace(lift, estimate=interval.estimate, low=interval.low, high=interval.high, verdict=verdict)
    if lift.verdict != "not_known":
        return lift
    share = _mean([1 - one.propensity for one in left]) or USUAL_SHARE
    told_or_not = told + withheld
    says = effective(fsum(told_or_not), len(told_or_not), fsum(outcome * outcome for outcome in told_or_not))
    return _with_need(lift, share, says / len(told_or_not) if told_or_not else 1.0)


def _verdict(interval: Interval) -> Verdict:
    if interval.low > 0:
        return "helps"
    if interval.high < 0:
        return "harms"
    return "no_difference" if interval.high - interval.low <= 2 * NARROW else "not_known"


def _with_need(lift: Lift, share: float, says: float) -> Lift:
    """Return it with how many more runs would show a lift that is worth knowing of; each `says` as much as so many that end with 0 or 1."""
    counted = lift.told + lift.withheld
    without = ((lift.withheld_mean or 0.0) * lift.withheld + 1) / (lift.withheld + 2)
    more, target = 1, TARGETS[-1]
    for target in TARGETS:
        more = ceil(runs_needed(target, base=min(without, 1 - target), withheld=share) / says) - counted
        if more > 0:
            break
    return replace(lift, more_runs=max(more, 1), target=target)


def _outcomes(found: Iterable[Chance], *, is_told: bool) -> list[float]:
    return [one.outcome for one in found if one.is_told == is_told and one.outcome is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fsum(values) / len(values) if values else None
