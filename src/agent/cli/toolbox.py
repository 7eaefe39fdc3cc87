"""The tools a run is offered: built-in ones by name, and a user's own from `module:registry`."""

import importlib
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.cli.outlet import tell
from agent.engine.cut_results import READ_RESULT
from agent.errors import ConfigInvalid, ToolNotFound
from agent.models.value import Value
from agent.tools.builtin.catalogue import BUILTIN_NAMES, register_builtin
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool

AGENT = "agent:"
"""Before the name of an agent of seasoned.toml, where tools are named."""


class GatheredTools(ToolRegistry):
    """A registry that also takes tools of other registries, as they are."""

    def adopt(self, tool: Tool) -> None:
        """Take in a tool that was registered elsewhere."""
        self._keep(tool, replace=False, is_declared=True)


class Wanted(Value, frozen=True, kw_only=True):
    """What is asked for: `names` of tools or `module:registry`, and what the built-in ones may reach."""

    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()  # loaded as well, for `names` to choose from
    root: str | None = None
    hosts: tuple[str, ...] = ()


class Toolbox(Value, frozen=True, kw_only=True):
    """A registry, and which of its tools are offered."""

    registry: ToolRegistry
    offered: tuple[str, ...] = ()
    groups: dict[str, tuple[str, ...]] = {}  # what a `module:registry` stands for
    models: tuple[Any, ...] = ()  # that agents as tools have of their own: to be closed with the run's

    @classmethod
    def empty(cls) -> "Toolbox":
        """Return one without tools."""
        return cls(registry=ToolRegistry())


def split_names(given: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names in repeated options, of which each may hold several between commas."""
    return tuple(dict.fromkeys(part.strip() for one in given or () for part in one.split(",") if part.strip()))


def open_toolbox(wanted: Wanted, folders: Sequence[Path]) -> Toolbox:
    """Return the tools asked for; modules are looked for in `folders` first, then where Python looks.

    Raises:
        ConfigInvalid: a module or registry cannot be loaded, or a built-in tool lacks what it needs.
        ToolNotFound: no built-in or loaded tool has this name.
    """
    registry = GatheredTools()
    own: dict[str, list[str]] = {}
    for spec in dict.fromkeys((*wanted.modules, *(name for name in wanted.names if ":" in name))):
        own[spec] = _take_in(registry, load_registry(spec, folders), spec)
    offered: list[str] = []
    builtin = [name for name in wanted.names if ":" not in name and name not in registry and name != READ_RESULT]  # which the runner has itself
    for name in builtin:
        if name not in BUILTIN_NAMES:
            known = ", ".join((*BUILTIN_NAMES, *registry.names()))
            raise ToolNotFound(name, f"there are {known}; a tool of your own is named module:registry")
    _check_needs(builtin, wanted)
    register_builtin(registry, builtin, root=Path(wanted.root) if wanted.root else None, http_hosts=wanted.hosts)
    for name in wanted.names:
        offered += own.get(name, [name])
    groups = {spec: tuple(names) for spec, names in own.items()}
    return Toolbox(registry=registry, offered=tuple(dict.fromkeys(offered)), groups=groups)


def _check_needs(names: Sequence[str], wanted: Wanted) -> None:
    files = next((name for name in names if name in ("read_file", "list_files")), None)
    if files is not None and wanted.root is None:
        raise ConfigInvalid(f"the tool {files} needs the folder below which it may read: --root DIR")
    if "http_get" in names and not wanted.hosts:
        raise ConfigInvalid("the tool http_get needs the hosts that it may fetch from: --allow-host example.org")


def load_registry(spec: str, folders: Sequence[Path]) -> ToolRegistry:
    """Return the `ToolRegistry` that `module:name` means.

    Raises:
        ConfigInvalid: no such module or name, its code raised, or it is something else.
    """
    found = import_named(spec, folders, "no tools: write module:registry, such as tools_example:registry (no path, no .py)")
    if not isinstance(found, ToolRegistry):
        raise ConfigInvalid(
            f"{spec!r} is a {type(found).__name__}, not a ToolRegistry: registry = agent.ToolRegistry(), then @registry.tool(…) above functions"
        )
    return found


def import_named(spec: str, folders: Sequence[Path], otherwise: str) -> object:
    """Return what `module:name` means; `otherwise` says what a spec of another form names, and how to write one.

    Raises:
        ConfigInvalid: no such module or name, or its code raised.
    """
    module_name, _, attribute = spec.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        raise ConfigInvalid(f"{spec!r} names {otherwise}")
    module = _imported(module_name, spec, folders)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            others = [name for name, value in vars(module).items() if isinstance(value, ToolRegistry)]
            raise ConfigInvalid(f"{spec!r}: the module {module_name!r} has no {part!r}" + (f"; its registries are {', '.join(others)}" if others else ""))
        found = getattr(found, part)
    return found


def _imported(module_name: str, spec: str, folders: Sequence[Path]) -> object:
    """Import with `folders` first on the path; afterwards they stand last, so that no file there hides an installed module."""
    added = [str(folder) for folder in dict.fromkeys(folders)]
    sys.path[:0] = added
    importlib.invalidate_caches()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", category=UserWarning)
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigInvalid(f"{spec!r}: there is no module {error.name!r} in {', '.join(added)}, nor where Python looks") from None
        raise ConfigInvalid(f"{spec!r}: the module {module_name!r} needs {error.name!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise ConfigInvalid(f"{spec!r}: the module {module_name!r} raised {type(error).__name__}: {error}") from error
    finally:
        for folder in added:
            sys.path.remove(folder)
        sys.path.extend(folder for folder in added if folder not in sys.path)
    for line in dict.fromkeys(str(one.message) for one in caught if issubclass(one.category, UserWarning)):
        tell(f"warning: {line}")
    return module


def _take_in(registry: GatheredTools, other: ToolRegistry, spec: str) -> list[str]:
    """Put another registry's tools into ours, as they are; return their names."""
    for tool in other:
        if tool.name in registry or tool.name in BUILTIN_NAMES:
            raise ConfigInvalid(f"{spec!r}: there is a tool {tool.name!r} already: give yours another name")
        registry.adopt(tool)
    return other.names()
