"""What can be said of a difference between two arms that did the same tasks with the same seeds: pure, without a clock or chance of its own."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from operator import mul
from statistics import fmean
from typing import TypeAlias

from agent.core.statistics import Interval, wilson
from agent.models.value import Value

RESAMPLES = 2_000
"""Of the bootstrap; fewer where tasks times seeds are many (`MAX_WORK`), but `MIN_RESAMPLES`."""
MIN_RESAMPLES = 500
MAX_WORK = 5_000_000  # additions
BOOTSTRAP_SEED = 20_260_101
"""The same numbers give the same interval, whoever asks."""
MIN_TASKS = 10
"""Fewer tasks say nothing about others of their kind, whatever the interval."""
NEGLIGIBLE = 0.05
"""A difference within this of zero, at both ends of its interval, is called none."""

Table: TypeAlias = Mapping[str, Mapping[int, float]]
"""Task → seed → a number."""


class Estimate(Value, frozen=True, kw_only=True):
    """A mean with its 95 % interval, of how many tasks and pairs, and how the interval was made."""

    interval: Interval
    tasks: int
    pairs: int
    method: str


def mean_of(table: Table, *, most: int = RESAMPLES) -> Estimate | None:
    """Return the mean over all tasks and seeds; None where there is nothing.

    Of one seed and outcomes of 0 or 1 with Wilson's interval. Else with a bootstrap that draws both tasks and seeds with
    replacement (`most` times): what two runs of one task, or two runs with one memory, have in common is not counted twice.
    Source: A. B. Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007: it counts chance in single runs up to
    three times, so that intervals are too wide rather than too narrow.
    """
    values, tasks, seeds = _flat(table)
    if not values:
        return None
    if len(seeds) == 1 and set(values) <= {0.0, 1.0}:
        return Estimate(interval=wilson(sum(values), len(values)), tasks=len(tasks), pairs=len(values), method="Wilson")
    if len(set(values)) == 1 and values[0] in (0.0, 1.0):  # of which a bootstrap would be certain
        return Estimate(interval=wilson(values[0] * len(tasks), len(tasks)), tasks=len(tasks), pairs=len(values), method="Wilson, each task once")
    return Estimate(interval=_bootstrap(table, tasks, seeds, most), tasks=len(tasks), pairs=len(values), method="bootstrap over tasks and seeds")


def difference_of(first: Table, second: Table) -> Estimate | None:
    """Return the mean of the first less that of the second over the pairs that both have; None where there is none.

    Of one seed and outcomes of 0 or 1 with Newcombe's interval for paired shares, else with the bootstrap of `mean_of`.
    """
    pairs = {task: {seed: (row[seed], second[task][seed]) for seed in row if seed in second[task]} for task, row in first.items() if task in second}
    pairs = {task: row for task, row in pairs.items() if row}
    flat = [pair for row in pairs.values() for pair in row.values()]
    if not flat:
        return None
    seeds = {seed for row in pairs.values() for seed in row}
    if len(seeds) == 1 and {value for pair in flat for value in pair} <= {0.0, 1.0}:
        both = [flat.count(kind) for kind in ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0))]
        return Estimate(interval=paired_shares(*both), tasks=len(pairs), pairs=len(flat), method="Newcombe, paired")
    if len({round(a - b, 9) for a, b in flat}) == 1:  # of which a bootstrap would be certain
        return Estimate(interval=_of_alike(flat, len(pairs)), tasks=len(pairs), pairs=len(flat), method="Newcombe, paired, each task once")
    return mean_of({task: {seed: a - b for seed, (a, b) in row.items()} for task, row in pairs.items()})


def share_of(first: Table, second: Table, is_counted: Callable[[float, float], bool]) -> Estimate | None:
    """Return the share of pairs that are counted, with Wilson's interval as if each task were one pair: rather too wide than too narrow."""
    counted = [(task, is_counted(row[seed], second[task][seed])) for task, row in first.items() if task in second for seed in row if seed in second[task]]
    if not counted:
        return None
    tasks = len({task for task, _ in counted})
    share = fmean(is_one for _, is_one in counted)
    return Estimate(interval=wilson(share * tasks, tasks), tasks=tasks, pairs=len(counted), method="Wilson, each task once")


def paired_shares(both: int, first: int, second: int, neither: int) -> Interval:
    """Return the share right in the first arm less that in the second, from pairs: right in both, in the first alone, in the second alone, in neither.

    Source: R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17, 1998, method 10 (Wilson's limits of each share, joined with their correlation).
    """
    count = both + first + second + neither
    one, two = wilson(both + first, count), wilson(both + second, count)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    product = both * neither - first * second
    corrected = product if product < 0 else max(product - count / 2, 0.0)
    phi = corrected / math.sqrt(margins) if margins else 0.0
    estimate = one.estimate - two.estimate
    below = _joined(one.estimate - one.low, two.high - two.estimate, phi)
    above = _joined(one.high - one.estimate, two.estimate - two.low, phi)
    return Interval(estimate, max(-1.0, estimate - below), min(1.0, estimate + above))


def mcnemar(first: int, second: int) -> float:
    """Return how likely pairs as uneven as these are where both arms are equally good: `first` right in the first alone, `second` in the second alone.

    Source: Q. McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 12, 1947;
    exact and two-sided, by the binomial distribution.
    """
    count, least = first + second, min(first, second)
    tail: float = sum(math.comb(count, k) for k in range(least + 1)) / 2**count
    return min(1.0, 2 * tail)


def verdict_of(estimate: Estimate | None, *, of: str = "tasks") -> str:
    """Return in words what a difference says: better, worse, none to speak of, or not yet known. `of` is what is counted."""
    if estimate is None:
        return "not yet known (n=0)"
    found, n = estimate.interval, estimate.tasks
    if n < MIN_TASKS:
        return f"not yet known (n={n} {of}, at least {MIN_TASKS})"
    if found.low > 0:
        return "better"
    if found.high < 0:
        return "worse"
    if found.low > -NEGLIGIBLE and found.high < NEGLIGIBLE:
        return f"no difference of {NEGLIGIBLE * 100:.0f} points or more"
    return f"not yet known (n={n} {of}{_more(found, n)})"


def _more(found: Interval, tasks: int) -> str:
    """Say about how many more tasks it takes until an effect of this size shows; intervals shrink with the square root."""
    half = (found.high - found.low) / 2
    if abs(found.estimate) < half / 10:  # it would be a hundred times as many
        return ""
    return f", about {math.ceil(tasks * (half / found.estimate) ** 2) - tasks} more if it stays like this"


def _of_alike(flat: Sequence[tuple[float, float]], tasks: int) -> Interval:
    """Return the interval of pairs that all differ by the same, as if each task were one pair of the nearest outcomes of 0 or 1."""
    by = flat[0][0] - flat[0][1]
    changed = round(abs(by) * tasks)
    right = round((tasks - changed) * fmean(min(pair) for pair in flat))
    found = paired_shares(right, changed if by > 0 else 0, changed if by < 0 else 0, tasks - changed - right)
    return Interval(by, min(by, found.low), max(by, found.high))


def _joined(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _flat(table: Table) -> tuple[list[float], list[str], list[int]]:
    values = [value for row in table.values() for value in row.values()]
    return values, [task for task, row in table.items() if row], sorted({seed for row in table.values() for seed in row})


def _bootstrap(table: Table, tasks: Sequence[str], seeds: Sequence[int], most: int) -> Interval:
    rows = [[table[task].get(seed, 0.0) for seed in seeds] for task in tasks]
    held = [[float(seed in table[task]) for seed in seeds] for task in tasks]
    estimate = sum(map(sum, rows)) / sum(map(sum, held))
    resamples = max(MIN_RESAMPLES, min(most, MAX_WORK // (2 * len(tasks) * len(seeds))))
    chance = random.Random(BOOTSTRAP_SEED)  # noqa: S311  the same numbers for everybody
    is_full = all(all(row) for row in held)
    means: list[float] = []
    for _ in range(resamples):
        drawn = chance.choices(range(len(seeds)), k=len(seeds))
        weights = [drawn.count(place) for place in range(len(seeds))]
        chosen = chance.choices(range(len(tasks)), k=len(tasks))
        sums = [sum(map(mul, row, weights)) for row in rows]
        count = len(tasks) * len(seeds) if is_full else sum(sum(map(mul, held[place], weights)) for place in chosen)
        if count:
            means.append(sum(map(sums.__getitem__, chosen)) / count)
    means.sort()
    low, high = means[int(0.025 * len(means))], means[min(len(means) - 1, int(0.975 * len(means)))]
    return Interval(estimate, min(low, estimate), max(high, estimate))
