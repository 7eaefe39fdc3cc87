"""Reasons not to accept a call that the embedded model asks for: it has made it already, or it made up what it asks about."""

import re

from agent.llm.local_prompt import FILE_NAME, Prompt, call_key
from agent.llm.local_schema import Said

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_SUM = re.compile(r"[\d\s+*/().,%^-]*\d[\d\s+*/().,%^-]*")


UNKNOWN_FILE = "unknown file"


def file_argument(said: Said) -> str | None:
    """Return the name of the argument in `said` that is a file's name, or None."""
    arguments = said.arguments if isinstance(said.arguments, dict) else {}
    return next((key for key, value in arguments.items() if isinstance(value, str) and FILE_NAME.fullmatch(value)), None)


def objection(said: Said, prompt: Prompt) -> str | None:
    """Return why the call in `said` should not be made, or None.

    A call that was just made with the same arguments tells nothing new. A file name that nobody mentioned does not exist, and a sum in
    which no number was ever mentioned is about nothing: both are what a very small model writes before it has looked.
    """
    if said.tool is None or not isinstance(said.arguments, dict):
        return None
    if call_key(said.tool, said.arguments) in prompt.calls:
        return "repeated"
    for value in said.arguments.values():
        if not isinstance(value, str):
            continue
        if FILE_NAME.fullmatch(value) and value.rpartition("/")[2] not in prompt.seen:
            return UNKNOWN_FILE
        if _SUM.fullmatch(value) and not any(number in prompt.seen for number in _NUMBER.findall(value)):
            return "unknown numbers"
    return None
