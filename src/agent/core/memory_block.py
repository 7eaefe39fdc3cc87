"""The block of text in which a run is told what memory has for it."""

import html
from collections.abc import Sequence

from agent.core.wording import wording
from agent.models.memory import Experience, Skill


def block_of(skills: Sequence[Skill], experiences: Sequence[Experience], *, language: str, placement: str, max_chars: int) -> str:
    """Return the text that the model is given; "" where there is nothing. Each experience is one line with its id.

    `placement` "user" puts it into a block that says what it is; "system" gives the seed's plain form.
    """
    if not skills and not experiences:
        return ""
    parts: list[str] = []
    if skills:
        parts.append(f"## {wording('memory_skills', language)}\n" + "\n\n".join(_plain(skill.to_prompt_text()) for skill in skills))
    if experiences:
        lines = [f"- [{e.experience_id}] {_one_line(e.to_prompt_text())}" for e in experiences]
        parts.append(f"## {wording('memory_experiences', language)}\n" + "\n".join(lines))
    text = "\n\n".join(parts)
    if len(text) > max_chars:
        text = text[:max_chars] + wording("cut", language, left=len(text) - max_chars)
    if placement == "system":
        return text
    return f"<memory>\n{wording('memory_head', language)}\n\n{text}\n</memory>"


def _plain(text: str) -> str:
    """Return text that cannot close the block it stands in."""
    return html.escape(text, quote=False)


def _one_line(text: str) -> str:
    return " ".join(_plain(text).split())
