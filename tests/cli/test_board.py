"""What a person sees of a reply while it forms."""

from agent.cli.board import Board
from agent.cli.drawing import Signs, turn_lines
from agent.events import AgentEvent


def shown(*tokens: tuple[str, str]) -> list[str]:
    board = Board(lambda _: None)
    board.take(AgentEvent("step_started", {"trace_id": "t", "iteration": 0, "step_type": "llm_call"}))
    for kind, text in tokens:
        board.take(AgentEvent("token", {"trace_id": "t", "kind": kind, "text": text, "index": 0}))
    assert board.turn is not None
    return [line.plain.strip() for line in turn_lines(board.turn, Signs(has_unicode=True), now=board.clock(), tail_chars=40)][1:]


def test_what_streams_is_shown_by_its_kind() -> None:
    assert shown(("text", "Hel"), ("text", "lo")) == ["Hello"]
    assert shown(("reasoning", "Let me "), ("reasoning", "see")) == ["thinks: Let me see"]
    assert shown(("reasoning", "Let me see"), ("text", "Hello")) == ["Hello"]
    assert shown(("text", "I look."), ("tool_arguments", '{"a": '), ("tool_arguments", "1}")) == ['writes arguments: {"a": 1}']
    assert shown(("text", "wrong"), ("restart", "")) == []
    assert shown(("text", "wrong"), ("restart", ""), ("text", "right")) == ["right"]


def test_a_summary_is_no_turn() -> None:
    turns: list[object] = []
    board = Board(turns.append)
    board.take(AgentEvent("step_started", {"trace_id": "t", "iteration": 3, "step_type": "compaction"}))
    board.take(AgentEvent("compacted", {"trace_id": "t", "messages_folded": 4}))
    board.close_turn()

    assert turns == []
