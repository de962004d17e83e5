"""Stage 1 at its full length without the Hub: listings out of the recipe's catalogue, rates measured here.

What comes from where, for `benchmarks/scaling_curve.py`:
- tokens of each source: configs/ (published or estimated there, see docs/sources.md);
- bytes of FineWeb2-HQ, FineMath and the Dolmino sources: sizes in the catalogue; of DCLM: 27,938 files (catalogue) of
  250 MB, as in the guide's section on resources; of all others: tokens times the bytes per token and per file byte of
  pipelines/estimates.py;
- bytes of a file: 2.3 GB in FineWeb-Edu and FineWeb-2 (the Hub's listing of FineWeb-Edu), 500 MB elsewhere, which is an
  assumption (the default of `push_to_hub`); 100 bytes of index for each blob of Stack v2, an assumption too;
- CPU: samples of the data pack by profile; of code, the mini hub's index and blobs over HTTP on this machine.
Yields are the configuration's: the sample's dropped documents are thinned out until as much text stays.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipelines.config import LoadedConfig, SourceConfig
from pipelines.estimate.files import FileFacts
from pipelines.estimate.sample import SampledFile, SourceSample
from pipelines.estimates import BYTES_PER_BLOB, TEXT_PER_FILE_BYTE, bytes_per_token
from pipelines.plan import Plan, PlannedSource
from pipelines.sources import Catalogue, FileInfo, Listing

DCLM_FILES, DCLM_FILE_BYTES = 27_938, 250_000_000
FINEWEB_FILE_BYTES, FILE_BYTES = 2_300_000_000, 500_000_000
INDEX_BYTES_PER_BLOB = 100
# A request to Software Heritage's bucket, assumed, and how many a reader has under way (pipelines/blobs.py).
BLOB_SECONDS, BLOBS_AT_ONCE = 0.05, 16
_SIZE = re.compile(r"([0-9.]+) GB( raw)?")


class CatalogueListings(Catalogue):
    """Answers with listings made of sizes, in place of the Hub's."""

    def __init__(self, config: LoadedConfig, catalogue: Mapping[str, Any]) -> None:
        super().__init__(config_dir=config.path.parent)
        entries = catalogue["stages"]["stage1"]["entries"]
        self.sizes: dict[str, float] = {}
        self.index_bytes = 0.0
        for source, entry in zip(config.stage.datasets, entries, strict=True):
            known = catalogue["sources"][entry["source"]]
            if source.weight != entry["weight"]:
                raise ValueError(f"{source.key}: the catalogue's weight is {entry['weight']}, not {source.weight}")
            found = _SIZE.match(str(known.get("size") or "")) if known.get("hf_id") == source.name else None
            if found:
                raw = TEXT_PER_FILE_BYTE["jsonl+"] if found[2] else 1.0
                self.sizes[source.key] = float(found[1]) * 1e9 / raw
            if source.adapter == "swh_repo":
                self.index_bytes += text_bytes(source) / BYTES_PER_BLOB * INDEX_BYTES_PER_BLOB

    def files(self, source: SourceConfig) -> Listing:
        """Files of equal size."""
        number, size, suffix = self._shape(source)
        names = (f"{source.folder}/{i:05d}.{suffix}" for i in range(number))
        files = tuple(FileInfo(path=name, size=size, identity="") for name in names)
        return Listing(kind="hub", base=f"hf://datasets/{source.name}@{'0' * 40}", revision="0" * 40, files=files)

    def _shape(self, source: SourceConfig) -> tuple[int, int, str]:
        if source.name == "mlfoundations/dclm-baseline-1.0":
            return DCLM_FILES, DCLM_FILE_BYTES, "jsonl.zst"
        suffix, packed = ("json.gz", "jsonl+") if "dolmino" in source.name else ("parquet", "parquet")
        total = self.sizes.get(source.key, text_bytes(source) / TEXT_PER_FILE_BYTE[packed])
        if source.adapter == "swh_repo":
            total = self.index_bytes
        each = FINEWEB_FILE_BYTES if source.name.startswith("HuggingFaceFW/fineweb") else FILE_BYTES
        number = max(1, round(total / each))
        return number, max(1, round(total / number)), suffix


def text_bytes(source: SourceConfig) -> float:
    """UTF-8 bytes of the whole source, by its tokens."""
    return float(source.available_tokens or 0) * bytes_per_token(source.language)


def read_catalogue(path: Path) -> dict[str, Any]:
    """The recipe's catalogue."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def samples_for(plan: Plan, by_profile: Mapping[str, SourceSample], blobs: SourceSample) -> dict[str, SourceSample]:
    """For every source of `plan` the sample of its profile, with the yield that the plan allows for."""
    found = {}
    for source in plan.sources:
        sample = blobs if source.source.adapter == "swh_repo" else by_profile[source.source.profile]
        found[source.key] = _for_source(sample, source)
    return found


def _for_source(sample: SourceSample, source: PlannedSource) -> SourceSample:
    """The sample's costs for a source whose files nobody can open."""
    share = 1.0
    if source.source.name == "epfml/FineWeb2-HQ":  # mostly embeddings, which no run reads
        share = min(1.0, text_bytes(source.source) / TEXT_PER_FILE_BYTE["parquet"] / max(1, _bytes(source)))
    files = tuple(replace(file, facts=FileFacts(rows_per_byte=None, fetched_share=share)) for file in sample.files)
    thinned = _thinned(sample, source.expected_yield)
    wait = BLOB_SECONDS / BLOBS_AT_ONCE if sample.lazy else 0.0
    return replace(thinned, source=source.key, files=files, wait_seconds=wait)


def _bytes(source: PlannedSource) -> int:
    return sum(file.size for file in source.listing.files)


def _thinned(sample: SourceSample, wanted: float) -> SourceSample:
    """As few of the dropped documents as leave that share of the text, spread over the sample; packing is kept."""
    kept = sum(document.kept_bytes for document in sample.documents)
    dropped = sum(document.text_bytes for document in sample.documents if not document.kept_bytes)
    room = kept * (1 - wanted) / wanted if wanted > 0 else dropped
    share, seen, taken, documents = min(1.0, room / max(1, dropped)), 0.0, 0.0, []
    for document in sample.documents:
        if not document.kept_bytes:
            seen += document.text_bytes
            if taken + document.text_bytes / 2 > seen * share:
                continue
            taken += document.text_bytes
        documents.append(document)
    return replace(sample, documents=tuple(documents))


def merged(samples: list[SourceSample]) -> SourceSample:
    """Several small samples as one."""
    documents, files = [], []
    for sample in samples:
        documents += [replace(document, file=document.file + len(files)) for document in sample.documents]
        files += list[SampledFile](sample.files)
    number = max(1, len(documents))
    weights = [len(sample.documents) / number for sample in samples]

    def mean(name: str) -> float:
        return sum(weight * getattr(sample, name) for weight, sample in zip(weights, samples, strict=True))

    return replace(
        samples[0], documents=tuple(documents), files=tuple(files), written_bytes=sum(s.written_bytes for s in samples),
        setup_seconds=mean("setup_seconds"), index_seconds=mean("index_seconds"), write_seconds=mean("write_seconds"),
        blob_bytes=mean("blob_bytes"), items_per_row=mean("items_per_row"),
        peak_bytes=max(s.peak_bytes for s in samples),
    )  # fmt: skip
