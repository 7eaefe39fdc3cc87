"""Draws that can be made again: the same seed and names give the same number, on every machine and after a crash."""

from hashlib import blake2b


def chance(seed: int | str, *names: str) -> float:
    """Return a number from 0 up to before 1, evenly spread over the names, that depends on nothing else.

    Source: assignment by a hash of the unit, as in R. Kohavi, D. Tang, Y. Xu, "Trustworthy Online Controlled Experiments", 2020, chapter 19.
    """
    text = "\0".join((str(seed), *names))
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()) / 2**64
