"""What the command line proposes to do next can be pasted as it stands: it finds the same store, uid and settings."""

import re
import shlex

from tests.cli.conftest import ADD, Command

OPTIONS = ("--db", "sqlite:///other.db", "--uid", "ada", "--config", "my settings.toml")
TOOLS = '''
import agent
registry = agent.ToolRegistry()

@registry.tool(effect="unsafe", requires_confirmation=True, editable_params=["to"])
def send(to: str) -> str:
    """Send."""
    return "sent"
'''
SEND = {"tool_calls": [{"name": "send", "arguments": {"to": "ann"}}]}
PROPOSED = re.compile(r"seasoned (?:runs|resume|replay|step|approvals|feedback|memory|fork)\b[^`\n]*")


def proposed(text: str) -> list[str]:
    """Return the commands that a text proposes, with an id, or a place for one, in them."""
    return [line for line in PROPOSED.findall(text) if re.search(r"\b[0-9a-f]{32}|\b(?:ID|RUN|SEQ|ITEM)\b", line)]


def test_every_proposed_command_finds_the_same_store_uid_and_settings(seasoned: Command) -> None:
    (seasoned.folder / "my settings.toml").write_text("[limits]\nparallel_tools = 2\n")
    (seasoned.folder / "mail.py").write_text(TOOLS)
    told: list[str] = []

    def do(*arguments: str, code: int | None = 0) -> str:
        done = seasoned(*arguments, *OPTIONS, code=code)
        told.append(done.stdout + done.stderr)
        return done.stdout

    calculator = ("--tool", "calculator")
    do("run", "add", "--model", seasoned.script(ADD, "5 apples"), *calculator)
    do("runs", "show", "last")
    do("feedback", "add", "last", "--correction", "Say pears.")
    fork_id = do("fork", "last", "--at", "3").strip()
    do("resume", fork_id)
    do("runs", "export", fork_id, "-o", "run.json")
    do("run", "add", "--model", seasoned.script(ADD, "what I have"), *calculator, "--limit", "max_tool_calls=0", code=None)
    do("run", "add", "--model", seasoned.script(ADD, name="short.json"), *calculator, code=1)
    do("runs", "show", "last")
    do("run", "send", "--model", seasoned.script(SEND, "sent", name="send.json"), "--tools", "mail:registry", code=3)
    for command in ("ls", "show"):
        do("approvals", command, *(["last"] if command == "show" else []))
    do("runs", "show", "last")
    do("approvals", "approve", "last")
    do("approvals", "approve", "last", code=None)
    do("runs", "ls", "--limit", "2", "--status", "failed")
    do("runs", "ls", "--limit", "1", "--status", "failed")
    found = [line for text in told for line in proposed(text)]

    assert len(found) > 25
    for line in found:
        words = shlex.split(line.partition(" (or")[0].replace("…", "x"))
        assert [word for word in OPTIONS if word not in words] == [], line


def test_a_run_that_is_meant_by_last_is_named(seasoned: Command) -> None:
    (seasoned.folder / "mail.py").write_text(TOOLS)
    seasoned("run", "send", "--model", seasoned.script(SEND, "sent"), "--tools", "mail:registry", code=3)
    parent = seasoned.last_id()
    forked = seasoned("fork", "last", "--at", "3")
    fork_id = forked.stdout.strip()

    assert f"run {parent} was forked at step 3" in forked.stderr
    assert f" · run {fork_id}\n" in seasoned("approvals", "approve", "last").stderr
    assert "· run" not in seasoned("approvals", "reject", parent, "--reason", "no").stderr
