"""The pages of the reference that are written by hand name everything there is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer

from agent.cli.app import app
from agent.cli.endings import CODES, USAGE
from agent.events import ENDINGS, EventType
from agent.models.payloads import PAYLOADS

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def words(page: str) -> set[str]:
    """Return what a page has in code type, taken apart at blanks; blocks do not count."""
    text = re.sub(r"(?ms)^```.*?^```$", "", (REFERENCE / page).read_text())
    return {word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split()}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*path, name))
    if not hasattr(command, "commands"):
        yield " ".join(path), command


def test_every_command_and_option_is_named() -> None:
    text = (REFERENCE / "command-line.md").read_text()
    group = typer.main.get_command(app)
    found = list(commands(group))
    options = {option for _, command in found for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}

    assert [name for name, _ in found if f"`seasoned {name}" not in text] == []
    assert {option for option in options if option.startswith("-")} - words("command-line.md") == set()
    assert {int(code) for code in re.findall(r"(?m)^\| (\d) \|", text)} == {*CODES.values(), USAGE}


def test_every_event_is_named() -> None:
    assert set(get_args(EventType)) - words("events.md") == set()
    assert set(re.findall(r"(?m)^\| `(\w+)` \| `\w+` \| \d", (REFERENCE / "events.md").read_text())) == ENDINGS


def test_every_step_type_and_key_is_named() -> None:
    parts = re.split(r"(?m)^## ", (REFERENCE / "steps.md").read_text())[1:]
    named = {part.split("`")[1]: set(re.findall(r"(?m)^\| `(\w+)`", part)) for part in parts}

    assert named == {step_type: set(payload.__struct_fields__) for step_type, payload in PAYLOADS.items()}
