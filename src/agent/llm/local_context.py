"""Making a conversation fit into the embedded model's context: the oldest tool results give way first."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agent.errors import ModelRejected
from agent.llm.local_prompt import SHORTENED_CHARS, Prompt, prompt_for

TURN_TOKENS = 8
"""What the marks around one turn take."""
LONGEST_FIRST_CHARS = 8000
"""Where cutting the newest results begins, when shortening the older ones was not enough."""

_WIDE = re.compile(r"[\u1100-\uffff]")


class TooLong(Exception):  # never leaves the adapter
    """The server counted more tokens than it has room for."""

    def __init__(self, prompt_tokens: int, context_tokens: int) -> None:
        super().__init__(prompt_tokens, context_tokens)
        self.prompt_tokens, self.context_tokens = prompt_tokens, context_tokens

    def refusal(self, name: str) -> ModelRejected:
        """Return what the caller is told when nothing can be made shorter."""
        return ModelRejected(
            f"{name}: the conversation has {self.prompt_tokens} tokens, {self.context_tokens} are possible: begin a new one, or open the model "
            "with a larger context_tokens"
        )


def estimated_tokens(text: str) -> int:
    """Return about how many tokens `text` has, rather too many than too few: digits and odd words take more than prose."""
    wide = len(_WIDE.findall(text))
    return wide + (len(text) - wide) // 3


def fitting_prompt(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]], budget: int) -> Prompt:
    """Return the prompt that keeps the most within `budget` tokens, or the shortest there is."""
    results = sum(message.get("role") == "tool" for message in messages)
    ways: list[tuple[int, int | None]] = [(shortened, None) for shortened in range(max(results, 1))]
    longest = LONGEST_FIRST_CHARS
    while longest > SHORTENED_CHARS:
        ways.append((results - 1, longest))
        longest //= 2
    ways.append((results, None))
    prompt = prompt_for(messages, tools)
    for shortened, longest_result in ways[1:]:
        if _tokens(prompt) <= budget:
            break
        prompt = prompt_for(messages, tools, shortened=shortened, longest_result=longest_result)
    return prompt


def _tokens(prompt: Prompt) -> int:
    return sum(TURN_TOKENS + estimated_tokens(turn["content"]) for turn in prompt.turns)
