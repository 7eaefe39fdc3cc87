"""A real model as the policy: does the embedded one do better after a correction?

    python bench/learning/embedded.py [--seeds 3] [--out folder]     # runs, and goes on where it was stopped
    python bench/learning/embedded.py --report [--out folder]        # tables, and a learning curve as SVG

44 small tasks in 11 families of four (form of the answer, unit, which tool, which file), in a random order for each seed. A
person corrects every failure in the same words: the family's correction. Arms, each with a store of its own, temperature 0:

- none: no memory;
- memory: corrections are learnt and told, by the library's own ways;
- placebo: as many corrections are learnt, each time one of another family (so that words alone cannot be what helps).
"""

import argparse
import asyncio
import json
import math
import random
import re
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import agent

HERE = Path(__file__).resolve().parent
FAMILIES: list[dict[str, Any]] = json.loads((HERE / "embedded_tasks.json").read_text("utf-8"))
MIN_FAMILIES = 4  # for an interval
ARMS = ("none", "memory", "placebo")
SYSTEM = "You are a careful assistant. Use a tool where one fits the question."


def temperature(city: str, unit: str = "celsius") -> str:
    """Return the temperature of a city now.

    Args:
        city: the name of the city
        unit: celsius or fahrenheit
    """
    return f"{city}: 20 {unit}" if unit == "celsius" else f"{city}: 68 {unit}"


def weigh(parcel: int, unit: str = "kg") -> str:
    """Return how heavy a parcel is.

    Args:
        parcel: its number
        unit: kg or lb
    """
    return f"parcel {parcel}: 4 {unit}"


def price_of(fruit: str, currency: str = "USD") -> str:
    """Return the price of one piece of fruit.

    Args:
        fruit: its name
        currency: USD or EUR
    """
    return f"{fruit}: 0.75 {currency}"


def orders_in_crm(customer: str) -> str:
    """Return the orders of a customer.

    Args:
        customer: the name
    """
    return f"{customer}: 3 apples"


def orders_in_erp(customer: str) -> str:
    """Return the orders of a customer.

    Args:
        customer: the name
    """
    return f"{customer}: 2 lemons"


def phone_book(name: str) -> str:
    """Return a phone number.

    Args:
        name: of the person
    """
    return f"{name}: 555 0100"


def staff_directory(name: str) -> str:
    """Return a phone number.

    Args:
        name: of the person
    """
    return f"{name}: 555 0199"


def open_file(path: str) -> str:
    """Return what a file says. There are: rooms_2025.txt, rooms_2026.txt, hours_winter.txt, hours_summer.txt.

    Args:
        path: the name of the file
    """
    return "101 Ada, 205 Grace, 307 Alan, 412 Edsger" if path.startswith("rooms") else "every day from 9 to 17"


def registry() -> agent.ToolRegistry:
    """Return the tools that the tasks are about; each returns a short plausible text."""
    tools = agent.ToolRegistry()
    for tool in (temperature, weigh, price_of, orders_in_crm, orders_in_erp, phone_book, staff_directory, open_file):
        tools.register(tool, effect="read")
    return tools


def tools_of(family: dict[str, Any]) -> list[str] | None:
    """Return the tools that a family's tasks offer, the wrong one first."""
    return [name for name in (family.get("wrong"), family.get("tool")) if name] or None


def is_right(family: dict[str, Any], wanted: Any, answer: str, calls: list[dict[str, Any]]) -> bool:
    """Whether a run did what the family's correction asks for: its answer, or its first call."""
    if family["kind"] == "format":
        return bool(re.match(wanted, answer.strip(), 0 if family["family"] == "spelling" else re.IGNORECASE))
    asked = {**wanted, **family["right"]}
    return bool(calls) and calls[0]["tool_name"] == family["tool"] and all(calls[0]["arguments"].get(name) == value for name, value in asked.items())


def stream(seed: int) -> list[tuple[dict[str, Any], int]]:
    """Return (family, which of its tasks) in the order of a seed."""
    order = [(family, place) for family in FAMILIES for place in range(len(family["tasks"]))]
    random.Random(seed).shuffle(order)  # noqa: S311  an order, no secret
    return order


async def one_task(runner: agent.AgentRunner, arm: str, family: dict[str, Any], place: int, at: int, seed: int) -> dict[str, Any]:
    """Run one task, have a person correct a failure, and return what happened."""
    task, wanted = family["tasks"][place]
    answer, calls, told, tokens, ended = "", [], [], 0, {}
    async for event in runner.run(
        task, system_prompt=SYSTEM, tools=tools_of(family), agent_type="clerk", enable_memory=arm != "none", temperature=0, max_tokens=120
    ):
        if event.type == "tool_executing":
            calls.append({"tool_name": event.data["tool_name"], "arguments": event.data["arguments"]})
        if event.type == "memory_loaded":
            told = event.data["experience_ids"]
        if event.type == "conclusion":
            answer, ended = event.data["content"] or "", event.data
        tokens = event.data.get("total_tokens", tokens)
    right = is_right(family, wanted, answer, calls)
    if not right and arm != "none":
        others = [f["correction"] for f in FAMILIES if f is not family]
        words = family["correction"] if arm == "memory" else random.Random(f"{seed}/{at}").choice(others)  # noqa: S311  no secret
        await runner.add_feedback(ended["trace_id"], ended["step_id"], "correction", words, by="ada")
    first = calls[0] if calls else None
    return {
        "at": at,
        "family": family["family"],
        "kind": family["kind"],
        "place": place,
        "right": right,
        "answer": answer[:200],
        "call": first,
        "told": len(told),
        "tokens": tokens,
    }


async def cell(arm: str, seed: int, out: Path, model: Any) -> None:
    """Run one arm of one seed, from where it was stopped."""
    lines = out / f"embedded-{arm}-{seed}.jsonl"
    done = len(lines.read_text("utf-8").splitlines()) if lines.exists() else 0
    order = stream(seed)
    if done == len(order):
        return
    async with agent.open_store(f"sqlite:///{out / f'embedded-{arm}-{seed}.db'}") as store:
        config = agent.AgentConfig(max_iterations=2)
        async with agent.AgentRunner(store.traces, store.memories, store.states, registry(), model, config) as runner:
            for at in range(done, len(order)):
                began = time.perf_counter()
                said = await one_task(runner, arm, *order[at], at, seed)
                with lines.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(said, ensure_ascii=False) + "\n")
                mark = "right" if said["right"] else "wrong"
                print(f"{arm} seed {seed} {at + 1}/{len(order)} {said['family']}: {mark} · {time.perf_counter() - began:.1f} s", file=sys.stderr, flush=True)


def read(out: Path, arm: str, seed: int) -> list[dict[str, Any]]:
    """Return the finished tasks of a cell, each with how many of its family came before it."""
    lines = out / f"embedded-{arm}-{seed}.jsonl"
    seen: dict[str, int] = {}
    found = []
    for line in lines.read_text("utf-8").splitlines() if lines.exists() else ():
        said = json.loads(line)
        said["nth"] = seen.get(said["family"], 0)
        seen[said["family"]] = said["nth"] + 1
        found.append(said)
    return found


def interval(differences: Iterable[float]) -> str:
    """Return a mean and its 95 % interval over families (paired; Student's t), in points; of few families the mean alone."""
    values = [100 * value for value in differences]
    if len(values) < MIN_FAMILIES:
        return f"{statistics.mean(values):+.1f}"
    quantile = {4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26, 11: 2.23}.get(len(values), 2.0)
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):+.1f} ± {half:.1f}"


def report(out: Path, seeds: int) -> str:
    """Return the tables in Markdown."""
    cells = {arm: [said for seed in range(seeds) for said in read(out, arm, seed)] for arm in ARMS}
    lines = ["| arm | 1st of its family | 2nd | 3rd | 4th | 2nd to 4th | tokens a run | tasks |", "|---|---|---|---|---|---|---|---|"]
    for arm, all_said in cells.items():
        by_place = [[said["right"] for said in all_said if said["nth"] == nth] for nth in range(4)]
        later = [said["right"] for said in all_said if said["nth"] > 0]
        shares = [f"{statistics.mean(some):.2f}" if some else "–" for some in (*by_place, later)]
        tokens = f"{statistics.mean(said['tokens'] for said in all_said):.0f}" if all_said else "–"
        lines.append(f"| {arm} | {' | '.join(shares)} | {tokens} | {len(all_said)} |")
    lines += ["", "| 2nd to 4th task of a family, by kind | none | placebo | memory | memory − none | memory − placebo |", "|---|---|---|---|---|---|"]
    for kind in ("format", "unit", "tool", "file", "all"):
        families = [f["family"] for f in FAMILIES if kind in (f["kind"], "all")]
        mean = {arm: {f: _share(said["right"] for said in cells[arm] if said["nth"] > 0 and said["family"] == f) for f in families} for arm in ARMS}
        shares = [f"{statistics.mean(mean[arm].values()):.2f}" for arm in ("none", "placebo", "memory")]
        against = [interval(mean["memory"][f] - mean[arm][f] for f in families) for arm in ("none", "placebo")]
        lines.append(f"| {kind} ({len(families)} families) | {' | '.join(shares)} | {' | '.join(against)} |")
    lines += ["", "| family | correction | none | placebo | memory |", "|---|---|---|---|---|"]
    for family in FAMILIES:
        shares = [
            f"{_share(said['right'] for said in cells[arm] if said['nth'] > 0 and said['family'] == family['family']):.2f}"
            for arm in ("none", "placebo", "memory")
        ]
        lines.append(f"| {family['family']} | {family['correction']} | {' | '.join(shares)} |")
    return "\n".join(lines)


def _share(right: Iterable[bool]) -> float:
    values = list(right)
    return statistics.mean(values) if values else 0.0


def curve(out: Path, seeds: int) -> str:
    """Return the learning curve: share of right answers by how many tasks of the family came before."""
    colours = {"none": "#888", "memory": "#06c", "placebo": "#c60"}
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 420 260" font-family="sans-serif" font-size="12">',
        '<rect width="420" height="260" fill="#fff"/>',
    ]
    for tenth in range(0, 11, 2):
        y = 220 - 20 * tenth
        parts.append(f'<path d="M50 {y}H330" stroke="#ddd"/><text x="44" y="{y + 4}" text-anchor="end">{tenth / 10:.1f}</text>')
    parts.extend(f'<text x="{60 + 85 * nth}" y="238" text-anchor="middle">{nth + 1}.</text>' for nth in range(4))
    parts.append('<text x="190" y="255" text-anchor="middle">which task of its family</text>')
    for row, arm in enumerate(ARMS):
        said = [s for seed in range(seeds) for s in read(out, arm, seed)]
        points = [(60 + 85 * nth, 220 - 200 * _share(s["right"] for s in said if s["nth"] == nth)) for nth in range(4)]
        path = " ".join(f"{x},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colours[arm]}" stroke-width="2"/>')
        parts.append(f'<text x="340" y="{60 + 18 * row}" fill="{colours[arm]}">{arm}</text>')
    return "".join([*parts, "</svg>\n"])


async def main() -> None:
    """Run what is missing, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "out")
    parser.add_argument("--report", action="store_true", help="write the tables and the curve, run nothing")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.report:
        model = agent.open_model("local")
        for seed in range(given.seeds):
            for arm in ARMS:
                await cell(arm, seed, given.out, model)
    print(report(given.out, given.seeds))
    (HERE / "plots" / "embedded.svg").write_text(curve(given.out, given.seeds), "utf-8")


if __name__ == "__main__":
    asyncio.run(main())
