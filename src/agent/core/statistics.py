"""What can be said of a difference between two arms: intervals, shrinkage, and how many more runs it takes. Outcomes are 0 to 1.

An outcome need not be 0 or 1. Of all outcomes between 0 and 1 with the mean m those at the ends vary most, by m (1 − m) (R. Bhatia,
C. Davis, "A better bound on the variance", American Mathematical Monthly 107, 2000). So an interval made for shares holds for
means as well; where outcomes were seen to vary less, each says as much as several that are 0 or 1, and counts as such.
"""

import math
from collections.abc import Sequence

from agent.models.value import Value

CONFIDENCE = 0.95
POWER = 0.8
MIN_BETWEEN = 0.25
"""The least standard deviation assumed between the true effects of items. Estimated from few noisy items it comes out near 0, and intervals far too narrow."""


CAUTION = 5
"""Outcomes of the largest possible variance that are added to those that were seen, before less is believed: a few may be alike by chance."""


_QUANTILES = {0.975: 1.9599639845400536, 0.8: 0.8416212335729144}


class Interval(Value, frozen=True):
    """An estimate, and between what the truth is likely to be."""

    estimate: float
    low: float
    high: float


class Arms(Value, frozen=True, kw_only=True):
    """Runs with known outcomes that were told or not told something by the same chance."""

    told: int
    told_sum: float  # of outcomes
    withheld: int
    withheld_sum: float
    told_squares: float | None = None  # sum of the squares of outcomes; None: all are 0 or 1
    withheld_squares: float | None = None

    @property
    def weight(self) -> float:
        """How much this part says of a difference: nothing where an arm is empty.

        Source: W. G. Cochran, "Some methods for strengthening the common χ² tests", Biometrics 10, 1954.
        """
        both = self.told + self.withheld
        return self.told * self.withheld / both if both else 0.0


class Noisy(Value, frozen=True):
    """An estimate of one item's effect, and the variance of its error."""

    estimate: float
    variance: float


class Population(Value, frozen=True):
    """The true effects of all items: their mean, the variance of its error, and the variance between them."""

    mean: float
    variance: float
    between: float


def effective(total: float, count: int, squares: float | None = None) -> float:
    """Return how many outcomes that are 0 or 1 would say as much as these, which sum to `total`, and whose squares sum to `squares`.

    Source: E. L. Korn, B. I. Graubard, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", Survey Methodology 24, 1998; `CAUTION` is ours, chosen by simulation.
    """
    if squares is None or count <= 1:
        return count
    mean = total / count
    largest = mean * (1 - mean)
    seen = max(squares / count - mean * mean, 0.0)
    cautious = (count * seen + CAUTION * largest) / (count + CAUTION) * count / (count - 1)
    return count * largest / cautious if cautious < largest else count


def wilson(total: float, count: int, squares: float | None = None, *, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of `count` outcomes that sum to `total`, with Wilson's score interval; of no outcome the whole of 0 to 1.

    `squares`, the sum of their squares, is needed only where they are not all 0 or 1: without it the interval is too wide there.
    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.
    """
    if count == 0:
        return Interval(0.5, 0.0, 1.0)
    z, n = _z(confidence), effective(total, count, squares)
    mean = total / count
    centre = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(max(mean * (1 - mean), 0.0) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Interval(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def difference(parts: Sequence[Arms], *, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the mean outcome of the told less that of the withheld; None where no part has both.

    Of one part this is Newcombe's hybrid score interval (his method 10). Runs that were withheld by another chance are
    another part: the chance changes with time, and so does all else; parts are compared within, then averaged.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine
    17, 1998; for several parts G. Y. Zou, W. Huang, X. Zhang, "A note on confidence interval estimation for a linear function
    of binomial proportions", Computational Statistics & Data Analysis 53, 2009.
    """
    whole = sum(part.weight for part in parts)
    if whole == 0:
        return None
    estimate = below = above = 0.0
    for part in parts:
        share = part.weight / whole
        if share == 0:
            continue
        told = wilson(part.told_sum, part.told, part.told_squares, confidence=confidence)
        withheld = wilson(part.withheld_sum, part.withheld, part.withheld_squares, confidence=confidence)
        estimate += share * (told.estimate - withheld.estimate)
        below += share**2 * ((told.estimate - told.low) ** 2 + (withheld.high - withheld.estimate) ** 2)
        above += share**2 * ((told.high - told.estimate) ** 2 + (withheld.estimate - withheld.low) ** 2)
    return Interval(estimate, max(-1.0, estimate - math.sqrt(below)), min(1.0, estimate + math.sqrt(above)))


def noisy_difference(parts: Sequence[Arms]) -> Noisy | None:
    """Return the difference and the variance of its error, with one success and one failure added to each arm; None where no part has both arms.

    Without them a few runs that all went the same way would seem to have no error.
    Source: A. Agresti, B. Caffo, "Simple and effective confidence intervals for proportions and differences of proportions
    result from adding two successes and two failures", The American Statistician 54, 2000.
    """
    whole = sum(part.weight for part in parts)
    if whole == 0:
        return None
    estimate = variance = 0.0
    for part in parts:
        share = part.weight / whole
        told, withheld = (part.told_sum + 1) / (part.told + 2), (part.withheld_sum + 1) / (part.withheld + 2)
        estimate += share * (told - withheld)
        told_n = effective(part.told_sum, part.told, part.told_squares)
        withheld_n = effective(part.withheld_sum, part.withheld, part.withheld_squares)
        variance += share**2 * (told * (1 - told) / (told_n + 2) + withheld * (1 - withheld) / (withheld_n + 2))
    return Noisy(estimate, variance)


def population_of(items: Sequence[Noisy], *, least_between: float = MIN_BETWEEN) -> Population:
    """Return the mean of the true effects of some items (at least one), and how much these vary, by `least_between` at least.

    Source: R. DerSimonian, N. Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7, 1986.
    """
    between = max(_between_variance(items), least_between**2)
    weights = [1 / (item.variance + between) for item in items]
    whole = sum(weights)
    mean = sum(weight * item.estimate for weight, item in zip(weights, items, strict=True)) / whole
    return Population(mean, 1 / whole, between)


def shrunken(one: Noisy, population: Population, *, confidence: float = CONFIDENCE) -> Interval:
    """Return one item's effect, drawn towards the mean of its population: the noisier, the more. The interval allows for the error of that mean.

    Source: C. N. Morris, "Parametric empirical Bayes inference", JASA 78, 1983.
    """
    drawn = one.variance / (one.variance + population.between)
    half = _z(confidence) * math.sqrt(one.variance * (1 - drawn) + drawn**2 * population.variance)
    estimate = drawn * population.mean + (1 - drawn) * one.estimate
    return Interval(estimate, max(-1.0, estimate - half), min(1.0, estimate + half))


def runs_needed(lift: float, *, base: float, withheld: float, power: float = POWER, confidence: float = CONFIDENCE) -> int:
    """Return in how many runs, told and withheld together, a lift shows in `power` of all trials; `base` is the mean outcome of the withheld.

    Source: J. L. Fleiss, B. Levin, M. C. Paik, "Statistical Methods for Rates and Proportions", 3rd edition, 2003, section 4.3
    (arms of unequal size).
    """
    base = min(max(base, 0.0), 1.0)
    with_it = min(max(base + lift, 0.0), 1.0)
    if with_it == base or not 0 < withheld < 1:
        return 0
    mean = withheld * base + (1 - withheld) * with_it
    none = math.sqrt(mean * (1 - mean) * (1 / withheld + 1 / (1 - withheld)))
    some = math.sqrt(base * (1 - base) / withheld + with_it * (1 - with_it) / (1 - withheld))
    return math.ceil(((_z(confidence) * none + _quantile(power) * some) / (with_it - base)) ** 2)


def _between_variance(items: Sequence[Noisy]) -> float:
    """DerSimonian and Laird's estimate of how much the true effects vary; 0 where they need not vary at all."""
    weights = [1 / item.variance for item in items]
    whole = sum(weights)
    mean = sum(weight * item.estimate for weight, item in zip(weights, items, strict=True)) / whole
    spread = sum(weight * (item.estimate - mean) ** 2 for weight, item in zip(weights, items, strict=True))
    scale = whole - sum(weight**2 for weight in weights) / whole
    return max(0.0, (spread - (len(items) - 1)) / scale) if scale > 0 else 0.0


def _z(confidence: float) -> float:
    return _quantile(0.5 + confidence / 2)


def _quantile(share: float) -> float:
    """Return the quantile of the standard normal distribution."""
    known = _QUANTILES.get(share)
    if known is not None:
        return known
    from statistics import NormalDist  # takes longer to load than all else here, and hardly anybody asks for another

    return NormalDist().inv_cdf(share)
