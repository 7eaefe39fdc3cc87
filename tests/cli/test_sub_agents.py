"""Agents of seasoned.toml as tools of another, from the shell."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from agent.cli.project_file import load_project
from agent.cli.sub_agents import open_with_agents
from agent.cli.toolbox import Wanted
from agent.errors import ConfigInvalid

SETTINGS = """
agent = "boss"

[models.boss]
model = "scripted:boss.json"
[models.payer]
model = "scripted:payer.json"

[agents.boss]
model = "boss"
tools = ["agent:payer", "calculator"]

[agents.payer]
description = "Pays bills."
model = "payer"
system = "You pay."
tools = ["bank:registry"]
max_iterations = 4

[limits]
max_agent_depth = 2
"""
BANK = '''
import agent
registry = agent.ToolRegistry()
@registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["amount"])
def pay(to: str, amount: int) -> str:
    """Pay someone."""
    return f"paid {amount} to {to}"
'''


@pytest.fixture
def bills(seasoned: Command) -> Command:
    (seasoned.folder / "seasoned.toml").write_text(SETTINGS)
    (seasoned.folder / "bank.py").write_text(BANK)
    (seasoned.folder / "boss.json").write_text(json.dumps([{"tool_calls": [{"name": "payer", "arguments": {"task": "pay ann 5"}}]}, "It is paid."]))
    (seasoned.folder / "payer.json").write_text(json.dumps([{"tool_calls": [{"name": "pay", "arguments": {"to": "ann", "amount": 5}}]}, "I paid."]))
    return seasoned


def test_agents_that_can_be_offered_are_among_the_tools(bills: Command) -> None:
    listed = {tool["name"]: tool for tool in bills.events(bills("tools", "ls", "--tool", "agent:payer,bank:registry", "--json").stdout)}
    unfit = bills("tools", "ls", "--tool", "agent:boss", code=2).stderr

    assert (listed["payer"]["needs"], listed["payer"]["description"]) == ("--tool agent:payer", "Pays bills.")
    assert {"pay", "calculator"} <= listed.keys()
    assert "boss" not in listed
    assert "agents.boss is offered as a tool: say in its description what it does" in unfit


def test_what_an_agent_asks_is_decided_by_the_run_that_called_it(bills: Command) -> None:
    begun = bills("run", "Pay the bills.", code=3)
    shown = bills("approvals", "show", "last")
    decided = bills("approvals", "edit", "last", "--set", "amount=4", "--by", "ada", "--resume")
    tree = bills("runs", "show", "last")

    assert 'waits: pay(to="ann", amount=5)' in begun.stderr
    assert "asked by: call 2.0 of run" in shown.stdout
    assert "for payer" in shown.stdout
    assert "It is paid." in decided.stdout
    assert "approved with changes by ada" in decided.stderr
    assert "carries it out" in tree.stdout
    assert "I paid." in tree.stdout
    assert "60 tokens in all" in tree.stdout  # with those of the run below


def test_a_sub_agents_run_goes_on_alone_with_its_own_model(bills: Command) -> None:
    bills("run", "Pay the bills.", code=3)
    [item] = [json.loads(line) for line in bills("approvals", "ls", "--json").stdout.splitlines()]
    bills("approvals", "approve", item["trace_id"])
    alone = bills("resume", item["trace_id"])

    assert item["asked_by"][0]["tool_name"] == "payer"
    assert "I paid." in alone.stdout
    assert "It is paid." in bills("resume", "last").stdout


def settings_of(folder: Path, text: str) -> Path:
    (folder / "seasoned.toml").write_text(text)
    return folder / "seasoned.toml"


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('system = "You help."', "say in its description what it does"),
        ('description = "Reads."\nroot = "/etc"', "give both the same"),
        ('description = "Fetches."\nallow_hosts = ["example.org"]', "which the agent that calls it may not reach"),
    ],
)
def test_an_agent_that_cannot_be_a_tool_is_refused_in_clear_words(entry: str, complaint: str, tmp_path: Path) -> None:
    project = load_project(settings_of(tmp_path, f"[agents.helper]\n{entry}\n"))

    with pytest.raises(ConfigInvalid, match=complaint):
        open_with_agents(Wanted(names=("agent:helper",)), project, [tmp_path])


def test_agents_that_call_each_other_are_offered_once_each(tmp_path: Path) -> None:
    text = '[agents.a]\ndescription = "A."\ntools = ["agent:b", "calculator"]\n[agents.b]\ndescription = "B."\ntools = ["agent:a"]\n'
    toolbox = open_with_agents(Wanted(names=("agent:a",)), load_project(settings_of(tmp_path, text)), [tmp_path])
    specs = [toolbox.registry.get(name).agent for name in ("a", "b")]

    assert toolbox.offered == ("a",)
    assert [spec.tools for spec in specs if spec is not None] == [("b", "calculator"), ("a",)]
