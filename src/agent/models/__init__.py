"""Domain values: traces, steps, payloads, messages, memory, approvals."""

__all__: list[str] = []
