"""The tools a program offers, by name."""

import difflib
import hashlib
import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, Unpack, overload

import msgspec

from agent.errors import AgentError, BadInput, ConfigInvalid, ToolArgumentsInvalid, ToolFailed, ToolNotFound
from agent.models.value import replace as with_changes
from agent.tools.agent_spec import MemoryScope, Model
from agent.tools.agents import agent_options, function_of, spec_of
from agent.tools.arguments import needs_confirmation, parse_arguments
from agent.tools.calls import RawCall, call_keys, read_calls
from agent.tools.context import ToolContext
from agent.tools.docstrings import read_docstring
from agent.tools.given_schema import build_given_checker
from agent.tools.invoke import clip, invoke, to_text
from agent.tools.options import ToolOptions, checked_name, checked_options
from agent.tools.processes import checked_isolation
from agent.tools.schema import build_checker
from agent.tools.signature import context_parameter_of, is_async, read_signature
from agent.tools.tool import ArgumentChecker, EffectUndeclared, Tool

F = TypeVar("F", bound=Callable[..., Any])


class ToolRegistry:
    """Tools by name. Registering is for the start of a program; reading is safe from any thread."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}
        self._lock = threading.Lock()

    # ---- registering

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self, function: None = None, /, *, name: str | None = None, description: str | None = None, replace: bool = False, **options: Unpack[ToolOptions]
    ) -> Callable[[F], F]: ...
    def tool(
        self, function: F | None = None, /, *, name: str | None = None, description: str | None = None, replace: bool = False, **options: Unpack[ToolOptions]
    ) -> F | Callable[[F], F]:
        """Register the decorated function and return it unchanged; with or without parentheses. See `register`."""

        def decorate(decorated: F) -> F:
            self.register(decorated, name=name, description=description, replace=replace, **options)
            return decorated

        return decorate if function is None else decorate(function)

    def register(
        self, function: Callable[..., Any], *, name: str | None = None, description: str | None = None, replace: bool = False, **options: Unpack[ToolOptions]
    ) -> Tool:
        """Return the tool made of a function: schema from its type hints, descriptions from its docstring.

        Without `effect` it is taken for `unsafe`, with a warning (`EffectUndeclared`) that says how to declare it.

        Raises:
            SchemaUnsupported: its signature gives no schema.
            ConfigInvalid: an option, or the name, cannot be used, or is taken.
        """
        signature = read_signature(function)
        own_name = checked_name(signature.name if name is None else name)
        documentation = read_docstring(signature.doc)
        parameters, checker = build_checker(own_name, signature, documentation)
        text = documentation.description if description is None else description
        tool = _make(own_name, text, parameters, function, checker, context_parameter=signature.context_parameter, options=options)
        return self._keep(tool, replace=replace, is_declared=options.get("effect") is not None)

    def add(
        self,
        name: str,
        json_schema: dict[str, Any],
        function: Callable[..., Any],
        *,
        description: str = "",
        replace: bool = False,
        **options: Unpack[ToolOptions],
    ) -> Tool:
        """Return the tool made of a JSON schema of its parameters and a callable.

        The callable is given the arguments by name, or as one dict where it takes one parameter that is none of the
        schema's properties; and the context, where it has a parameter of that type.

        Raises:
            SchemaUnsupported: the schema cannot be used, or does not fit the callable.
            ConfigInvalid: as `register`.
        """
        own_name = checked_name(name)
        if options.get("isolation") == "process":
            raise ConfigInvalid(f"tool {own_name!r}: isolation='process' needs type hints: use register(), not add() with a schema")
        if not callable(function):
            raise ConfigInvalid(f"tool {own_name!r}: {function!r} cannot be called")
        context_parameter = context_parameter_of(function)
        parameters, checker = build_given_checker(own_name, json_schema, function, context_parameter)
        tool = _make(own_name, description, parameters, function, checker, context_parameter=context_parameter, options=options)
        return self._keep(tool, replace=replace, is_declared=options.get("effect") is not None)

    def add_agent(
        self,
        name: str,
        description: str,
        *,
        model: str | None = None,
        llm_call: Model | None = None,
        system_prompt: str | None = None,
        tools: Sequence[str] | None = None,
        agent_type: str | None = None,
        max_iterations: int | None = None,
        limits: Mapping[str, Any] | None = None,
        memory: MemoryScope = None,
        settings: Mapping[str, Any] | None = None,
        replace: bool = False,
        **options: Unpack[ToolOptions],
    ) -> Tool:
        """Return an agent as a tool: a call of it, with a `task` in words, is carried out by a run of its own.

        Its `tools` are names in this registry. Without `model` it asks the caller's; `llm_call` is another model than the
        runner's, `settings` go to it. `limits` bound each of its runs, which may never use more than its caller has left.
        `memory`: `own` is that of its `agent_type` (the name, unless given), `parent` the caller's, None none. `effect` says
        what policies take a call for; whatever it is, a call that was cut off goes on in the same run.

        Raises:
            ConfigInvalid: as `register`, or a part of it cannot be used.
        """
        own_name = checked_name(name)
        spec = spec_of(
            own_name,
            tools=tools,
            limits=limits,
            settings=settings,
            model=model,
            llm_call=llm_call,
            system_prompt=system_prompt,
            agent_type=agent_type,
            max_iterations=max_iterations,
            memory=memory,
        )
        function = function_of(own_name)
        signature = read_signature(function)
        parameters, checker = build_checker(own_name, signature, read_docstring(signature.doc))
        tool = _make(own_name, description, parameters, function, checker, context_parameter=None, options=agent_options(own_name, options))
        return self._keep(with_changes(tool, agent=spec, schema_hash=spec.digest(tool.schema_hash)), replace=replace, is_declared=True)

    def _keep(self, tool: Tool, *, replace: bool, is_declared: bool) -> Tool:
        with self._lock:
            if tool.name in self._tools and not replace:
                raise ConfigInvalid(f"a tool {tool.name!r} is registered already: give another name=, or replace=True")
            self._tools = {**self._tools, tool.name: tool}  # a new dict: readers in other threads iterate the old one
        if not is_declared:
            warnings.warn(
                f"tool {tool.name!r} declares no effect and is taken for 'unsafe': after a crash it waits for a person instead of running again. "
                "Declare effect='read' (changes nothing), 'idempotent' (same key, same effect), 'transactional' (only ctx.state) or 'unsafe'",
                EffectUndeclared,
                stacklevel=_stacklevel(),
            )
        return tool

    # ---- reading

    def get(self, name: str) -> Tool:
        """Return the tool of this name.

        Raises:
            ToolNotFound: with the nearest name.
        """
        tool = self._tools.get(name) if isinstance(name, str) else None
        if tool is None:
            raise ToolNotFound(name if isinstance(name, str) else repr(name), self._hint(name))
        return tool

    def names(self) -> list[str]:
        """Return all names, in the order of registration."""
        return list(self._tools)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._tools

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __bool__(self) -> bool:
        return True  # an empty registry is one too: `registry or default` must not pass it over

    def get_schemas(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return fresh function schemas in OpenAI's form, in the order of `names`; a name given twice counts once.

        Raises:
            ToolNotFound: one of them is not registered.
        """
        if isinstance(names, str):
            raise BadInput(f"tools={names!r} is one text; give a list of names: [{names!r}]")
        return [self.get(name).to_schema() for name in dict.fromkeys(names)]

    # ---- what a model asked for (never raises, whatever it sent)

    def check_confirmation_required(self, tool_calls: Any) -> bool:
        """Return whether any of the model's calls needs a person's agreement."""
        return any(self.get_confirmation_flags(tool_calls))

    def get_confirmation_flags(self, tool_calls: Any) -> list[bool]:
        """Return for each call whether a person must agree.

        Also asked for: an unsafe tool whose arguments had to be repaired. Not for a call that cannot run at all (unknown tool,
        arguments that do not fit): it is refused as an error.
        """
        return [self._must_ask(call) for call in read_calls(tool_calls)]

    def get_editable_params_map(self, tool_calls: Any) -> dict[str, list[str]]:
        """Return for each call which parameters a person may edit.

        The key is the call's id as the model gave it; its position ("0", "1", …) where that is missing or an
        earlier call has it.
        """
        calls = read_calls(tool_calls)
        tools = [self._tools.get(call.name or "") for call in calls]
        return {key: list(tool.editable_params) if tool else [] for key, tool in zip(call_keys(calls), tools, strict=True)}

    def _must_ask(self, call: RawCall) -> bool:
        tool = self._tools.get(call.name or "")
        if tool is None:
            return False
        try:
            parsed = parse_arguments(tool, call.arguments)
        except ToolArgumentsInvalid:
            return False
        return (parsed.was_repaired and tool.effect == "unsafe") or needs_confirmation(tool, parsed.arguments)

    # ---- running

    async def execute(self, name: str, arguments: str | dict[str, Any] | None, uid: str = "", *, timeout_s: float | None = None) -> str:
        """Return the result as text. Runs at once and asks nobody: approvals are the runner's.

        Raises:
            ToolNotFound: no tool of this name.
            ToolArgumentsInvalid: the arguments do not fit; nothing was started.
            ToolTimeout: it took longer than its own `timeout_s`, or where it has none, than the one given here.
            ToolFailed: the tool raised; its error is the cause.
        """
        tool = self.get(name)
        parsed = parse_arguments(tool, arguments)
        try:
            result = await invoke(tool, parsed.arguments, ToolContext(uid=uid or None), default_timeout_s=timeout_s)
        except AgentError:
            raise
        except Exception as error:
            raise ToolFailed(f"the tool {name!r} failed: {type(error).__name__}: {error}") from error
        return clip(to_text(result), tool.max_result_chars)

    def _hint(self, name: Any) -> str:
        if not self._tools:
            return "no tool is registered"
        near = difflib.get_close_matches(name[:100], self._tools, n=1) if isinstance(name, str) else []
        return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(self._tools)[:20])}"


def _make(
    name: str,
    description: str,
    parameters: dict[str, Any],
    function: Callable[..., Any],
    checker: ArgumentChecker,
    *,
    context_parameter: str | None,
    options: ToolOptions,
) -> Tool:
    fields = checked_options(name, options, tuple(parameters.get("properties", {})))
    has_process = checked_isolation(name, options.get("isolation"), function)
    shown = {"name": name, "description": description, "parameters": parameters}
    canonical = json.dumps(shown, sort_keys=True, separators=(",", ":"))
    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        function=function,
        checker=checker,
        is_async=is_async(function),
        has_process=has_process,
        context_parameter=context_parameter,
        schema_hash=hashlib.sha256(canonical.encode()).hexdigest(),
        schema_json=msgspec.json.encode({"type": "function", "function": shown}),
        **fields,
    )


def _stacklevel() -> int:
    """How far up the line is that registers the tool: the first one outside this file."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001  # what warnings.warn counts
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame, level = frame.f_back, level + 1
    return level


_process_wide = ToolRegistry()


def get_tool_registry() -> ToolRegistry:
    """Return the registry that all of this process shares; a runner without a registry of its own uses it."""
    return _process_wide
