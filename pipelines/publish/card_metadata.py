"""The YAML at the top of a dataset card: what the Hub and `datasets` read of it.

Keys and values after the Hub's documentation (huggingface.co/docs/hub: datasets-cards, datasets-manual-configuration)
and its list of licences (repositories-licenses there). Gives up: asking the Hub whether it likes them.
"""

from collections.abc import Iterable
from typing import Any

from pipelines.publish.facts import Facts, SourceFacts
from pipelines.publish.parquet import SCHEMA
from pipelines.publish.publication import Publication

SPLIT = "train"
DEFAULT_CONFIG = "default"
_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"), (10**11, "10B<n<100B"), (10**12, "100B<n<1T"),
)  # fmt: skip
LICENSES = frozenset((
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "pddl", "odc-by", "odbl", "cc0-1.0",
    "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-2.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "gfdl",
    "gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl-2.1", "lgpl-3.0", "mpl-2.0", "etalab-2.0",
))  # fmt: skip
"""Names that the Hub knows and that a source of text may have; every other licence is `other` there."""


def card_metadata(publication: Publication, title: str) -> dict[str, Any]:
    """The front matter as plain data, in the order in which it is written."""
    facts = publication.facts
    languages = sorted({code for source in facts.written for code in source.languages})
    found: dict[str, Any] = {"pretty_name": title, **license_of(facts.written)}
    if languages:
        found["language"] = languages
        found["multilinguality"] = ["multilingual" if len(set(languages) - {"code"}) > 1 else "monolingual"]
    return found | {
        "size_categories": [size_category(facts.num_documents)],
        "task_categories": ["text-generation"],
        "tags": ["pretraining", "smoltrove", "datatrove"],
        "configs": configs(publication),
        "dataset_info": dataset_info(publication),
    }


def size_category(num_documents: int) -> str:
    """The Hub's name for a number of rows."""
    return next((name for bound, name in _SIZES if num_documents < bound), "n>1T")


def license_of(sources: Iterable[SourceFacts]) -> dict[str, str]:
    """The one licence of all sources where the Hub knows it; otherwise `other`, and the card has the table."""
    names = {(source.license or "unknown").lower() for source in sources}
    if len(names) == 1 and names <= LICENSES:
        return {"license": names.pop()}
    return {"license": "other", "license_name": "per-source"}


def glob_of(publication: Publication, source: SourceFacts) -> str:
    """The files of one source in the repository."""
    return f"{source.output_dir}/*{publication.suffix}"


def configs(publication: Publication) -> list[dict[str, Any]]:
    """One configuration for each source with documents. Parquet has one of all of them too, because columns agree."""
    sources = publication.facts.written
    found: list[dict[str, Any]] = []
    if publication.form == "parquet":
        everything = [glob_of(publication, source) for source in sources]
        found.append(
            {"config_name": DEFAULT_CONFIG, "default": True, "data_files": [{"split": SPLIT, "path": everything}]}
        )
    return found + [
        {"config_name": source.config_name, "data_files": [{"split": SPLIT, "path": glob_of(publication, source)}]}
        for source in sources
    ]


def dataset_info(publication: Publication) -> list[dict[str, Any]]:
    """Rows and bytes of each configuration; `datasets` refuses a download that has other numbers of rows."""
    found = []
    names = {source.output_dir: source.config_name for source in publication.facts.written}
    groups: dict[str, list[Any]] = {name: [] for name in names.values()}
    for file in publication.files:
        groups[names[file.output_dir]].append(file)
    if publication.form == "parquet":
        groups = {DEFAULT_CONFIG: list(publication.files), **groups}
    features = [{"name": field.name, "dtype": str(field.type).replace("double", "float64")} for field in SCHEMA]
    for name, files in groups.items():
        rows, size = sum(file.rows for file in files), sum(file.size for file in files)
        in_memory = sum(file.arrow_bytes or 0 for file in files)
        found.append(
            {
                "config_name": name,
                **({"features": features} if publication.form == "parquet" else {}),
                "splits": [{"name": SPLIT, "num_bytes": in_memory, "num_examples": rows}],
                "download_size": size,
                "dataset_size": in_memory,
            }
        )
    return found


def described(facts: Facts) -> str:
    """A title where nobody gave one."""
    if isinstance(facts.stage, int):
        return f"SmolLM3-style pretraining mixture, stage {facts.stage}"
    return f"Pretraining mixture {facts.stage}" if facts.stage else "Pretraining mixture"
