"""seasoned.toml: found, obeyed, and refused in clear words."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from agent.cli.casting import Given, cast_of, config_of
from agent.cli.place import place_of
from agent.cli.project_file import load_project
from agent.errors import ConfigInvalid

WHOLE = """
db = "sqlite:///kept/runs.db"
uid = "ada"
language = "zh"
agent = "clerk"

[models.demo]
model = "scripted:script.json"
settings = { temperature = 0.2 }

[models.own]
model = "openai-compatible:qwen"
base_url = "http://127.0.0.1:9/v1"
options = { timeout_s = 3 }

[agents.clerk]
model = "demo"
system_file = "prompt.md"
tools = ["calculator", "twice"]
max_iterations = 4
memory = false
settings = { seed = 1 }

[tools]
modules = ["own_tools:registry"]

[limits]
tool_timeout_s = 5
parallel_tools = 2
"""
TOOLS = '''
import agent
registry = agent.ToolRegistry()
@registry.tool(effect="read")
def twice(number: int) -> int:
    """Double a number.

    Args:
        number: any
    """
    return 2 * number
'''


def project_of(folder: Path, text: str) -> Path:
    (folder / "seasoned.toml").write_text(text)
    return folder / "seasoned.toml"


def test_everything_in_it_counts(seasoned: Command) -> None:
    project_of(seasoned.folder, WHOLE)
    (seasoned.folder / "kept").mkdir()
    (seasoned.folder / "prompt.md").write_text("You count apples.")
    (seasoned.folder / "own_tools.py").write_text(TOOLS)
    seasoned.script({"tool_calls": [{"name": "twice", "arguments": {"number": 4}}]}, "eight")
    (seasoned.folder / "below").mkdir()
    seasoned.folder /= "below"

    done = seasoned("run", "count")

    trace = seasoned.last_trace()
    first = json.loads(seasoned("step", "show", "last/0", "--json").stdout)["data"]
    assert done.stdout == "eight\n"
    assert (trace["uid"], trace["agent_type"]) == ("ada", "clerk")
    assert (seasoned.folder.parent / "kept" / "runs.db").is_file()
    assert first["system"] == "You count apples."
    assert first["settings"] == {"temperature": 0.2, "seed": 1}
    assert first["tools"] == ["calculator", "twice"]
    assert first["max_iterations"] == 4
    assert first["language"] == "zh"
    assert "enable_memory" not in first


def test_options_win_over_it(seasoned: Command) -> None:
    project_of(seasoned.folder, WHOLE.replace('system_file = "prompt.md"', 'system = "in the file"'))
    (seasoned.folder / "own_tools.py").write_text(TOOLS)

    seasoned.run("hi", options=["--uid", "eve", "--db", "sqlite:///x.db", "--system", "mine", "--tool", "current_time", "--memory", "--max-iterations", "2"])

    first = json.loads(seasoned("step", "show", "last/0", "--json", "--uid", "eve", "--db", "sqlite:///x.db").stdout)["data"]
    assert (first["system"], first["tools"], first["max_iterations"], first["enable_memory"]) == ("mine", ["current_time"], 2, True)


def test_limits_reach_the_runner(tmp_path: Path) -> None:
    config = config_of(load_project(project_of(tmp_path, WHOLE)))

    assert (config.tool_timeout_s, config.parallel_tools, config.language) == (5, 2, "zh")


def test_a_store_is_below_the_folder_of_the_file(tmp_path: Path) -> None:
    project = load_project(project_of(tmp_path, WHOLE))

    assert place_of(project, None, None).file == tmp_path / "kept" / "runs.db"
    assert place_of(project, "sqlite:///other.db", None).file == Path("other.db")
    assert place_of(load_project(project_of(tmp_path, 'db = "memory://"')), None, None).file is None


def test_an_agent_without_anything_leaves_the_defaults(tmp_path: Path) -> None:
    cast = cast_of(Given(), load_project(project_of(tmp_path, "")))

    assert (cast.model, cast.system, cast.wanted.names, cast.agent_type) == (None, None, (), None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("db = 3 4", ["no valid TOML", "line 1"]),
        ("modle = 'x'", ["unknown key 'modle'", "did you mean 'model'", "allowed are db, uid"]),
        ("[agents.clerk]\nsistem = 'x'", ["'agents.clerk.sistem'", "did you mean 'system'"]),
        ("[agents.clerk]\nmax_iterations = 'x'", ["agents.clerk.max_iterations", "Expected `int"]),
        ("[agents.clerk]\nmax_iterations = -1", ["agents.clerk.max_iterations", ">= 0"]),
        ("[agents.clerk]\nsystem = 'a'\nsystem_file = 'b'", ["both system and system_file"]),
        ("[agents.clerk]\nsettings = { temprature = 1 }", ["agents.clerk.settings.temprature", "did you mean 'temperature'"]),
        ("agent = 'clerk'", ["no agent 'clerk'", "none"]),
        ("agents = 3", ["agents", "Expected `object`, got `int`"]),
        ("[agents]\nclerk = 3", ["agents.clerk must be a table"]),
        ("api_key = 'x'", ["api_key", "keys are never read from a file"]),
        ("[models.m]\nmodel = 'openai:gpt'\napi_key = 'x'", ["models.m.api_key", "never read from a file"]),
        ("[models.m]\nmodel = 'openai:gpt'\noptions = { api_key = 'x' }", ["models.m.options.api_key", "never read from a file"]),
        ("[models.m]\nmodel = 'opnai:gpt'", ["models.m.model", "did you mean 'openai:gpt'"]),
        ("[models.m]\nmodel = 'openai:gpt'\nbase_url = 'https://example.org'", ["models.m.base_url", "openai-compatible:gpt", "OPENAI_BASE_URL"]),
        ("language = 'fr'", ["language", "Invalid enum value 'fr'"]),
        ("[limits]\ntool_timeout_s = 0", ["limits.tool_timeout_s"]),
        ("[tools]\nmodules = 'x'", ["tools.modules", "Expected `array`"]),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, words: list[str]) -> None:
    file = project_of(tmp_path, text)

    with pytest.raises(ConfigInvalid) as refused:
        load_project(file)

    assert [word for word in (str(file), *words) if word not in str(refused.value)] == [], str(refused.value)


def test_every_key_is_documented() -> None:
    import agent.cli.project_file as file

    page = (Path(__file__).parents[2] / "docs" / "reference" / "seasoned-toml.md").read_text()
    kinds = (file.ProjectFile, file.ModelEntry, file.AgentEntry, file.ToolsEntry, file.LimitsEntry, file.MemoryEntry, file.SkillsEntry)

    assert [f"{kind.__name__}.{key}" for kind in kinds for key in kind.__struct_fields__ if f"`{key}`" not in page] == []


def test_the_example_can_be_used(seasoned: Command) -> None:
    example = Path(__file__).parents[2] / "examples" / "seasoned.toml"

    done = seasoned("run", "who ordered what?", "--config", str(example), "--agent", "clerk", "--tool", "list_files,read_file,price_of")

    assert done.stdout.startswith("Ada ordered")
    assert "→ Order 1 Customer: Ada" in done.stderr


def test_a_model_server_that_is_down_is_told_of_while_it_is_tried_again(seasoned: Command) -> None:
    (seasoned.folder / "seasoned.toml").write_text(
        '[models.down]\nmodel = "openai-compatible:m"\nbase_url = "http://127.0.0.1:9/v1"\noptions = { retries = 1 }\n'
    )
    told = seasoned("run", "x", "--model", "down", code=1).stderr
    silent = seasoned("run", "x", "--model", "down", "--json", code=1).stderr

    assert "trying again in 0." in told
    assert " s (1 of 1)" in told
    assert "trying again" not in silent
