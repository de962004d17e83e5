"""Near-duplicate detection by other packages, each run by the Python of its own virtual environment.

    python dedup_peers_tools.py TOOL WARM_UP.jsonl.gz DOCUMENTS.jsonl.gz RESULT.json

Needs nothing of this project. The parameters are equal: word 5-grams, 112 hashes in 14 bands of 8 rows. text-dedup cuts
words itself; the others take word 5-grams of `\\w+` in lower case, which is just how the truth was measured. `-checked`
is how datasketch and rensa show it: a document goes when one that is kept already is a candidate and the estimated
similarity is at least 0.8. Gives up: their distributed and streaming forms.
"""

import gzip
import importlib.metadata
import json
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

NUM_HASHES, BANDS, ROWS, N_GRAM, SEED = 112, 14, 8, 5, 1
THRESHOLD = 0.8
_WORD = re.compile(r"\w+")
Labels = list[int]


def texts_of(path: Path) -> Iterator[str]:
    """The texts of a JSONL file, in order."""
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        for line in handle:
            yield json.loads(line)["text"]


def n_grams(text: str) -> list[str]:
    """The different word n-grams; the whole text where it is shorter."""
    words = _WORD.findall(text.lower())
    return list({" ".join(words[i : i + N_GRAM]) for i in range(max(1, len(words) - N_GRAM + 1))})


def datasketch(path: Path, checked: bool) -> Labels:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=NUM_HASHES, params=(BANDS, ROWS))
    hashes: list[MinHash] = []
    for text in texts_of(path):
        one = MinHash(num_perm=NUM_HASHES, seed=SEED)
        one.update_batch([gram.encode() for gram in n_grams(text)])
        hashes.append(one)
    if not checked:
        for i, one in enumerate(hashes):
            index.insert(i, one)
        return _components([index.query(one) for one in hashes])
    labels: Labels = []
    for i, one in enumerate(hashes):
        found = [j for j in sorted(index.query(one)) if hashes[j].jaccard(one) >= THRESHOLD]
        labels.append(found[0] if found else i)
        if not found:
            index.insert(i, one)
    return labels


def rensa(path: Path, checked: bool) -> Labels:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=THRESHOLD, num_perm=NUM_HASHES, num_bands=BANDS)
    hashes = RMinHash.from_token_sets([n_grams(text) for text in texts_of(path)], num_perm=NUM_HASHES, seed=SEED)
    if not checked:
        index.insert_many(hashes)
        return _components(index.query_all(hashes))
    labels: Labels = []
    for i, one in enumerate(hashes):
        found = [j for j in sorted(index.query(one)) if hashes[j].jaccard(one) >= THRESHOLD]
        labels.append(found[0] if found else i)
        if not found:
            index.insert(i, one)
    return labels


def text_dedup(path: Path, checked: bool) -> Labels:
    from text_dedup import minhash

    assert not checked, "text-dedup has no such check"
    num_documents = sum(1 for _ in texts_of(path))
    with tempfile.TemporaryDirectory() as name, open(os.devnull, "w") as nowhere:
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            minhash.main(
                ["--path", "json", "--data_files", str(path), "--split", "train", "--column", "text",
                 "--cache_dir", f"{name}/cache", "--output", f"{name}/out", "--num_proc", "1", "--hash_func", "xxh3",
                 "--num_perm", str(NUM_HASHES), "--b", str(BANDS), "--r", str(ROWS), "--ngram", str(N_GRAM),
                 "--min_length", str(N_GRAM)],
                standalone_mode=False,
            )  # fmt: skip
    return [minhash.uf.find(i) for i in range(num_documents)]


def _components(neighbours: list[list[int]]) -> Labels:
    """For each document the smallest one of its connected component."""
    parent = list(range(len(neighbours)))
    for i, found in enumerate(neighbours):
        for j in found:
            a, b = _root(parent, i), _root(parent, j)
            parent[max(a, b)] = min(a, b)
    return [_root(parent, i) for i in range(len(parent))]


def _root(parent: Labels, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


TOOLS: dict[str, tuple[str, Callable[[Path, bool], Labels], bool]] = {
    "text-dedup": ("text-dedup", text_dedup, False),
    "datasketch": ("datasketch", datasketch, False),
    "datasketch-checked": ("datasketch", datasketch, True),
    "rensa": ("rensa", rensa, False),
    "rensa-checked": ("rensa", rensa, True),
}


def own_peak() -> int:
    """Most bytes that this process has held. ru_maxrss counts what its parent held when it was started, VmHWM not."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def usage(peak: Callable[[], int]) -> tuple[float, int]:
    """(CPU seconds of this process and its children, bytes of the largest of them at its peak)."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both), max(peak(), both[1].ru_maxrss * 1024)


def measured(
    call: Callable[[Path], Labels], warm_up: Path, path: Path, peak: Callable[[], int] = own_peak
) -> dict[str, object]:
    """Labels of `path`, CPU seconds and peak memory; imports and tables are loaded by `warm_up` before.

    peak: bytes of this process at its peak, for a tool that lets the kernel count anew.
    """
    call(warm_up)
    start_cpu, start_bytes = usage(peak)
    started = time.perf_counter()
    labels = call(path)
    cpu, most = usage(peak)
    return {
        "labels": labels,
        "cpu_seconds": cpu - start_cpu,
        "wall_seconds": time.perf_counter() - started,
        "start_cpu_seconds": start_cpu,
        "start_bytes": start_bytes,
        "peak_bytes": most,
    }


if __name__ == "__main__":
    tool, warm_up, documents, result = sys.argv[1:]
    distribution, function, with_check = TOOLS[tool]
    found = measured(lambda path: function(path, with_check), Path(warm_up), Path(documents))
    found["version"] = importlib.metadata.version(distribution)
    Path(result).write_text(json.dumps(found), encoding="utf-8")
