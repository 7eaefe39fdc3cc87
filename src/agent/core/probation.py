"""Whether an item of memory is trusted, on probation, or out: a sequential test in two stages, folded over the runs that it fitted.

Stage 1 looks only at runs that were told the item. Where they go badly it is on probation: from then on a coin decides whether
it is told. Stage 2 compares the arms of that coin, and alone can quarantine: it does not mistake hard tasks for a bad item.
"""

from collections.abc import Iterable

from agent.core.evalues import NO_EVIDENCE, NO_SUSPICION, EValue, Trial, evidence_after, suspicion_after
from agent.models.lift import Stage
from agent.models.value import Value, replace

SUSPECTED_AT = 10.0
"""The evidence of stage 1 from which on an item is on probation."""
HARMFUL_AT = 100.0
"""The evidence of stage 2 from which on it is quarantined: it happens to at most one harmless item in so many."""
CLEARED_AT = 10.0
"""The evidence that it helps from which on it is off probation again."""
LONGEST_PROBATION = 200
"""Coin tosses after which an item with no verdict is off probation: telling it to only half of the runs has a price too."""
PROBATION_SHARE = 0.5
"""The share of runs that an item on probation is withheld from."""


class Standing(Value, frozen=True, kw_only=True):
    """What the runs so far say of an item. `quarantine` is for good: only a person's word begins anew."""

    stage: Stage = "trusted"
    suspicion: EValue = NO_SUSPICION
    harm: EValue = NO_EVIDENCE
    help: EValue = NO_EVIDENCE
    tosses: int = 0  # trials since it went on probation


NEW = Standing()


def advance(standing: Standing, trial: Trial) -> Standing:
    """Return the standing after one more run whose outcome is known."""
    if standing.stage == "quarantine":
        return standing
    after = standing
    if 0 < trial.propensity < 1:
        harm, help_ = evidence_after(standing.harm, trial, of="harm"), evidence_after(standing.help, trial, of="help")
        after = replace(standing, harm=harm, help=help_)
        if harm.value >= HARMFUL_AT:
            return replace(after, stage="quarantine")
    if standing.stage == "probation":
        return _on_probation(after, trial)
    if trial.is_told:
        suspicion = suspicion_after(standing.suspicion, trial.outcome)
        return replace(after, suspicion=suspicion, stage="probation" if suspicion.value >= SUSPECTED_AT else "trusted")
    return after


def _on_probation(standing: Standing, trial: Trial) -> Standing:
    tosses = standing.tosses + (0 < trial.propensity < 1)
    if standing.help.value >= CLEARED_AT or tosses >= LONGEST_PROBATION:
        return replace(standing, stage="trusted", suspicion=NO_SUSPICION, tosses=0)
    return replace(standing, tosses=tosses)


def standing_after(trials: Iterable[Trial]) -> Standing:
    """Return the standing of an item after these runs, oldest first."""
    standing = NEW
    for trial in trials:
        standing = advance(standing, trial)
    return standing
