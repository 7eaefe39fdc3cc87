from collections.abc import Iterable

import pytest

from agent.core.lift import item_lifts, memory_lift
from agent.models.learning import Arm, Use, Used
from agent.models.lift import ItemLift


def use(*, arm: str = "injected", propensity: float = 0.9, outcome: float | None = 1.0, items: Iterable[Used] = ()) -> Use:
    return Use(trace_id="t", scope="agent:clerk", uid="shop", items=tuple(items), arm=arm, propensity=propensity, outcome=outcome)  # type: ignore[arg-type]  # from a table


def rule(arm: Arm = "injected", propensity: float = 1.0, item_id: str = "exp-1") -> Used:
    return Used(item_id=item_id, kind="rule", rank=0, score=0.5, arm=arm, propensity=propensity)


def advice(arm: Arm = "injected", propensity: float = 0.9, item_id: str = "c-1") -> Used:
    return Used(item_id=item_id, kind="advice", rank=0, score=0.5, arm=arm, propensity=propensity)


def one(uses: Iterable[Use], item_id: str = "exp-1") -> ItemLift:
    return next(found for found in item_lifts(list(uses), "agent:clerk") if found.item_id == item_id)


def test_of_two_runs_nothing_is_known_and_it_says_how_many_more_it_takes() -> None:
    lift = memory_lift([use(), use(outcome=0.0, arm="withheld")], "agent:clerk")

    assert (lift.verdict, lift.told, lift.withheld) == ("not_known", 1, 1)
    assert lift.target == 0.2
    assert lift.more_runs == pytest.approx(500, rel=0.1)


def test_runs_without_an_outcome_count_in_no_arm_and_are_said_to_be_unknown() -> None:
    lift = memory_lift([use()] * 3 + [use(outcome=None)] * 40 + [use(arm="withheld", outcome=None)] * 5, "agent:clerk")

    assert (lift.told, lift.withheld, lift.unknown_told, lift.unknown_withheld) == (3, 0, 40, 5)
    assert lift.estimate is None
    assert lift.withheld_mean is None


def test_runs_in_which_nothing_was_left_to_chance_do_not_count() -> None:
    certain = [use(propensity=1.0)] * 49
    lift = memory_lift([*certain, use(), use(arm="withheld", outcome=0.0), use(arm="none")], "agent:clerk")

    assert (lift.told, lift.withheld, lift.certain, lift.runs) == (1, 1, 49, 52)


@pytest.mark.parametrize(
    ("told", "withheld", "verdict"),
    [
        ((450, 500), (20, 60), "helps"),
        ((100, 500), (50, 60), "harms"),
        ((25, 50), (3, 6), "not_known"),
        ((500, 500), (0, 4), "not_known"),
        ((4500, 9000), (500, 1000), "no_difference"),
    ],
)
def test_the_verdict_follows_from_the_interval(told: tuple[int, int], withheld: tuple[int, int], verdict: str) -> None:
    uses = [use(outcome=float(at < told[0])) for at in range(told[1])]
    uses += [use(arm="withheld", outcome=float(at < withheld[0])) for at in range(withheld[1])]

    lift = memory_lift(uses, "agent:clerk")

    assert lift.verdict == verdict
    assert (lift.more_runs is None) == (verdict != "not_known")
    assert lift.estimate == pytest.approx(told[0] / told[1] - withheld[0] / withheld[1])


def test_the_longer_nothing_shows_the_smaller_the_lift_it_looks_for() -> None:
    uses = [use(outcome=float(at % 2)) for at in range(900)] + [use(arm="withheld", outcome=float(at % 2)) for at in range(100)]

    lift = memory_lift(uses, "agent:clerk")

    assert (lift.verdict, lift.target) == ("not_known", 0.1)
    assert lift.more_runs is not None
    assert 500 < lift.more_runs < 2000


def test_an_item_that_is_always_told_is_never_known() -> None:
    found = one([use(items=[rule()], outcome=float(at % 2)) for at in range(100)])

    assert (found.lift.verdict, found.lift.certain, found.lift.estimate) == ("not_known", 100, None)
    assert found.stage == "trusted"


def test_an_item_that_was_only_logged_or_left_out_is_none_that_was_told() -> None:
    assert item_lifts([use(items=[rule("shadow"), rule("excluded", item_id="exp-2")])], "agent:clerk") == []


def test_an_item_whose_told_runs_fail_is_on_probation_and_then_out() -> None:
    failing = [use(items=[rule()], outcome=0.0)] * 9
    tossed = [use(items=[rule("injected", 0.5)], outcome=0.0), use(items=[rule("withheld", 0.5)], outcome=1.0)] * 10

    assert one(failing).stage == "probation"
    assert one(tossed + failing).stage == "quarantine"  # newest first
    assert one(tossed + failing).lift.verdict == "harms"


def test_what_becomes_of_several_pieces_of_advice_at_once_says_nothing_of_each() -> None:
    def both(arm: Arm, outcome: float) -> Use:
        return use(arm="injected" if arm == "injected" else "withheld", outcome=outcome, items=[advice(arm), advice(arm, item_id="c-2")])

    uses = [both("injected", 0.0)] * 40 + [both("withheld", 1.0)] * 20
    alone = [use(outcome=0.0, items=[advice()])] * 40 + [use(arm="withheld", outcome=1.0, items=[advice("withheld")])] * 20

    assert one(uses, "c-1").stage == "probation"  # the runs that were told go badly: worth a coin of its own
    assert one(uses, "c-1").lift.estimate is None
    assert one(alone, "c-1").stage == "quarantine"
    assert memory_lift(uses, "agent:clerk").verdict == "harms"


def test_an_item_of_few_runs_is_drawn_to_the_others() -> None:
    def pair(item_id: str, told: float, withheld: float) -> list[Use]:
        return [use(items=[rule(item_id=item_id, propensity=0.5)], outcome=told), use(items=[rule("withheld", 0.5, item_id)], outcome=withheld)]

    many = [found for at in range(12) for found in pair(f"exp-{at + 2}", 1.0, 0.0) * 15]
    few = pair("exp-1", 0.0, 1.0)

    alone, among = one(few), one(many + few)

    assert alone.lift.estimate is not None
    assert among.lift.estimate is not None
    assert alone.lift.estimate < 0 < among.lift.estimate
    assert among.lift.verdict == "not_known"


def test_runs_withheld_by_another_chance_are_compared_among_themselves() -> None:
    easy = [use(outcome=1.0)] * 90 + [use(arm="withheld", outcome=1.0)] * 10
    hard = [use(propensity=0.5, outcome=0.0)] * 50 + [use(propensity=0.5, arm="withheld", outcome=0.0)] * 50

    lift = memory_lift([*hard, *easy], "agent:clerk")

    assert lift.told_mean == pytest.approx(90 / 140)
    assert lift.withheld_mean == pytest.approx(10 / 60)
    assert lift.estimate == 0.0
    assert lift.verdict == "not_known"


def test_outcomes_that_vary_little_need_fewer_runs() -> None:
    def after(outcomes: tuple[float, float]) -> int:
        lift = memory_lift([use(outcome=outcomes[at % 2]) for at in range(90)] + [use(arm="withheld", outcome=outcomes[at % 2]) for at in range(10)], "s")
        assert lift.more_runs is not None
        return lift.more_runs

    assert after((0.45, 0.55)) < after((0.25, 0.75)) < after((0.0, 1.0))
