"""Runs leave a store as a file and arrive in another one, where they are as they were."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import ADD, Command

from agent.cli.exporting import import_runs
from agent.cli.place import Place
from agent.errors import AgentError
from agent.models.trace import Trace
from agent.models.value import replace
from agent.storage.exported import of_plain, to_plain

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
        assert seasoned(*command, *OTHER).stdout.replace(f" {' '.join(OTHER)}", "") == seasoned(*command).stdout
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
        ('{"format": 2, "trace": {}, "steps": [], "log": []}', "export it anew"),
        ('{"format": 3, "trace": {}, "log": []}', "has nothing"),
        ('{"format": 3, "trace": {}, "log": 7}', "no export that can be read"),
        ('{"format": 3, "trace": {}, "log": [{"trace": {"trace_id": "x"}, "head": "", "seal": {}, "rows": [["0"]]}]}', "no export that can be read"),
        ('{"format": 3, "trace": {}, "log": [{"trace": {"trace_id": ""}, "head": "", "seal": {}, "rows": []}]}', "head of run '' is not what was exported"),
    ],
)
def test_what_is_no_export_is_refused(seasoned: Command, content: str, says: str) -> None:
    (seasoned.folder / "file.json").write_text(content)

    assert says in seasoned("runs", "import", "file.json", code=2).stderr


def test_a_file_that_is_not_there_is_told(seasoned: Command) -> None:
    assert "cannot be read" in seasoned("runs", "import", "nowhere.json", code=2).stderr


# ---- nothing is taken in that was changed


def _places(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a document that is no list or object with something in it."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(item, *path, key)
    else:
        yield path


def _other(value: Any) -> Any:
    """Return a value of the same kind that is another one."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return "x" + value
        case list():
            return ["x"]
        case dict():
            return {"x": "x"}
        case _:
            return "x"


def _with(document: Any, path: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """Return a copy of a document with one value made another."""
    copied = json.loads(json.dumps(document))
    holder = copied
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = change(holder[path[-1]])
    return copied


def _changed(document: Any, path: Sequence[Any]) -> Any:
    """Return a copy of a document with one value changed."""
    return _with(document, path, _other)


def _renamed(document: Any, path: Sequence[Any]) -> Any:
    """Return a copy of a document with the key of one value changed; None where it has none."""
    if not isinstance(path[-1], str):
        return None
    return _with(document, path[:-1], lambda holder: {(f"{k}x" if k == path[-1] else k): v for k, v in holder.items()}) if path[:-1] else None


async def _fault(folder: Path, document: Any) -> str | None:
    """Return why an export is not taken in; None where it is."""
    (folder / "changed.json").write_text(json.dumps(document), encoding="utf-8")
    try:
        await import_runs(Place(f"sqlite:///{folder / 'other.db'}", "anonymous"), str(folder / "changed.json"), is_json=False)
    except AgentError as error:
        return str(error)
    finally:
        for left in folder.glob("other.db*"):  # noqa: ASYNC240
            left.unlink()
    return None


@pytest.fixture
def exported(seasoned: Command) -> dict[str, Any]:
    """A fork with a run that it goes on from, with blobs, an approval and a conclusion, as `runs export` writes it."""
    (seasoned.folder / "words.py").write_text(
        'import agent\nregistry = agent.ToolRegistry()\n\n@registry.tool(effect="read")\ndef look() -> str:\n    "Look."\n    return "lemon " * 11_000\n'
    )
    seasoned.run({"tool_calls": [{"name": "look", "arguments": {}}]}, "5 lemons", options=("--tool", "words:registry", "--no-memory"))
    fork_id = seasoned("fork", "last", "--at", "3", "--task", "count the melons").stdout.strip()
    seasoned("resume", fork_id, "--model", seasoned.script("unused", "6 melons", name="other.json"))
    document: dict[str, Any] = json.loads(seasoned("runs", "export", fork_id).stdout)
    return document


async def test_no_changed_value_of_an_export_is_taken_in(seasoned: Command, exported: dict[str, Any]) -> None:
    assert await _fault(seasoned.folder, exported) is None
    changed = [(path, what(exported, path)) for path in _places(exported) for what in (_changed, _renamed)]
    taken = [path for path, document in changed if document is not None and await _fault(seasoned.folder, document) is None]

    assert len(changed) > 500
    assert taken == []


async def test_a_task_that_was_changed_and_sealed_anew_is_not_what_the_steps_say(seasoned: Command, exported: dict[str, Any]) -> None:
    for number, words in ((0, "count the apples"), (1, "count the melons")):
        one = exported["log"][number]
        assert one["trace"]["task"] == words
        (forged,) = of_plain([one])
        sealed = to_plain(replace(forged, trace=replace(forged.trace, task="count the pears")))
        document = json.loads(json.dumps({**exported, "log": [sealed if n == number else other for n, other in enumerate(exported["log"])]}))
        document["trace"] = exported["log"][1]["trace"] if number == 0 else document["log"][1]["trace"]
        fault = await _fault(seasoned.folder, document)

        assert fault is not None
        assert "its task is not what its steps say" in fault


async def test_a_changed_field_of_a_run_is_named(seasoned: Command, exported: dict[str, Any]) -> None:
    for name in Trace.__struct_fields__:
        for path in (("trace", name), ("log", 1, "trace", name)):
            assert name in (await _fault(seasoned.folder, _with(exported, path, _other)) or ""), path
