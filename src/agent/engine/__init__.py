"""Runs: what drives them, who owns them, who watches them."""

__all__: list[str] = []
