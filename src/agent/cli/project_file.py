"""`seasoned.toml`: what it may hold, and clear words where it holds something else. Keys of providers are never read from it."""

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from agent.config import STORED_SETTINGS
from agent.errors import BadInput, ConfigInvalid
from agent.models.value import Value

FILE_NAME = "seasoned.toml"
MAX_BYTES = 1_000_000
_SECRETS = re.compile(r"(^|_)(key|token|secret|password|credentials?)$")
Count = Annotated[int, msgspec.Meta(ge=0)]
Some = Annotated[int, msgspec.Meta(ge=1)]
Amount = Annotated[float, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Chance = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Name = Annotated[str, msgspec.Meta(min_length=1)]
Taint = Literal["off", "warn", "ask"]
T = TypeVar("T", bound=Value)


class ModelEntry(Value, frozen=True, kw_only=True):
    """`[models.NAME]`: a name of your own for a model."""

    model: Name
    base_url: Name | None = None
    options: dict[str, Any] = {}
    settings: dict[str, Any] = {}


class AgentEntry(Value, frozen=True, kw_only=True):
    """`[agents.NAME]`: what `--agent NAME` stands for, and the tool `agent:NAME`."""

    description: Name | None = None
    model: Name | None = None
    system: str | None = None
    system_file: Name | None = None
    tools: list[Name] | None = None
    root: Name | None = None
    allow_hosts: list[Name] | None = None
    max_iterations: Count | None = None
    memory: bool | None = None
    agent_type: Name | None = None
    settings: dict[str, Any] = {}


class ToolsEntry(Value, frozen=True, kw_only=True):
    """`[tools]`: modules of your own tools, what the built-in ones may reach, and what stands before all of them."""

    modules: list[Name] = []
    root: Name | None = None
    allow_hosts: list[Name] = []
    policies: list[Name] = []
    taint: Taint | None = None


class SkillsEntry(Value, frozen=True, kw_only=True):
    """`[skills]`: folders whose skills the runs of this project are told of."""

    paths: list[Name] = []
    scope: Name | None = None


class LimitsEntry(Value, frozen=True, kw_only=True):
    """`[limits]`: bounds on every run; each is a field of `AgentConfig`, or one of its `limits`."""

    max_iterations: Count | None = None
    parallel_tools: Some | None = None
    tool_timeout_s: Seconds | None = None
    probe_timeout_s: Seconds | None = None
    max_result_chars: Some | None = None
    max_tool_calls_per_turn: Some | None = None
    max_agent_depth: Count | None = None
    max_task_chars: Some | None = None
    context_window: Some | None = None
    compact_at: Share | None = None
    compact_keep: Share | None = None
    keep_turns: Count | None = None
    memory_limit: Count | None = None
    memory_relevance: Chance | None = None
    memory_max_chars: Some | None = None
    memory_max_tokens: Some | None = None
    memory_max_rule_chars: Some | None = None
    skill_limit: Count | None = None
    skill_whole_chars: Count | None = None
    memory_timeout_s: Seconds | None = None
    extractor_timeout_s: Seconds | None = None
    tool_failure_ttl_days: Seconds | None = None
    max_tool_calls: Count | None = None
    max_total_tokens: Count | None = None
    max_cost: Amount | None = None
    max_wall_s: Amount | None = None
    max_repeated_calls: Some | None = None
    max_output_repairs: Count | None = None
    final_answer_timeout_s: Seconds | None = None
    max_runs_per_day: Count | None = None
    max_tokens_per_day: Count | None = None
    max_cost_per_day: Amount | None = None


class MemoryEntry(Value, frozen=True, kw_only=True):
    """`[memory]`: whose memory runs read besides their own, and how its effect is measured; each is a field of `AgentConfig`."""

    project: Name | None = None
    withhold: Chance | None = None
    withhold_from: Some | None = None
    withhold_rules: bool | None = None
    withhold_seed: int | str | None = None


class ProjectFile(Value, frozen=True, kw_only=True):
    """A whole `seasoned.toml`."""

    db: Name | None = None
    uid: Name | None = None
    language: Literal["en", "zh"] | None = None
    extractor: Literal["verbatim", "llm"] | None = None
    extractor_model: Name | None = None
    model: Name | None = None
    agent: Name | None = None
    models: dict[str, Any] = {}
    agents: dict[str, Any] = {}
    tools: dict[str, Any] = {}
    skills: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    memory: dict[str, Any] = {}


class Project(Value, frozen=True, kw_only=True):
    """The settings of a folder: those of its `seasoned.toml`, or none. Paths in it are below `folder`, where the file lies."""

    folder: Path
    file: Path | None = None
    is_named: bool = False  # by --config or its variable: not found from the working folder upwards
    top: ProjectFile = ProjectFile()
    models: dict[str, ModelEntry] = {}
    agents: dict[str, AgentEntry] = {}
    tools: ToolsEntry = ToolsEntry()
    skills: SkillsEntry = SkillsEntry()
    limits: LimitsEntry = LimitsEntry()
    memory: MemoryEntry = MemoryEntry()

    def agent(self, name: str | None) -> AgentEntry:
        """Return the agent of this name; without a name the file's own choice, or one that settles nothing.

        Raises:
            ConfigInvalid: there is none of this name.
        """
        wanted = name or self.top.agent
        if wanted is None:
            return AgentEntry()
        if wanted not in self.agents:
            where = f"{self.file} has" if self.file else f"without a {FILE_NAME} there are"
            raise ConfigInvalid(f"no agent {wanted!r}: {where} {', '.join(sorted(self.agents)) or 'none'}{_near(wanted, self.agents)}")
        return self.agents[wanted]


def load_project(path: Path | None) -> Project:
    """Return the settings of `path`, or of the nearest `seasoned.toml` from the working folder upwards, or none.

    Raises:
        ConfigInvalid: the file cannot be read, or something in it cannot be used; names the key and what is allowed.
    """
    found = path if path is not None else _nearest(Path.cwd())
    if found is None:
        return Project(folder=Path.cwd())
    table = _read(found)
    top = _typed(table, ProjectFile, "", found)
    models = {name: _model(name, entry, found) for name, entry in top.models.items()}
    agents = {name: _typed(entry, AgentEntry, f"agents.{name}", found) for name, entry in top.agents.items()}
    for name, entry in agents.items():
        _check_settings(entry.settings, f"agents.{name}.settings", found)
        if entry.system is not None and entry.system_file is not None:
            raise ConfigInvalid(f"{found}: agents.{name} has both system and system_file: keep one")
    project = Project(
        folder=found.absolute().parent,
        file=found,
        is_named=path is not None,
        top=top,
        models=models,
        agents=agents,
        tools=_typed(top.tools, ToolsEntry, "tools", found),
        skills=_typed(top.skills, SkillsEntry, "skills", found),
        limits=_typed(top.limits, LimitsEntry, "limits", found),
        memory=_typed(top.memory, MemoryEntry, "memory", found),
    )
    project.agent(None)
    return project


def _nearest(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        candidate = place / FILE_NAME
        if not candidate.is_file():
            continue
        owner = candidate.stat().st_uid if hasattr(os, "getuid") else 0
        if hasattr(os, "getuid") and owner not in (0, os.getuid()):
            raise ConfigInvalid(f"{candidate} belongs to another user (number {owner}) and was not read: name it with --config to use it all the same")
        return candidate
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be read ({error.strerror}): name another file with --config") from None
    if len(text) > MAX_BYTES:
        raise ConfigInvalid(f"{path} is larger than {MAX_BYTES} bytes: that is no file of settings")
    try:
        return tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigInvalid(f"{path} is no valid TOML: {error}") from None


def _model(name: str, entry: Any, path: Path) -> ModelEntry:
    from agent.llm.names import parse_chain

    where = f"models.{name}"
    model = _typed(entry, ModelEntry, where, path)
    for table, inside in (("options", model.options), ("settings", model.settings)):
        _refuse_secrets(inside, f"{where}.{table}", path)
    _check_settings(model.settings, f"{where}.settings", path)
    if model.model.startswith("scripted:"):
        return model
    try:
        names = parse_chain(model.model)
    except BadInput as error:
        raise ConfigInvalid(f"{path}: {where}.model: {error}") from None
    fixed = next((one for one in names if one.endpoint.base_url is not None and not one.endpoint.runs_here), None)
    if model.base_url is not None and fixed is not None:
        raise ConfigInvalid(
            f"{path}: {where}.base_url: a file may not send the key of {fixed.provider} elsewhere; use model = 'openai-compatible:{fixed.model}' "
            f"(its key is OPENAI_COMPATIBLE_API_KEY), or set {fixed.provider.upper().replace('-', '_')}_BASE_URL in the environment"
        )
    return model


def _check_settings(settings: dict[str, Any], where: str, path: Path) -> None:
    _refuse_secrets(settings, where, path)
    unknown = next((key for key in settings if key not in STORED_SETTINGS), None)
    if unknown is not None:
        raise ConfigInvalid(
            f"{path}: {where}.{unknown} is no setting of a model{_near(unknown, STORED_SETTINGS)}; allowed are {', '.join(sorted(STORED_SETTINGS))}"
        )


def _refuse_secrets(table: dict[str, Any], where: str, path: Path) -> None:
    secret = next((key for key in table if _SECRETS.search(key.lower())), None)
    if secret is not None:
        raise ConfigInvalid(f"{path}: {f'{where}.' if where else ''}{secret}: keys are never read from a file; set the provider's variable in the environment")


def _typed(table: Any, kind: type[T], where: str, path: Path) -> T:
    """Return a table as a value of `kind`.

    Raises:
        ConfigInvalid: names the key, and what is allowed.
    """
    prefix = f"{where}." if where else ""
    if not isinstance(table, dict):
        raise ConfigInvalid(f"{path}: {where} must be a table, written [{where}]")
    allowed = kind.__struct_fields__
    unknown = next((key for key in table if key not in allowed), None)
    if unknown is not None:
        _refuse_secrets({unknown: None}, where, path)
        raise ConfigInvalid(
            f"{path}: unknown key {prefix + unknown!r}{_near(unknown, allowed)}; allowed{f' in [{where}]' if where else ''} are {', '.join(allowed)}"
        )
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        key = place.rstrip("`").removeprefix(".").removesuffix("[...]")
        raise ConfigInvalid(f"{path}: {prefix}{key}: {what}" if key else f"{path}: {where or 'the file'}: {what}") from None


def _near(word: str, words: Any) -> str:
    close = difflib.get_close_matches(word, list(words), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
