"""Whether the figures on lift can be trusted: simulated runs of which the true effect is known, through the product's own statistics.

`python bench/learning/lift.py` prints the tables of RESULTS.md, "Lift and quarantine", and draws its plots; `--repetitions 100` is quick.
Three questions: how often does the interval of a lift hold the true effect, while memory learns from the very outcomes that are
counted; how often is a harmless item quarantined within 200 runs, and how soon a harmful one; how many runs does a verdict take.
"""

import argparse
import math
import platform
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lift_plots import bars, lines

from agent.core.chance import chance as chance_of
from agent.core.evalues import Trial
from agent.core.probation import NEW, PROBATION_SHARE, advance
from agent.core.statistics import Arms, Interval, Noisy, difference, noisy_difference, population_of, runs_needed, shrunken

WITHHELD = 0.1
FROM_RUN = 50
HERE = Path(__file__).parent
KINDS, TOOLS = 40, 12


def seeded(seed: str) -> random.Random:
    """Return the same chance in every run of this script."""
    return random.Random(seed)  # noqa: S311


# --- the whole memory: a small world in which it learns from the outcomes that are counted


@dataclass
class World:
    """Tasks of 40 kinds, each with one right tool of 12; a policy that knows some; a memory that votes over cases as LEARNING.md says."""

    seed: str
    obeyed: float = 0.9  # the chance that the policy follows advice
    wrong_words: float = 0.0  # share of outcomes that are reported the wrong way round
    known: float = 1.0  # share of runs whose outcome is reported
    is_learning: bool = True
    harder: float = 0.0  # how much of the policy's skill is gone by the end
    is_partial: bool = False  # outcomes between 0 and 1
    length: int = 1_050
    cases: dict[int, dict[int, list[float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = seeded(self.seed)

    def runs(self) -> Iterator[tuple[bool, float | None, float]]:
        """Yield for each eligible run whether it was told, its outcome (None: not reported), and the true effect of telling it."""
        chance = self.chance
        skill = [chance.uniform(0.1, 0.9) for _ in range(KINDS)]
        right = [chance.randrange(TOOLS) for _ in range(KINDS)]
        eligible = at = 0
        while eligible < self.length:
            at += 1
            kind = chance.randrange(KINDS)
            own = skill[kind] * (1 - self.harder * eligible / self.length)
            advice = self.advice(kind, chance)
            if advice is None:
                tool = right[kind] if chance.random() < own else (right[kind] + chance.randrange(1, TOOLS)) % TOOLS
                self.learn(kind, tool, self.reported(tool == right[kind]))
                continue
            eligible += 1
            is_told = eligible < FROM_RUN or chance_of(self.seed, f"run-{at}", "advice") >= WITHHELD  # as memory/choosing.py draws
            tool = right[kind] if chance.random() < own else (right[kind] + chance.randrange(1, TOOLS)) % TOOLS
            if is_told and chance.random() < self.obeyed:
                tool = advice
            reported = self.reported(tool == right[kind])
            self.learn(kind, tool, reported)
            if eligible >= FROM_RUN:
                yield is_told, reported, self.obeyed * (float(advice == right[kind]) - own) * self.scale

    @property
    def scale(self) -> float:
        """By how much a true difference in tools chosen is smaller in what is reported."""
        return (1 - 2 * self.wrong_words) * (0.6 if self.is_partial else 1.0)

    def advice(self, kind: int, chance: random.Random) -> int | None:
        """Return the tool that memory would name."""
        if not self.is_learning:
            return chance.randrange(TOOLS) if chance.random() < 0.8 else None
        tools = self.cases.get(kind, {})
        whole = sum(votes[0] for votes in tools.values()) + 0.3**4
        best = max(tools, key=lambda tool: tools[tool][0] - 0.5 * tools[tool][1], default=None)
        return best if best is not None and max(tools[best][0] - 0.5 * tools[best][1], 0) / whole >= 0.5 else None

    def learn(self, kind: int, tool: int, outcome: float | None) -> None:
        """Record a case for or against a tool."""
        if outcome is not None:
            votes = self.cases.setdefault(kind, {}).setdefault(tool, [0.0, 0.0])
            votes[0 if outcome > 0.5 else 1] += 1

    def reported(self, is_right: bool) -> float | None:  # noqa: FBT001
        """Return what is said of a run, if anything; in the partial form .75 to .95 for right and .05 to .45 for wrong (.85 and .25 in the mean)."""
        if self.chance.random() >= self.known:
            return None
        is_good = is_right if self.chance.random() >= self.wrong_words else not is_right
        if not self.is_partial:
            return float(is_good)
        return self.chance.uniform(0.75, 0.95) if is_good else self.chance.uniform(0.05, 0.45)


def wald(part: Arms) -> Interval | None:
    """Return the textbook interval, which is not used: to show why."""
    if not part.told or not part.withheld:
        return None
    told, withheld = part.told_sum / part.told, part.withheld_sum / part.withheld
    half = 1.96 * math.sqrt(told * (1 - told) / part.told + withheld * (1 - withheld) / part.withheld)
    return Interval(told - withheld, told - withheld - half, told - withheld + half)


WORLDS: dict[str, Callable[[str], World]] = {
    "learns, the policy never listens": lambda s: World(s, obeyed=0.0),
    "nothing is learnt, advice is noise": lambda s: World(s, is_learning=False),
    "learns from every outcome": World,
    "learns, 30 % of outcomes are the wrong way round": lambda s: World(s, wrong_words=0.3),
    "learns, tasks become harder": lambda s: World(s, harder=0.8),
    "learns, 30 % of outcomes are known": lambda s: World(s, known=0.3),
    "learns, outcomes between 0 and 1": lambda s: World(s, is_partial=True),
}
MARKS = (100, 200, 500, 1_000)


def coverage_of_memory(repetitions: int) -> list[str]:
    """Return the table of how often the interval of the whole memory holds the truth, and draw it."""
    rows = ["| world | eligible runs | true lift | interval holds it | its mean width | Wald's holds it |", "|---|---|---|---|---|---|"]
    series: dict[str, list[tuple[float, float]]] = {}
    for name, make in WORLDS.items():
        found = {mark: [0, 0, 0, 0.0, 0.0] for mark in MARKS}  # repetitions with both arms, held, held by Wald, width, truth
        for seed in range(repetitions):
            runs = list(make(f"{name}/{seed}").runs())
            for mark in MARKS:
                count(found[mark], runs[:mark])
        for mark, (n, held, by_wald, width, truth) in found.items():
            rows.append(f"| {name} | {mark} | {truth / n:+.3f} | {percent(held, n)} | {width / n:.3f} | {percent(by_wald, n)} |")
            series.setdefault(name, []).append((mark, held / n))
    lines(HERE / "plots" / "lift-coverage.svg", series, title="How often the 95 % interval of lift holds the truth", x="eligible runs", floor=0.92)
    return rows


def count(found: list[float], runs: list[tuple[bool, float | None, float]]) -> None:
    """Add one repetition to the counts."""
    reported = [(is_told, outcome, effect) for is_told, outcome, effect in runs if outcome is not None]
    told = [outcome for is_told, outcome, _ in reported if is_told]
    withheld = [outcome for is_told, outcome, _ in reported if not is_told]
    squares = {"told_squares": sum(y * y for y in told), "withheld_squares": sum(y * y for y in withheld)}
    part = Arms(told=len(told), told_sum=sum(told), withheld=len(withheld), withheld_sum=sum(withheld), **squares)
    interval, naive = difference([part]), wald(part)
    if interval is None or naive is None:
        return
    truth = statistics.fmean(effect for _, _, effect in runs)
    found[0] += 1
    found[1] += interval.low <= truth <= interval.high
    found[2] += naive.low <= truth <= naive.high
    found[3] += interval.high - interval.low
    found[4] += truth


# --- single items


def coverage_of_items(repetitions: int) -> list[str]:
    """Return the table of how often the interval of one item holds the truth: with the floor, without, and not shrunk at all."""
    rows = [
        "| true effects of 30 items | interval holds it | without the floor | not shrunk | error of the estimate | not shrunk |",
        "|---|---|---|---|---|---|",
    ]
    for mean, between in ((0.0, 0.0), (0.1, 0.05), (0.1, 0.15), (0.1, 0.3), (0.3, 0.3)):
        held, errors = [0, 0, 0, 0], [0.0, 0.0]
        for seed in range(max(repetitions // 10, 1)):
            chance = seeded(f"{mean}/{between}/{seed}")
            items = [item(chance, mean, between) for _ in range(30)]
            every = [noisy for _, _, noisy in items]
            floored, unfloored = population_of(every), population_of(every, least_between=0.001)
            for truth, part, noisy in items:
                plain = difference([part])
                ours, bare = shrunken(noisy, floored), shrunken(noisy, unfloored)
                assert plain is not None
                held[0] += 1
                for at, interval in enumerate((ours, bare, plain), 1):
                    held[at] += interval.low <= truth <= interval.high
                errors[0] += (ours.estimate - truth) ** 2
                errors[1] += (plain.estimate - truth) ** 2
        n = held[0]
        spread = " | ".join(percent(count, n) for count in held[1:])
        rows.append(f"| {mean:+.2f} ± {between:.2f} | {spread} | {math.sqrt(errors[0] / n):.3f} | {math.sqrt(errors[1] / n):.3f} |")
    return rows


def item(chance: random.Random, mean: float, between: float) -> tuple[float, Arms, Noisy]:
    """Return an item's true effect, its runs (4 to 80, half of them withheld), and the estimate."""
    base = chance.uniform(0.2, 0.8)
    success = min(max(base + chance.gauss(mean, between), 0.0), 1.0)
    while True:
        told = withheld = told_sum = withheld_sum = 0
        for _ in range(round(math.exp(chance.uniform(math.log(4), math.log(80))))):
            if chance.random() < 0.5:
                told, told_sum = told + 1, told_sum + (chance.random() < success)
            else:
                withheld, withheld_sum = withheld + 1, withheld_sum + (chance.random() < base)
        part = Arms(told=told, told_sum=told_sum, withheld=withheld, withheld_sum=withheld_sum)
        noisy = noisy_difference([part])
        if noisy is not None:
            return success - base, part, noisy


# --- quarantine


@dataclass(frozen=True)
class Rule:
    """An item as it truly is: how well runs go that are told it, and that are not; `end` is what both shrink to by run 200."""

    name: str
    told: float
    withheld: float
    end: float = 1.0


HARMLESS = (
    Rule("neutral", 0.5, 0.5),
    Rule("neutral, hard tasks", 0.1, 0.1),
    Rule("neutral, hardly solvable tasks", 0.02, 0.02),
    Rule("neutral, .9 falling to .09", 0.9, 0.9, end=0.1),
    Rule("easy tasks", 0.95, 0.95),
    Rule("hard but helpful, .05 to .25", 0.25, 0.05),
    Rule("hard but helpful, .05 to .15", 0.15, 0.05),
    Rule("helpful", 0.8, 0.5),
)
HARMFUL = (
    Rule("strong harm, .8 to .05", 0.05, 0.8),
    Rule("strong harm, .8 to .1", 0.1, 0.8),
    Rule("strong harm, .65 to .1", 0.1, 0.65),
    Rule("strong harm, .5 to .05", 0.05, 0.5),
    Rule("harm, .5 to .15", 0.15, 0.5),
    Rule("harm, .8 to .2", 0.2, 0.8),
    Rule("mild harm, .6 to .35", 0.35, 0.6),
    Rule("mild harm, .35 to .2", 0.2, 0.35),
)
RUNS = 200


def life(rule: Rule, chance: random.Random, withheld: float) -> tuple[int | None, bool, int]:
    """Return at which of 200 runs an item was quarantined, whether it was on probation at all, and from how many runs it was withheld."""
    standing, was_suspected, kept_back = NEW, False, 0
    for at in range(RUNS):
        share = PROBATION_SHARE if standing.stage == "probation" else withheld if at >= FROM_RUN else 0.0
        is_told = chance.random() >= share
        success = (rule.told if is_told else rule.withheld) * (1 - (1 - rule.end) * at / RUNS)
        standing = advance(standing, Trial(is_told, 1 - share, float(chance.random() < success)))
        was_suspected |= standing.stage == "probation"
        kept_back += not is_told
        if standing.stage == "quarantine":
            return at + 1, was_suspected, kept_back
    return None, was_suspected, kept_back


def peeking(rule: Rule, chance: random.Random) -> bool:
    """Return whether somebody who looks at the interval after every 10 runs, half of them withheld, would once call an item harmful."""
    told = withheld = told_sum = withheld_sum = 0
    for at in range(1, RUNS + 1):
        if chance.random() < 0.5:
            told, told_sum = told + 1, told_sum + (chance.random() < rule.told)
        else:
            withheld, withheld_sum = withheld + 1, withheld_sum + (chance.random() < rule.withheld)
        if at % 10 == 0:
            found = difference([Arms(told=told, told_sum=told_sum, withheld=withheld, withheld_sum=withheld_sum)])
            if found is not None and found.high < 0:
                return True
    return False


def quarantine(repetitions: int) -> list[str]:
    """Return the table of what becomes of items within 200 runs, and draw it."""
    rows = [
        "| item | quarantined | after (median, 90 %) | on probation | withheld from | where 10 % is withheld anyway | by looking at intervals |",
        "|---|---|---|---|---|---|---|",
    ]
    found: dict[str, float] = {}
    for rule in HARMLESS + HARMFUL:
        lives = [life(rule, seeded(f"{rule.name}/{seed}"), 0.0) for seed in range(repetitions)]
        also = [life(rule, seeded(f"{rule.name}/{seed}"), WITHHELD)[0] for seed in range(repetitions)]
        looked = sum(peeking(rule, seeded(f"{rule.name}/{seed}")) for seed in range(repetitions // 4))
        ends = sorted(end for end, _, _ in lives if end is not None)
        after = "–" if len(ends) < repetitions / 10 else f"{statistics.median(ends):.0f}, {ends[int(0.9 * len(ends))]}"
        rows.append(
            f"| {rule.name} | {percent(len(ends), repetitions)} | {after} | {percent(sum(was for _, was, _ in lives), repetitions)} "
            f"| {statistics.fmean(kept for _, _, kept in lives):.0f} runs | {percent(sum(end is not None for end in also), repetitions)} "
            f"| {percent(looked, repetitions // 4)} |"
        )
        found[rule.name] = len(ends) / repetitions
    bars(HERE / "plots" / "lift-quarantine.svg", found, title="Share of items quarantined within 200 runs")
    return rows


# --- how long it takes


def power(repetitions: int) -> list[str]:
    """Return the table of how many runs the product says a verdict takes, and how often it is there by then."""
    rows = ["| lift | without | runs said to be needed | verdict by then |", "|---|---|---|---|"]
    for lift in (0.1, 0.2, 0.3, 0.5):
        for base in (0.3, 0.5):
            needed = runs_needed(lift, base=base, withheld=WITHHELD)
            seen = sum(has_verdict(seeded(f"{lift}/{base}/{seed}"), needed, base, lift) for seed in range(repetitions))
            rows.append(f"| {lift:.2f} | {base:.2f} | {needed} | {percent(seen, repetitions)} |")
    return rows


def has_verdict(chance: random.Random, runs: int, base: float, lift: float) -> bool:
    """Return whether an interval over so many runs lies above 0."""
    withheld = sum(chance.random() < WITHHELD for _ in range(runs))
    told = runs - withheld
    told_sum, withheld_sum = (sum(chance.random() < success for _ in range(n)) for n, success in ((told, base + lift), (withheld, base)))
    found = difference([Arms(told=told, told_sum=told_sum, withheld=withheld, withheld_sum=withheld_sum)])
    return found is not None and found.low > 0


def percent(part: float, whole: float) -> str:
    """Return a share as people read it."""
    return f"{100 * part / whole:.1f} %"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=2_000, help="of each row (of items a tenth, with 30 each)")
    repetitions = parser.parse_args().repetitions
    (HERE / "plots").mkdir(exist_ok=True)
    print(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}, {repetitions:,} repetitions of each row\n")
    for title, table in (
        ("The whole memory", coverage_of_memory),
        ("Single items", coverage_of_items),
        ("Quarantine", lambda n: quarantine(2 * n)),
        ("Power", power),
    ):
        begun = time.monotonic()
        print(f"### {title}\n", *table(repetitions), f"\n({time.monotonic() - begun:.0f} s)\n", sep="\n", flush=True)


if __name__ == "__main__":
    main()
