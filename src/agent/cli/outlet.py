"""What goes where: results to stdout, everything else to stderr; whoever reads may go away."""

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

from agent.cli.visible import visible

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str) -> None:
    """Write a result to stdout: as it is into a pipe or file, with control characters made visible on a terminal."""
    write(sys.stdout, (visible(text) if sys.stdout.isatty() else text) + "\n")


def say_json(value: Any) -> None:
    """Write one line of JSON to stdout."""
    is_utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    write(sys.stdout, json.dumps(value, ensure_ascii=not is_utf8, default=str) + "\n")


class Aside:
    """Where lines for people go while a live tree is drawn on stderr: above it, so that they do not cross."""

    printer: Callable[[str], None] | None = None


def tell(text: str) -> None:
    """Write a line for people to stderr; from any thread."""
    if Aside.printer is not None:
        Aside.printer(visible(text))
        return
    write(sys.stderr, visible(text) + "\n")


def write(stream: TextIO, text: str) -> None:
    """Write at once. A reader that has gone away is no error: what comes after is dropped."""
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        write(stream, text.encode(encoding, "backslashreplace").decode(encoding))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def wants_plain() -> bool:
    """Whether stderr is no terminal on which lines can be drawn anew."""
    return not sys.stderr.isatty() or os.environ.get("TERM", "") in ("", "dumb")


def console(*, is_stderr: bool = True) -> "Console":
    """Return the console for tables and trees; no colours where there is no terminal, or NO_COLOR is set."""
    from rich.console import Console

    stream = sys.stderr if is_stderr else sys.stdout
    has_colours = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") not in ("", "dumb")
    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        color_system="auto" if has_colours else None,
        no_color=not has_colours,
        force_terminal=has_colours or None,
        width=None if stream.isatty() else 200,
    )
