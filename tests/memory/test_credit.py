"""What follows from uses and outcomes: lift, probation, quarantine, and a person's word against it."""

import pytest
from tests.memory.conftest import SCOPE, UID, Runs

from agent.clock import now
from agent.core.advice import item_id_of
from agent.memory.credit import QUARANTINE, REFRESH_AFTER, Credit
from agent.models.learning import Arm, Case, Used
from agent.models.memory import Experience
from agent.storage.learning_port import LearningStore


@pytest.fixture
def credit(memories: LearningStore) -> Credit:
    return Credit(memories)


def rule(item_id: str, arm: Arm = "injected", propensity: float = 1.0) -> Used:
    return Used(item_id=item_id, kind="rule", rank=0, score=0.5, arm=arm, propensity=propensity)


async def add_rule(memories: LearningStore, *, trust: str = "model") -> str:
    return await memories.add_experience(Experience.create(SCOPE, "refunds", "Pay at once.", source=trust, trust=trust, uid=UID))


async def do_harm(runs: Runs, item_id: str) -> str:
    """Record what quarantines an item: failures, and then a coin that shows why; return the last run that was told."""
    for _ in range(9):
        await runs.one(0.0, rule(item_id))
    last = ""
    for _ in range(8):
        await runs.one(1.0, rule(item_id, "withheld", 0.5))
        last = await runs.one(0.0, rule(item_id, "injected", 0.5))
    return last


async def state_of(memories: LearningStore, item_id: str) -> str:
    found = await memories.get(item_id, uid=UID)
    assert found is not None
    return found.state


async def test_before_any_run_lift_is_not_known(credit: Credit) -> None:
    lift = await credit.lift(SCOPE, uid=UID)

    assert (lift.verdict, lift.runs, lift.estimate) == ("not_known", 0, None)
    assert await credit.items(SCOPE, uid=UID) == []
    assert await credit.item("exp-1", uid=UID) is None
    assert await credit.scopes(uid=UID) == []


async def test_lift_is_of_one_scope_and_owner(credit: Credit, runs: Runs) -> None:
    for at in range(12):
        await runs.one(1.0, arm="injected", propensity=0.5)
        await runs.one(0.0, arm="withheld", propensity=0.5)
        await runs.one(float(at % 2), arm="withheld", propensity=0.5, uid="other")
        await runs.one(float(at % 2), arm="injected", propensity=0.5, scope="agent:other")

    lift = await credit.lift(SCOPE, uid=UID)

    assert (lift.verdict, lift.told, lift.withheld, lift.estimate) == ("helps", 12, 12, 1.0)
    assert await credit.scopes(uid=UID) == [SCOPE, "agent:other"]
    assert (await credit.lift(SCOPE, uid="other")).told == 0


async def test_only_the_newest_runs_are_looked_at(credit: Credit, runs: Runs) -> None:
    for _ in range(20):
        await runs.one(0.0, arm="injected", propensity=0.5)
    for _ in range(10):
        await runs.one(1.0, arm="injected", propensity=0.5)

    assert (await credit.lift(SCOPE, uid=UID, window=10)).told_mean == 1.0
    assert (await credit.lift(SCOPE, uid=UID)).told_mean == pytest.approx(1 / 3)


async def test_an_item_that_does_harm_is_taken_out_of_use_and_the_log_says_why(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = await add_rule(memories)
    last = await do_harm(runs, item_id)

    (done,) = await credit.review(last, uid=UID)

    assert done.item_id == item_id
    assert "of those that were told it 0 of 8 went well, of those that chance kept it from 8 of 8" in done.reason
    assert await state_of(memories, item_id) == "shadow"
    assert (await memories.history(item_id=item_id, uid=UID))[-1]["by"] == QUARANTINE
    found = await credit.item(item_id, uid=UID)
    assert found is not None
    assert (found.stage, found.lift.verdict) == ("quarantine", "harms")
    assert await credit.review(last, uid=UID) == []


async def test_harm_that_a_crash_kept_from_being_acted_on_is_acted_on_at_the_next_occasion(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = await add_rule(memories)
    await do_harm(runs, item_id)  # killed before a review

    assert await credit.on_probation(SCOPE, uid=UID) == {item_id}
    (done,) = await credit.review(await runs.one(0.0, rule(item_id, "injected", 0.5)), uid=UID)
    assert done.item_id == item_id


async def test_a_run_that_says_nothing_against_an_item_quarantines_nothing(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = await add_rule(memories)
    await do_harm(runs, item_id)

    told_well = await runs.one(1.0, rule(item_id, "injected", 0.5))
    unknown = await runs.one(None, rule(item_id, "injected", 0.5))

    assert await credit.review(told_well, uid=UID) == []
    assert await credit.review(unknown, uid=UID) == []
    assert await credit.review("run-unknown", uid=UID) == []
    assert await state_of(memories, item_id) == "active"


async def test_a_rule_that_is_always_told_is_never_quarantined(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = await add_rule(memories, trust="person")
    for _ in range(60):
        last = await runs.one(0.0, rule(item_id))
        assert await credit.review(last, uid=UID) == []

    assert await state_of(memories, item_id) == "active"


async def test_what_is_shared_is_taken_from_nobody_because_of_one_owners_runs(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = await memories.add_experience(Experience.create(SCOPE, "refunds", "Pay at once.", trust="model"))

    assert await credit.review(await do_harm(runs, item_id), uid=UID) == []

    assert await state_of(memories, item_id) == "active"
    found = await credit.item(item_id, uid=UID)
    assert found is not None
    assert found.stage == "quarantine"  # shown, for whoever may decide for all
    assert await credit.on_probation(SCOPE, uid=UID) == {item_id}


async def test_an_item_that_was_used_long_ago_is_judged_by_its_own_runs(credit: Credit, runs: Runs) -> None:
    for _ in range(5):
        await runs.one(1.0, rule("exp-1"))
    for _ in range(20):
        await runs.one(1.0, rule("exp-2"))

    found = await credit.item("exp-1", uid=UID, window=10)

    assert found is not None
    assert (found.lift.certain, found.lift.runs) == (5, 5)


async def test_what_a_person_put_back_begins_anew(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = await add_rule(memories)
    await credit.review(await do_harm(runs, item_id), uid=UID)

    await memories.set_state(item_id, "active", by="ada", uid=UID)
    runs.since = now()
    first = await runs.one(0.0, rule(item_id, "injected", 0.5))

    assert await credit.review(first, uid=UID) == []
    assert await state_of(memories, item_id) == "active"
    found = await credit.item(item_id, uid=UID)
    assert found is not None
    assert found.stage == "trusted"
    (again,) = await credit.review(await do_harm(runs, item_id), uid=UID)
    assert again.item_id == item_id


async def test_advice_that_does_harm_gets_a_state_that_people_can_change(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = item_id_of(SCOPE, UID, "pay")
    case = Case(case_id="case-1", scope=SCOPE, uid=UID, task="refund", tool="pay", sign=1, signal="correction", trace_id="run-0", step_id="run-0/1")
    await memories.add_cases([case])
    last = ""
    for _ in range(30):
        await runs.one(1.0, Used(item_id=item_id, kind="advice", rank=0, score=0.7, arm="withheld", propensity=0.5), arm="withheld", propensity=0.5)
        last = await runs.one(0.0, Used(item_id=item_id, kind="advice", rank=0, score=0.7, propensity=0.5), arm="injected", propensity=0.5)

    (done,) = await credit.review(last, uid=UID)

    assert (done.item_id, done.kind) == (item_id, "advice")
    assert await state_of(memories, item_id) == "shadow"
    stand_in = await memories.get(item_id, uid=UID)
    assert isinstance(stand_in, Experience)
    assert stand_in.rule == "use pay"
    assert await memories.get(item_id, uid="other") is None


async def test_advice_whose_cases_are_gone_is_left_alone(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    item_id = item_id_of(SCOPE, UID, "pay")
    last = ""
    for _ in range(30):
        await runs.one(1.0, Used(item_id=item_id, kind="advice", rank=0, score=0.7, arm="withheld", propensity=0.5), arm="withheld", propensity=0.5)
        last = await runs.one(0.0, Used(item_id=item_id, kind="advice", rank=0, score=0.7, propensity=0.5), arm="injected", propensity=0.5)

    assert await credit.review(last, uid=UID) == []
    assert await memories.get(item_id, uid=UID) is None


async def test_who_is_on_probation_is_known_at_once_here_and_soon_elsewhere(memories: LearningStore, credit: Credit, runs: Runs) -> None:
    elsewhere = Credit(memories)
    assert await elsewhere.on_probation(SCOPE, uid=UID) == await credit.on_probation(SCOPE, uid=UID) == frozenset()

    last = ""
    for _ in range(9):
        last = await runs.one(0.0, rule("exp-1"))
    await credit.review(last, uid=UID)

    assert await credit.on_probation(SCOPE, uid=UID) == {"exp-1"}
    assert await credit.on_probation(SCOPE, uid="other") == frozenset()
    seen = [await elsewhere.on_probation(SCOPE, uid=UID) for _ in range(REFRESH_AFTER)]
    assert seen[0] == frozenset()
    assert seen[-1] == {"exp-1"}
