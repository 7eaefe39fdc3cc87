"""The block of text in which a run is told what memory has for it."""

from collections.abc import Sequence

from agent.core.quoting import one_line, plain_lines
from agent.core.wording import wording
from agent.models.memory import Experience, Skill

MAX_ID_CHARS = 100
"""Of an item's id, as the model is shown it."""


def block_of(
    skills: Sequence[Skill], experiences: Sequence[Experience], *, language: str, placement: str, max_chars: int, max_rule_chars: int, advice: str = ""
) -> str:
    """Return the text that the model is given; "" where there is nothing. Each experience is one line with its id; so is `advice`, a line already.

    `placement` "user" puts it into a block that says what it is; "system" gives the seed's plain form. Where all of it is too
    long, skills are cut: of what was learnt it is on the record that it was told.
    """
    lines = [f"- {advice}"] if advice else []
    lines += [line_of(experience, max_chars=max_rule_chars) for experience in experiences]
    if not skills and not lines:
        return ""
    head = f"## {wording('memory_experiences', language)}\n" if skills or placement == "system" else ""
    learnt = _cut(head + "\n".join(lines), max_chars, language) if lines else ""
    known = "\n\n".join(plain_lines(skill.to_prompt_text()) for skill in skills)
    known = _cut(f"## {wording('memory_skills', language)}\n{known}", max_chars - len(learnt), language) if skills else ""
    text = "\n\n".join(filter(None, (known, learnt)))
    if placement == "system":
        return text
    return f"<memory>\n{wording('memory_head', language)}\n{text}\n</memory>"


def _cut(text: str, max_chars: int, language: str) -> str:
    kept = max(max_chars, 0)
    return text if len(text) <= kept else text[:kept] + wording("cut", language, left=len(text) - kept)


def line_of(experience: Experience, *, max_chars: int) -> str:
    """Return the line of an experience: its id, and its words as they were said."""
    return f"- [{one_line(experience.experience_id, max_chars=MAX_ID_CHARS)}] {one_line(experience.to_prompt_text(), max_chars=max_chars)}"
