"""A run as people follow it: turns of the model, with the tools beneath them, gathered from events."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent.cli.visible import call_text
from agent.events import AgentEvent


@dataclass(slots=True)
class Call:
    """One tool call as shown."""

    text: str
    began_at: float | None = None  # by the board's clock
    took_s: float | None = None
    result: Any = None
    is_ok: bool | None = None  # None: not settled
    waits_for: str | None = None  # why it waits for a person


@dataclass(slots=True)
class Turn:
    """One model call, and the calls it asked for by their ids."""

    number: int | None = None  # None: what an earlier process began
    began_at: float = 0.0
    text: str = ""  # as it streams: of the kind that came last
    kind: str = "text"
    content: str | None = None  # None: not answered yet
    asked: int = 0
    tokens: int = 0
    cost: float | None = None
    took_s: float | None = None
    calls: dict[str, Call] = field(default_factory=dict)


class Board:
    """Takes events in and keeps the turn that is going on; finished turns are handed to `done`."""

    def __init__(self, done: Callable[[Turn], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._done, self.clock = done, clock
        self.turn: Turn | None = None
        self.turns = self.tools = 0
        self.answer: str | None = None
        self.output: Any = None  # the answer as data, where the run has a schema for it
        self.ending: AgentEvent | None = None
        self.trace_id: str | None = None
        self.is_timed = True  # False: events come later than what they tell of, so that nothing can be said of how long it took

    def take(self, event: AgentEvent) -> None:
        """Take one event in; unknown ones are passed over."""
        self.trace_id = event.data.get("trace_id", self.trace_id)
        if event.is_ending:
            self.ending = event
            self.close_turn()
            return
        taker = getattr(self, f"_take_{event.type}", None)
        if taker is not None:
            taker(event.data)

    def close_turn(self) -> None:
        """Hand over the turn that is going on."""
        if self.turn is not None:
            turn, self.turn = self.turn, None
            self._done(turn)

    def _open(self) -> Turn:
        if self.turn is None:
            self.turn = Turn(began_at=self.clock())
        return self.turn

    def _take_step_started(self, data: dict[str, Any]) -> None:
        self.close_turn()
        self.turn = Turn(number=int(data.get("iteration", self.turns)) + 1, began_at=self.clock())

    def _take_compacted(self, _: dict[str, Any]) -> None:
        self.turn = None  # what had begun was no turn; the model is asked next

    def _take_token(self, data: dict[str, Any]) -> None:
        turn = self._open()
        kind = str(data.get("kind"))
        if kind != turn.kind:
            turn.kind, turn.text = kind, ""
        turn.text += str(data.get("text", ""))

    def _take_llm_call_completed(self, data: dict[str, Any]) -> None:
        if self.turn is None or self.turn.content is not None:
            self.close_turn()
            self._open()
        turn = self._open()
        self.turns += 1
        turn.number = turn.number or self.turns
        turn.content = str(data.get("content") or "")
        turn.asked = len(data["tool_calls"]) if isinstance(data.get("tool_calls"), list) else 0
        turn.tokens, turn.cost = int(data.get("tokens") or 0), data.get("cost")
        turn.took_s = self.clock() - turn.began_at if self.is_timed else None
        if not turn.asked:
            self.close_turn()

    def _take_tool_executing(self, data: dict[str, Any]) -> None:
        began_at = self.clock() if self.is_timed else None
        self._open().calls[str(data.get("call_id"))] = Call(call_text(str(data.get("tool_name")), data.get("arguments")), began_at=began_at)

    def _take_tool_result(self, data: dict[str, Any]) -> None:
        turn = self._open()
        call = turn.calls.setdefault(str(data.get("call_id")), Call(call_text(str(data.get("tool_name")), None)))
        call.result, call.is_ok, call.waits_for = data.get("result"), bool(data.get("ok")), None
        call.took_s = self.clock() - call.began_at if call.began_at is not None else None
        self.tools += 1
        if turn.asked and sum(1 for one in turn.calls.values() if one.is_ok is not None) >= turn.asked:
            self.close_turn()

    def _take_awaiting_user_action(self, data: dict[str, Any]) -> None:
        turn = self._open()
        for shown, flag, call_id, reason in zip(data["tool_calls"], data["confirmation_flags"], data["call_ids"], data["reasons"], strict=False):
            if flag:
                function = shown.get("function", {})
                call = turn.calls.setdefault(str(call_id), Call(call_text(str(function.get("name")), function.get("arguments"))))
                call.waits_for = str(reason)

    def _take_conclusion(self, data: dict[str, Any]) -> None:
        self.answer, self.output = str(data.get("content") or ""), data.get("output")
