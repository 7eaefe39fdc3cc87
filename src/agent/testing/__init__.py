"""For tests, ours and yours: scripted models, contract suites."""

__all__: list[str] = []
