"""The tool `read_result`: a model reads on in a result that was too long to be shown whole."""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any

import agent.models.payloads as said
from agent.core.state import CutResult, RunState
from agent.core.wording import LANGUAGES, wording
from agent.engine.log import Unrecorded
from agent.engine.shop import Shop
from agent.errors import ToolFailed
from agent.models.digest import fingerprint
from agent.models.payloads import payload_of
from agent.models.trace import step_id_of
from agent.models.value import replace
from agent.storage.protocols import TraceLog
from agent.tools.context import ToolContext
from agent.tools.registry import ToolRegistry
from agent.tools.tool import Tool

READ_RESULT = "read_result"
"""The tool's name. A tool of the user's own with this name goes before it."""
MAX_READ_CHARS = 20_000
"""Characters that one call returns at most; fewer where `max_result_chars` is less."""
MAX_FOUND = 20
"""Places that a search names."""
FOUND_CHARS = 120
"""Characters that are shown around each of them."""
ID_CHARS = 8
HEAD_CHARS = 200
"""Characters of the line that says which part this is."""


def can_read(shop: Shop) -> bool:
    """Whether results that are cut can be read on: where runs are recorded, and it was not switched off."""
    return shop.config.offer_read_result and not isinstance(shop.log, Unrecorded)


def result_id_of(text: str) -> str:
    """Return the id by which the model names a result: made of its words, so that it means the same in every run."""
    return fingerprint(b"", text).hex()[:ID_CHARS]


def cut_note(text: str, limit: int, result_id: str | None, language: str) -> str:
    """Return what is put behind the beginning of a long result."""
    left = len(text) - limit
    return wording("cut_read", language, left=left, id=result_id, offset=limit) if result_id is not None else wording("cut", language, left=left)


def reading_schemas(shop: Shop, asked: said.Input, state: RunState) -> list[dict[str, Any]]:
    """Return `read_result` as the model is offered it once a result was cut; nothing where it is not."""
    if state.cut and can_read(shop) and READ_RESULT not in shop.tools and not _is_named(asked):
        return [schema_of(asked.language)]
    return []


def _is_named(asked: said.Input) -> bool:
    return any(isinstance(function := schema.get("function"), dict) and function.get("name") == READ_RESULT for schema in asked.schemas)


def schema_of(language: str) -> dict[str, Any]:
    """Return the tool's schema as the model is shown it."""
    return _tool_of(language if language in LANGUAGES else "en").to_schema()


def reading_tool(shop: Shop, state: RunState) -> Tool | None:
    """Return the tool, able to read this run's results; None where it is not offered."""
    asked = state.input
    if asked is None or READ_RESULT in shop.tools or not ((state.cut and can_read(shop)) or _is_named(asked)):
        return None
    most = min(MAX_READ_CHARS, shop.config.max_result_chars)
    longest = HEAD_CHARS + max(most, MAX_FOUND * (2 * FOUND_CHARS + HEAD_CHARS))
    return replace(
        _tool_of(asked.language if asked.language in LANGUAGES else "en"), function=_function_of(Reader(shop, state.cut, most)), max_result_chars=longest
    )


@lru_cache(maxsize=len(LANGUAGES))
def _tool_of(language: str) -> Tool:
    function = _function_of(None)
    function.__doc__ = wording("read_result", language)
    return ToolRegistry().register(function, name=READ_RESULT, effect="read")


def _function_of(reader: "Reader | None") -> Callable[..., Awaitable[str]]:
    async def read_result(ctx: ToolContext, result_id: str, offset: int = 0, length: int = MAX_READ_CHARS, find: str = "") -> str:
        """Read as the reader does; without one it is there for its signature only."""
        if reader is None:
            raise ToolFailed("there is nothing to read here")
        text = await reader.text_of(result_id.strip(), ctx)
        return _places(text, find) if find else reader.part(text, offset, length)

    return read_result


class Reader:
    """Reads the results of one run that were cut, and of those that it goes on from."""

    def __init__(self, shop: Shop, cut: tuple[CutResult, ...], most: int) -> None:
        self.shop, self.cut, self.most = shop, cut, most

    async def text_of(self, result_id: str, ctx: ToolContext) -> str:
        """Return a whole result.

        Raises:
            ToolFailed: this run has none of this id.
        """
        found = next((one for one in reversed(self.cut) if one.result_id == result_id), None)
        if found is None:
            known = ", ".join(one.result_id for one in self.cut[-MAX_FOUND:]) or "none"
            raise ToolFailed(f"there is no cut result {result_id!r:.100} here; there are: {known}")
        log = self.shop.log
        if not found.trace_id:
            steps = await log.read_steps(ctx.trace_id, after=found.sequence - 1, limit=1)
        else:
            step_id = step_id_of(found.trace_id, found.sequence)
            steps = [await log.get_step(found.trace_id, step_id, uid=ctx.uid)] if isinstance(log, TraceLog) else []
        payload = payload_of(steps[0]) if steps else None
        if not isinstance(payload, said.ToolCall) or payload.full_result is None:
            raise ToolFailed(f"the result {found.result_id} is not kept any more")
        return payload.full_result

    def part(self, text: str, offset: int, length: int) -> str:
        """Return so many characters of a result, below a line that says which.

        Raises:
            ToolFailed: it has no such character.
        """
        if not 0 <= offset < len(text):
            raise ToolFailed(f"offset {offset} is outside of the result, which has {len(text)} characters: 0 to {len(text) - 1}")
        end = min(offset + max(1, min(length, self.most)), len(text))
        more = f"; go on with offset={end}" if end < len(text) else ""
        return f"[characters {offset} to {end} of {len(text)}{more}]\n{text[offset:end]}"


def _places(text: str, find: str) -> str:
    """Return where words stand in a text, with what is around them."""
    lines: list[str] = []
    for number, match in enumerate(re.finditer(re.escape(find), text, re.IGNORECASE)):
        if number >= MAX_FOUND:
            lines.append(f"[only the first {MAX_FOUND} places: search for more words]")
            break
        begin, end = max(0, match.start() - FOUND_CHARS), min(len(text), match.end() + FOUND_CHARS)
        lines.append(f"[offset {match.start()}] …{' '.join(text[begin:end][: 3 * FOUND_CHARS].split())}…")
    return "\n".join(lines) if lines else f"[{find[:100]!r} is not in the {len(text)} characters of this result]"
