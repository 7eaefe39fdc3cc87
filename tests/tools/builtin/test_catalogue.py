from datetime import datetime
from importlib import util
from pathlib import Path

import pytest

from agent.clock import now
from agent.errors import ConfigInvalid, ToolFailed
from agent.tools.builtin import BUILTIN_NAMES, builtin_tools, register_builtin
from agent.tools.builtin.time import current_time
from agent.tools.registry import ToolRegistry


def test_all_tools_are_there_with_what_they_need_and_change_nothing(tmp_path: Path) -> None:
    registry = builtin_tools(tmp_path, ["example.org"])

    assert registry.names() == list(BUILTIN_NAMES)
    assert {tool.effect for tool in registry} == {"read"}
    assert {tool.name for tool in registry if tool.is_untrusted} == {"read_file", "list_files", "http_get"}  # what others may have written
    for tool in registry:
        assert tool.description
        assert all(schema["description"] for schema in tool.parameters["properties"].values())


def test_what_lacks_its_needs_is_left_out_or_refused(tmp_path: Path) -> None:
    assert builtin_tools().names() == ["calculator", "current_time"]
    registry = ToolRegistry()

    with pytest.raises(ConfigInvalid, match="'read_file' needs the folder"):
        register_builtin(registry, ["calculator", "read_file"])
    with pytest.raises(ConfigInvalid, match="needs the hosts"):
        register_builtin(registry, ["calculator", "http_get"], root=tmp_path)
    with pytest.raises(ConfigInvalid, match="no built-in tool 'shell'; there are calculator"):
        register_builtin(registry, ["shell"])
    with pytest.raises(ConfigInvalid, match="does not exist"):
        register_builtin(registry, ["read_file"], root=tmp_path / "missing")
    assert registry.names() == []

    register_builtin(registry, ["list_files", "calculator", "calculator"], root=tmp_path)
    assert registry.names() == ["list_files", "calculator"]


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.tools.builtin.catalogue.find_spec", lambda name: None if name == "httpx2" else util.find_spec(name))

    with pytest.raises(ConfigInvalid, match=r"pip install 'seasoned\[http\]'"):
        register_builtin(ToolRegistry(), ["http_get"], http_hosts=["example.org"])


@pytest.mark.parametrize("zone", ["UTC", "utc", "Z", "Asia/Shanghai", "Europe/Berlin"])
def test_the_time_is_now_in_any_zone(zone: str) -> None:
    told = current_time(zone)
    moment = datetime.fromisoformat(told["time"])

    assert abs((now() - moment).total_seconds()) < 60
    assert told["weekday"] == moment.strftime("%A")
    assert told["timezone"] == zone


@pytest.mark.parametrize("zone", ["Mars/Base", "../../etc/passwd", "/etc/localtime", "a\0b", "x" * 5000, "Europe"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ToolFailed, match="IANA name"):
        current_time(zone)


async def test_the_time_needs_no_argument() -> None:
    assert "UTC" in await builtin_tools().execute("current_time", "")
