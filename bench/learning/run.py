"""Experiments 1 and 2: does memory help a frozen policy choose tools? Resumable: a finished cell is a line of the results file.

    python bench/learning/run.py --seeds 3                              # all arms in their pure form, about ten minutes
    python bench/learning/run.py --seeds 10 --grid stress               # wrong corrections, drift, few outcomes, all at once
    python bench/learning/run.py --seeds 1 --through runner --arms none,cases,full    # the same through AgentRunner and SQLite
    python bench/learning/tables.py                                     # the tables and plots of RESULTS.md from the results

`--grid main`: every arm and both readers at p = .9, and full at p of 0, .25, .5, .7 and 1 besides.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arms import ARMS
from protocol import Reader
from simulate import Cell, Result, World, run
from through_runner import run_through

RESULTS = Path(__file__).parent / "results"
CHANCES = (0.0, 0.25, 0.5, 0.7, 1.0)  # besides .9, for full
READERS: tuple[Reader, ...] = ("weighing", "obedient")
HARD = {
    "corrections only": World(outcomes=0.0),
    "outcomes on 30 %": World(outcomes=0.3),
    "outcomes on 10 %": World(outcomes=0.1),
    "40 % wrong corrections": World(wrong=0.4),
    "drift": World(drifts_at=1_000),
    "retry": World(retries=1),
    "all at once": World(wrong=0.4, drifts_at=1_000, outcomes=0.3),
}


def main_grid(arms: list[str], seeds: range) -> Iterator[Cell]:
    """Yield every arm at p = .9, then the grid of p for full (none does not depend on it); seed by seed, so that a cut-off run is a smaller one."""
    for seed in seeds:
        for reader in READERS:
            yield from (Cell(arm=arm, reader=reader, seed=seed) for arm in arms)
    if "full" in arms:
        yield from (Cell(arm="full", reader=reader, seed=seed, obeys=p) for seed in seeds for reader in READERS for p in CHANCES)


def stress_grid(arms: list[str], seeds: range) -> Iterator[Cell]:
    """Yield none and full (of those asked for) in each of the hard worlds."""
    for seed in seeds:
        for world in HARD.values():
            yield from (Cell(arm=arm, reader=reader, seed=seed, world=world) for arm in arms if arm in {"none", "full"} for reader in READERS)


GRIDS = {"main": main_grid, "stress": stress_grid}


def key_of(cell: Cell) -> dict[str, Any]:
    """Return what a cell is, as plain data."""
    return {**{name: getattr(cell, name) for name in cell.__struct_fields__}, "world": {n: getattr(cell.world, n) for n in cell.world.__struct_fields__}}


def record_of(cell: Cell, result: Result, *, through: str, took_s: float) -> dict[str, Any]:
    """Return the line of a finished cell."""
    exams = {
        name: {"accuracy": exam.accuracy, "harmed": exam.harmed, "tokens": round(exam.tokens, 2)}
        for name, exam in (("early", result.early), ("late", result.late))
    }
    measured = {"stream": result.stream, "tokens": round(result.tokens, 2), "corrections": result.corrections}
    return {"cell": key_of(cell), "through": through, **exams, **measured, "took_s": round(took_s, 2)}


def finished(file: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of a results file by their cells; a last line that was cut off is as if it were not there."""
    found = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        found[json.dumps([record["cell"], record["through"]], sort_keys=True)] = record
    return found


def main() -> None:
    """Run what the command line asks for and is not finished yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--from-seed", type=int, default=0)
    parser.add_argument("--grid", choices=GRIDS, default="main")
    parser.add_argument("--arms", default=",".join(ARMS), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--through", choices=("pure", "runner"), default="pure")
    parser.add_argument("--stream", type=int, default=2_000, help="tasks; fewer for a look")
    parser.add_argument("--out", type=Path, default=None, help="results file, one JSON line a finished cell")
    asked = parser.parse_args()
    out: Path = asked.out or RESULTS / f"{asked.grid}-{asked.through}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    seeds = range(asked.from_seed, asked.from_seed + asked.seeds)
    cells = [_sized(cell, asked.stream) for cell in GRIDS[asked.grid](asked.arms.split(","), seeds)]
    _run_all(cells, asked.through, out)


def _sized(cell: Cell, stream: int) -> Cell:
    return cell if stream == cell.stream else Cell(**{name: getattr(cell, name) for name in cell.__struct_fields__} | {"stream": stream})


def _run_all(cells: list[Cell], through: str, out: Path) -> None:
    done = finished(out)
    left = [cell for cell in cells if json.dumps([key_of(cell), through], sort_keys=True) not in done]
    print(f"{len(cells)} cells, {len(cells) - len(left)} finished before; results in {out}", file=sys.stderr)
    began = time.monotonic()
    for number, cell in enumerate(left, start=1):
        start = time.monotonic()
        result = run(cell) if through == "pure" else run_through(cell)
        line = json.dumps(record_of(cell, result, through=through, took_s=time.monotonic() - start))
        with out.open("a") as file:
            file.write(line + "\n")
        rest_s = (time.monotonic() - began) / number * (len(left) - number)
        said = f"{number}/{len(left)} seed {cell.seed} {cell.arm}, {cell.reader}, p {cell.obeys}"
        print(f"{said}: {result.early.accuracy:.3f} at 500, {result.late.accuracy:.3f} at the end; about {rest_s / 60:.0f} min left", file=sys.stderr)


if __name__ == "__main__":
    main()
