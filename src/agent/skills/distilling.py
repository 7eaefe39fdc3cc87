"""Several experiences on one subject, written out as one skill: a draft for a person to read, with its evidence."""

from collections.abc import Sequence

from agent.core.lessons import least
from agent.core.likeness import normal
from agent.core.text import query_tokens
from agent.core.wording import wording
from agent.errors import BadInput
from agent.models.memory import EVIDENCE_KEY, EVIDENCE_PATH, EXPERIENCES_KEY, Experience, Skill, SkillFile, SkillFolder
from agent.models.value import Value
from agent.skills.reading import MAX_METADATA_CHARS, TRUST_KEY, with_id
from agent.skills.rules import MAX_DESCRIPTION_CHARS, slug

LIKE = 0.5
"""Share of the words of two conditions that both have (Jaccard), from which on their rules stand in one section."""
MAX_EXPERIENCES = 200
"""Experiences that one skill is made of at most: their ids have room in its metadata."""
MAX_TITLE_CHARS = 120
MAX_SHOWN_CONDITIONS = 5
"""Conditions that a description or a title names."""
NAME_CHARS = 40
AUTHORS_KEY, MODEL_KEY = "seasoned-authors", "seasoned-ordered-by"
"""Further keys of the metadata: people, and the model that put the rules into order."""


class Rule(Value, frozen=True, kw_only=True):
    """One rule, and all experiences that say exactly that."""

    text: str
    kind: str
    condition: str
    sources: tuple[Experience, ...]


class Outline(Value, frozen=True, kw_only=True):
    """How a skill is laid out: sections of rules, by their places in the list."""

    name: str | None = None
    description: str | None = None
    sections: tuple[tuple[str, tuple[int, ...]], ...] = ()
    model: str | None = None  # that proposed it


def rules_of(experiences: Sequence[Experience]) -> list[Rule]:
    """Return the rules of experiences, each once, in the order in which they are first said.

    Raises:
        BadInput: there are none, too many, or they belong to several owners.
    """
    if not experiences:
        raise BadInput("no experience was given: a skill is made of one or more")
    if len(experiences) > MAX_EXPERIENCES:
        raise BadInput(f"{len(experiences)} experiences are too many for one skill: choose at most {MAX_EXPERIENCES}")
    owners = {one.uid for one in experiences if one.uid is not None}
    if len(owners) > 1:
        raise BadInput("the experiences belong to several owners: nothing goes from one to another but what a person promotes")
    found: dict[tuple[str, str, str], list[Experience]] = {}
    for one in experiences:
        found.setdefault((normal(one.rule), one.kind, normal(one.condition)), []).append(one)
    rules = [
        Rule(text=_line(same[0].rule), kind=same[0].kind, condition=_line(same[0].condition), sources=tuple(same))
        for (words, _, _), same in found.items()
        if words
    ]
    if not rules:
        raise BadInput("the experiences have no words")
    return rules


def outline_of(rules: Sequence[Rule], language: str = "en") -> Outline:
    """Return a layout that needs no model: rules whose conditions are alike stand together, the largest section first."""
    groups: list[list[int]] = []
    words = [frozenset(query_tokens(rule.condition)) for rule in rules]
    for place in range(len(rules)):
        near = next((group for group in groups if _are_like(words[group[0]], words[place])), None)
        if near is None:
            groups.append([place])
        else:
            near.append(place)
    groups.sort(key=len, reverse=True)
    return Outline(sections=tuple((_title([rules[place] for place in group], language), tuple(group)) for group in groups))


def distill(experiences: Sequence[Experience], *, name: str | None = None, language: str = "en", outline: Outline | None = None) -> Skill:
    """Return a skill made of experiences, in the people's words. It is a draft: write it with `write_folder`, have a person read it, import it.

    Its metadata names the experiences, the steps and the people; all of that, rule by rule, stands in references/evidence.md.

    Raises:
        BadInput: it cannot be made of these, or the name has nothing that a name may have.
    """
    rules = rules_of(experiences)
    plan = outline if outline is not None else outline_of(rules, language)
    title = slug(name) if name is not None else slug(plan.name or "") or _name(rules)
    if not title:
        raise BadInput(f"{name!r:.80} cannot be a skill's name: it needs letters or digits")
    conditions = _shown([rule.condition for rule in rules])
    description = _line(plan.description or "") or wording("distilled_description", language, conditions=conditions or title)
    body = [f"# {title}", wording("distilled_intro", language)]
    for heading, places in plan.sections:
        body.append(f"## {heading}\n\n" + "\n".join(f"- {_told(rules[place], language)}" for place in places))
    trust = least(*(one.trust for one in experiences), *(["model"] if plan.model else []))
    return with_id(
        Skill.create(
            experiences[0].scope if len({one.scope for one in experiences}) == 1 else "user",
            title,
            description if len(description) <= MAX_DESCRIPTION_CHARS else description[: MAX_DESCRIPTION_CHARS - 1] + "…",
            "\n\n".join(body),
            uid=next((one.uid for one in experiences if one.uid is not None), None),
            folder=SkillFolder(
                metadata=_metadata(experiences, plan, trust), files=(SkillFile(EVIDENCE_PATH, _evidence(rules, language).encode()),), trust=trust
            ),
        )
    )


def _metadata(experiences: Sequence[Experience], plan: Outline, trust: str) -> dict[str, str]:
    steps = dict.fromkeys(step for one in experiences for step in one.evidence)
    authors = dict.fromkeys(_line(one.author) for one in experiences if one.author)
    found = {
        EXPERIENCES_KEY: _joined([one.experience_id for one in experiences], " "),
        EVIDENCE_KEY: _joined(list(steps), " "),
        AUTHORS_KEY: _joined(list(authors), ", "),
        MODEL_KEY: plan.model or "",
        TRUST_KEY: trust,
    }
    return {key: value for key, value in found.items() if value}


def _evidence(rules: Sequence[Rule], language: str) -> str:
    lines = [wording("distilled_evidence", language)]
    for rule in rules:
        lines.append(f"\n- {_told(rule, language)}")
        for one in rule.sources:
            steps = " ".join(one.evidence) or "-"
            lines.append(f"  - {one.experience_id}: {_line(one.author or '-')}, {one.source}, {one.created_at.date().isoformat()}, {steps}")
    return "\n".join(lines) + "\n"


def _told(rule: Rule, language: str) -> str:
    kind = rule.kind if rule.kind in ("do", "dont", "preference") else "do"
    return wording(f"distilled_{kind}", language, rule=rule.text)


def _title(rules: Sequence[Rule], language: str) -> str:
    conditions = _shown([rule.condition for rule in rules])
    return wording("distilled_like", language, conditions=conditions) if conditions else wording("distilled_general", language)


def _shown(conditions: Sequence[str]) -> str:
    """Return the first few conditions, each once, in one line."""
    some = list(dict.fromkeys(condition for condition in conditions if condition))
    shown = [condition if len(condition) <= MAX_TITLE_CHARS else condition[: MAX_TITLE_CHARS - 1] + "…" for condition in some[:MAX_SHOWN_CONDITIONS]]
    return "; ".join(shown) + ("; …" if len(some) > MAX_SHOWN_CONDITIONS else "")


def _name(rules: Sequence[Rule]) -> str:
    """Return a name made of the first words of the first condition, or rule."""
    words = slug(rules[0].condition or rules[0].text).split("-")
    name = ""
    for word in words:
        if name and len(name) + 1 + len(word) > NAME_CHARS:
            break
        name = f"{name}-{word}" if name else word[:NAME_CHARS]
    return name or "lessons"


def _are_like(one: frozenset[str], other: frozenset[str]) -> bool:
    return one == other if not one or not other else len(one & other) / len(one | other) >= LIKE


def _joined(parts: Sequence[str], between: str) -> str:
    """Return as many parts as metadata takes; all of them stand in the file of evidence."""
    text = between.join(parts)
    return text if len(text) <= MAX_METADATA_CHARS else text[: MAX_METADATA_CHARS - 2].rpartition(between)[0] + between + "…"


def _line(text: str) -> str:
    return " ".join(text.split())
