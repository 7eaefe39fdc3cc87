"""What is said of differences by pairs."""

import itertools
import math
import os
import random

import pytest

from agent.core.statistics import Interval
from agent.evals.paired import Estimate, difference_of, mcnemar, mean_of, paired_shares, share_of, verdict_of


def table(rows: list[list[float]]) -> dict[str, dict[int, float]]:
    return {str(n): dict(enumerate(row)) for n, row in enumerate(rows)}


def drawn(chance: random.Random, tasks: int, seeds: int, lift: float) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, float]]]:
    """Tasks differ in how hard they are, seeds in how good their memory is; of one seed nobody can tell."""
    hard, good = [chance.random() for _ in range(tasks)], [chance.uniform(-0.1, 0.1) if seeds > 1 else 0.0 for _ in range(seeds)]
    without = [[float(chance.random() < 0.2 + 0.5 * hard[t]) for _ in range(seeds)] for t in range(tasks)]
    with_it = [[float(chance.random() < min(1, max(0, 0.2 + 0.5 * hard[t] + lift + good[s]))) for s in range(seeds)] for t in range(tasks)]
    return table(with_it), table(without)


def test_the_interval_of_paired_shares_is_symmetric_and_within_bounds() -> None:
    for both, first, second, neither in itertools.product((0, 1, 7, 30), repeat=4):
        if both + first + second + neither == 0:
            continue
        one, other = paired_shares(both, first, second, neither), paired_shares(both, second, first, neither)

        assert -1 <= one.low <= one.estimate <= one.high <= 1
        assert math.isclose(one.low, -other.high, abs_tol=1e-12)
        assert math.isclose(one.estimate, (first - second) / (both + first + second + neither))


def test_pairs_that_agree_make_the_interval_narrower() -> None:
    alike, apart = paired_shares(40, 10, 0, 50), paired_shares(20, 30, 20, 30)

    assert math.isclose(alike.estimate, apart.estimate)
    assert alike.high - alike.low < (apart.high - apart.low) / 1.5


@pytest.mark.parametrize(("first", "second", "p"), [(0, 0, 1.0), (5, 5, 1.0), (10, 0, 2 / 1024), (1, 6, 2 * 8 / 128)])
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int, p: float) -> None:
    assert math.isclose(mcnemar(first, second), p)


@pytest.mark.parametrize("seeds", [1, 4])
def test_intervals_cover_the_truth(seeds: int) -> None:
    """SEASONED_SOAK=1000 repeats it so often; of few repetitions less is asked."""
    repetitions = int(os.environ.get("SEASONED_SOAK", "30"))
    chance, covered, lift = random.Random(7), 0, 0.15
    for _ in range(repetitions):
        found = difference_of(*drawn(chance, 40, seeds, lift))
        assert found is not None
        covered += found.interval.low <= lift <= found.interval.high

    assert covered / repetitions >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / repetitions)


def test_a_bootstrap_gives_the_same_interval_twice() -> None:
    one, other = drawn(random.Random(3), 30, 3, 0.1)

    assert difference_of(one, other) == difference_of(one, other)
    assert mean_of(one) == mean_of(one)


def test_what_never_differed_is_not_certain() -> None:
    never = table([[0.0, 0.0, 0.0] for _ in range(20)])

    estimate = difference_of(never, never)
    assert estimate is not None
    assert estimate.interval.estimate == 0
    assert estimate.interval.high > 0.1
    assert verdict_of(estimate).startswith("not yet known")


def test_only_pairs_that_both_arms_have_are_compared() -> None:
    found = difference_of({"a": {0: 1.0, 1: 1.0}, "b": {0: 1.0}}, {"a": {0: 0.0}, "c": {0: 1.0}})

    assert found is not None
    assert (found.pairs, found.interval.estimate) == (1, 1.0)
    assert difference_of({"a": {0: 1.0}}, {"b": {0: 1.0}}) is None


def test_harm_counts_each_task_once() -> None:
    found = share_of(table([[0.0] * 10] * 4), table([[1.0] * 10] * 4), lambda with_it, without: with_it < without)

    assert found is not None
    assert (found.tasks, found.pairs, found.interval.estimate) == (4, 40, 1.0)
    assert found.interval.low < 0.6


def test_a_verdict_is_given_only_where_the_interval_says_so() -> None:
    def said(low: float, estimate: float, high: float, tasks: int = 50) -> str:
        return verdict_of(Estimate(interval=Interval(estimate, low, high), tasks=tasks, pairs=tasks, method=""))

    assert said(0.01, 0.1, 0.2) == "better"
    assert said(-0.3, -0.1, -0.01) == "worse"
    assert said(-0.02, 0.0, 0.02) == "no difference of 5 points or more"
    assert said(-0.1, 0.1, 0.3) == "not yet known (n=50 tasks, about 150 more if it stays like this)"
    assert said(0.5, 0.9, 1.0, tasks=9) == "not yet known (n=9 tasks, at least 10)"
    assert verdict_of(None) == "not yet known (n=0)"
