"""What waits for a person is listed, shown and decided from the shell; then the run goes on."""

import getpass
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from rich.console import Console
from tests.cli.conftest import Command

from agent.cli.deciding import _table
from agent.models.approval import Approval

BANK = '''
import os
import time
import agent
registry = agent.ToolRegistry()

@registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["amount", "note"])
def pay(to: str, amount: float, note: str = "") -> str:
    """Pay someone."""
    with open("paid.txt", "a") as book:
        book.write(f"{to} {amount} {note}\\n")
    return f"paid {amount} to {to}"

@registry.tool(effect="unsafe", requires_confirmation=True, expires=1.5)
def brief(to: str) -> str:
    """Wait for a person, but not for long."""
    raise AssertionError("too late")

@registry.tool(effect="unsafe")
def send(to: str) -> str:
    """Send a letter."""
    if os.environ.get("POWER_CUT"):
        os.kill(os.getpid(), 9)
    with open("sent.txt", "a") as book:
        book.write(to)
    return "sent again"
'''
PAY = {"name": "pay", "arguments": {"to": "ann", "amount": 5.0}}
SEND = {"tool_calls": [{"name": "send", "arguments": {"to": "ann"}}]}
HOSTILE = "\x1b[2J[bold red]rm -rf[/]\r\x9b31m\u202eevil\nargs hash: 0"


@pytest.fixture
def bank(seasoned: Command) -> Command:
    (seasoned.folder / "bank.py").write_text(BANK)
    return seasoned


def wait_for_a_person(bank: Command, *calls: dict[str, Any], more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Begin a run that ends waiting on these calls; its last reply is `all done`."""
    return bank.run({"tool_calls": list(calls or (PAY,))}, "all done", options=["--tools", "bank:registry", *more], code=3)


def in_doubt(bank: Command) -> subprocess.CompletedProcess[str]:
    """Begin a run whose process dies in the middle of a call, and take it up again."""
    bank("run", "send it", "--model", bank.script(SEND, "all done"), "--tools", "bank:registry", code=-9, POWER_CUT="1")
    return bank("resume", "last", code=3)


def book(bank: Command) -> str:
    path = bank.folder / "paid.txt"
    return path.read_text() if path.exists() else ""


def waiting(bank: Command) -> list[dict[str, Any]]:
    return bank.events(bank("approvals", "ls", "--json").stdout)


def told(bank: Command) -> str:
    """Return all that the model saw in its last call."""
    steps = json.loads(bank("runs", "export", "last").stdout)["steps"]
    return json.dumps([step["data"]["messages"] for step in steps if step["step_type"] == "llm_call"][-1])


def test_a_waiting_run_is_listed_approved_and_goes_on(bank: Command) -> None:
    wait_for_a_person(bank)
    listed = bank("approvals", "ls").stdout
    approved = bank("approvals", "approve", "last")
    paid_before = book(bank)

    done = bank("resume", "last")

    assert bank.last_id() in listed
    assert 'pay(to="ann", amount=5.0)' in listed
    assert "needs a person's agreement" in listed
    assert approved.stdout == ""
    assert f'approved by {getpass.getuser()}: pay(to="ann", amount=5.0)' in approved.stderr
    assert f"seasoned resume {bank.last_id()}" in approved.stderr
    assert (paid_before, book(bank)) == ("", "ann 5.0 \n")
    assert done.stdout == "all done\n"
    assert "nothing of 'anonymous' waits" in bank("approvals", "ls").stderr


def test_ids_are_whole_on_a_narrow_terminal(bank: Command, capsys: pytest.CaptureFixture[str]) -> None:
    wait_for_a_person(bank)
    (item,) = waiting(bank)

    Console(file=sys.stdout, width=80).print(_table([msgspec.convert(item, Approval)]))

    assert capsys.readouterr().out.splitlines()[1].split()[:2] == [item["trace_id"], item["call_id"]]


def test_the_end_of_a_waiting_run_gives_commands_that_work_as_they_stand(bank: Command) -> None:
    shown = wait_for_a_person(bank, more=("--db", "sqlite:///my runs.db", "--uid", "ada")).stderr.splitlines()

    def run(words: str) -> subprocess.CompletedProcess[str]:
        (line,) = [line for line in shown if words in line]
        return subprocess.run(line, shell=True, cwd=bank.folder, env=bank.env, capture_output=True, text=True, check=True)

    run("approvals approve")
    assert run("seasoned resume").stdout == "all done\n"
    (edit,) = [line for line in shown if "approvals edit" in line]
    assert edit.endswith("--set amount=… --set note=…")
    assert [verb for verb in ("reject", "respond") if not any(f"approvals {verb}" in line for line in shown)] == []


def test_resume_goes_on_at_once(bank: Command) -> None:
    wait_for_a_person(bank)

    done = bank("approvals", "approve", "last", "--resume", "--by", "eve")

    assert done.stdout == "all done\n"
    assert "approved by eve" in done.stderr
    assert 'pay(to="ann", amount=5.0) → paid 5.0 to ann' in done.stderr


def test_with_json_the_decision_comes_first_then_the_events(bank: Command) -> None:
    wait_for_a_person(bank)

    done = bank("approvals", "approve", "last", "--resume", "--json")
    decided, *events = bank.events(done.stdout)

    assert (decided["verdict"], decided["tool_name"], decided["arguments"]) == ("approve", "pay", PAY["arguments"])
    assert all(event.keys() == {"type", "data"} for event in events)
    assert events[-1]["type"] == "trace_completed"
    assert done.stderr == ""


def test_show_tells_everything_and_the_commands(bank: Command) -> None:
    wait_for_a_person(bank)
    (item,) = waiting(bank)

    shown = bank("approvals", "show", bank.last_id()[:30], item["call_id"]).stdout

    for words in ("tool: pay", '"amount": 5.0', "waits because: needs a person's agreement", item["args_hash"], "editable: amount, note", "expires: never"):
        assert words in shown
    assert f"seasoned approvals approve {item['trace_id']} {item['call_id']}" in shown
    assert f"seasoned resume {item['trace_id']}" in shown
    assert json.loads(bank("approvals", "show", "last", "--json").stdout) == item


def test_what_a_model_wrote_cannot_touch_the_terminal_or_forge_a_line(bank: Command) -> None:
    hostile = {"name": "pay", "arguments": {"to": HOSTILE, "amount": 5.0}}

    ended = wait_for_a_person(bank, hostile).stderr
    listed = bank("approvals", "ls").stdout
    shown = bank("approvals", "show", "last").stdout
    decided = bank("approvals", "approve", "last").stderr

    for text in (ended, listed, shown, decided):
        assert [sign for sign in "\x1b\r\x9b\u202e" if sign in text] == []
        assert "[bold red]" in text
    assert "args hash: 0" not in shown.splitlines()
    assert "\\u001b" in shown
    assert "\\u{202e}" in shown


def test_an_edit_changes_what_may_be_changed_and_nothing_else(bank: Command) -> None:
    wait_for_a_person(bank)

    assert "to of 'pay' may not be edited" in bank("approvals", "edit", "last", "--set", "to=mallory", code=1).stderr
    assert "amount" in bank("approvals", "edit", "last", "--set", "amount=lots", code=2).stderr
    edited = bank("approvals", "edit", "last", "--set", "amount=7.0", "--set", "note=for the pears = all", "--resume")

    assert "approved with changes by" in edited.stderr
    assert 'pay(to="ann", amount=7.0, note="for the pears = all")' in edited.stderr
    assert book(bank) == "ann 7.0 for the pears = all\n"
    assert edited.stdout == "all done\n"
    assert "changed the arguments" in told(bank)


def test_an_edit_may_come_as_one_object(bank: Command) -> None:
    wait_for_a_person(bank)

    bank("approvals", "edit", "last", "--arguments", '{"amount": 6.5}', "--resume")

    assert book(bank) == "ann 6.5 \n"


def test_an_edit_where_the_tools_are_not_found_says_that_they_check_later(bank: Command) -> None:
    wait_for_a_person(bank)

    edited = bank("approvals", "edit", "last", "--set", "amount=7.0", XDG_STATE_HOME=str(bank.folder / "nothing"))
    bank("resume", "last")

    assert "checked when the run goes on" in edited.stderr
    assert book(bank) == "ann 7.0 \n"


def test_a_rejection_tells_the_model_why(bank: Command) -> None:
    wait_for_a_person(bank)

    assert bank("approvals", "reject", "last", "--reason", "far too much", "--resume").stdout == "all done\n"
    assert "far too much" in told(bank)
    assert book(bank) == ""
    assert f"rejected by {getpass.getuser()}: far too much" in bank("runs", "show", "last").stdout


def test_a_response_is_read_from_stdin_and_takes_the_place_of_the_result(bank: Command) -> None:
    wait_for_a_person(bank)

    bank("approvals", "respond", "last", "--text", "-", "--resume", stdin="ask her for her account\n")

    assert "ask her for her account" in told(bank)
    assert book(bank) == ""


def test_of_several_calls_one_must_be_named_and_the_rest_goes_on_waiting(bank: Command) -> None:
    wait_for_a_person(bank, PAY, {"name": "pay", "arguments": {"to": "bob", "amount": 1.0}})
    first, second = waiting(bank)

    unnamed = bank("approvals", "approve", "last", code=2).stderr
    rest = bank("approvals", "approve", "last", second["call_id"], "--resume", code=3).stderr

    assert f"name one of {first['call_id']}, {second['call_id']}" in unnamed
    assert book(bank) == "bob 1.0 \n"
    assert f"approvals approve {first['trace_id']} {first['call_id']}" in rest
    assert f"approvals approve {first['trace_id']} {second['call_id']}" not in rest


def test_a_call_is_decided_once(bank: Command) -> None:
    wait_for_a_person(bank)
    (item,) = waiting(bank)
    bank("approvals", "reject", "last", "--by", "eve")

    second = bank("approvals", "approve", "last", item["call_id"], code=1).stderr
    unnamed = bank("approvals", "approve", "last", code=1).stderr

    assert "decided already: reject by eve" in second
    assert f"call {item['call_id']} was rejected by eve; all is decided, go on with: seasoned resume {item['trace_id']}" in unnamed
    bank("resume", "last")
    assert "decided already: reject by eve" in bank("approvals", "approve", "last", item["call_id"], code=1).stderr
    assert "the run is completed" in bank("approvals", "show", "last", code=1).stderr


def test_wrong_ids_get_one_clear_line(bank: Command) -> None:
    wait_for_a_person(bank)

    assert "`seasoned runs ls` lists them" in bank("approvals", "approve", "ffff", code=2).stderr
    for verb in ("show", "approve"):
        wrong = bank("approvals", verb, "last", "9.9", code=1).stderr
        assert "9.9" in wrong
        assert "does not wait for anyone" in wrong
        assert len(wrong.splitlines()) == 1
    not_in_doubt = bank("approvals", "resolve", "last", "done", code=1).stderr
    assert f"is not in doubt: `seasoned approvals show {bank.last_id()}" in not_in_doubt


def test_another_uid_sees_and_decides_nothing(bank: Command) -> None:
    wait_for_a_person(bank)
    trace_id = bank.last_id()

    assert bank("approvals", "ls", "--uid", "mallory", "--json").stdout == ""
    for arguments in (["show"], ["approve"], ["edit", "--set", "amount=1.0"], ["reject"], ["respond", "--text", "x"]):
        assert "lists them" in bank("approvals", arguments[0], trace_id, *arguments[1:], "--uid", "mallory", code=2).stderr
    assert len(waiting(bank)) == 1


def test_an_expired_request_does_not_stand(bank: Command) -> None:
    wait_for_a_person(bank, {"name": "brief", "arguments": {"to": "ann"}})

    while "(it is over)" not in bank("approvals", "show", "last").stdout:
        assert bank.last_trace()["status"] == "waiting"

    listed, shown = bank("approvals", "ls").stdout, bank("approvals", "show", "last").stdout
    assert "expires" in listed
    assert "it expired, and will not run" in listed
    assert "seasoned approvals approve" not in shown
    assert f"go on without it:\n  seasoned resume {bank.last_id()}" in shown

    late = bank("approvals", "approve", "last", code=1).stderr
    assert "expired before it was decided" in late
    assert f"seasoned resume {bank.last_id()}" in late
    assert f"all is decided, go on with: seasoned resume {bank.last_id()}" in bank("runs", "show", "last").stdout
    assert " expired; all is decided" in bank("approvals", "approve", "last", code=1).stderr
    assert bank("resume", "last").stdout == "all done\n"


def test_a_call_in_doubt_is_resolved(bank: Command) -> None:
    ended = in_doubt(bank).stderr
    shown = bank("approvals", "show", "last").stdout
    refused = bank("approvals", "approve", "last", code=1).stderr

    done = bank("approvals", "resolve", "last", "done", "--result", "it is in the book", "--resume")

    for text in (ended, shown):
        assert f"seasoned approvals resolve {bank.last_id()}" in text
        assert "approvals approve" not in text
    assert "attempt: 1" in shown
    assert "worker: " in shown
    assert f"is in doubt: `seasoned approvals show {bank.last_id()}" in refused
    assert done.stdout == "all done\n"
    assert "it is in the book" in told(bank)
    assert f"resolved as done by {getpass.getuser()}: it is in the book" in bank("runs", "show", "last").stdout
    assert not (bank.folder / "sent.txt").exists()


def test_a_call_in_doubt_is_tried_again_when_a_person_says_so(bank: Command) -> None:
    in_doubt(bank)
    (item,) = waiting(bank)

    bank("approvals", "resolve", "last", item["call_id"], "retry", "--resume")

    assert (bank.folder / "sent.txt").read_text() == "ann"


def test_what_is_in_doubt_in_a_cancelled_run_can_be_resolved_and_nothing_goes_on(bank: Command) -> None:
    in_doubt(bank)
    bank("cancel", "last")

    assert "seasoned resume" not in bank("approvals", "show", "last").stdout
    assert "seasoned resume" not in bank("approvals", "resolve", "last", "not_done").stderr
    assert waiting(bank) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["edit", "last"], "--set NAME=VALUE"),
        (["edit", "last", "--set", "amount=1", "--arguments", "{}"], "--set NAME=VALUE"),
        (["edit", "last", "--set", "amount"], "such as --set amount=7.0"),
        (["edit", "last", "--set", "amount=1", "--set", "amount=2"], "twice"),
        (["edit", "last", "--arguments", "{"], "no JSON"),
        (["edit", "last", "--arguments", "[1]"], "no JSON object"),
        (["respond", "last"], "--text"),
        (["respond", "last", "--text", " "], "the text is empty"),
        (["resolve", "last"], "Missing argument"),
        (["resolve", "last", "perhaps"], "one of done, not_done, retry"),
        (["resolve", "last", "1.0", "done", "really"], "one of done, not_done, retry"),
    ],
)
def test_wrong_usage_is_refused_with_2(seasoned: Command, arguments: list[str], words: str) -> None:
    assert words in seasoned("approvals", *arguments, code=2).stderr


def test_without_a_store_nothing_waits(seasoned: Command) -> None:
    assert "nothing of 'anonymous' waits" in seasoned("approvals", "ls").stderr
    assert "there is no store" in seasoned("approvals", "approve", "last", code=1).stderr
    assert not (seasoned.folder / ".seasoned").exists()
