"""What cannot be used is refused with a sentence: what, which one, what to do next."""

import os
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from agent.cli.main import main
from agent.cli.project_file import load_project
from agent.errors import ConfigInvalid


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, ["TASK"]),
        (["run", "  "], 2, ["task is empty"]),
        (["run", "x", "--model", "scripted:none.json"], 2, ["none.json", "cannot be read"]),
        (["run", "x", "--model", "opnai:gpt-x"], 2, ["did you mean 'openai:gpt-x'"]),
        (["run", "x", "--model", "openai:gpt-x"], 2, ["OPENAI_API_KEY"]),
        (["run", "x", "--model", "scripted:ok.json", "--tool", "read_file"], 2, ["read_file", "--root DIR"]),
        (["run", "x", "--model", "scripted:ok.json", "--tool", "http_get"], 2, ["--allow-host"]),
        (["run", "x", "--model", "scripted:ok.json", "--tool", "calculate"], 2, ["'calculate'", "calculator"]),
        (["run", "x", "--model", "scripted:ok.json", "--root", "nowhere", "--tool", "list_files"], 2, ["nowhere", "does not exist"]),
        (["run", "x", "--model", "scripted:ok.json", "--tools", "nowhere:registry"], 2, ["no module 'nowhere'"]),
        (["run", "x", "--model", "scripted:ok.json", "--tools", "json:loads"], 2, ["not a ToolRegistry"]),
        (["run", "x", "--model", "scripted:ok.json", "--tools", "json:none"], 2, ["has no 'none'"]),
        (["run", "x", "--model", "scripted:ok.json", "--tools", "my/tools.py:registry"], 2, ["module:registry"]),
        (["run", "x", "--model", "scripted:ok.json", "--tools", "raising:registry"], 2, ["raised ValueError: no such luck"]),
        (["run", "x", "--model", "scripted:ok.json", "--max-iterations", "-1"], 2, ["max-iterations"]),
        (["run", "x", "--model", "scripted:ok.json", "--agent", "clerk"], 2, ["no agent 'clerk'"]),
        (["run", "x", "--model", "scripted:ok.json", "--uid", " "], 2, ["uid is empty"]),
        (["run", "x", "--model", "scripted:ok.json", "--db", "sqlite:///no/such/folder/runs.db"], 1, ["folder", "does not exist"]),
        (["run", "x", "--model", "scripted:ok.json", "--db", "mysql://x"], 2, ["no store has the URL"]),
        (["run", "x", "--model", "scripted:ok.json", "--db", "sqlite:///ok.json"], 1, ["not a database of seasoned"]),
        (["run", "x", "--model", "scripted:ok.json", "--config", "none.toml"], 2, ["none.toml", "cannot be read"]),
        (["run", "x", "--model", "scripted:bad.json"], 2, ["no JSON"]),
        (["run", "x", "--model", "scripted:object.json"], 2, ["JSON list of replies"]),
        (["run", "x", "--model", "scripted:keys.json"], 2, ["unknown keys text"]),
        (["runs", "show", "last"], 1, ["there is no store", "seasoned run"]),
        (["runs", "ls", "--status", "done"], 2, ["'done'", "completed"]),
        (["runs", "prune", "--older-than", "soon"], 2, ["'soon' is no age"]),
        (["step", "show", "last"], 2, ["names no step"]),
        (["feedback", "add", "last"], 2, ["--correction"]),
        (["unknown"], 2, ["No such command"]),
    ],
)
def test_it_is_refused(
    tmp_path: Path, arguments: list[str], code: int, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {
        "ok.json": '["hi"]',
        "bad.json": "[",
        "object.json": "{}",
        "keys.json": '[{"text": "hi"}]',
        "raising.py": "raise ValueError('no such luck')",
    }.items():
        (tmp_path / name).write_text(text)
    for name in [name for name in os.environ if name.startswith("SEASONED_") or name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seasoned", *arguments])
    monkeypatch.setattr(sys, "path", sys.path.copy())

    with pytest.raises(SystemExit) as left:
        main()

    out, err = capsys.readouterr()
    assert left.value.code == code, err
    assert out == ""
    assert [word for word in words if word not in err] == [], err


def test_a_run_that_nobody_has_is_unknown(seasoned: Command) -> None:
    seasoned.run("hi")

    assert "`seasoned runs ls` lists them" in seasoned("runs", "show", "ffff", code=2).stderr
    assert "lists the steps" in seasoned("step", "show", "last/99", code=2).stderr


def test_a_beginning_that_several_runs_share_is_refused(seasoned: Command) -> None:
    seasoned.run("hi")
    seasoned.run("ho")

    assert "several runs begin with '0'" in seasoned("runs", "show", "0", code=2).stderr


def test_without_any_model_the_ways_to_get_one_are_listed(seasoned: Command) -> None:
    (seasoned.folder / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda name, *a: None if name == 'xllamacpp' else find(name, *a)\n"
    )

    refused = seasoned("run", "x", code=2, PYTHONPATH=str(seasoned.folder))

    assert "Three ways to get one" in refused.stderr
    assert not (seasoned.folder / ".seasoned").exists()


def test_a_file_of_settings_of_another_user_is_not_read(seasoned: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "seasoned.toml").write_text("")
    monkeypatch.chdir(seasoned.folder)
    monkeypatch.setattr(os, "getuid", lambda: (tmp_path.stat().st_uid or 0) + 1)
    if tmp_path.stat().st_uid == 0:
        assert load_project(None).file is not None  # root's files are trusted
        os.chown(tmp_path / "seasoned.toml", 12345, -1)
    with pytest.raises(ConfigInvalid, match="another user"):
        load_project(None)
