"""A caller's arguments become the first step of a run."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import agent.models.payloads as said
from agent.config import ANONYMOUS, STORED_SETTINGS, AgentConfig
from agent.core.redact import Redactor
from agent.core.state import CutResult, RunState, Source
from agent.core.wording import wording
from agent.engine.asking import text_of
from agent.engine.compacting import check_compaction
from agent.engine.cut_results import READ_RESULT, schema_of
from agent.engine.gates import policy_names, seen_sources
from agent.engine.given_messages import well_formed
from agent.engine.limits import checked_limits, within_limits
from agent.engine.shop import Shop
from agent.errors import BadInput
from agent.models.message import task_text, user_message
from agent.models.trace import Trace
from agent.models.value import Value
from agent.tools.output import OutputChecker, schema_text
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool


class Request(Value, frozen=True, kw_only=True):
    """What `run` was called with, after the defaults of the configuration."""

    task: Any
    messages: Sequence[Mapping[str, Any]] | None
    system_prompt: str | None
    model: str
    tools: Sequence[str] | None
    agent_type: str
    uid: str
    max_iterations: int
    enable_memory: bool
    auto_execute_tools: bool
    conversation_id: str | None
    limits: dict[str, Any]
    keywords: dict[str, Any]
    memory: Mapping[str, Any] = {}  # items by their ids that are told in any case, or not
    output: OutputChecker | None = None
    untrusted: tuple[Source, ...] = ()  # where untrusted words in what it goes on from came from
    cut: tuple[CutResult, ...] = ()  # results in what it goes on from that can be read on


def tenant(uid: str | None) -> str:
    """Return the uid that a run belongs to.

    Raises:
        BadInput: the uid is empty.
    """
    if uid is None:
        return ANONYMOUS
    if not isinstance(uid, str) or not uid.strip():
        raise BadInput(f"uid {uid!r} names nobody: leave it out to be the tenant {ANONYMOUS!r}, or give a name")
    return uid


def input_of(request: Request, tools: ToolRegistry, redactor: Redactor, config: AgentConfig, continues: tuple[str, int] | None) -> said.Input:
    """Return the first step of a run. The caller's values are copied, secrets taken out, keys left out.

    Raises:
        BadInput: task or messages have no usable shape.
        ToolNotFound: no such tool.
    """
    check_compaction(config, request.model)
    system, messages = system_and_messages(request.system_prompt, checked_messages(request.messages, redactor), redactor)
    names = list(dict.fromkeys(request.tools)) if request.tools else []
    stored, unstored = split_settings(request.keywords)
    schema = redactor.value(request.output.schema) if request.output is not None else None
    return said.Input(
        task=checked_task(request.task, redactor, config),
        messages=messages if schema is None else [*messages, *telling_schema(schema, request.keywords, config.language)],
        system=system,
        tools=[name for name in names if not _is_built_in(name, tools)] or None,
        schemas=_schemas(names, tools, config) if names else [],
        model=request.model,
        agent_type=request.agent_type,
        settings=stored,
        unstored=unstored,
        max_iterations=request.max_iterations,
        auto_execute_tools=request.auto_execute_tools,
        enable_memory=request.enable_memory,
        memory=dict(request.memory),
        project=config.project if request.enable_memory else None,
        memory_placement=config.memory_placement,
        continues={"trace_id": continues[0], "sequence": continues[1]} if continues else None,
        limits=request.limits,
        language=config.language,
        output_schema=schema,
        policies=policy_names(config),
        taint=config.taint,
        cut_results=[{"result_id": one.result_id, "trace_id": one.trace_id, "sequence": one.sequence} for one in request.cut],
        tainted_by=[{"tool_name": source.tool_name, "step_id": source.step_id} for source in request.untrusted],
    )


def telling_schema(schema: dict[str, Any], keywords: Mapping[str, Any], language: str) -> list[dict[str, Any]]:
    """Return the message that tells a model the form of its answer; none where the caller's `response_format` does."""
    return [] if "response_format" in keywords else [user_message(wording("output_schema", language, schema=schema_text(schema)))]


def subrun_request(shop: Shop, state: RunState, tool: Tool, arguments: Mapping[str, Any], *, uid: str | None, passing: Mapping[str, Any]) -> Request:
    """Return what the run of a call begins with: as its agent was declared, within what its caller may do and has left."""
    spec, asked = tool.agent, state.input
    assert spec is not None
    assert asked is not None
    is_parents = spec.memory == "parent"
    unstored = {} if spec.llm_call is not None else {name: value for name, value in passing.items() if name in asked.unstored}
    limits = within_limits(checked_limits(spec.limits), state)
    bound = spec.max_iterations if spec.max_iterations is not None else limits.get("max_iterations", shop.config.max_iterations)
    return Request(
        task=arguments["task"],
        messages=None,
        system_prompt=spec.system_prompt,
        model=spec.model if spec.model is not None else asked.model,
        tools=spec.tools,
        agent_type=(asked.agent_type if is_parents else spec.agent_type or tool.name) or shop.config.agent_type,
        uid=tenant(uid),
        max_iterations=bound,
        enable_memory=shop.memories is not None and (spec.memory == "own" or (is_parents and asked.enable_memory)),
        memory=asked.memory if is_parents else {},
        auto_execute_tools=asked.auto_execute_tools,
        conversation_id=None,
        limits=limits,
        keywords={**spec.settings, **unstored},
        untrusted=seen_sources(state),  # the task is made of what the caller's model has read
    )


def _is_built_in(name: str, tools: ToolRegistry) -> bool:
    return name == READ_RESULT and name not in tools


def _schemas(names: list[str], tools: ToolRegistry, config: AgentConfig) -> list[dict[str, Any]]:
    own = tools.get_schemas([name for name in names if not _is_built_in(name, tools)])
    return [*own, *(schema_of(config.language) for name in names if _is_built_in(name, tools))]


def check_kinds(request: Request) -> None:
    """Return where all that a caller gave has the kind of thing that it is to be.

    Raises:
        BadInput: says which has not.
    """
    refuse_blank(request.task)
    required: dict[str, Any] = {"model": request.model, "agent_type": request.agent_type}
    optional: dict[str, Any] = {"system_prompt": request.system_prompt, "conversation_id": request.conversation_id}
    for name, text in required.items():
        if not isinstance(text, str):
            raise BadInput(f"{name} must be text, not {text!r}")
    for name, text in optional.items():
        if text is not None and not isinstance(text, str):
            raise BadInput(f"{name} must be text or left out, not {text!r}")
    for name, items in (("messages", request.messages), ("tools", request.tools)):
        if items is not None and not isinstance(items, Iterable):
            raise BadInput(f"{name} must be a list or left out, not {items!r:.100}")
    if isinstance(request.tools, str) or not all(isinstance(name, str) for name in request.tools or ()):
        raise BadInput(f"tools must be a list of names, not {request.tools!r}")


def refuse_blank(task: Any) -> None:
    """Return where a task says something.

    Raises:
        BadInput: it is blank.
    """
    if isinstance(task, str) and not task.strip():
        raise BadInput("the task is blank: say what is to be done, such as 'Which order is the oldest?'")


def trace_of(request: Request, payload: said.Input, trace_id: str) -> Trace:
    """Return the trace of a run that begins."""
    context: dict[str, Any] = {"model": request.model, **payload.settings}
    return Trace.create(
        trace_id=trace_id,
        mode="agent",
        task=task_text(payload.task),
        agent_type=request.agent_type,
        uid=request.uid,
        context=context,
        conversation_id=request.conversation_id,
    )


def split_settings(keywords: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the keywords that may be stored, and the names of those that may not (keys and clients live there)."""
    stored: dict[str, Any] = {}
    for name, value in keywords.items():
        if name in STORED_SETTINGS and _is_json(value):
            stored[name] = json.loads(json.dumps(value))
    return stored, sorted(name for name in keywords if name not in stored)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def checked_task(task: Any, redactor: Redactor, config: AgentConfig) -> Any:
    """Return a task as it is recorded: copied, secrets taken out.

    Raises:
        BadInput: it has no usable shape, or is too long.
    """
    if isinstance(task, str):
        if len(task) > config.max_task_chars:
            raise BadInput(
                f"the task has {len(task)} characters, more than max_task_chars={config.max_task_chars}: put the material into a file that a tool reads"
            )
        return redactor.text(task)
    if isinstance(task, list) and task and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in task) and _is_json(task):
        return redactor.value(json.loads(json.dumps(task)))
    raise BadInput(f"the task must be text, or a list of content parts such as {{'type': 'text', 'text': …}}, not {type(task).__name__}")


def checked_messages(messages: Sequence[Mapping[str, Any]] | None, redactor: Redactor) -> list[dict[str, Any]]:
    """Return a caller's messages as they are recorded.

    Raises:
        BadInput: one is none, or they are in no order that providers take.
    """
    copied: list[dict[str, Any]] = []
    for position, message in enumerate(messages or ()):
        if not isinstance(message, Mapping) or message.get("role") not in ("system", "developer", "user", "assistant", "tool"):
            raise BadInput(f"messages[{position}] is no message: it needs a 'role' of system, user, assistant or tool")
        try:
            copied.append(redactor.value(json.loads(json.dumps(dict(message), allow_nan=False))))
        except (TypeError, ValueError, RecursionError) as error:
            raise BadInput(f"messages[{position}] cannot be recorded: {error}") from error
    return well_formed(copied)


def system_and_messages(system_prompt: str | None, messages: list[dict[str, Any]], redactor: Redactor) -> tuple[str | None, list[dict[str, Any]]]:
    """Take leading system messages into the system prompt: kept, never doubled."""
    texts = [redactor.text(system_prompt)] if system_prompt else []
    rest = list(messages)
    while rest and rest[0]["role"] == "system":
        text = text_of(rest.pop(0).get("content"))
        if text and text not in texts:
            texts.append(text)
    return "\n\n".join(texts) or None, rest
