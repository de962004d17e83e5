"""Seconds until the pages of `smoltrove inspect --web` are there, and what they take: first, next, far, searched.

    python benchmarks/inspect_pages.py                      # makes a run of 200,000 documents in a temporary folder
    python benchmarks/inspect_pages.py --run out/stage1     # or takes one

Over HTTP, in a process of its own, wall time on whatever else the machine does. Gives up: the browser's own time.
"""

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from html import unescape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
TEXT = "The river runs to the sea, and nobody who has seen it there will say that it was in any hurry to arrive. "


def make_run(folder: Path, documents: int) -> Path:
    """A finished run of one source, in one file."""
    (folder / "data").mkdir()
    with open(folder / "data" / "0.jsonl", "w", encoding="utf-8") as handle:
        for i in range(documents):
            handle.write(json.dumps({"id": f"d{i}", "text": f"Page {i}. " + TEXT * 20 + f"needle{i:07d}"}) + "\n")
    config = folder / "config.yaml"
    config.write_text(
        "stage: bench\ndescription: pages\ntarget_tokens: 1T\n"
        f"filtering: {{profiles: {ROOT / 'configs' / 'filter_profiles.yaml'}}}\n"
        "datasets: [{name: b/pages, path: data, id_field: id, weight: 1, max_epochs: 1, profile: prefiltered}]\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "pipelines", "run", str(config), "--tasks", "1", "--workers", "1"]
    folders = ["--output-folder", str(folder / "out"), "--logging-dir", str(folder / "logs")]
    subprocess.run([*command, *folders], cwd=ROOT, check=True, capture_output=True)
    return folder / "out"


def get(host: str, path: str) -> tuple[float, str]:
    """(seconds, page)."""
    started = time.perf_counter()
    connection = http.client.HTTPConnection(host, timeout=600)
    connection.request("GET", path)
    page = connection.getresponse().read().decode()
    connection.close()
    return time.perf_counter() - started, page


def peak_mb(pid: int) -> float:
    """The most memory that a process has held (Linux)."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1000 if found else float("nan")


def measure(run: Path) -> None:
    """Print a table."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pipelines", "inspect", str(run), "--web"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=None, bufsize=1)
    assert server.stdout
    try:
        host = server.stdout.readline().split("/")[2]
        print("| page | seconds |\n|---|---:|")
        print(f"| (from start to address) | {time.perf_counter() - started:.2f} |")
        seconds, page = get(host, "/")
        print(f"| first | {seconds:.2f} |")
        more = re.search(r'href="([^"]*)">more kept', page)
        if more:
            print(f"| next | {get(host, unescape(more[1]))[0]:.2f} |")
        found = re.search(r"([\d,]+) in these files", page)
        total = int(found[1].replace(",", "")) if found else 0
        print(f"| from document {total // 2:,} on, skipped to, where one file has them all | "
              f"{get(host, f'/kept?kept=0.{total // 2}')[0]:.2f} |")  # fmt: skip
        print(f"| a search without a match, up to its limit | {get(host, '/kept?search=no-such-word')[0]:.2f} |")
        print(f"\n{total:,} documents; the server's peak memory: {peak_mb(server.pid):.0f} MB")
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Make or take a run, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a run to take")
    parser.add_argument("--documents", type=int, default=200_000, help="documents of the run that is made")
    args = parser.parse_args()
    if args.run is not None:
        measure(args.run.absolute())
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(make_run(Path(folder), args.documents))


if __name__ == "__main__":
    main()
