"""Documents to audit: a seeded sample of each source of a configuration, a run or a folder.

A source's files are read in a seeded order until `READ_AHEAD` times the sample has come by, and the documents whose ids
have the smallest seeded hashes are taken: the same documents on every machine, at a cost that does not grow with the
source. Gives up: drawing from all of a large source; of code from Software Heritage and of HTML, the first texts are
taken.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import orjson
import xxhash
from datatrove.data import Document

from filters.sampling import EPOCH
from pipelines import BUNDLED_CONFIGS
from pipelines.blobs import BlobStore
from pipelines.compression import LINE_ERRORS, open_lines
from pipelines.config import SourceConfig, load_config
from pipelines.curriculum import PROFILES_NAME, profiles_of
from pipelines.errors import SourceError, UserError, did_you_mean
from pipelines.plan import PlannedSource
from pipelines.profiles import Profile, load_profiles
from pipelines.reader_bytes import ReadFile
from pipelines.run_layout import BLOBS_DIR, RUN_DIR, RunLayout
from pipelines.selection import adapter_of, matches, select_sources
from pipelines.sources import Catalogue, Listing
from pipelines.stages import source_reader
from pipelines.verify import open_run

READ_AHEAD = 50
DATA_SUFFIXES = (".jsonl.gz", ".jsonl.zst")


@dataclass(kw_only=True)
class Drawn:
    """The sample of one source, and the profile that judges it. `problem`: why there is none."""

    source: str
    profile: Profile
    documents: list[Document] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str | None = None


def draw(
    target: Path,
    *,
    number: int,
    seed: int,
    profile: str | None = None,
    profiles: Path | None = None,
    mirror: Path | None = None,
    datasets: str | None = None,
    text_field: str | None = None,
    id_field: str | None = None,
) -> Iterator[Drawn]:
    """The sample of each source of `target`: a run's output folder, a stage configuration, or a folder of files.

    Args:
        number: documents of each source at most; seed: of the sample.
        profile: judge by this profile, whatever the source names; needed for a plain folder. profiles: where it is.
        mirror, datasets: as for `smoltrove run`, for a configuration; datasets for a run, too.
        text_field, id_field: of a plain folder's rows.

    Raises:
        UserError: a target that is none of them, a folder without documents, or an unknown profile.
    """
    given = _profile(profile, profiles) if profile is not None or profiles is not None else None
    if (target / RUN_DIR / "plan.json").is_file():
        yield from _of_run(target, number, seed, given, datasets)
    elif (target / RUN_DIR / "manifest.json").is_file():
        raise UserError(f"{target}: is the output of a deduplication; audit the run before it, or a folder inside")
    elif target.is_file() and target.suffix in (".yaml", ".yml"):
        yield from _of_config(target, number, seed, given, mirror, datasets)
    elif target.exists():
        if given is None:
            raise UserError(f"{target}: is no run and no configuration; say which profile judges it with --profile")
        name = f"local/{''.join(c if c.isalnum() or c in '._-' else '_' for c in target.resolve().name) or 'data'}"
        source = SourceConfig(
            name=name, path=str(target.resolve()), weight=1.0, profile=given.name, text_field=text_field or "text",
            id_field=id_field,
        )  # fmt: skip
        drawn = _of_source(source, given, Catalogue(), number, seed, None)
        if drawn.problem is not None:
            raise UserError(f"{target}: {drawn.problem}")
        yield drawn
    else:
        raise UserError(f"{target}: no such file or folder; give a run, a configuration or a folder of documents")


def _profile(name: str | None, path: Path | None) -> Profile:
    found = load_profiles(path or BUNDLED_CONFIGS / PROFILES_NAME)
    if name is None:
        if len(found) != 1:
            raise UserError(f"--profiles {path}: holds {len(found)} profiles; choose one with --profile")
        return next(iter(found.values()))
    if name not in found:
        raise UserError(f"--profile {name}: no such profile{did_you_mean(name, found)}; known: {', '.join(found)}")
    return found[name]


def smallest(documents: Iterable[Document], number: int, seed: int, source: str) -> list[Document]:
    """The `number` documents whose ids have the smallest seeded hashes, in that order."""
    heap: list[tuple[int, int, Document]] = []
    for count, document in enumerate(documents):
        key = -xxhash.xxh3_64_intdigest(f"{source}\0{document.id}".encode("utf-8", "surrogatepass"), seed)
        if len(heap) < number:
            heapq.heappush(heap, (key, -count, document))
        elif key > heap[0][0]:
            heapq.heapreplace(heap, (key, -count, document))
    return [document for _, _, document in sorted(heap, key=lambda item: (-item[0], -item[1]))]


def _shuffled(names: Sequence[str], seed: int) -> list[int]:
    return sorted(range(len(names)), key=lambda i: (xxhash.xxh3_64_intdigest(names[i].encode(), seed), names[i]))


def _of_config(
    path: Path, number: int, seed: int, given: Profile | None, mirror: Path | None, datasets: str | None
) -> Iterator[Drawn]:
    config = load_config(path)
    profiles = profiles_of(config)
    catalogue = Catalogue(mirror=mirror, config_dir=config.path.parent)
    for item in select_sources(config, profiles, datasets, None)[0]:
        yield _of_source(item.source, given or item.profile, catalogue, number, seed, mirror)


def _of_source(
    source: SourceConfig, profile: Profile, catalogue: Catalogue, number: int, seed: int, mirror: Path | None
) -> Drawn:
    drawn = Drawn(source=source.key, profile=profile)
    try:
        listing = catalogue.files(source)
        blobs = _blobs(listing, mirror) if source.adapter in ("swh", "swh_repo") else None
        # Texts that are fetched or extracted one by one: only as many as are asked for.
        costly = source.adapter in ("swh", "swh_repo", "html")
        seen: set[str] = set()

        def wanted(_: str, ident: str) -> bool:
            if len(seen) < number:
                seen.add(ident)
            return ident in seen

        files = [
            ReadFile(path=f.path, uri=f"{listing.base}/{f.path}", size=f.size, format=f.format or "jsonl", peek=True)
            for f in (listing.files[i] for i in _shuffled([f.path for f in listing.files], seed))
        ]
        most = READ_AHEAD * number
        reader = source_reader(
            source, tasks=[files], adapter=adapter_of(source, blobs), wanted=wanted if costly else None, max_rows=most,
            default_metadata={"source": source.key, "config": source.folder},
        )  # fmt: skip
        documents = reader.run(None, 0, 1)
        drawn.documents = smallest(islice(documents, most), number, seed, source.key)
        documents.close()
        counts = {label: int(metric.total) for label, metric in reader.stats.stats.items()}
        rejected = {name: count for name, count in counts.items() if name.startswith("rejected_")}
        if rejected:
            shown = ", ".join(f"{n:,} {name.removeprefix('rejected_')}" for name, n in sorted(rejected.items()))
            drawn.notes.append(f"rows that are no documents are not judged: {shown}")
        if costly and len(seen) >= number:
            drawn.notes.append("the sample is its first documents: texts are fetched or extracted one by one")
        elif counts.get("rows", 0) >= most:
            drawn.notes.append(f"the sample is from the first {most:,} rows read, not from all")
        if not drawn.documents:
            drawn.problem = "no document in its files" + ("" if source.adapter else f"; check `{source.text_field}`")
    except (UserError, SourceError) as error:
        drawn.problem = str(error).removeprefix(f"{source.key}: ")
    return drawn


def _blobs(listing: Listing, mirror: Path | None) -> BlobStore:
    return BlobStore(mirror / BLOBS_DIR if mirror is not None and listing.kind == "mirror" else None)


def _of_run(folder: Path, number: int, seed: int, given: Profile | None, datasets: str | None) -> Iterator[Drawn]:
    layout, plan = open_run(folder)
    chosen = [source for source in plan.sources if datasets is None or matches(source.source, datasets)]
    if not chosen:
        raise UserError(f"--datasets {datasets}: matches no source of {folder}")
    for source in chosen:
        profile = given or Profile(name=source.source.profile, filters=source.filters)
        drawn = Drawn(source=source.key, profile=profile)
        files = _documents_of(layout, source)
        if source.filters and not any(RUN_DIR in file.parts for file in files):
            drawn.notes.append(
                "dropped documents were not kept (--keep-dropped): only what stricter thresholds would lose can be seen"
            )
        try:
            documents = _lines_of(
                [files[i] for i in _shuffled([str(f.relative_to(layout.output_folder)) for f in files], seed)]
            )
            drawn.documents = smallest(islice(documents, READ_AHEAD * number), number, seed, source.key)
            if not drawn.documents:
                drawn.notes = ["the run has no document"]
        except SourceError as error:
            drawn.problem = str(error)
        yield drawn


def _documents_of(layout: RunLayout, source: PlannedSource) -> list[Path]:
    """Written files of a source, and those of documents that its filters dropped."""
    output_dir = source.source.output_dir
    folders = [layout.output_folder / output_dir]
    folders += [layout.dropped_dir(output_dir) / spec.name for spec in source.filters]
    return [
        path
        for folder in dict.fromkeys(folders)
        for path in sorted(folder.glob("*"))
        if path.name.endswith(DATA_SUFFIXES)
    ]


def _lines_of(files: Sequence[Path]) -> Iterator[Document]:
    for path in files:
        try:
            with open(path, "rb") as raw, open_lines(path.name, raw) as lines:
                for line in lines:
                    row = orjson.loads(line)
                    epoch = row["metadata"].get(EPOCH, 1)
                    if type(epoch) is int and epoch > 1 and row["id"].endswith(f"#epoch{epoch}"):
                        continue  # a copy of a document that is there already
                    yield Document(text=row["text"], id=row["id"], metadata=row["metadata"])
        except LINE_ERRORS as error:
            raise SourceError(f"{path}: cannot be read ({error}); verify the run") from None
