"""What stands between a model and its tools: the policies and the taint that a run is held to."""

from collections.abc import Sequence
from pathlib import Path

from agent.cli.casting import Given, config_of, folders_of
from agent.cli.project_file import Project
from agent.cli.toolbox import import_named, split_names
from agent.config import AgentConfig
from agent.errors import ConfigInvalid
from agent.models.policy import Policy


def policy_specs(project: Project, given: Given, kept: Sequence[str] = ()) -> list[str]:
    """Return the hooks of a run as `module:function`: those of seasoned.toml, those it began with, those given now; none takes another's place."""
    return list(dict.fromkeys((*project.tools.policies, *kept, *split_names(given.policies))))


def guarded_config(project: Project, given: Given, kept: Sequence[str] = (), folders: Sequence[Path] = ()) -> AgentConfig:
    """Return the runner's settings with its policies, which are looked for in `folders` as well.

    Raises:
        ConfigInvalid: a hook cannot be loaded.
    """
    config = config_of(project)
    config.policies = [load_policy(spec, [*folders_of(project), *folders]) for spec in policy_specs(project, given, kept)]
    config.taint = given.taint or project.tools.taint or config.taint
    return config


def load_policy(spec: str, folders: Sequence[Path]) -> Policy:
    """Return the hook that `module:function` means.

    Raises:
        ConfigInvalid: no such module or name, its code raised, or it is no function.
    """
    found = import_named(spec, folders, "no policy: write module:function, such as my_policies:no_large_sums (no path, no .py)")
    if not callable(found):
        raise ConfigInvalid(f"{spec!r} is a {type(found).__name__}, not a function of one PolicyCall that returns allow(), deny(…) or ask(…)")
    return found
