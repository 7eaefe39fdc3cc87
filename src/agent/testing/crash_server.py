"""The process of the crash kit that imports a scenario once and forks a child for each of its lives: `python -m agent.testing.crash_server`.

Reads one JSON object from stdin (what to play, in which folder, which kills), writes one JSON line for each. POSIX only.
"""

import asyncio
import contextlib
import gc
import importlib
import importlib.util
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from agent.testing import crash_checks
from agent.testing.crash import KillPoints
from agent.testing.stage import Stage

Scenario = Callable[[Stage], Awaitable[Any]]
LIFE_S = 120.0
"""A life that takes longer hangs, and is killed."""
MAX_LIVES = 8
"""A scenario that has not come to its end after so many undisturbed lives never will."""


def scenario_of(name: str) -> Scenario:
    """Return the function of `module:function` or `path/to/file.py:function`."""
    place, _, function = name.rpartition(":")
    if place.endswith(".py"):
        path = Path(place).absolute()
        sys.path.insert(0, str(path.parent))
        place = path.stem
    found: Scenario = getattr(importlib.import_module(place), function)
    return found


class Player:
    """Plays one scenario, life after life, in one folder for each series of kills."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder = scenario, folder
        self.first: dict[str, Any] = {}

    def undisturbed(self) -> dict[str, Any]:
        """Play once without a kill; return the names of the points and the result."""
        folder = self.folder / "undisturbed"
        folder.mkdir(parents=True)
        code = self._live(folder, None)
        report = _report(folder)
        points = json.loads((folder / "points").read_text()) if (folder / "points").exists() else []
        faults = report["faults"] + ([] if code == 0 else [f"it does not come to its end even without a crash: exit code {code}"])
        modules = json.loads((folder / "modules").read_text()) if (folder / "modules").exists() else []
        return {"points": points, "result": report["result"], "faults": faults, "modules": modules}

    def killed(self, kills: Sequence[int]) -> dict[str, Any]:
        """Play with a kill at each of these points, one life after the other, then undisturbed; return what went wrong."""
        folder = self.folder / "-".join(str(kill) for kill in kills)
        folder.mkdir()
        lives, died, left = 0, 0, list(kills)
        faults: list[str] = []
        while lives < len(kills) + MAX_LIVES:
            lives += 1
            code = self._live(folder, left.pop(0) if left else None)
            if code == 0:
                break
            if code == -signal.SIGKILL:
                died += 1
                continue
            faults.append(f"life {lives} ended with exit code {code}")
            break
        report = _report(folder)
        faults += report["faults"]
        if not faults and report["result"] is not None:
            shutil.rmtree(folder)
        return {"kills": list(kills), "lives": lives, "died": died, "faults": faults, "is_over": report["result"] is not None}

    def _live(self, folder: Path, kill_at: int | None) -> int:
        child = os.fork()
        if not child:
            _die_after(self._life, folder, kill_at)
        deadline = time.monotonic() + LIFE_S
        while True:
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGABRT)
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            time.sleep(0.002)

    def _life(self, folder: Path, kill_at: int | None) -> None:
        asyncio.run(self._play(folder, kill_at))

    async def _play(self, folder: Path, kill_at: int | None) -> None:
        url = f"sqlite:///{folder / 'runs.db'}"
        effects = json.loads((folder / "effects").read_text()) if (folder / "effects").exists() else {}
        before = await crash_checks.take(folder, url)
        for fault in crash_checks.breaches(crash_checks.load(folder / "snapshot"), before, effects, was_killed=True):
            _complain(folder, fault)
        crash_checks.save(before, folder / "snapshot")
        points = KillPoints(kill_at)
        stage = Stage(folder, url, points)
        await self.scenario(stage)
        effects = json.loads((folder / "effects").read_text()) if (folder / "effects").exists() else {}
        after = await crash_checks.take(folder, url)
        for fault in crash_checks.breaches(before, after, effects, was_killed=False):
            _complain(folder, fault)
        result = after.result()
        for fault in crash_checks.losses(self.first, after, effects):
            _complain(folder, fault)
        (folder / "result").write_text(json.dumps(result, default=str))
        (folder / "points").write_text(json.dumps(points.names))
        (folder / "modules").write_text(json.dumps(sorted(sys.modules)))  # loaded late, they would be loaded again in every life


def _die_after(life: Callable[[Path, int | None], None], folder: Path, kill_at: int | None) -> None:
    try:
        with contextlib.redirect_stdout(sys.stderr):
            life(folder, kill_at)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is told, and this child must end here
        lines = traceback.format_exception(error)
        _complain(folder, f"the scenario raised {type(error).__name__}: {error}\n{''.join(lines)}"[:4_000])
        os._exit(1)
    os._exit(0)


def _complain(folder: Path, fault: str) -> None:
    with (folder / "faults").open("a") as file:
        file.write(json.dumps(fault) + "\n")


def _report(folder: Path) -> dict[str, Any]:
    faults, result = folder / "faults", folder / "result"
    return {
        "faults": list(dict.fromkeys(json.loads(line) for line in faults.read_text().splitlines())) if faults.exists() else [],
        "result": json.loads(result.read_text()) if result.exists() else None,
    }


def main() -> None:
    """Serve what stdin asks for."""
    asked = json.loads(sys.stdin.read())
    for name in asked.get("modules", ()):
        with contextlib.suppress(Exception):  # what a module needs that is not imported by its name, a life imports itself
            importlib.import_module(name)
    gc.freeze()  # so that no child copies pages by collecting
    player = Player(scenario_of(asked["scenario"]), Path(asked["folder"]))
    player.first = asked.get("first", {})
    if asked.get("kills") is None:
        print(json.dumps(player.undisturbed()), flush=True)  # noqa: T201  # its way to answer
        return
    for kills in asked["kills"]:
        print(json.dumps(player.killed(kills)), flush=True)  # noqa: T201  # the same


if __name__ == "__main__":
    main()
