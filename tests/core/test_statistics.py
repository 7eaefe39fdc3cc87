import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.statistics import MIN_BETWEEN, Arms, Interval, Noisy, difference, noisy_difference, population_of, runs_needed, shrunken, wilson
from agent.models.value import replace

COUNTS = st.integers(min_value=0, max_value=200)


def arms(told_sum: float, told: int, withheld_sum: float, withheld: int) -> Arms:
    return Arms(told=told, told_sum=told_sum, withheld=withheld, withheld_sum=withheld_sum)


@st.composite
def some_arms(draw: st.DrawFn) -> Arms:
    told, withheld = draw(COUNTS), draw(COUNTS)
    return arms(draw(st.floats(0, told)), told, draw(st.floats(0, withheld)), withheld)


@pytest.mark.parametrize(
    ("told", "withheld", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_the_one_that_newcombe_published(told: tuple[int, int], withheld: tuple[int, int], low: float, high: float) -> None:
    found = difference([arms(*told, *withheld)])

    assert found is not None
    assert found.estimate == pytest.approx(told[0] / told[1] - withheld[0] / withheld[1])
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("total", "count", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
)
def test_the_interval_of_a_share_is_the_one_that_newcombe_published_for_wilson(total: int, count: int, low: float, high: float) -> None:
    found = wilson(total, count)

    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_of_no_outcome_nothing_is_known() -> None:
    assert wilson(0, 0) == Interval(0.5, 0.0, 1.0)
    assert difference([]) is None
    assert difference([arms(5, 9, 0, 0)]) is None
    assert noisy_difference([arms(5, 9, 0, 0), arms(0, 0, 3, 4)]) is None


@given(st.lists(some_arms(), max_size=4))
def test_an_interval_holds_its_estimate_and_stays_within_what_is_possible(parts: list[Arms]) -> None:
    found = difference(parts)

    if found is None:
        assert all(part.told == 0 or part.withheld == 0 for part in parts)
    else:
        assert -1 <= found.low <= found.estimate + 1e-9
        assert found.estimate - 1e-9 <= found.high <= 1


@given(some_arms())
def test_exchanging_the_arms_turns_the_interval_round(part: Arms) -> None:
    found = difference([part])
    turned = difference([arms(part.withheld_sum, part.withheld, part.told_sum, part.told)])

    if found is None or turned is None:
        assert found is turned is None
    else:
        assert (-turned.high, -turned.estimate, -turned.low) == pytest.approx((found.low, found.estimate, found.high), abs=1e-9)


@given(some_arms(), st.integers(min_value=2, max_value=50))
def test_more_of_the_same_makes_an_interval_no_wider(part: Arms, times: int) -> None:
    found = difference([part])
    more = difference([arms(part.told_sum * times, part.told * times, part.withheld_sum * times, part.withheld * times)])

    if found is None or more is None:
        assert found is more is None
    else:
        assert more.high - more.low <= found.high - found.low + 1e-9


def test_parts_withheld_by_another_chance_are_compared_within() -> None:
    easy = arms(95, 100, 9, 10)  # nearly all told, and nearly all went well
    hard = arms(5, 50, 5, 50)  # half told, and hardly any went well

    found, mixed = difference([easy, hard]), difference([arms(100, 150, 14, 60)])

    assert found is not None
    assert mixed is not None
    assert found.low < 0 < found.high
    assert found.estimate == pytest.approx(0.05 * (1000 / 110) / (1000 / 110 + 25))
    assert mixed.low > 0.25  # what would have been told of them together


@pytest.mark.parametrize("shape", [(3.0, 2.0), (12.0, 4.0), (0.5, 4.0), (0.5, 0.5)], ids=str)
@pytest.mark.parametrize("sizes", [(45, 5), (180, 20)], ids=str)
def test_outcomes_that_vary_little_are_covered_as_well_by_a_narrower_interval(shape: tuple[float, float], sizes: tuple[int, int]) -> None:
    chance = random.Random(7)
    covered, narrower = 0, 0
    for _ in range(400):
        told, withheld = ([chance.betavariate(*shape) for _ in range(size)] for size in sizes)
        plain = arms(sum(told), sizes[0], sum(withheld), sizes[1])
        exact = replace(plain, told_squares=sum(y * y for y in told), withheld_squares=sum(y * y for y in withheld))
        found, wide = difference([exact]), difference([plain])
        assert found is not None
        assert wide is not None
        covered += found.low <= 0 <= found.high
        narrower += found.high - found.low <= wide.high - wide.low

    assert covered >= 0.93 * 400
    assert narrower == 400


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.booleans(), min_size=1, max_size=30))
def test_outcomes_of_0_and_1_say_as_much_as_they_are_many(told: list[bool], withheld: list[bool]) -> None:
    plain = arms(sum(told), len(told), sum(withheld), len(withheld))

    assert difference([replace(plain, told_squares=sum(told), withheld_squares=sum(withheld))]) == difference([plain])


@pytest.mark.parametrize("seed", range(3))
def test_outcomes_between_failed_and_well_are_covered_at_least_as_often(seed: int) -> None:
    chance = random.Random(seed)
    covered = 0
    for _ in range(400):
        told = [chance.betavariate(3, 2) for _ in range(90)]
        withheld = [chance.betavariate(2, 3) for _ in range(15)]
        found = difference([arms(sum(told), 90, sum(withheld), 15)])
        assert found is not None
        covered += found.low <= 0.2 <= found.high

    assert covered >= 0.95 * 400


def test_an_item_of_few_runs_is_drawn_to_the_others_and_one_of_many_is_not() -> None:
    others = [Noisy(0.2, 0.01) for _ in range(20)]
    few, many = Noisy(-0.4, 0.25), Noisy(-0.4, 0.0004)

    drawn, kept = shrunken(few, population_of([*others, few])), shrunken(many, population_of([*others, many]))

    assert drawn.estimate > 0.05
    assert kept.estimate == pytest.approx(-0.4, abs=0.01)
    assert kept.high - kept.low < 0.1 < drawn.high - drawn.low


def test_the_spread_between_items_is_never_taken_for_less_than_its_floor() -> None:
    same = [Noisy(0.1, 0.04) for _ in range(50)]  # as alike as can be: estimated alone, the spread would be 0

    found = shrunken(same[0], population_of(same))

    assert found.high - found.low > 2 * 1.96 * math.sqrt(0.04 * MIN_BETWEEN**2 / (0.04 + MIN_BETWEEN**2)) * 0.99


def test_an_item_alone_is_drawn_nowhere() -> None:
    found = shrunken(Noisy(0.3, 0.04), population_of([Noisy(0.3, 0.04)]))

    assert found.estimate == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((0.3 - 1.96 * 0.2, 0.3 + 1.96 * 0.2), abs=1e-3)


def test_known_sizes_of_trials() -> None:
    assert runs_needed(0.2, base=0.4, withheld=0.5) == pytest.approx(2 * 97, abs=2)  # textbook: 97 an arm for .4 against .6, 80 %, two-sided 5 %
    assert runs_needed(0.1, base=0.5, withheld=0.5) == pytest.approx(2 * 388, abs=4)  # 388 an arm for .5 against .6
    assert runs_needed(0.2, base=0.3, withheld=0.1) == pytest.approx(491, rel=0.1)  # as simulated


def test_fewer_withheld_and_smaller_lifts_take_longer() -> None:
    assert runs_needed(0.2, base=0.4, withheld=0.05) > runs_needed(0.2, base=0.4, withheld=0.1) > runs_needed(0.2, base=0.4, withheld=0.5)
    assert runs_needed(0.05, base=0.4, withheld=0.1) > runs_needed(0.2, base=0.4, withheld=0.1)
    assert runs_needed(0.2, base=1.0, withheld=0.1) == runs_needed(0.2, base=0.3, withheld=0.0) == 0


def test_a_surer_interval_is_wider() -> None:
    part = arms(45, 50, 5, 10)
    widths = [found.high - found.low for confidence in (0.8, 0.95, 0.99) if (found := difference([part], confidence=confidence)) is not None]

    assert len(widths) == 3
    assert widths == sorted(widths)
    assert wilson(10, 20, confidence=0.9).high == pytest.approx(0.673, abs=1e-3)  # 1.6449 standard errors
