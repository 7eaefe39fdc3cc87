"""Make data/opinions.bin.gz: how much each task is like the names of the tools, in the eyes of the frozen policy.

    pip install wordllama==0.4.0.post1
    python bench/learning/opinions.py

The policy is a static embedding (WordLlama `l2_supercat`, 256 dimensions, MIT): the cosine of a task and a tool's name, both in
lower case. Its opinions never change, so that they are kept as data and the experiments need neither the model nor NumPy. Of
each task the eight best tools, as pairs of bytes: the tool's number, its cosine times 250.
"""

import gzip
import importlib
from pathlib import Path

from protocol import DATA, KEPT_OPINIONS, SCALE, read_texts, read_tools


def main() -> None:
    """Write the file anew."""
    wordllama = importlib.import_module("wordllama")
    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)  # the wheel holds its weights
    names = model.embed([tool.replace("_", " ") for tool in read_tools()], norm=True)
    out = bytearray()
    for part in ("train", "test"):
        for row in model.embed([text.lower() for text, _ in read_texts(part)], norm=True) @ names.T:
            best = sorted(range(len(row)), key=lambda tool: -row[tool])[:KEPT_OPINIONS]
            out += bytes(byte for tool in best for byte in (tool, round(max(float(row[tool]), 0.0) * SCALE)))
    (DATA / "opinions.bin.gz").write_bytes(gzip.compress(bytes(out), 9, mtime=0))


if __name__ == "__main__":
    main()
