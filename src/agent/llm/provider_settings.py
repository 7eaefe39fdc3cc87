"""Call settings in OpenAI's words as pydantic-ai's, for every provider."""

from collections.abc import Collection, Mapping
from typing import Any, cast

from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from agent.errors import Unsupported

_RENAMED = {"max_completion_tokens": "max_tokens", "stop": "stop_sequences", "reasoning_effort": "thinking"}
_APART = frozenset({"response_format", "tool_choice", "stream", "timeout"})


def model_settings(settings: Mapping[str, Any], *, timeout_s: float, has_tools: bool, unknown: Collection[str]) -> ModelSettings:
    """Return `settings` renamed; None means "not given". A provider leaves aside what it does not know.

    Settings of one provider only (`anthropic_…`, `google_…`) pass as they are. The provider's client tries once. Our own timeout is not
    told to a provider that does not know one (`unknown`): it would warn at each call.
    """
    out: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in _APART and value is not None:
            out[_RENAMED.get(key, key)] = value
    if isinstance(out.get("stop_sequences"), str):
        out["stop_sequences"] = [out["stop_sequences"]]
    if has_tools and settings.get("tool_choice") is not None:
        out["tool_choice"] = _tool_choice(settings["tool_choice"])
    if not has_tools:
        out.pop("parallel_tool_calls", None)
    own = {key: value for key, value in (("timeout", timeout_s), ("max_retries", 0)) if key not in unknown}
    return cast("ModelSettings", {**out, **own})


def request_parameters(tools: list[ToolDefinition], response_format: Any, *, is_native: bool) -> ModelRequestParameters:
    """Return what the model may do: call `tools`, and answer in `response_format`, which a model that does not know such is asked for in words.

    Raises:
        Unsupported: the format is not `text` or `json_schema`.
    """
    if response_format is None or (isinstance(response_format, Mapping) and response_format.get("type") == "text"):
        return ModelRequestParameters(function_tools=tools)
    given = response_format.get("json_schema") if isinstance(response_format, Mapping) and response_format.get("type") == "json_schema" else None
    if not isinstance(given, Mapping) or not isinstance(given.get("schema"), Mapping):
        raise Unsupported("response_format must be {'type': 'json_schema', 'json_schema': {'name': …, 'schema': {…}}} with this provider")
    shape = OutputObjectDefinition(json_schema=dict(given["schema"]), name=given.get("name"), description=given.get("description"), strict=given.get("strict"))
    return ModelRequestParameters(function_tools=tools, output_mode="native" if is_native else "prompted", output_object=shape)


def _tool_choice(choice: Any) -> Any:
    if isinstance(choice, Mapping):
        return [str((choice.get("function") or choice).get("name"))]
    return choice
