"""Approval rules from the shell: suggested with their back-test, accepted, listed, used, revoked."""

import json

import pytest
from tests.cli.conftest import Command

BANK = '''
import agent
registry = agent.ToolRegistry()

@registry.tool(effect="unsafe", requires_confirmation=True)
def pay(to: str, amount: float) -> str:
    """Pay someone."""
    return f"paid {amount} to {to}"
'''


@pytest.fixture
def bank(seasoned: Command) -> Command:
    """A store in which six calls were approved and one was rejected."""
    (seasoned.folder / "bank.py").write_text(BANK)
    for number in range(6):
        wait(seasoned, "ann", 10 + number)
        seasoned("approvals", "approve", "last", "--by", "eve")
    wait(seasoned, "mallory\x1b[2J", 10)
    seasoned("approvals", "reject", "last")
    return seasoned


def wait(bank: Command, to: str, amount: float, *, code: int = 3) -> str:
    pay = {"tool_calls": [{"name": "pay", "arguments": {"to": to, "amount": amount}}]}
    return bank.run(pay, "done", options=["--tools", "bank:registry"], code=code).stderr


def test_a_rule_is_suggested_accepted_used_listed_and_revoked(bank: Command) -> None:
    shown = bank("approvals", "suggest").stdout
    name = shown.partition(":")[0]
    accepted = bank("approvals", "suggest", "--accept", name, "--by", "ada", "--days", "7")
    wait(bank, "ann", 12, code=0)
    wait(bank, "ann", 16)
    listed = bank("approvals", "rules", "ls").stdout
    revoked = bank("approvals", "rules", "revoke", name, "--by", "bob")
    wait(bank, "ann", 12)

    assert 'to is "ann"' in shown
    assert "approved by eve (6)" in shown
    assert "amount is a whole number from 10 to 15" in shown
    assert "of 7 past decisions it would have approved 6, would have wrongly approved 0" in shown
    assert f"seasoned approvals suggest --accept {name}" in shown
    assert "accepted by ada" in accepted.stderr
    assert accepted.stdout == ""
    assert f"seasoned approvals rules revoke {name}" in accepted.stderr
    assert listed.startswith(f"{name}: approve pay where")
    assert "in force until" in listed
    assert "revoked by bob" in revoked.stderr
    assert "has no approval rule in force" in bank("approvals", "rules", "ls").stderr
    assert "revoked by bob" in bank("approvals", "rules", "ls", "--all").stdout


def test_the_decision_that_stands_against_a_rule_is_named(bank: Command) -> None:
    wait(bank, "ann", 12)
    bank("approvals", "reject", "last", "--by", "bob", "--reason", "not again")
    run = bank.last_id()
    told = bank("approvals", "suggest")

    assert told.stdout == ""
    assert "no rule for pay, though 6 calls of it were approved: a rule that covers them would also approve what a person did not" in told.stderr
    assert "  rejected by bob on " in told.stderr
    assert f': pay(to="ann", amount=12) · run {run}, call 2.0\n' in told.stderr


def test_json_shows_all_of_a_suggestion_and_of_a_rule(bank: Command) -> None:
    (suggestion,) = bank.events(bank("approvals", "suggest", "--json").stdout)
    rule = json.loads(bank("approvals", "suggest", "--json", "--accept", suggestion["suggestion_id"]).stdout)
    (listed,) = bank.events(bank("approvals", "rules", "ls", "--json").stdout)

    assert suggestion["where"]["fields"]["to"] == {"is": "equals", "value": "ann"}
    assert (suggestion["tested"]["approved"], suggestion["tested"]["wrongly_approved"]) == (6, 0)
    assert listed == rule
    assert bank("approvals", "suggest", "--json").stdout == ""


def test_nothing_to_suggest_and_unknown_rules_are_said_in_words(bank: Command) -> None:
    assert "past decisions suggest no rule: one needs 7 equal approvals" in bank("approvals", "suggest", "--support", "7").stderr
    assert "past decisions suggest no rule" in bank("approvals", "suggest", "--uid", "bob").stderr
    assert "approval rule" in bank("approvals", "suggest", "--accept", "nothing", code=2).stderr
    assert "approval rule" in bank("approvals", "rules", "revoke", "nothing", code=2).stderr


def test_without_a_store_there_is_nothing_to_suggest(seasoned: Command) -> None:
    assert "past decisions suggest no rule" in seasoned("approvals", "suggest").stderr
    assert "has no approval rule" in seasoned("approvals", "rules", "ls").stderr
