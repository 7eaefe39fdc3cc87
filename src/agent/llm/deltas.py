"""A reply that arrives in pieces, put together again into the shape of one that came whole."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.llm.contract import Token
from agent.llm.wire import SEALED, SEALED_IN_CALL, THOUGHTS


class Assembly:
    """Collects the chunks of one streamed chat completion; `payload()` is the completion.

    Servers disagree on tool calls: some give an index, some none or always 0, some send a call in many pieces, some whole, some give
    an id with each piece, or none at all. A piece begins a new call when its index is new, or when it brings a name that cannot
    belong to the call at hand: another id, or arguments that were already complete.
    """

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._calls: list[dict[str, Any]] = []
        self._arguments: list[list[str]] = []
        self._position_of: dict[int, int] = {}
        self._ending: dict[str, Any] = {"finish_reason": None}

    @property
    def is_whole(self) -> bool:
        """Whether the stream told that the reply is finished: by a reason, or by the counts that come last."""
        return self._ending["finish_reason"] is not None or "error" in self._ending or bool(self._head.get("usage"))

    @property
    def is_begun(self) -> bool:
        """Whether anything of a reply has arrived."""
        return bool(self._texts or self._calls or self._message)

    def add(self, chunk: Mapping[str, Any]) -> list[Token]:
        """Take one chunk in and return what it adds, in order."""
        for key in ("id", "model", "usage", "service_tier"):
            if chunk.get(key):
                self._head[key] = chunk[key]
        choices = chunk.get("choices")
        choice = next((choice for choice in choices if isinstance(choice, dict) and not choice.get("index")), None) if isinstance(choices, list) else None
        if choice is None:
            return []
        if isinstance(choice.get("finish_reason"), str):
            self._ending["finish_reason"] = choice["finish_reason"]
        if choice.get("error"):
            self._ending["error"] = choice["error"]
        if choice.get("usage") and not self._head.get("usage"):  # Moonshot tells it inside the choice
            self._head["usage"] = choice["usage"]
        delta = choice.get("delta")
        delta = delta if isinstance(delta, dict) else choice.get("message")
        return self._add_delta(delta) if isinstance(delta, dict) else []

    def payload(self) -> dict[str, Any]:
        """Return the completion as if it had come whole."""
        message = {**self._message, **{key: "".join(parts) for key, parts in self._texts.items()}}
        if self._calls:
            message["tool_calls"] = [
                {**call, "function": {**call["function"], "arguments": "".join(arguments)}}
                for call, arguments in zip(self._calls, self._arguments, strict=True)
            ]
        return {**self._head, "choices": [{"message": message, **self._ending}]}

    def _add_delta(self, delta: Mapping[str, Any]) -> list[Token]:
        tokens: list[Token] = []
        for key in THOUGHTS:
            if isinstance(delta.get(key), str) and delta[key]:
                if not tokens:  # some servers tell the same thought under two names
                    tokens.append(Token("reasoning", delta[key]))
                self._texts.setdefault(key, []).append(delta[key])
        tokens += self._add_content(delta.get("content"))
        if isinstance(delta.get("refusal"), str) and delta["refusal"]:
            self._texts.setdefault("refusal", []).append(delta["refusal"])
            tokens.append(Token("text", delta["refusal"]))
        for key in SEALED:
            if delta.get(key):
                self._add_sealed(key, delta[key])
        pieces = delta.get("tool_calls")
        for piece in pieces if isinstance(pieces, list) else ():
            if isinstance(piece, dict):
                tokens += self._add_call(piece)
        if isinstance(delta.get("function_call"), dict):
            tokens += self._add_call({"function": delta["function_call"]})
        return tokens

    def _add_content(self, content: object) -> list[Token]:
        if isinstance(content, str) and content:
            self._texts.setdefault("content", []).append(content)
            return [Token("text", content)]
        tokens = []
        for part in content if isinstance(content, list) else ():
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str) and text:
                self._texts.setdefault("content", []).append(text)
                tokens.append(Token("text", text))
        return tokens

    def _add_sealed(self, key: str, value: Any) -> None:
        if not isinstance(value, list):
            self._message[key] = value
            return
        kept: list[Any] = self._message.setdefault(key, [])
        for detail in value:
            last = kept[-1] if kept and isinstance(kept[-1], dict) else None
            if last is not None and isinstance(detail, dict) and _continues(last, detail):
                _extend(last, detail)
            else:
                kept.append(dict(detail) if isinstance(detail, dict) else detail)

    def _add_call(self, piece: Mapping[str, Any]) -> list[Token]:
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name = function.get("name") if isinstance(function.get("name"), str) else None
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else "" if arguments is None else msgspec.json.encode(arguments).decode()
        call_id = piece.get("id") if isinstance(piece.get("id"), str) else None
        position = self._position(piece.get("index"), call_id, name, text)
        call = self._calls[position]
        call["id"] = call["id"] or call_id
        call["function"]["name"] = call["function"]["name"] or name
        call.update({key: piece[key] for key in SEALED_IN_CALL if piece.get(key)})
        if not text:
            return []
        self._arguments[position].append(text)
        return [Token("tool_arguments", text, position)]

    def _position(self, index: object, call_id: str | None, name: str | None, text: str) -> int:
        known = isinstance(index, int)
        at = self._position_of.get(index) if isinstance(index, int) else self._position_without_index(call_id)
        if at is not None and not self._begins_another(at, call_id, name, text):
            return at
        self._calls.append({"id": None, "type": "function", "function": {"name": None}})
        self._arguments.append([])
        if known and isinstance(index, int):
            self._position_of[index] = len(self._calls) - 1
        return len(self._calls) - 1

    def _position_without_index(self, call_id: str | None) -> int | None:
        same = (position for position, call in enumerate(self._calls) if call_id and call["id"] == call_id)
        return next(same, len(self._calls) - 1 if self._calls else None)

    def _begins_another(self, at: int, call_id: str | None, name: str | None, text: str) -> bool:
        call = self._calls[at]
        if not name or not call["function"]["name"]:
            return False
        if call_id and call["id"]:
            return bool(call_id != call["id"])
        return bool(name != call["function"]["name"] or (text and _is_complete("".join(self._arguments[at]))))


def _is_complete(arguments: str) -> bool:
    try:
        msgspec.json.decode(arguments)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _continues(last: Mapping[str, Any], detail: Mapping[str, Any]) -> bool:
    """Whether `detail` is a further piece of `last`: the same kind at the same place, and neither is sealed whole."""
    keys = ("type", "index", "id", "format")
    return all(detail.get(key) in (None, last.get(key)) for key in keys) and "index" in detail and detail.get("data") is None and last.get("data") is None


def _extend(last: dict[str, Any], detail: Mapping[str, Any]) -> None:
    for key, value in detail.items():
        if key in ("text", "summary") and isinstance(value, str) and isinstance(last.get(key), str):
            last[key] += value
        elif value is not None:
            last[key] = value
