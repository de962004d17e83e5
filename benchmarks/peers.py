"""Other libraries on the same documents: Gopher filters and MinHash signatures, each in an environment of its own.

    python benchmarks/peers.py --documents 20000 --peer-every 5

Makes a virtual environment for every library below a cache folder (`--cache`, PyPI through pip, about 3 GB in all,
kept for the next time), gives the same pieces to ours and to each of them in turn (lanes.py), and prints CPU
microseconds per document. Ratio: sum of the peer's time over its pieces by the sum of ours on those pieces, in our
first pass over all of them. They split words at white space, so verdicts and signatures are other ones than ours; the
work is the same in kind. What it gives up: their ways to read, write and distribute, and several cores.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from corpus import DATA, LANGUAGES, write_pieces  # noqa: E402 - the project's root must be on the path first
from lanes import Answer, Lane, LaneError, measured, read_texts, serve  # noqa: E402

TOOLS = Path(__file__).resolve().parent / "peer_tools"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "smoltrove" / "peers"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A library and a task.

    bare: packages installed without what they require; `packages`: those with. A library is bare where its requirements
    are gigabytes that the measured part does not import, or where pip does not find a set that fits.
    """

    task: str
    library: str
    script: str
    bare: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


# NeMo Curator requires torch with CUDA and transformers; its text filters import neither.
_NEMO = """
    numpy pandas pyarrow loguru jieba mecab-python3 absl-py comment_parser datasets fsspec hydra-core lmdb omegaconf ray
    typer attrs cattrs regex
""".split()  # noqa: SIM905
# pip finds no set for all that dolma requires within minutes (its s3fs and boto3 pin each other's parts).
_DOLMA = """
    numpy msgspec smart-open omegaconf tqdm requests python-dotenv rich anyascii blingfire charset-normalizer
    fasttext-wheel jq jsonpath-ng necessary nltk platformdirs pyyaml tokenizers uniseg zstandard fsspec
    typing_extensions boto3 setuptools<81 pandas
""".split()  # noqa: SIM905
# text-dedup requires pyspark and unisim (tensorflow); its MinHash imports neither.
_TEXT_DEDUP = """
    numpy scipy datasets click click-option-group tqdm rich regex ftfy xxhash bitarray psutil zstandard urllib3
    setuptools<81
""".split()  # noqa: SIM905
_JUICER = ("py-data-juicer==1.6.1", "aiohttp")

PEERS = (
    Peer(
        task="gopher", library="nemo-curator 1.4.0", script="nemo_curator_gopher.py",
        bare=("nemo-curator==1.4.0", "cosmos-xenna==0.3.0"), packages=tuple(_NEMO),
    ),
    Peer(
        task="gopher", library="dolma 1.2.1", script="dolma_gopher.py",
        bare=("dolma==1.2.1",), packages=tuple(_DOLMA),
    ),
    Peer(task="gopher", library="data-juicer 1.6.1", script="data_juicer_gopher.py", packages=_JUICER),
    Peer(task="minhash", library="rensa 0.5.0", script="rensa_minhash.py", packages=("rensa==0.5.0",)),
    Peer(task="minhash", library="datasketch 2.0.0", script="datasketch_minhash.py", packages=("datasketch==2.0.0",)),
    Peer(task="minhash", library="data-juicer 1.6.1", script="data_juicer_minhash.py", packages=_JUICER),
    Peer(
        task="minhash", library="text-dedup 0.4.0", script="text_dedup_minhash.py",
        bare=("text-dedup==0.4.0",), packages=tuple(_TEXT_DEDUP),
    ),
)  # fmt: skip


def environment(peer: Peer, cache: Path) -> Path:
    """The interpreter of the peer's environment, made where it is not there yet.

    Raises RuntimeError with pip's last words when a package cannot be installed.
    """
    wanted = json.dumps([sys.version_info[:2], peer.bare, peer.packages])
    folder = cache / f"{peer.library.replace(' ', '-')}-{hashlib.sha256(wanted.encode()).hexdigest()[:8]}"
    python, stamp = folder / "bin" / "python", folder / "complete"
    if stamp.is_file():
        return python
    print(f"installing {peer.library} in {folder}", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for options, packages in (([], peer.packages), (["--no-deps"], peer.bare)):
        if packages:
            done = subprocess.run([*pip, *options, *packages], capture_output=True, text=True, timeout=1800)
            if done.returncode:
                raise RuntimeError(f"pip: {done.stderr.strip()[-500:]}")
    stamp.touch()
    return python


def _our_gopher_lane() -> None:
    """Our two Gopher filters on documents in memory."""
    from datatrove.data import Document
    from loguru import logger

    from filters import FILTERS
    from pipelines.profiles import load_profiles

    logger.remove()
    profile = load_profiles(ROOT / "configs" / "filter_profiles.yaml")[LANGUAGES["en"].profile]
    steps = [FILTERS[spec.name](**spec.params) for spec in profile.filters if spec.name.startswith("gopher")]
    for step in steps:  # models and word splitters load with the first document
        step.filter(Document("A first text, of which nothing is measured. " * 9, "0"))

    def work(documents: Any) -> int:
        for step in steps:
            documents = step.run(documents)
        return sum(1 for _ in documents)

    def answer(question: dict[str, Any]) -> Answer:
        documents = [Document(text, str(row)) for row, text in enumerate(read_texts(question["path"]))]
        cpu, kept = measured(lambda: work(iter(documents)))
        return {"cpu": cpu, "kept": kept}

    serve(answer)


def _our_lane(task: str, folder: Path, lines: list[int]) -> Lane:
    here = Path(__file__).resolve()
    if task == "gopher":
        return Lane("ours", [sys.executable, str(here), "--lane", "gopher"])
    arguments = ["--folder", str(folder), "--lines", json.dumps(lines), "--lane", "ours"]
    return Lane("ours", [sys.executable, str(here.parent / "minhash_speed.py"), "en", *arguments])


def measure(
    *, documents: int = 20_000, piece_size: int = 1_000, peer_every: int = 5, repeats: int = 3, cache: Path = CACHE,
    data: Path = DATA, tasks: tuple[str, ...] = ("gopher", "minhash"),
) -> dict[str, Any]:  # fmt: skip
    """Costs and ratios by task and library; a library that could not be installed or run has `failed` and why.

    Args:
        documents, piece_size, repeats, data: as in `pipeline.measure`; English documents.
        peer_every: peers get every n-th piece.
        cache: where the environments are.
        tasks: which of gopher and minhash.
    """
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        pieces = write_pieces("en", documents, piece_size, Path(name) / "pieces", data)
        lines = [piece.documents for piece in pieces]
        for task in tasks:
            failed: dict[str, str] = {}
            lanes: dict[str, Lane] = {}
            for peer in (peer for peer in PEERS if peer.task == task):
                try:
                    python = environment(peer, cache)
                    lanes[peer.library] = Lane(peer.library, [str(python), str(TOOLS / peer.script)], name)
                except (LaneError, RuntimeError, subprocess.SubprocessError, OSError) as error:
                    failed[peer.library] = str(error)
            ours = [_our_lane(task, Path(name) / f"{task}-{i}", lines) for i in range(repeats)]
            cpu: dict[str, list[float]] = {library: [] for library in ("ours", *lanes)}
            kept: dict[str, int] = dict.fromkeys(cpu, 0)
            paired, all_ours = 0, 0.0
            for number, piece in enumerate(pieces):
                answers = [lane.ask(piece=number, path=str(piece.path)) for lane in ours]
                cost = statistics.median(answer["cpu"] for answer in answers)
                all_ours += cost
                if number % peer_every:
                    continue
                paired += piece.documents
                cpu["ours"].append(cost)
                kept["ours"] += answers[0].get("kept", 0)
                for library, lane in lanes.items():
                    answer = lane.ask(path=str(piece.path))
                    cpu[library].append(answer["cpu"])
                    kept[library] += answer["kept"]
            for lane in (*ours, *lanes.values()):
                lane.close()
            spent = {library: sum(seconds) for library, seconds in cpu.items()}
            found[task] = {
                "documents": paired,
                "us": {library: round(seconds / paired * 1e6, 1) for library, seconds in spent.items()},
                "us_of_all_pieces": round(all_ours / sum(lines) * 1e6, 1),
                "ratio": {lib: round(spent[lib] / spent["ours"], 2) for lib in spent if lib != "ours"},
                "kept": kept if task == "gopher" else {},
                "failed": failed,
            }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", default=["gopher", "minhash"], metavar="TASK")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--piece-size", type=int, default=1_000)
    parser.add_argument("--peer-every", type=int, default=5, help="give peers every n-th piece")
    parser.add_argument("--repeats", type=int, default=3, help="fresh processes of ours; the median of them counts")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the environments of the libraries are")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--lane", choices=("gopher",), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.lane:
        _our_gopher_lane()
        return
    result = measure(
        documents=options.documents, piece_size=options.piece_size, peer_every=options.peer_every,
        repeats=options.repeats, cache=options.cache, data=options.data, tasks=tuple(options.tasks),
    )  # fmt: skip
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
