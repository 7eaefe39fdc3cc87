"""Sets of tasks, run with and without memory, and what came of it: paired, with intervals."""

__all__: list[str] = []
