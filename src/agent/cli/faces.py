"""Three ways to show a run while it goes: a live tree, plain lines, JSON."""

import sys
import time
from collections.abc import Iterable
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from agent.cli.board import Board, Turn
from agent.cli.drawing import Signs, total_parts, turn_lines
from agent.cli.outlet import Aside, console, say_json, tell, wants_plain
from agent.cli.visible import count_text, one_line, visible
from agent.events import AgentEvent

FRAMES_PER_S = 8
SPARE_LINES = 3  # of the terminal that the live part leaves free


class Face(Protocol):
    """Shows one run."""

    board: Board

    def show(self, event: AgentEvent) -> None:
        """Show one event."""
        ...

    def note(self, text: str) -> None:
        """Tell people something that is no event."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was; a second call does nothing."""
        ...


def face_of(*, is_json: bool) -> Face:
    """Return the way that fits: JSON where it is asked for, a live tree on a terminal, else lines."""
    if is_json:
        return JsonFace()
    return LinesFace() if wants_plain() else TreeFace()


class JsonFace:
    """One event a line on stdout, in the shape of `AgentEvent`; people are told nothing but errors."""

    def __init__(self) -> None:
        self.board = Board(lambda _: None)

    def show(self, event: AgentEvent) -> None:
        """Write the event."""
        self.board.take(event)
        say_json({"type": event.type, "data": event.data})

    def note(self, text: str) -> None:
        """Say nothing: stderr is for errors."""

    def close(self) -> None:
        """Nothing is open."""


class LinesFace:
    """Whole lines on stderr, each written once."""

    def __init__(self) -> None:
        self.board = Board(self._print_turn)
        self.signs = Signs(has_unicode=_has_unicode())
        self.began_at = time.monotonic()
        self.console = console()

    def show(self, event: AgentEvent) -> None:
        """Take the event in and print what it finished."""
        self.board.take(event)
        for line in extra_lines(event):
            self.print(line)

    def note(self, text: str) -> None:
        """Print it."""
        self.print(Text(visible(text)))

    def print(self, line: Text) -> None:
        """Write a line to stderr."""
        self.console.print(line, soft_wrap=True)

    def _print_turn(self, turn: Turn) -> None:
        for line in turn_lines(turn, self.signs):
            self.print(line)

    def close(self) -> None:
        """Print what is left."""
        self.board.close_turn()


class TreeFace(LinesFace):
    """Finished turns as lines that stay; below them the turn that is going on, drawn anew several times a second."""

    def __init__(self) -> None:
        super().__init__()
        self.live = Live(
            console=self.console, get_renderable=self._now, refresh_per_second=FRAMES_PER_S, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self.live.start()
        Aside.printer = lambda text: self.print(Text(text))

    def print(self, line: Text) -> None:
        """Write a line above the live part."""
        self.console.print(line)

    def _now(self) -> Group:
        turn = self.board.turn
        if turn is None:
            return Group()
        lines = list(turn_lines(turn, self.signs, now=self.board.clock(), tail_chars=max(20, self.console.width - 6)))
        most = max(3, self.console.height - SPARE_LINES)
        if len(lines) > most:
            lines = [lines[0], Text("   …", style="dim"), *lines[len(lines) - most + 2 :]]
        return Group(*(_cropped(line) for line in lines))

    def close(self) -> None:
        """Print what is left, and end the live part."""
        super().close()
        Aside.printer = None
        self.live.stop()


def _cropped(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def _has_unicode() -> bool:
    return "utf" in (sys.stderr.encoding or "").lower()


def extra_lines(event: AgentEvent) -> Iterable[Text]:
    """Yield lines for events that are no part of a turn."""
    data: dict[str, Any] = event.data
    if event.type == "memory_loaded" and data.get("error"):
        yield Text(f"  memory could not be read, the run goes on without it: {one_line(str(data['error']))}", style="yellow")
    elif event.type == "compacted" and data.get("error"):
        yield Text(f"  the history could not be made shorter, the run goes on: {one_line(str(data['error']))}", style="yellow")
    elif event.type == "compacted":
        yield Text(f"  {data['messages_folded']} older messages summed up: about {data['tokens_before']:,} → {data['tokens_after']:,} tokens", style="dim")
    elif event.type == "memory_loaded" and (data.get("experiences_count") or data.get("skills_count") or data.get("advice")):
        advice = f"; {one_line(str(data['advice']), 160)}" if data.get("advice") else ""
        yield Text(
            f"  memory: {count_text(data.get('experiences_count', 0), 'experience')}, {count_text(data.get('skills_count', 0), 'skill')}{advice}", style="dim"
        )


def print_totals(face: Face, head: str, style: str = "bold") -> None:
    """Tell how a run ended, and what it used."""
    if isinstance(face, LinesFace):
        line = Text().append(head, style=style)
        parts = total_parts(face.board, time.monotonic() - face.began_at)
        face.print(line.append(face.signs.gap + face.signs.gap.join(parts), style="dim"))


def say_error(text: str) -> None:
    """Tell of an error on stderr."""
    tell(f"error: {text}")
