"""Runs leave a store as a file and arrive in another one, where they are as they were."""

import json

import pytest
from tests.cli.conftest import ADD, Command

OTHER = ("--db", "sqlite:///other.db")


def test_a_run_that_was_exported_is_imported_verified_replayed_and_forked_elsewhere(seasoned: Command) -> None:
    seasoned.run(ADD, "5 apples", options=("--tool", "calculator", "--no-memory"))
    fork_id = seasoned("fork", "last", "--at", "3", "--result", "3=6").stdout.strip()
    seasoned("resume", fork_id, "--model", seasoned.script("unused", "6 apples", name="other.json"))
    told = seasoned("runs", "export", fork_id, "-o", "run.json").stderr
    taken = seasoned("runs", "import", "run.json", *OTHER)

    assert "with 1 runs that it rests on" in told
    assert taken.stdout.splitlines()[-1] == fork_id
    for command in (("runs", "verify", fork_id), ("replay", fork_id), ("runs", "show", fork_id), ("runs", "export", fork_id)):
        assert seasoned(*command, *OTHER).stdout == seasoned(*command).stdout
    again = seasoned("fork", fork_id, "--at", "4", *OTHER).stdout.strip()
    assert seasoned("resume", again, "--model", seasoned.script("unused", "7 apples", name="more.json"), *OTHER).stdout == "7 apples\n"
    assert "all were here already" in seasoned("runs", "import", "run.json", *OTHER).stderr
    assert json.loads(seasoned("runs", "import", "-", "--json", *OTHER, stdin=(seasoned.folder / "run.json").read_text()).stdout)["taken_in"] == []


def test_a_run_that_waits_still_waits_where_it_arrives_and_nothing_runs_by_itself(seasoned: Command) -> None:
    (seasoned.folder / "mail.py").write_text(
        'import agent\nregistry = agent.ToolRegistry()\n\n@registry.tool(effect="unsafe", requires_confirmation=True)\n'
        'def send(to: str) -> str:\n    "Send."\n    open("sent.txt", "a").write(to)\n    return "sent"\n'
    )
    seasoned.run({"tool_calls": [{"name": "send", "arguments": {"to": "ann"}}]}, "done", options=("--tool", "mail:registry"), code=3)
    seasoned("runs", "export", "last", "--lean", "-o", "run.json")
    seasoned("runs", "import", "run.json", *OTHER)

    assert json.loads((seasoned.folder / "run.json").read_text())["steps"] == []
    assert "send" in seasoned("approvals", "ls", *OTHER).stdout
    assert not (seasoned.folder / "sent.txt").exists()
    seasoned("approvals", "approve", "last", *OTHER)
    assert seasoned("resume", "last", "--tool", "mail:registry", *OTHER).stdout == "done\n"


def test_a_file_that_was_changed_is_refused_and_leaves_nothing(seasoned: Command) -> None:
    seasoned.run(ADD, "5 apples", options=("--tool", "calculator"))
    seasoned("runs", "export", "last", "-o", "run.json")
    document = json.loads((seasoned.folder / "run.json").read_text())
    document["log"][0]["rows"].pop()
    (seasoned.folder / "bad.json").write_text(json.dumps(document))

    assert "not what was recorded" in seasoned("runs", "import", "bad.json", *OTHER, code=2).stderr
    assert seasoned("runs", "ls", "--json", *OTHER).stdout == ""
    assert "uid 'anonymous'" in seasoned("runs", "import", "run.json", "--uid", "ada", *OTHER, code=2).stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is no export"),
        ("[" * 200_000, "is no export"),
        ("[1]", "is no export"),
        ('{"format": "2", "trace": {}}', "is no export"),
        ('{"format": 99, "trace": {}}', "install a newer seasoned"),
        ('{"format": 1, "trace": {}, "steps": []}', "export it anew"),
        ('{"format": 2, "trace": {}, "log": 7}', "no export that can be read"),
        ('{"format": 2, "trace": {}, "log": [{"trace": {"trace_id": "x"}, "head": "", "rows": [["0"]]}]}', "no export that can be read"),
        ('{"format": 2, "trace": {}, "log": [{"trace": {"trace_id": ""}, "head": "", "rows": []}]}', "trace_id is ''"),
    ],
)
def test_what_is_no_export_is_refused(seasoned: Command, content: str, says: str) -> None:
    (seasoned.folder / "file.json").write_text(content)

    assert says in seasoned("runs", "import", "file.json", code=2).stderr


def test_a_file_that_is_not_there_is_told(seasoned: Command) -> None:
    assert "cannot be read" in seasoned("runs", "import", "nowhere.json", code=2).stderr
