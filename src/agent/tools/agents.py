"""An agent as a tool: what is declared of it. The engine carries its calls out by runs of their own."""

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from agent.errors import ConfigInvalid, ToolNotFound, ToolRefused
from agent.tools.agent_spec import AgentSpec
from agent.tools.options import ToolOptions

OPTIONS = ("effect", "requires_confirmation", "editable_params", "expires", "max_result_chars", "untrusted")
"""The options of a tool that an agent as a tool can have."""


class _Named(Protocol):
    """A tool as far as agents are looked for."""

    @property
    def agent(self) -> AgentSpec | None:
        """What is declared of an agent; None for any other tool."""
        ...


class Tools(Protocol):
    """A registry as far as agents are looked for."""

    def get(self, name: str) -> _Named:
        """Return the tool of this name."""
        ...


def spec_of(name: str, *, tools: Sequence[str] | None, limits: Mapping[str, Any] | None, settings: Mapping[str, Any] | None, **fields: Any) -> AgentSpec:
    """Return a declaration, checked as far as it can be before a run.

    Raises:
        ConfigInvalid: says which part of which agent cannot be used.
    """
    if isinstance(tools, str) or not all(isinstance(one, str) for one in tools or ()):
        raise ConfigInvalid(f"agent {name!r}: tools={tools!r} is no list of names")
    for part, table in (("limits", limits), ("settings", settings)):
        if table is not None and (not isinstance(table, Mapping) or not all(isinstance(key, str) for key in table)):
            raise ConfigInvalid(f"agent {name!r}: {part}={table!r:.100} is no dict by name")
    for part in ("model", "system_prompt", "agent_type"):
        if fields[part] is not None and not isinstance(fields[part], str):
            raise ConfigInvalid(f"agent {name!r}: {part}={fields[part]!r:.100} is no text")
    if fields["llm_call"] is not None and not callable(fields["llm_call"]):
        raise ConfigInvalid(f"agent {name!r}: llm_call={fields['llm_call']!r:.100} cannot be called")
    if fields["memory"] not in ("own", "parent", None):
        raise ConfigInvalid(f"agent {name!r}: memory={fields['memory']!r} is none of 'own', 'parent', None")
    if fields["memory"] == "parent" and fields["agent_type"] is not None:
        raise ConfigInvalid(f"agent {name!r}: with memory='parent' its runs are of the agent type that calls them: leave agent_type out")
    bound = fields["max_iterations"]
    if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 0):
        raise ConfigInvalid(f"agent {name!r}: max_iterations={bound!r} is no whole number from 0 on")
    return AgentSpec(tools=tuple(dict.fromkeys(tools or ())), limits=dict(limits or {}), settings=dict(settings or {}), **fields)


def agent_options(name: str, options: ToolOptions) -> ToolOptions:
    """Return the options with the effect of an agent: `idempotent`, since a call's run is the same at every attempt.

    Raises:
        ConfigInvalid: an option makes no sense for an agent.
    """
    unknown = next((option for option in options if option not in OPTIONS), None)
    if unknown is not None:
        raise ConfigInvalid(f"agent {name!r}: it takes no {unknown}=; there are {', '.join(OPTIONS)}, and limits= for how long its runs may take")
    effect = options.get("effect") or "idempotent"
    if effect == "transactional":
        raise ConfigInvalid(f"agent {name!r}: effect='transactional' is for tools that change only ctx.state; its own tools say what they do")
    return {**options, "effect": effect}


def function_of(name: str) -> Callable[..., Awaitable[str]]:
    """Return what stands for an agent where a function is expected."""

    async def ask(task: str) -> str:
        """Ask the agent.

        Args:
            task: what is to be done, with all that the agent has to know: it sees nothing else of this conversation
        """
        raise ToolRefused(f"{name!r} is an agent: a run can call it, registry.execute() cannot (task {task!r:.50})")

    assert inspect.iscoroutinefunction(ask)
    return ask


def reachable(registry: Tools, names: Iterable[str], built_in: str) -> Iterator[str]:
    """Yield the names of the tools that the agents among `names` are offered, and those that their agents are offered, once each.

    `built_in` is the one that needs no entry in the registry.

    Raises:
        ToolNotFound: an agent is offered a tool that there is not; names both.
    """
    seen = {built_in}
    todo = [name for name in names if name not in seen]
    while todo:
        name = todo.pop()
        spec = registry.get(name).agent
        for inner in spec.tools if spec is not None else ():
            if inner in seen:
                continue
            try:
                registry.get(inner)
            except ToolNotFound as error:
                raise ToolNotFound(inner, f"the agent {name!r} is to be offered it; {error.hint}") from None
            seen.add(inner)
            todo.append(inner)
            yield inner
