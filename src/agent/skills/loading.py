"""Skills at a path, whatever lies there: a folder of them, one of them, or an archive."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from agent.errors import BadInput
from agent.skills.archives import find_in_archive, is_archive
from agent.skills.folders import find_in_folders
from agent.skills.front_matter import read_front_matter
from agent.skills.reading import Files, Loaded, Unusable, read_skill
from agent.skills.rules import FILE_NAME, LIMITS, SkillLimits, field_problems

MAX_SHORT_LINES = 500
"""Lines of a SKILL.md that the specification recommends at most."""


class Skills(NamedTuple):
    """What was found: the skills, by place, and the places that could not be used."""

    loaded: tuple[Loaded, ...]
    unusable: tuple[Unusable, ...]


class Report(NamedTuple):
    """What a strict reader says of one skill: `problems` make it invalid, `notes` do not."""

    place: str
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def load_skills(
    path: Path | str, *, scope: str, uid: str | None = None, author: str | None = None, trust: str = "person", limits: SkillLimits = LIMITS
) -> Skills:
    """Return the skills at a path: a folder (or its SKILL.md), a folder of such folders, a zip or a tar. Nothing is unpacked or run.

    Of several with one name the first holds, by place.

    Raises:
        BadInput: there is nothing of this path, or no skill in it.
    """
    loaded: dict[str, Loaded] = {}
    unusable: list[Unusable] = []
    for found in _found(path, limits):
        one = found if isinstance(found, Unusable) else read_skill(found, scope=scope, uid=uid, author=author, trust=trust)
        if isinstance(one, Unusable):
            unusable.append(one)
        elif one.skill.name in loaded:
            unusable.append(Unusable(one.place, f"there is a skill {one.skill.name!r} already: {loaded[one.skill.name].place}"))
        else:
            loaded[one.skill.name] = one
    return Skills(tuple(loaded.values()), tuple(unusable))


def validate_skills(path: Path | str, *, limits: SkillLimits = LIMITS) -> list[Report]:
    """Return what the format does not allow in the skills at a path; see `load_skills` for what a path may be.

    Raises:
        BadInput: there is nothing of this path, or no skill in it.
    """
    return [_report(found) for found in _found(path, limits)]


def _found(path: Path | str, limits: SkillLimits) -> Sequence[Files | Unusable]:
    place = Path(path)
    if not place.exists():
        raise BadInput(f"there is no {str(path)!r}")
    return find_in_archive(place, limits) if is_archive(place) else find_in_folders(place, limits)


def _report(found: Files | Unusable) -> Report:
    if isinstance(found, Unusable):
        return Report(found.place, (found.reason,), ())
    read = read_skill(found, scope="-")
    if isinstance(read, Unusable):
        return Report(read.place, (read.reason,), ())
    front = read_front_matter(found.text.decode("utf-8-sig"))
    problems = [*front.problems, *(field_problems(front.fields, found.folder_name) if front.fields or not front.problems else ())]
    notes = list(found.warnings)
    if found.text.startswith(b"\xef\xbb\xbf"):
        problems.append(f"{FILE_NAME} begins with a byte order mark: save it as UTF-8 without one")
    if not front.body:
        notes.append("it has no text besides its front matter")
    elif front.body.count("\n") >= MAX_SHORT_LINES:
        notes.append(f"the text has more than {MAX_SHORT_LINES} lines: move a part of it into files that are read on demand")
    return Report(found.place, tuple(dict.fromkeys(problems)), tuple(notes))
