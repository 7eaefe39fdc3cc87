"""Tools that come with the package; each is off unless named, and none changes anything."""

from agent.tools.builtin.catalogue import BUILTIN_NAMES, builtin_tools, register_builtin

__all__ = ["BUILTIN_NAMES", "builtin_tools", "register_builtin"]
