"""Kills a scenario of yours at every durable write and around every effect, and says what was repeated or lost. POSIX only.

A scenario is an async function that is given a `Stage`: it builds a runner with your tools and drives a task. It is played again after
each kill, and has to go on from what it finds.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agent.errors import BadInput
from agent.models.value import Value

__all__ = ["CrashReport", "Finding", "kill_everywhere"]


MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it
"""Where scenarios are played unless a folder is given: a killed process loses nothing that it wrote, so no disk is needed."""


class Finding(Value, frozen=True, kw_only=True):
    """What went wrong after a kill at these points, the second one during the recovery from the first."""

    kills: tuple[int, ...]
    points: tuple[str, ...]  # the name of the first; of later ones only where they are
    faults: tuple[str, ...]

    def __str__(self) -> str:
        where = " then ".join(f"{number} ({name})" for number, name in zip(self.kills, self.points, strict=True)) or "nowhere"
        return f"killed at {where}:\n" + "\n".join(f"  - {fault}" for fault in self.faults)


class CrashReport(Value, frozen=True, kw_only=True):
    """The outcome: `findings` is empty where the scenario survives."""

    scenario: str
    points: tuple[str, ...]  # what an undisturbed run comes by
    tried: int  # series of kills
    deaths: int
    took_s: float
    findings: tuple[Finding, ...]

    @property
    def is_safe(self) -> bool:
        """Whether nothing went wrong."""
        return not self.findings

    def __str__(self) -> str:
        kinds = Counter(point.partition("(")[0] for point in self.points)
        lines = [
            (
                f"{self.scenario}: {len(self.points)} points, {self.tried} series of kills, {self.deaths} deaths, "
                f"{self.took_s:.1f} s, {len(self.findings)} findings"
            ),
            ", ".join(f"{count} {name}" for name, count in kinds.most_common()),
            *(str(finding) for finding in self.findings[:20]),
        ]
        return "\n".join(lines)


def kill_everywhere(
    scenario: str, folder: Path | None = None, *, twice: int = 0, points: Iterable[int] | None = None, jobs: int | None = None, stop_at: int | None = None
) -> CrashReport:
    """Play a scenario (`module:function` or `path/file.py:function`) once undisturbed, then once for each point at which it is killed there.

    With `twice` each kill is followed by up to so many others, at different points of its recovery. `points` names the ones to try;
    `stop_at` ends the search after so many findings. What failed stays in `folder` (else nothing does).

    Raises:
        BadInput: the scenario cannot be played, or not even undisturbed.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-kit-", dir=MEMORY if MEMORY.is_dir() else None) as own:
        place = (folder if folder is not None else Path(own)).absolute()
        place.mkdir(parents=True, exist_ok=True)
        asked = {"scenario": scenario, "folder": str(place)}
        (first,) = _serve(asked)
        if first["faults"] or first["result"] is None:
            raise BadInput(f"{scenario} goes wrong without any crash:\n" + "\n".join(first["faults"]))
        names: list[str] = first["points"]
        chosen = sorted(set(points)) if points is not None else list(range(len(names)))
        series = [(kill,) for kill in chosen] + [(kill, second) for kill in chosen for second in _seconds(kill, len(names), twice)]
        outcomes = _spread(
            asked | {"first": first["result"], "modules": first["modules"], "total": len(series)}, series, jobs or min(os.cpu_count() or 1, 4), stop_at
        )
    findings = tuple(
        Finding(kills=tuple(o["kills"]), points=(names[o["kills"][0]], *("during recovery",) * (len(o["kills"]) - 1)), faults=tuple(_faults(o)))
        for o in outcomes
        if _faults(o)
    )
    return CrashReport(
        scenario=scenario,
        points=tuple(names),
        tried=len(outcomes),
        deaths=sum(o["died"] for o in outcomes),
        took_s=time.monotonic() - began,
        findings=findings,
    )


def _faults(outcome: dict[str, Any]) -> list[str]:
    faults: list[str] = outcome["faults"]
    return faults if faults or outcome["is_over"] else ["it never came to its end"]


def _seconds(kill: int, count: int, twice: int) -> list[int]:
    """Return points of a recovery, spread over what is left of the run; others for each first kill."""
    left = max(count - kill, 3) + 2
    return sorted({(kill + number * left // twice) % left for number in range(twice)})


def _spread(asked: dict[str, Any], series: Sequence[tuple[int, ...]], jobs: int, stop_at: int | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def work(share: Sequence[tuple[int, ...]]) -> None:
        """Have one server play its share."""
        size = _AT_ONCE if stop_at is None else _AT_ONCE // 5
        for start in range(0, len(share), size):
            if stop_at is not None and sum(bool(_faults(outcome)) for outcome in found) >= stop_at:
                return
            found.extend(_serve(asked | {"kills": share[start : start + size]}))

    with ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(work, series[number::jobs]) for number in range(jobs)]:
            done.result()
    return found


_AT_ONCE = 40  # series that one server plays: its imports cost as much as ten lives


def _serve(asked: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(  # our own module
        [sys.executable, "-m", "agent.testing.crash_server"], input=json.dumps(asked), capture_output=True, text=True, check=False, env=_environment(asked)
    )
    if done.returncode:
        raise BadInput(f"{asked['scenario']} cannot be played: {done.stderr[-4_000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _environment(asked: dict[str, Any]) -> dict[str, str]:
    """Return the environment of a server: coverage follows no more than a few lives, or it would cost more than they do."""
    is_measured = asked.get("total", 0) <= _MEASURED
    return {name: value for name, value in os.environ.items() if is_measured or not name.startswith("COVERAGE")}


_MEASURED = 20  # series of kills
