"""The table of tools."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from agent.cli.casting import folders_of
from agent.cli.outlet import console, say_json
from agent.cli.project_file import Project
from agent.cli.sub_agents import called_agents
from agent.cli.toolbox import AGENT, Wanted, open_toolbox, split_names
from agent.cli.visible import one_line
from agent.errors import BadInput
from agent.tools.builtin.catalogue import BUILTIN_NAMES
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool

_NEEDS = {"read_file": "--root DIR", "list_files": "--root DIR", "http_get": "--allow-host HOST, extra http"}


def list_tools(project: Project, given: list[str] | None, *, is_json: bool) -> None:
    """Print the built-in tools and one's own: effect, whether a person is asked, what it needs.

    Raises:
        BadInput: a name is no `module:registry`.
    """
    specs = tuple(name for name in split_names(given) if not name.startswith(AGENT))
    agents = _agents(project, [name.removeprefix(AGENT) for name in split_names(given) if name.startswith(AGENT)])
    plain = next((name for name in specs if ":" not in name), None)
    if plain is not None:
        raise BadInput(f"{plain!r} names no tools of your own: write module:registry, or {AGENT}NAME (the built-in ones are listed anyway)")
    names = tuple(dict.fromkeys((*project.tools.modules, *specs)))
    own = open_toolbox(Wanted(names=names), folders_of(project)).registry
    rows = [(tool, "") for tool in own] + agents + [(tool, _NEEDS.get(tool.name, "")) for tool in _builtin()]
    if is_json:
        for tool, needs in rows:
            say_json({"name": tool.name, "effect": tool.effect, "needs": needs, "description": tool.description, "parameters": tool.parameters})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("tool", "effect", "a person is asked", "needs"):
        table.add_column(name, no_wrap=True)
    table.add_column("what it does", overflow="fold")
    for tool, needs in rows:
        asks = "sometimes" if callable(tool.requires_confirmation) else "yes" if tool.requires_confirmation else "no"
        table.add_row(Text(tool.name), tool.effect, asks, needs, Text(one_line(tool.description, 100)))
    console(is_stderr=False).print(table)


def _agents(project: Project, wanted: Sequence[str]) -> list[tuple[Tool, str]]:
    """Return the agents of the file that can be offered as tools, and those that are wanted in any case, each with how it is named.

    Raises:
        ConfigInvalid: a wanted one is not there, or does not say what it does.
    """
    names = dict.fromkeys([*(name for name, entry in project.agents.items() if entry.description), *called_agents([AGENT + name for name in wanted], project)])
    registry = ToolRegistry()
    return [(registry.add_agent(name, project.agents[name].description or ""), f"--tool {AGENT}{name}") for name in names]


def _builtin() -> list[Tool]:
    """Return the built-in tools as they would be registered; one whose extra is missing is left out."""
    from importlib.util import find_spec

    names = tuple(name for name in BUILTIN_NAMES if name != "http_get" or find_spec("httpx2") is not None)
    with tempfile.TemporaryDirectory() as folder:
        return list(open_toolbox(Wanted(names=names, root=folder, hosts=("example.org",)), [Path(folder)]).registry)
