"""Agents of seasoned.toml as tools of another: `agent:NAME` in a list of tools."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.casting import system_of
from agent.cli.model_choice import choose_model
from agent.cli.project_file import AgentEntry, Project
from agent.cli.toolbox import AGENT, Toolbox, Wanted, open_toolbox
from agent.errors import ConfigInvalid
from agent.models.value import replace

if TYPE_CHECKING:
    from agent.llm.weights import Tell


def open_with_agents(wanted: Wanted, project: Project, folders: Sequence[Path], *, progress: "Tell | None" = None) -> Toolbox:
    """Return the tools asked for, with the agents among them and what those are offered. Otherwise as `open_toolbox`.

    Raises:
        ConfigInvalid: there is no such agent, it does not say what it does, or it may reach what the one that calls it may not.
    """
    agents = called_agents(wanted.names, project)
    if not agents:
        return open_toolbox(wanted, folders)
    plain = tuple(dict.fromkeys(name for names in (wanted.names, *(entry.tools or () for entry in agents.values())) for name in names if not _is_agent(name)))
    modules = (*wanted.modules, *project.tools.modules) if any(":" not in name for name in plain) else wanted.modules
    for name, entry in agents.items():
        _check_reach(name, entry, wanted, project)
    toolbox = open_toolbox(replace(wanted, names=plain, modules=tuple(dict.fromkeys(modules))), folders)
    models: list[Any] = []
    for name, entry in agents.items():
        choice = choose_model(entry.model, project, progress=progress) if entry.model is not None else None
        models += [choice.llm_call] if choice is not None else []
        toolbox.registry.add_agent(
            name,
            entry.description or "",
            model=choice.name if choice is not None else None,
            llm_call=choice.llm_call if choice is not None else None,
            system_prompt=system_of(entry, project),
            tools=_offered(entry.tools or (), toolbox),
            agent_type=entry.agent_type,
            max_iterations=entry.max_iterations,
            memory="own" if entry.memory else None,
            settings={**(choice.settings if choice is not None else {}), **entry.settings},
        )
    return replace(toolbox, offered=tuple(_offered(wanted.names, toolbox)), models=tuple(models))


def _is_agent(name: str) -> bool:
    return name.startswith(AGENT)


def called_agents(names: Sequence[str], project: Project) -> dict[str, AgentEntry]:
    """Return the agents among the names, and those that they may call, by name.

    Raises:
        ConfigInvalid: there is no such agent, or it does not say what it does.
    """
    found: dict[str, AgentEntry] = {}
    todo = [name.removeprefix(AGENT) for name in names if _is_agent(name)]
    while todo:
        name = todo.pop(0)
        if name in found:
            continue
        entry = found[name] = project.agent(name)
        if not entry.description:
            raise ConfigInvalid(f"{project.file}: agents.{name} is offered as a tool: say in its description what it does, for the model that calls it")
        todo += [inner.removeprefix(AGENT) for inner in entry.tools or () if _is_agent(inner)]
    return found


def _offered(names: Sequence[str], toolbox: Toolbox) -> list[str]:
    """Return the names under which tools are registered."""
    return list(dict.fromkeys(one for name in names for one in ([name.removeprefix(AGENT)] if _is_agent(name) else toolbox.groups.get(name, (name,)))))


def _check_reach(name: str, entry: AgentEntry, wanted: Wanted, project: Project) -> None:
    """The built-in tools are one set for all agents of a run: with one folder and one list of hosts."""
    root = str((project.folder / Path(entry.root).expanduser()).absolute()) if entry.root is not None else None
    if root not in (None, wanted.root):
        raise ConfigInvalid(f"{project.file}: agents.{name}.root is {root!r}, and the agent that calls it reads below {wanted.root!r}: give both the same")
    beyond = sorted(set(entry.allow_hosts or ()) - set(wanted.hosts))
    if beyond:
        raise ConfigInvalid(f"{project.file}: agents.{name}.allow_hosts names {beyond[0]!r}, which the agent that calls it may not reach: allow it there, too")
