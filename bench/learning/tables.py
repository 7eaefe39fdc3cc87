"""The tables and plots of experiments 1 and 2, made of the finished cells; writes them into RESULTS.md between its marks.

    python bench/learning/tables.py

Differences are against `none` of the same seed, reader and world (common random numbers), with Student's interval of 95 % over seeds.
"""

import json
import math
import platform
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lift_plots import COLOURS, GREY, write
from run import HARD

HERE = Path(__file__).parent
STUDENT = (0.0, 12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)  # 97.5 % quantile of t by degrees of freedom
Record = dict[str, Any]


def student(count: int) -> float:
    """Return by what the standard error of a mean of so many is multiplied."""
    return STUDENT[count - 1] if count <= len(STUDENT) else 2.2


def said(values: Iterable[float], *, sign: str = "") -> str:
    """Return a mean with its interval, where there are three values or more; with two it would say nothing."""
    found = list(values)
    mean = statistics.fmean(found)
    if len(found) < 3:
        return f"{mean:{sign}.3f}"
    return f"{mean:{sign}.3f} ± {student(len(found)) * statistics.stdev(found) / math.sqrt(len(found)):.3f}"


def read(name: str) -> list[Record]:
    """Return the finished cells of a results file."""
    file = HERE / "results" / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> dict[Any, dict[int, Record]]:
    """Return records by a key, and within it by seed."""
    groups: dict[Any, dict[int, Record]] = defaultdict(dict)
    for record in records:
        groups[key(record)][record["cell"]["seed"]] = record
    return groups


def row(name: str, those: Mapping[int, Record], none: Mapping[int, Record]) -> str:
    """Return a line of a table: one arm in one world, and its difference to none."""
    seeds = [seed for seed in those if seed in none]

    def of(pick: Callable[[Record], float]) -> list[float]:
        return [pick(those[seed]) for seed in seeds]

    late, early, stream = (of(pick) for pick in (lambda r: r["late"]["accuracy"], lambda r: r["early"]["accuracy"], lambda r: r["stream"]))
    gain = [those[seed]["late"]["accuracy"] - none[seed]["late"]["accuracy"] for seed in seeds]
    harm = [statistics.fmean(of(pick)) for pick in (lambda r: r["early"]["harmed"], lambda r: r["late"]["harmed"])]
    cells = [
        name,
        said(early),
        said(late),
        said(gain, sign="+"),
        said(stream),
        f"{harm[0]:.3f} / {harm[1]:.3f}",
        f"{statistics.fmean(of(lambda r: r['tokens'])):.0f}",
    ]
    return f"| {' | '.join(cells)} | {len(seeds)} |"


HEAD = "| | at 500 | at 2,000 | − none | in the stream | harm 500 / 2,000 | tokens a run | seeds |\n|---|---|---|---|---|---|---|---|"


def main_tables(records: list[Record]) -> str:
    """Return every arm at p = .9 by reader, and full over p."""
    groups = grouped(records, lambda r: (r["cell"]["reader"], r["cell"]["arm"], r["cell"]["obeys"]))
    parts = []
    for reader in ("weighing", "obedient"):
        none = groups.get((reader, "none", 0.9), {})
        arms = dict.fromkeys(arm for who, arm, p in groups if who == reader and p == 0.9)
        parts.append(f"**{reader.capitalize()} reader, p = .9**\n\n{HEAD}\n" + "\n".join(row(arm, groups[reader, arm, 0.9], none) for arm in arms))
        chances = sorted(p for who, arm, p in groups if who == reader and arm == "full")
        parts.append(f"Full, by p ({reader}):\n\n{HEAD}\n" + "\n".join(row(f"p = {p:g}", groups[reader, "full", p], none) for p in chances))
    return "\n\n".join(parts)


def stress_table(records: list[Record], worlds: Mapping[str, Any]) -> str:
    """Return none and full in each hard world."""
    groups = grouped(records, lambda r: (json.dumps(r["cell"]["world"], sort_keys=True), r["cell"]["reader"], r["cell"]["arm"]))
    lines = [HEAD]
    for name, world in worlds.items():
        key = json.dumps({n: getattr(world, n) for n in world.__struct_fields__}, sort_keys=True)
        for reader in ("weighing", "obedient"):
            none, full = groups.get((key, reader, "none"), {}), groups.get((key, reader, "full"), {})
            if none.keys() & full.keys():
                bare = statistics.fmean(none[seed]["late"]["accuracy"] for seed in none)
                lines.append(row(f"{name}, {reader} (none {bare:.3f})", full, none))
    return "\n".join(lines)


def plot(records: list[Record], file: Path) -> None:
    """Draw how accurate each arm is on the held-out tasks after 500 and 2,000 tasks, by reader."""
    groups = grouped((r for r in records if r["cell"]["obeys"] == 0.9), lambda r: (r["cell"]["arm"], r["cell"]["reader"]))
    arms = list(dict.fromkeys(arm for arm, _ in groups))
    width, left, step = 760, 120, 34
    parts = ['<text x="20" y="24" font-size="15" fill="#222222">Held-out accuracy after 500 (hollow) and 2,000 tasks (full)</text>']
    for tick in range(0, 11, 2):
        x = left + tick / 10 * (width - left - 40)
        parts.append(f'<line x1="{x}" y1="40" x2="{x}" y2="{50 + step * len(arms)}" stroke="{GREY}" stroke-width="0.5"/>')
        parts.append(f'<text x="{x}" y="{66 + step * len(arms)}" text-anchor="middle" fill="#222222">{tick / 10:.1f}</text>')
    for number, arm in enumerate(arms):
        parts.append(f'<text x="{left - 12}" y="{66 + step * number}" text-anchor="end" fill="#222222">{arm}</text>')
        for lane, reader in enumerate(("weighing", "obedient")):
            those = groups.get((arm, reader), {}).values()
            y = 54 + step * number + 14 * lane
            xs = [left + statistics.fmean(r[when]["accuracy"] for r in those) * (width - left - 40) for when in ("early", "late")] if those else []
            if xs:
                parts.append(f'<line x1="{xs[0]:.1f}" y1="{y}" x2="{xs[1]:.1f}" y2="{y}" stroke="{COLOURS[lane]}" stroke-width="2"/>')
                parts.append(f'<circle cx="{xs[0]:.1f}" cy="{y}" r="4" fill="#ffffff" stroke="{COLOURS[lane]}" stroke-width="2"/>')
                parts.append(f'<circle cx="{xs[1]:.1f}" cy="{y}" r="5" fill="{COLOURS[lane]}"/>')
    for lane, reader in enumerate(("weighing", "obedient")):
        parts.append(f'<text x="{left + 160 * lane}" y="{90 + step * len(arms)}" fill="{COLOURS[lane]}">{reader} reader</text>')
    write(file, width, 100 + step * len(arms), parts, "Held-out accuracy by arm")


def main() -> None:
    """Write the tables between their marks, and the plot."""
    records, hard = read("main-pure.jsonl"), read("stress-pure.jsonl")
    date = f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}"
    made = {"main": f"{date}\n\n{main_tables(records)}", "stress": f"{date}\n\n{stress_table(hard, HARD)}"}
    file = HERE / "RESULTS.md"
    text = file.read_text()
    for name, table in made.items():
        begin, end = f"<!-- made by tables.py: {name} -->\n", "<!-- end -->"
        before, _, rest = text.partition(begin)
        text = before + begin + table + "\n" + end + rest.partition(end)[2]
    file.write_text(text)
    plot(records, HERE / "plots" / "arms.svg")


if __name__ == "__main__":
    main()
