"""Who plays in a run: the options of the command, the agent of seasoned.toml, and its defaults, in this order."""

import json
from pathlib import Path
from typing import Any

from agent.cli.project_file import AgentEntry, Project, Taint
from agent.cli.toolbox import Wanted, split_names
from agent.config import AgentConfig
from agent.errors import BadInput, ConfigInvalid
from agent.models.value import Value

MAX_SYSTEM_CHARS = 1_000_000
MAX_SCHEMA_BYTES = 1_000_000


class Given(Value, frozen=True, kw_only=True):
    """Options as given on the command line; None: not given."""

    agent: str | None = None
    model: str | None = None
    system: str | None = None
    tools: list[str] | None = None
    root: Path | None = None
    hosts: list[str] | None = None
    max_iterations: int | None = None
    limits: dict[str, Any] = {}
    output_schema: Path | None = None
    memory: bool | None = None
    wishes: dict[str, list[str]] | None = None  # of memory, for this run: pinned and excluded ids
    policies: list[str] | None = None
    taint: Taint | None = None


class Cast(Value, frozen=True, kw_only=True):
    """What a run begins with."""

    model: str | None
    system: str | None
    wanted: Wanted
    agent_type: str | None
    max_iterations: int | None
    limits: dict[str, Any]
    output_schema: dict[str, Any] | None
    memory: bool | None
    settings: dict[str, Any]
    wishes: dict[str, list[str]] | None = None


def cast_of(given: Given, project: Project) -> Cast:
    """Return what a run begins with.

    Raises:
        ConfigInvalid: no such agent, or its prompt cannot be read.
    """
    entry = project.agent(given.agent)
    names = split_names(given.tools) if given.tools is not None else tuple(entry.tools or ())
    root = str(given.root.absolute()) if given.root is not None else _below(project, entry.root or project.tools.root)
    hosts = tuple(given.hosts) if given.hosts is not None else tuple(entry.allow_hosts if entry.allow_hosts is not None else project.tools.allow_hosts)
    modules = tuple(project.tools.modules) if any(":" not in name for name in names) else ()
    return Cast(
        model=given.model or entry.model or project.top.model,
        system=given.system if given.system is not None else system_of(entry, project),
        wanted=Wanted(names=names, modules=modules, root=root, hosts=split_names(hosts)),
        agent_type=entry.agent_type or given.agent or project.top.agent,
        max_iterations=given.max_iterations if given.max_iterations is not None else entry.max_iterations,
        limits=given.limits,
        output_schema=_schema(given.output_schema),
        memory=given.memory if given.memory is not None else entry.memory,
        settings=entry.settings,
        wishes=given.wishes,
    )


def wishes_of(pin: list[str] | None, exclude: list[str] | None) -> dict[str, list[str]] | None:
    """Return what a run asks of memory, by `--pin` and `--exclude`."""
    return {"pinned": pin or [], "excluded": exclude or []} if pin or exclude else None


def folders_of(project: Project) -> list[Path]:
    """Return where modules of one's own tools are looked for: here, then beside seasoned.toml."""
    return list(dict.fromkeys((Path.cwd(), project.folder)))


def config_of(project: Project) -> AgentConfig:
    """Return the runner's settings, with the limits of seasoned.toml and what it says of memory."""
    config = AgentConfig()
    for name in project.limits.__struct_fields__:
        value = getattr(project.limits, name)
        if value is None:
            continue
        if hasattr(config, name):
            setattr(config, name, value)
        else:
            config.limits[name] = value
    for name in project.memory.__struct_fields__:
        value = getattr(project.memory, name)
        if value is not None:
            setattr(config, name, value)
    config.language = project.top.language or config.language
    config.extractor = project.top.extractor or config.extractor
    config.extractor_model = project.top.extractor_model
    return config


def _below(project: Project, path: str | None) -> str | None:
    return str((project.folder / Path(path).expanduser()).absolute()) if path is not None else None


def _schema(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            schema = json.loads(file.read(MAX_SCHEMA_BYTES + 1))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"--output-schema {str(path)!r} cannot be read as JSON: {error}") from None
    if not isinstance(schema, dict):
        raise BadInput(f"--output-schema {str(path)!r} holds no JSON schema: it is to be an object")
    return schema


def system_of(entry: AgentEntry, project: Project) -> str | None:
    """Return the system prompt of an agent.

    Raises:
        ConfigInvalid: its file cannot be read.
    """
    if entry.system_file is None:
        return entry.system
    path = project.folder / entry.system_file
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{project.file}: the system prompt {str(path)!r} cannot be read: {error}") from None
    if len(text) > MAX_SYSTEM_CHARS:
        raise ConfigInvalid(f"{project.file}: the system prompt {str(path)!r} has more than {MAX_SYSTEM_CHARS} characters")
    return text
