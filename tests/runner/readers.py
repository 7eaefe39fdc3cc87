"""A model that reads page after page, and sums up when it is asked to."""

from typing import Any

from agent.core.estimate import messages_tokens
from agent.core.wording import wording
from agent.errors import ContextTooLong
from agent.testing.provider_shapes import shape_faults
from agent.testing.scripted import asks, says, tool_request
from agent.tools.registry import ToolRegistry

WINDOW = 2_000


class Worker:
    """Asks for `turns` looks, then answers; sums up when that is asked. `seen` are the prompts of the run, `summed` those of summaries."""

    def __init__(self, turns: int, *, summary: Any = "the first looks found nothing", most: int | None = None, counted: bool = False) -> None:
        self.turns, self.summary, self.most, self.counted = turns, summary, most, counted
        self.seen: list[Any] = []
        self.summed: list[Any] = []

    async def __call__(self, messages: Any, model: str, tools: Any = None, **settings: Any) -> dict[str, Any]:
        """Return the next reply."""
        if messages[0]["content"] in (wording("compact_system", "en"), wording("compact_system", "zh")):
            self.summed.append((messages, tools, settings))
            if isinstance(self.summary, Exception):
                raise self.summary
            return says(self.summary, prompt_tokens=100, completion_tokens=7, cost=0.5)
        assert shape_faults(messages, is_request=True) == []
        tokens = int(messages_tokens(messages))
        if self.most is not None and tokens > self.most:
            raise ContextTooLong(f"the prompt has {tokens} tokens; at most {self.most} are taken")
        self.seen.append(messages)
        count: dict[str, Any] = (
            {"prompt_tokens": tokens, "completion_tokens": 3, "cost": 0.1} if self.counted else {"prompt_tokens": 0, "completion_tokens": 3, "cost": 0.1}
        )
        number = len(self.seen)
        return asks(tool_request("read", {"page": number}, call_id=f"c{number}"), **count) if number <= self.turns else says("done", **count)


def reading_tools() -> ToolRegistry:
    registry = ToolRegistry()

    @registry.tool(effect="read")
    async def read(page: int) -> str:
        "Read a page."
        return f"page {page}: " + "words " * 120

    return registry


def config(**more: Any) -> dict[str, Any]:
    return {"context_window": WINDOW, "max_iterations": 100, **more}
