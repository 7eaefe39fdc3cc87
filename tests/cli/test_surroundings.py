"""What the command says of itself and of the place where it runs."""

import importlib.util
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import COMMAND, Command

from agent.cli.model_choice import choose_model
from agent.cli.project_file import Project
from agent.llm import available

EXAMPLES = Path(__file__).parents[2] / "examples"


LOADED = """
import sys
before = set(sys.modules)  # what a measurement of coverage has loaded
sys.argv = ["seasoned", "runs", "--help"]
from agent.cli.main import main
try:
    main()
except SystemExit:
    print(sorted((set(sys.modules) - before) & {"openai", "xllamacpp", "pydantic_ai", "sqlite3", "httpx2", "agent.runner", "agent.tools.registry"}))
"""


def findings_of(seasoned: Command, code: int | None = None, **env: str) -> list[dict[str, str]]:
    return seasoned.events(seasoned("doctor", "--json", code=code, **env).stdout)


def test_the_doctor_tells_names_of_keys_and_never_their_values(seasoned: Command) -> None:
    done = seasoned("doctor", OPENAI_API_KEY="sk-very-secret", code=0)

    assert "key in OPENAI_API_KEY" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr


def test_the_doctor_says_which_model_is_used(seasoned: Command) -> None:
    found = findings_of(seasoned, 0, SEASONED_MODEL="ollama:qwen3")

    assert [one["text"] for one in found if one["subject"] == "default"] == ["ollama:qwen3 is used where no --model is given"]


def test_the_doctor_finds_a_file_that_hides_the_package(seasoned: Command) -> None:
    (seasoned.folder / "agent.py").write_text("")

    (found,) = [one for one in findings_of(seasoned) if one["subject"] == "package"]

    assert found["verdict"] == "warning"
    assert "hides the package" in found["text"]
    assert "rename it" in found["advice"]


def test_the_doctor_finds_a_store_that_cannot_be_used(seasoned: Command) -> None:
    (seasoned.folder / ".seasoned").mkdir()
    (seasoned.folder / ".seasoned" / "runs.db").write_text("no database" * 100)

    (found,) = [one for one in findings_of(seasoned, 1) if one["subject"] == "store"]

    assert (found["verdict"], "not a database of seasoned" in found["text"]) == ("bad", True)


def test_the_doctor_looks_into_the_store(seasoned: Command) -> None:
    seasoned.run("hi")
    path = seasoned.folder / ".seasoned" / "runs.db"
    fine = [one["text"] for one in findings_of(seasoned) if one["subject"] == "store"]
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()

    newer = [one for one in findings_of(seasoned, 1) if one["subject"] == "store"]

    assert "passes SQLite's quick check" in fine[0]
    assert "install a newer seasoned" in newer[0]["text"]


def test_the_doctor_reports_settings_that_cannot_be_used(seasoned: Command) -> None:
    (seasoned.folder / "seasoned.toml").write_text("modle = 1")

    assert "did you mean 'model'" in next(one["text"] for one in findings_of(seasoned, 1) if one["subject"] == "settings")


def test_tools_are_listed_with_their_effects(seasoned: Command) -> None:
    (seasoned.folder / "tools_example.py").write_text((EXAMPLES / "tools_example.py").read_text())

    table = seasoned("tools", "ls", "--tools", "tools_example:registry").stdout
    tools = {tool["name"]: tool for tool in seasoned.events(seasoned("tools", "ls", "--tools", "tools_example:registry", "--json").stdout)}

    assert [line.split()[0] for line in table.splitlines()][1:4] == ["price_of", "place_order", "calculator"]
    assert (tools["place_order"]["effect"], tools["price_of"]["effect"]) == ("unsafe", "read")
    assert tools["read_file"]["needs"] == "--root DIR"


def test_a_tool_without_a_declared_effect_is_warned_of(seasoned: Command) -> None:
    (seasoned.folder / "own.py").write_text("import agent\nregistry = agent.ToolRegistry()\n@registry.tool\ndef look() -> str:\n    'Look.'\n    return ''\n")

    told = seasoned.run("hi", options=["--tools", "own:registry"]).stderr

    assert "warning: tool 'look' declares no effect" in told


def test_files_of_the_working_folder_hide_no_installed_module(seasoned: Command) -> None:
    (seasoned.folder / "own.py").write_text("import agent\nregistry = agent.ToolRegistry()\n")
    (seasoned.folder / "readline.py").write_text("raise RuntimeError('hidden')\n")
    (seasoned.folder / "openai.py").write_text("raise RuntimeError('hidden')\n")

    assert seasoned.run("hi", options=["--tools", "own:registry"]).stdout == "hi\n"


def test_a_chat_takes_lines_from_a_pipe(seasoned: Command) -> None:
    done = seasoned("chat", "--model", seasoned.script("hello"), "--conversation", "c7", stdin="hi\n\n/id\n/help\nho\n/resume\n/quit\nnever\n")

    assert done.stdout == "hello\nhello\n"
    assert "c7\n" in done.stderr
    assert "nothing of this conversation rests" in done.stderr
    assert [trace["conversation_id"] for trace in seasoned.events(seasoned("runs", "ls", "--json").stdout)] == ["c7", "c7"]


def test_a_chat_outlives_a_failure_and_resumes_it(seasoned: Command) -> None:
    seasoned("chat", "--model", seasoned.script({"tool_calls": [{"name": "none"}]}), "--conversation", "c7", stdin="hi\n", code=1)
    seasoned.script({"tool_calls": [{"name": "none"}]}, "better")

    assert seasoned("chat", "--model", "scripted:script.json", "--conversation", "c7", stdin="/resume\n").stdout == "better\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_shown(seasoned: Command, shell: str) -> None:
    assert "seasoned" in seasoned("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1").stdout


def test_the_version_and_the_help_are_quick_and_load_no_vendor(seasoned: Command) -> None:
    assert seasoned("--version").stdout.startswith("seasoned 0.")
    loaded = subprocess.run([sys.executable, "-c", LOADED], env=seasoned.env, capture_output=True, text=True, check=True).stdout

    assert loaded.splitlines()[-1] == "[]"


def test_debug_shows_where_an_error_came_from(seasoned: Command) -> None:
    done = subprocess.run([COMMAND, "--debug", "runs", "show", "x"], cwd=seasoned.folder, env=seasoned.env, capture_output=True, text=True, check=False)

    assert "Traceback" in done.stderr
    assert "there is no store" in done.stderr


def test_a_closed_pipe_is_no_error(seasoned: Command) -> None:
    seasoned.run("hi")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {COMMAND} runs export last | head -c 1"],
        cwd=seasoned.folder,
        env=seasoned.env,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "{", "")


def test_the_quickstart_runs_on_any_model(seasoned: Command, tmp_path: Path) -> None:
    text = (EXAMPLES / "quickstart.py").read_text()
    patched = text.replace("agent.open_model()", "ScriptedLLM([asks(tool_request('price_of', {'fruit': 'lemon'})), 'A lemon costs $0.75.'])")
    (tmp_path / "quickstart.py").write_text("from agent.testing.scripted import ScriptedLLM, asks, tool_request\n" + patched)

    done = subprocess.run([sys.executable, tmp_path / "quickstart.py"], cwd=tmp_path, env=seasoned.env, capture_output=True, text=True, check=True)

    assert "tool_result 0.75" in done.stdout
    assert "conclusion A lemon costs $0.75." in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="without the embedded model nothing stands in for the provider")
def test_a_key_that_lacks_its_extra_is_told_where_the_embedded_model_stands_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-very-secret")
    monkeypatch.delenv("SEASONED_MODEL", raising=False)
    monkeypatch.setitem(available._MODULES_OF_EXTRA, "providers", ("no_such_module",))

    choice = choose_model(None, Project(folder=tmp_path))

    assert (choice.name, choice.note) == ("local", "ANTHROPIC_API_KEY is set, but anthropic cannot be used: pip install 'seasoned[providers]'")
    assert choose_model("local", Project(folder=tmp_path)).note is None
