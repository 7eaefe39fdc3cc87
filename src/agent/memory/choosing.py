"""What a run is told of what memory has for it: by request, by room, and by a chance that is on the record."""

from collections.abc import Collection
from typing import Any, Literal

from agent.config import AgentConfig
from agent.core.advice import ABSTAINED, advise, is_item_id
from agent.core.chance import chance
from agent.core.estimate import CHARS_PER_TOKEN, text_tokens
from agent.core.memory_block import line_of
from agent.core.probation import PROBATION_SHARE
from agent.memory.finding import Findings, Wanted
from agent.models.learning import Advice, Arm, Use, Used
from agent.models.memory import Experience, Skill
from agent.models.value import Value, replace

PERSON = "person"
"""The trust of a rule in a person's own words."""
ADVICE = "advice"
"""The name under which chance is asked about all advice of a run."""


class Choice(Value, frozen=True, kw_only=True):
    """What a run is told, and what became of each item that fitted."""

    skills: tuple[Skill, ...] = ()
    experiences: tuple[Experience, ...] = ()
    advice: Advice = ABSTAINED  # also where it is withheld
    items: tuple[Used, ...] = ()
    arm: Literal["injected", "withheld", "none"] = "none"
    propensity: float = 1.0


class Lot(Value, frozen=True, kw_only=True):
    """What a chance decided about one item."""

    is_told: bool
    propensity: float


TOLD = Lot(is_told=True, propensity=1.0)


class Room:
    """How many rules, and of how many tokens together, there is still room for."""

    def __init__(self, slots: int, tokens: float) -> None:
        self.slots, self._tokens = slots, tokens

    def takes(self, tokens: float) -> bool:
        """Take a rule in, where it fits."""
        if tokens > self._tokens:
            return False
        self.slots, self._tokens = self.slots - 1, self._tokens - tokens
        return True


class Chances:
    """Decides what is withheld: from the seed and the run's id alone, so that a run that is taken up again is told the same."""

    def __init__(self, config: AgentConfig, wanted: Wanted, found: Findings) -> None:
        self._config, self._trace_id = config, wanted.trace_id
        self._on_probation = frozenset(found.on_probation)
        is_measured = found.count is not None and found.count.eligible + 1 >= config.withhold_from
        self._share = min(max(config.withhold, 0.0), 1.0) if is_measured else 0.0
        self._are_rules_left_to_it = config.withhold_rules

    def of_all(self) -> Lot:
        """Return what becomes of all advice of the run."""
        return self._drawn(ADVICE, self._share)

    def of_advice(self, item_id: str) -> Lot:
        """Return what becomes of one tool's advice, whatever becomes of all."""
        return self._drawn(item_id, PROBATION_SHARE) if item_id in self._on_probation else TOLD

    def of_rule(self, rule: Experience) -> Lot:
        """Return what becomes of a rule. One in a person's own words is always told, unless the configuration has it otherwise."""
        if rule.trust == PERSON and not self._are_rules_left_to_it:
            return TOLD
        lot = self._drawn(rule.experience_id, PROBATION_SHARE) if rule.experience_id in self._on_probation else TOLD
        return _both(lot, self.of_all()) if self._are_rules_left_to_it else lot

    def _drawn(self, name: str, share: float) -> Lot:
        if share <= 0:
            return TOLD
        return Lot(is_told=chance(self._config.withhold_seed, self._trace_id, name) >= share, propensity=1.0 - share)


def choose(found: Findings, wanted: Wanted, config: AgentConfig, *, language: str, silenced: Collection[str] = ()) -> Choice:
    """Return what a run is told. Advice of the tools that are `silenced` (ids) is only logged."""
    chances = Chances(config, wanted, found)
    skills, used_skills = _skills(found, wanted, config)
    rules, used_rules = _rules(found, wanted, config, chances)
    advice, used_advice = _advice(found, wanted, chances, language, silenced)
    has_left_rules = config.withhold_rules and any(one.arm in ("injected", "withheld") and one.propensity < 1 for one in used_rules)
    all_of_it, is_any = chances.of_all(), advice.form != "none" or has_left_rules
    return Choice(
        skills=skills,
        experiences=rules,
        advice=advice,
        items=(*used_advice, *used_rules, *used_skills),
        arm=("injected" if all_of_it.is_told else "withheld") if is_any else "none",
        propensity=all_of_it.propensity if is_any else 1.0,
    )


def as_noted(choice: Choice, use: Use) -> Choice:
    """Return a choice as the memory noted it for this run: only what the note says was told is told.

    A process that died between that note and the run's own step has told nobody what it chose; who takes the run up keeps to
    the note, whatever has come to memory meanwhile.
    """
    if use.items == choice.items and use.arm == choice.arm:
        return choice
    told = {one.item_id for one in use.items if one.arm == "injected"}
    known = {one.item_id for one in use.items}
    return replace(
        choice,
        skills=tuple(skill for skill in choice.skills if skill.skill_id in told),
        experiences=tuple(rule for rule in choice.experiences if rule.experience_id in told),
        advice=choice.advice if known.issuperset(record.item_id for record in choice.advice.records) else ABSTAINED,
        items=use.items,
        arm=use.arm,
        propensity=use.propensity,
    )


# ---- each kind


def _skills(found: Findings, wanted: Wanted, config: AgentConfig) -> tuple[tuple[Skill, ...], list[Used]]:
    pinned = [item for item in found.pinned if isinstance(item, Skill)]
    pinned_ids = {skill.skill_id for skill in pinned}
    told, used = list(pinned), [Used(item_id=skill.skill_id, kind="skill", rank=rank, score=1.0) for rank, skill in enumerate(pinned)]
    for one in found.skills:
        skill = _skill(one.item)
        if skill.skill_id in pinned_ids:
            continue
        is_excluded = skill.skill_id in wanted.excluded
        room = config.skill_limit if skill.folder else config.memory_limit  # by name only, or whole
        if not is_excluded and sum(bool(other.folder) == bool(skill.folder) for other in told) >= room:
            continue
        used.append(Used(item_id=skill.skill_id, kind="skill", rank=len(used), score=one.score, arm="excluded" if is_excluded else "injected"))
        if not is_excluded:
            told.append(skill)
    return tuple(told), used


def _rules(found: Findings, wanted: Wanted, config: AgentConfig, chances: Chances) -> tuple[tuple[Experience, ...], list[Used]]:
    """Return the rules that are told, and what became of each. What is withheld takes the room that it would have had."""
    pinned = [item for item in found.pinned if isinstance(item, Experience)]
    told, used = list(pinned), [Used(item_id=rule.experience_id, kind="rule", rank=rank, score=1.0) for rank, rule in enumerate(pinned)]
    tokens = min(config.memory_max_tokens, config.memory_max_chars / CHARS_PER_TOKEN)
    room = Room(config.memory_limit - len(pinned), tokens - sum(_tokens(rule, config) for rule in pinned))
    least = config.memory_relevance * max((one.score for one in found.experiences if _may_be_told(_rule(one.item), wanted)), default=0.0)
    for one in found.experiences:
        rule = _rule(one.item)
        if one.score < least and _may_be_told(rule, wanted):
            continue
        if is_item_id(rule.experience_id) or any(rule.experience_id == other.experience_id for other in pinned):
            continue
        arm, propensity = _arm(rule, wanted, chances)
        if arm in ("injected", "withheld"):
            if room.slots <= 0:
                continue
            if not room.takes(_tokens(rule, config)):
                arm, propensity = "excluded", 1.0
        used.append(Used(item_id=rule.experience_id, kind="rule", rank=len(used), score=one.score, arm=arm, propensity=propensity))
        if arm == "injected":
            told.append(rule)
    return tuple(told), used


def _may_be_told(rule: Experience, wanted: Wanted) -> bool:
    return rule.state == "active" and rule.experience_id not in wanted.excluded


def _arm(rule: Experience, wanted: Wanted, chances: Chances) -> tuple[Arm, float]:
    """Return what becomes of a rule, and the chance that it had of being told where chance decided."""
    if rule.experience_id in wanted.excluded:
        return "excluded", 1.0
    if rule.state != "active":
        return "shadow", 1.0
    lot = chances.of_rule(rule)
    return ("injected" if lot.is_told else "withheld"), lot.propensity


def _advice(found: Findings, wanted: Wanted, chances: Chances, language: str, silenced: Collection[str]) -> tuple[Advice, list[Used]]:
    """Return the advice without what is not to be told, and what became of each tool's part in it."""
    used: list[Used] = []
    offered = list(wanted.tools)
    while offered and found.cases:
        advice = _advised(found, wanted, offered, language)
        if advice.form == "none":
            break
        out = [(record, arm) for record in advice.records if (arm := _silent(record.item_id, wanted, chances, silenced)) is not None]
        if not out:
            return advice, [*_used(advice, chances), *_renumbered(used, len(advice.records))]
        used += [
            Used(
                item_id=record.item_id,
                kind="advice",
                rank=0,
                score=record.share,
                arm=arm,
                propensity=_both(chances.of_advice(record.item_id), chances.of_all()).propensity if arm == "withheld" else 1.0,
            )
            for record, arm in out
        ]
        offered = [tool for tool in offered if tool not in {record.tool for record, _ in out}]
    return ABSTAINED, _renumbered(used, 0)


def _advised(found: Findings, wanted: Wanted, offered: Collection[str], language: str) -> Advice:
    runs = {wanted.scope: found.count.runs} if found.count is not None else {}
    return advise(found.cases, runs=runs, scope=wanted.scope, task=wanted.query, uid=wanted.uid, offered=offered, language=language)


def _silent(item_id: str, wanted: Wanted, chances: Chances, silenced: Collection[str]) -> Arm | None:
    """Return why one tool's advice is not told, apart from what becomes of all advice; None where it is."""
    if item_id in wanted.excluded:
        return "excluded"
    if item_id in silenced:
        return "shadow"
    return None if chances.of_advice(item_id).is_told else "withheld"


def _used(advice: Advice, chances: Chances) -> list[Used]:
    items: list[Used] = []
    for rank, record in enumerate(advice.records):
        lot = _both(chances.of_advice(record.item_id), chances.of_all())
        arm: Arm = "injected" if lot.is_told else "withheld"
        items.append(Used(item_id=record.item_id, kind="advice", rank=rank, score=record.share, arm=arm, propensity=lot.propensity))
    return items


def _renumbered(used: list[Used], first: int) -> list[Used]:
    return [replace(one, rank=first + at) for at, one in enumerate(used)]


def _both(one: Lot, other: Lot) -> Lot:
    """Return the lot of what is told only where both are in its favour; chance draws them apart."""
    return Lot(is_told=one.is_told and other.is_told, propensity=one.propensity * other.propensity)


def _tokens(rule: Experience, config: AgentConfig) -> float:
    return text_tokens(line_of(rule, max_chars=config.memory_max_rule_chars))


def _rule(item: Any) -> Experience:
    """Return what was found, as an experience.

    Raises:
        TypeError: a store gave something else.
    """
    if not isinstance(item, Experience):
        raise TypeError(f"memory gave {type(item).__name__!r} where an experience was asked for")
    return item


def _skill(item: Any) -> Skill:
    """Return what was found, as a skill.

    Raises:
        TypeError: a store gave something else.
    """
    if not isinstance(item, Skill):
        raise TypeError(f"memory gave {type(item).__name__!r} where a skill was asked for")
    return item
