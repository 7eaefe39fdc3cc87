"""Where the record, the memory and the state live: ports and their adapters."""

__all__: list[str] = []
