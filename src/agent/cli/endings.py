"""How a run ends on the command line: its exit code, its answer, what to try next."""

import json
from collections.abc import Sequence

from agent.cli.asking import waiting_lines
from agent.cli.board import Board
from agent.cli.faces import Face, JsonFace, print_totals
from agent.cli.limiting import raise_option
from agent.cli.outlet import say, say_json, tell
from agent.errors import AgentError, BadInput, DailyLimitReached, LimitNotRaised, ModelNotConfigured, NotFound
from agent.models.approval import Approval

DONE, FAILED, USAGE, RESTS, CANCELLED, LIMIT = 0, 1, 2, 3, 4, 5
CODES = {"completed": DONE, "failed": FAILED, "waiting": RESTS, "paused": RESTS, "running": RESTS, "cancelled": CANCELLED, "limit_reached": LIMIT}
_STATUS_OF_EVENT = {
    "trace_completed": "completed",
    "limit_reached": "limit_reached",
    "trace_cancelled": "cancelled",
    "trace_paused": "paused",
    "trace_waiting": "waiting",
    "trace_failed": "failed",
}
_HEADS = {
    "completed": ("done", "bold green"),
    "limit_reached": ("limit reached", "bold yellow"),
    "cancelled": ("cancelled", "bold red"),
    "paused": ("paused", "bold yellow"),
    "waiting": ("waits for a person", "bold yellow"),
    "failed": ("failed", "bold red"),
}


def code_of(error: BaseException) -> int:
    """Return the exit code of an error: 2 where what was handed in cannot be used and nothing was done, else 1."""
    if isinstance(error, LimitNotRaised | DailyLimitReached):
        return LIMIT
    return USAGE if isinstance(error, BadInput | NotFound | ModelNotConfigured) else FAILED


def sentence_of(error: BaseException) -> str:
    """Return what to say of an error."""
    return str(error) if isinstance(error, AgentError) else f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def status_of(board: Board) -> str | None:
    """Return how the run ended, or None where its stream broke off."""
    return _STATUS_OF_EVENT.get(board.ending.type) if board.ending is not None else None


def close_run(face: Face, waiting: Sequence[Approval] = (), *, options: str | None = "") -> int:
    """Print the answer, what is `waiting` for a person, and what to try next; return the exit code. The face is closed before.

    `options` are those that a next command needs to find the store again; None: it kept nothing.
    """
    board = face.board
    status = status_of(board)
    if isinstance(face, JsonFace) or status is None:
        return CODES[status] if status else RESTS
    head, style = _HEADS[status]
    if status == "limit_reached" and board.ending is not None:
        head = f"{head}: {board.ending.data.get('limit')} = {board.ending.data.get('value')}"
    print_totals(face, head, style)
    if board.answer is not None and status in ("completed", "limit_reached"):
        say(board.answer if board.output is None else json.dumps(board.output, ensure_ascii=False))
    tell(f"run {board.trace_id}")
    for line in _advice(status, board, waiting, options):
        tell(line)
    return CODES[status]


def _advice(status: str, board: Board, waiting: Sequence[Approval], options: str | None) -> list[str]:
    if options is None:
        return [*waiting_lines(waiting, None), "it was kept in memory alone, and is gone now; --db sqlite:///runs.db keeps it"]
    run = f"{board.trace_id}{options}"
    show, resume = f"  seasoned runs show {run}", f"  seasoned resume {run}"
    if status == "completed":
        return [show, f'  seasoned feedback add {run} --correction "…"']
    if status == "limit_reached":
        reached = board.ending.data if board.ending is not None else {}
        return [f"{resume} {raise_option(str(reached.get('limit')), reached.get('value'), reached.get('used'))}", show]
    if status == "paused":
        return [f"go on with:\n{resume}"]
    if status == "failed":
        return [f"try the failed step again with:\n{resume}"]
    if status == "waiting":
        return [*waiting_lines(waiting, options), f"{'then ' if waiting else ''}go on with:\n{resume}"]
    return [show]


def say_rest(status: str, answer: str | None, trace_id: str, *, is_json: bool) -> int:
    """Tell of a run that `resume` found at its end; return the exit code."""
    if is_json:
        say_json({"type": "resting", "data": {"trace_id": trace_id, "status": status}})
    else:
        tell(f"run {trace_id} is {status} already: nothing is left to do")
        if answer is not None:
            say(answer)
    return CODES[status]
