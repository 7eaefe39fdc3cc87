import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.evalues import NO_EVIDENCE, NO_SUSPICION, Trial, evidence_after, suspicion_after
from agent.core.probation import LONGEST_PROBATION, NEW, Standing, advance, standing_after

SHARES = st.floats(0, 1)
CHANCES = st.floats(0.01, 0.99)


def played(told: float, withheld: float, chance: random.Random, *, runs: int = 200) -> Standing:
    """Return an item's standing after runs in which it is withheld by the coin that its standing asks for."""
    standing = NEW
    for _ in range(runs):
        propensity = 0.5 if standing.stage == "probation" else 1.0
        is_told = chance.random() < propensity
        standing = advance(standing, Trial(is_told, propensity, float(chance.random() < (told if is_told else withheld))))
    return standing


@given(st.lists(st.tuples(st.booleans(), CHANCES, SHARES), max_size=5), CHANCES, SHARES, st.sampled_from(["harm", "help"]))
def test_where_the_arm_changes_nothing_a_factor_is_one_on_the_average(past: list[tuple[bool, float, float]], chance: float, outcome: float, of: str) -> None:
    value = NO_EVIDENCE
    for trial in past:
        value = evidence_after(value, Trial(*trial), of="harm" if of == "harm" else "help")

    told, withheld = (evidence_after(value, Trial(is_told, chance, outcome), of="harm" if of == "harm" else "help").value for is_told in (True, False))

    assert chance * told + (1 - chance) * withheld == pytest.approx(value.value)


@given(st.floats(0.3, 1))
def test_where_told_runs_go_well_often_enough_suspicion_does_not_grow(success: float) -> None:
    well, badly = suspicion_after(NO_SUSPICION, 1).value, suspicion_after(NO_SUSPICION, 0).value

    assert success * well + (1 - success) * badly <= 1 + 1e-9


def test_one_factor_is_the_one_of_the_formula() -> None:
    pairs = [(t, w) for w in (0.2, 0.35, 0.5, 0.65, 0.8) for t in (0.05, 0.15, 0.3, 0.5) if t < w - 0.1]
    failed = [(0.9 * (1 - t)) / (0.9 * (1 - t) + 0.1 * (1 - w)) for t, w in pairs]

    told = evidence_after(NO_EVIDENCE, Trial(is_told=True, propensity=0.9, outcome=0), of="harm").value
    withheld = evidence_after(NO_EVIDENCE, Trial(is_told=False, propensity=0.9, outcome=0), of="harm").value

    assert len(pairs) == 14
    assert told == pytest.approx(sum(q / 0.9 for q in failed) / 14)
    assert withheld == pytest.approx(sum((1 - q) / 0.1 for q in failed) / 14)


def test_a_run_in_which_nothing_was_left_to_chance_says_nothing_of_harm() -> None:
    assert evidence_after(NO_EVIDENCE, Trial(is_told=True, propensity=1.0, outcome=0), of="harm") is NO_EVIDENCE


def test_evidence_without_end_is_a_number_still() -> None:
    value = NO_EVIDENCE
    for at in range(4000):
        value = evidence_after(value, Trial(is_told=at % 2 == 0, propensity=0.5, outcome=at % 2), of="harm")

    assert value.value == math.inf
    assert evidence_after(value, Trial(is_told=True, propensity=0.5, outcome=1), of="harm").value == math.inf


def test_failures_alone_put_an_item_on_probation_and_not_in_quarantine() -> None:
    failing = [Trial(is_told=True, propensity=1.0, outcome=0)] * 300

    assert standing_after(failing[:8]).stage == "trusted"
    assert standing_after(failing[:9]).stage == "probation"
    assert standing_after(failing).stage == "probation"


def test_harm_that_the_coin_shows_quarantines_for_good() -> None:
    failing = [Trial(is_told=True, propensity=1.0, outcome=0)] * 9
    compared = [Trial(is_told=at % 2 == 0, propensity=0.5, outcome=at % 2) for at in range(20)]
    well = [Trial(is_told=True, propensity=0.5, outcome=1)] * 500

    assert standing_after(failing + compared).stage == "quarantine"
    assert standing_after(failing + compared + well).stage == "quarantine"


def test_an_item_that_helps_on_hard_tasks_is_cleared() -> None:
    failing = [Trial(is_told=True, propensity=1.0, outcome=0)] * 9
    helping = [Trial(is_told=at % 2 == 0, propensity=0.5, outcome=float(at % 6 == 0)) for at in range(60)]

    found = standing_after(failing + helping)

    assert found.stage == "trusted"
    assert found.help.value > 10
    assert found.harm.value < 1


def test_probation_without_a_verdict_ends() -> None:
    failing = [Trial(is_told=True, propensity=1.0, outcome=0)] * 9
    nothing = [Trial(is_told=at % 2 == 0, propensity=0.5, outcome=0) for at in range(LONGEST_PROBATION)]

    assert standing_after(failing + nothing[:-1]).stage == "probation"
    assert standing_after(failing + nothing).stage == "trusted"


@pytest.mark.parametrize(("told", "withheld"), [(0.1, 0.1), (0.5, 0.5), (0.95, 0.95), (0.25, 0.05)], ids=["hard", "neutral", "easy", "hard but helpful"])
def test_harmless_items_are_hardly_ever_quarantined(told: float, withheld: float) -> None:
    chance = random.Random(7)

    assert sum(played(told, withheld, chance).stage == "quarantine" for _ in range(150)) <= 4


def test_strong_harm_is_found() -> None:
    chance = random.Random(7)

    assert sum(played(0.1, 0.8, chance, runs=60).stage == "quarantine" for _ in range(100)) > 70
