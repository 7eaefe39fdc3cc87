"""Rules from decisions: never one that would have let through what a person did not approve."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.learning import PastDecision, suggest, without_rule
from agent.core.patterns import meets
from agent.models.rule import Between, Equals, Fields, OneOf
from agent.models.value import replace

START = datetime(2026, 1, 1, tzinfo=UTC)


def decisions(*said: tuple[dict[str, Any], bool], tool: str = "pay", schema: str = "s", per_run: int = 1) -> list[PastDecision]:
    return [
        PastDecision(
            tool_name=tool,
            schema_hash=schema,
            arguments=arguments,
            is_approved=is_approved,
            trace_id=f"t{number // per_run}",
            decided_at=START + timedelta(minutes=number),
        )
        for number, (arguments, is_approved) in enumerate(said)
    ]


def pay(to: str, amount: Any) -> dict[str, Any]:
    return {"to": to, "amount": amount}


def test_equal_approvals_become_a_rule_with_its_back_test() -> None:
    said = [(pay("ann" if n % 2 else "bob", 10 + n % 7), True) for n in range(41)]
    said += [(pay("mallory", 12), False), (pay("ann", 900), False)]

    (found,) = suggest(decisions(*said))

    assert found.where == Fields(fields={"amount": Between(low=10, high=16, is_whole=True), "to": OneOf(values=["ann", "bob"])})
    assert (found.tested.decisions, found.tested.approved, found.tested.wrongly_approved, found.tested.missed) == (43, 41, 0, 0)
    assert found.tested.later == 15
    assert (found.tested.later_approved, found.tested.later_wrongly_approved) == (13, 0)
    assert found.max_per_run == 1


def test_one_rejection_of_what_was_approved_forty_times_forbids_the_rule() -> None:
    assert suggest(decisions(*[(pay("ann", 5), True)] * 40, (pay("ann", 5), False))) == []


def test_where_one_rule_for_all_would_be_wrong_there_are_some_for_parts() -> None:
    said = [(pay("ann", 10 + n % 5), True) for n in range(10)] + [(pay("bob", 500 + n % 5), True) for n in range(10)]
    said.insert(0, (pay("ann", 400), False))

    found = suggest(decisions(*said))

    assert {str(s.where.fields["to"]) for s in found} == {str(Equals(value="ann")), str(Equals(value="bob"))}
    assert [s.tested.missed for s in found] == [10, 10]
    assert all(s.tested.wrongly_approved == 0 for s in found)


def test_numbers_are_taken_apart_where_one_between_them_was_refused() -> None:
    said = [({"amount": 100}, False)] + [({"amount": n % 10 + 1}, True) for n in range(20)] + [({"amount": 1000}, True)]

    (found,) = suggest(decisions(*said))

    assert found.where.fields == {"amount": Between(low=1, high=10, is_whole=True)}
    assert found.tested.missed == 1


def test_too_few_too_various_or_without_arguments_is_no_rule() -> None:
    assert suggest(decisions(*[(pay("ann", 5), True)] * 4)) == []
    assert suggest(decisions(*[({"text": f"words of number {n}"}, True) for n in range(30)])) == []
    assert suggest(decisions(*[({}, True)] * 30)) == []
    assert suggest(decisions(*[({"yes": n % 2 == 0}, True) for n in range(3)])) == []
    assert suggest([]) == []


def test_what_was_learnt_and_then_refused_is_not_suggested() -> None:
    early = [(pay("ann", n * 2), True) for n in range(20)]
    late = [(pay("ann", 7), False)] + [(pay("ann", n % 5), True) for n in range(9)]

    assert suggest(decisions(*early, *late)) == []


def test_why_there_is_no_rule_is_told_with_what_stands_against_it() -> None:
    said = [*decisions(*[(pay("ann", n), True) for n in range(6)], (pay("ann", 3), False), (pay("bob", 3), False))]
    various = [*decisions(*[({"text": f"{n} words"}, True) for n in range(6)], tool="write"), *decisions((pay("ann", 1), True), tool="rare")]
    said[6] = replace(said[6], verdict="edit", by="eve", call_id="2.0")
    found, nothing = without_rule([*said, *various])

    assert (found.tool_name, found.approved, found.why) == ("pay", 6, "others_were_refused")
    assert [(one.verdict, one.by, one.trace_id, one.call_id, one.arguments) for one in found.against] == [("edit", "eve", "t6", "2.0", pay("ann", 3))]
    assert (nothing.tool_name, nothing.why, nothing.against) == ("write", "nothing_in_common", [])
    assert without_rule(said[:6]) == []


def test_a_changed_tool_needs_new_decisions_and_old_refusals_still_count() -> None:
    old = decisions(*[(pay("ann", 5), True)] * 20, schema="old")
    new = [PastDecision(**{**{f: getattr(d, f) for f in d.__struct_fields__}, "schema_hash": "new"}) for d in decisions(*[(pay("ann", 5), True)] * 5)]
    later = [PastDecision(**{**{f: getattr(d, f) for f in d.__struct_fields__}, "decided_at": d.decided_at + timedelta(days=1)}) for d in new]

    assert suggest([*old, *later[:4]]) == []
    (found,) = suggest([*old, *later])
    assert found.schema_hash == "new"
    assert suggest([*old, *later, *decisions((pay("ann", 5), False), schema="old")]) == []


def test_a_run_is_never_approved_more_by_a_rule_than_by_people() -> None:
    (found,) = suggest(decisions(*[(pay("ann", 5), True)] * 12, per_run=3))

    assert found.max_per_run == 3


ARGUMENTS = st.fixed_dictionaries(
    {"to": st.sampled_from(["ann", "bob", "eve"]), "amount": st.integers(0, 12)},
    optional={"url": st.sampled_from(["https://a.org/x", "https://a.org/y", "https://b.org/x"])},
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ARGUMENTS, st.booleans()), max_size=60), st.integers(1, 6))
def test_no_suggestion_ever_covers_a_refusal_and_each_covers_its_support(said: list[tuple[dict[str, Any], bool]], support: int) -> None:
    for found in suggest(decisions(*said), min_support=support):
        approved = [arguments for arguments, is_approved in said if is_approved and meets(found.where, arguments)]
        assert not [arguments for arguments, is_approved in said if not is_approved and meets(found.where, arguments)]
        assert len(approved) == found.tested.approved >= support
        assert found.tested.wrongly_approved == 0
