"""What `import agent` loads, what it offers, and how much it brings along."""

import os
import subprocess
import sys
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import agent

VENDORS = {"anthropic", "boto3", "fastapi", "genai_prices", "google", "groq", "httpx", "httpx2", "mistralai", "openai", "psycopg", "pydantic_ai", "xllamacpp"}
HEAVY = VENDORS | {"asyncio", "email", "griffe", "http", "pydantic", "requests", "rich", "sqlite3", "ssl", "typer", "uvicorn"}
PUBLIC = {
    *("AgentRunner", "AgentConfig", "CallResult", "AgentEvent", "Approval", "AlreadyDecided", "AgentError"),
    *("Trace", "Step", "Experience", "Skill"),
    *("ToolRegistry", "ToolContext", "get_tool_registry", "open_store", "open_model"),
}


def loaded_by(statement: str) -> set[str]:
    """Return the top-level names of the modules that a fresh process has after `statement`."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}  # measuring loads modules of its own
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, timeout=60, env=plain)
    return set(done.stdout.split())


def closure(distribution: str) -> set[str]:
    """Return the names of all distributions that installing `distribution` without extras brings here."""
    found: set[str] = set()
    waiting = [Requirement(distribution)]
    while waiting:
        asked = waiting.pop()
        for line in requires(asked.name) or []:
            needed = Requirement(line)
            if needed.marker and not any(needed.marker.evaluate({"extra": extra}) for extra in asked.extras or {""}):
                continue
            if (name := canonicalize_name(needed.name)) not in found:
                found.add(name)
                waiting.append(needed)
    return found


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_by("import agent")

    assert "agent" in loaded
    assert not loaded & HEAVY


def test_using_every_public_name_loads_no_vendor() -> None:
    loaded = loaded_by("import agent; [getattr(agent, name) for name in agent.__all__]")

    assert not loaded & VENDORS


def test_the_command_starts_without_a_vendor() -> None:
    loaded = loaded_by("import agent.cli.main")

    assert not loaded & VENDORS


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_public_name_is_there(name: str) -> None:
    assert name in agent.__all__
    assert getattr(agent, name).__name__ == name


def test_the_package_offers_no_more_than_it_promises() -> None:
    assert len(agent.__all__) == len(PUBLIC)
    assert set(agent.__all__) == PUBLIC


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        agent.nothing  # noqa: B018 (reading it is the test)


def test_the_core_brings_at_most_twenty_distributions() -> None:
    brought = closure("seasoned")

    assert "msgspec" in brought
    assert len(brought) <= 20, sorted(brought)
    assert not brought & {"torch", "litellm", "openai", "pydantic-ai-slim"}
