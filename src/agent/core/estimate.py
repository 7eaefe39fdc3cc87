"""How many tokens texts and messages have, about.

Source: characters of Chinese, Japanese and Korean x 0.75 + others / 4; what a provider reports is used instead wherever there is such a report.
"""

import re
from collections.abc import Iterable
from typing import Any

from agent.core.messages import Messages
from agent.models.json_text import json_of
from agent.models.message import Message

WIDE_TOKENS = 0.75  # of a Chinese, Japanese or Korean character
CHARS_PER_TOKEN = 4  # of all others
MESSAGE_TOKENS = 4  # what a message takes besides its words
PART_TOKENS = 1_000  # of an image, or another part that is no text
_WIDE = re.compile("[\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U0001b000-\U0001b2ff\U00020000-\U0003ffff]+")


def text_tokens(text: str) -> float:
    """Return about how many tokens a text has."""
    if text.isascii():
        return len(text) / CHARS_PER_TOKEN
    narrow = len(_WIDE.sub("", text))
    return narrow / CHARS_PER_TOKEN + (len(text) - narrow) * WIDE_TOKENS


def message_tokens(message: Message) -> float:
    """Return about how many tokens a message has in a prompt."""
    tokens = MESSAGE_TOKENS + _content_tokens(message.get("content"))
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            tokens += MESSAGE_TOKENS + text_tokens(str(function.get("name"))) + text_tokens(str(function.get("arguments")))
    return tokens


def _content_tokens(content: Any) -> float:
    if isinstance(content, str):
        return text_tokens(content)
    if not isinstance(content, list):
        return 0.0
    return sum(text_tokens(str(part.get("text", ""))) if isinstance(part, dict) and part.get("type", "text") == "text" else PART_TOKENS for part in content)


def messages_tokens(messages: Iterable[Message]) -> float:
    """Return about how many tokens messages have."""
    return sum(map(message_tokens, messages))


def schemas_tokens(schemas: list[dict[str, Any]]) -> float:
    """Return about how many tokens the schemas of tools have."""
    return len(json_of(schemas) or "") / CHARS_PER_TOKEN if schemas else 0.0


class Tally:
    """Remembers how many tokens a growing history has, so that each message is counted once. A cache: it changes no outcome."""

    __slots__ = ("_messages", "_of_schemas", "_schemas", "_tokens")

    def __init__(self) -> None:
        self._messages, self._tokens = Messages(), 0.0
        self._schemas: list[dict[str, Any]] = []
        self._of_schemas = 0.0

    def of(self, messages: Messages, schemas: list[dict[str, Any]]) -> float:
        """Return about how many tokens messages and the schemas of tools have."""
        if messages.has_grown_from(self._messages):
            self._tokens += messages_tokens(messages.since(self._messages.count))
        else:
            self._tokens = messages_tokens(messages)
        if schemas is not self._schemas:
            self._schemas, self._of_schemas = schemas, schemas_tokens(schemas)
        self._messages = messages
        return self._tokens + self._of_schemas


def cut_to(text: str, tokens: float) -> str:
    """Return the beginning of a text, of about so many tokens at most."""
    has = text_tokens(text)
    return text if has <= tokens else text[: int(len(text) * tokens / has)]
