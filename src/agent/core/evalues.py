"""E-values: evidence that may be looked at after every run, and acted on as soon as it is large enough.

An e-value is a product of factors whose expectation, where there is nothing to find, is at most 1 whatever came before. So the
chance that it ever reaches c is at most 1/c, however often one looks: Ville's inequality. (Looking again and again at an
interval made for a fixed number of runs gives 2 to 23 % false alarms.)

Source: G. Shafer, "Testing by betting", JRSS A 184, 2021; P. Grünwald, R. de Heide, W. Koolen, "Safe testing", JRSS B 86, 2024.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from agent.models.value import Value

BASE = 0.3
"""A told item whose runs go well at least this often is not suspected."""
TOLD = (0.05, 0.15, 0.3, 0.5)
"""How well told runs may go where an item does harm …"""
WITHHELD = (0.2, 0.35, 0.5, 0.65, 0.8)
"""… and how well runs without it; the test bets on all pairs alike that differ by more than `LEAST_HARM`."""
LEAST_HARM = 0.1

_PAIRS = tuple((told, withheld) for withheld in WITHHELD for told in TOLD if told < withheld - LEAST_HARM)
_BAD = tuple(told for told in TOLD if told < BASE)
_LARGE = 600.0  # e to this is near what a float holds, and far beyond any threshold


class Trial(Value, frozen=True, gc=False):
    """A run for which an item was told, or withheld by chance, and how it went: 0 failed … 1 went well."""

    is_told: bool
    propensity: float  # the chance that it had of being told; 1: nothing was left to chance
    outcome: float


class EValue(Value, frozen=True):
    """A product of factors so far, for each of the bets that it is the mean of, as logarithms."""

    logs: tuple[float, ...]

    @property
    def value(self) -> float:
        """The evidence: 1 says nothing."""
        largest = max(self.logs)
        if largest > _LARGE:
            return math.inf
        return math.exp(largest) * sum(math.exp(log - largest) for log in self.logs) / len(self.logs)

    def times(self, factors: Sequence[float]) -> "EValue":
        """Return it after one more factor a bet, given as logarithms."""
        return EValue(tuple(log + factor for log, factor in zip(self.logs, factors, strict=True)))


NO_SUSPICION = EValue((0.0,) * len(_BAD))
NO_EVIDENCE = EValue((0.0,) * len(_PAIRS))


def suspicion_after(so_far: EValue, outcome: float) -> EValue:
    """Return the evidence that told runs go well less often than `BASE`, after one more told run; it begins with `NO_SUSPICION`.

    It says nothing of the cause: hard tasks look the same. An outcome between 0 and 1 counts as part success, part failure.
    """
    return so_far.times(_one_arm(outcome))


def evidence_after(so_far: EValue, trial: Trial, *, of: Literal["harm", "help"]) -> EValue:
    """Return the evidence that telling the item makes runs go worse (or better), after one more trial; it begins with `NO_EVIDENCE`.

    Each factor is the chance of the arm that was drawn, given how the run went, were the item harmful, over the chance with
    which it was drawn. Only that known chance is used: whether tasks are hard, or become harder, does not bias it. A run in
    which nothing was left to chance says nothing.
    """
    if not 0 < trial.propensity < 1:
        return so_far
    outcome = trial.outcome if of == "harm" else 1 - trial.outcome
    return so_far.times(_two_arms(trial.is_told, trial.propensity, outcome))


@lru_cache(maxsize=1024)
def _one_arm(outcome: float) -> tuple[float, ...]:
    """At most 1 in expectation where runs go well with a chance of `BASE` or more, since it falls with the outcome."""
    return tuple(math.log(_likely(outcome, bad) / _likely(outcome, BASE)) for bad in _BAD)


@lru_cache(maxsize=4096)
def _two_arms(is_told: bool, propensity: float, outcome: float) -> tuple[float, ...]:  # noqa: FBT001  # a key of the cache
    return tuple(_log_factor(is_told, propensity, outcome, pair) for pair in _PAIRS)


def _log_factor(is_told: bool, propensity: float, outcome: float, pair: tuple[float, float]) -> float:  # noqa: FBT001  # as above
    """Of q and 1 − q, each over the chance that it had: whatever q is, the expectation is 1 where the arm changes nothing."""
    if_told, if_withheld = propensity * _likely(outcome, pair[0]), (1 - propensity) * _likely(outcome, pair[1])
    q = if_told / (if_told + if_withheld)
    return math.log(q / propensity if is_told else (1 - q) / (1 - propensity))


def _likely(outcome: float, success: float) -> float:
    return outcome * success + (1 - outcome) * (1 - success)
