"""`smoltrove card`: a dataset card for the Hub out of a run's own records: YAML, sources, licences, counts, limits.

Every number is the ledger's. Gives up: praise, and whatever only its owner knows: intended use, funding, contacts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from pipelines.publish.card_metadata import SPLIT, card_metadata, described
from pipelines.publish.facts import Facts, SourceFacts
from pipelines.publish.publication import Publication
from pipelines.quantities import show_bytes, show_count

MOST_REASONS = 40
_LONG_LIST = 6


class _WithoutAliases(yaml.SafeDumper):
    """Writes what is there twice twice: not every reader of cards follows `*id001`."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def card(publication: Publication, *, title: str | None = None, repository: str = "<org>/<name>") -> str:
    """The whole README.md of the dataset repository `repository`."""
    facts = publication.facts
    title = " ".join((title or described(facts)).split())
    head = yaml.dump(
        card_metadata(publication, title), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True, width=1000
    )
    parts = [
        f"# {_plain(title)}",
        _summary(publication),
        "## Reading it",
        _reading(publication, repository),
        "## Sources and licences",
        _licences(facts),
        "## How it was built",
        _built(facts),
        "## Filters",
        _filters(facts),
        "## Counts",
        _counts(facts),
        *_reasons(facts),
        "## Known limits",
        "\n".join(f"- {limit}" for limit in _limits(publication)),
    ]
    return f"---\n{head}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _plain(value: object) -> str:
    """Text of strangers inside Markdown: no tags, no cells, one line."""
    text = " ".join(str(value).split())
    for mark, instead in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(mark, instead)
    return text


def _table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: int) -> str:
    """A Markdown table whose columns from `right` on are numbers."""
    lines = [
        f"| {' | '.join(headings)} |",
        "|" + "".join("---|" if i < right else "---:|" for i in range(len(headings))),
    ]
    lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _summary(publication: Publication) -> str:
    facts = publication.facts
    tokens, text = sum(s.tokens for s in facts.written), sum(s.text_bytes for s in facts.written)
    sources = f"{len(facts.written)} source{'s' if len(facts.written) != 1 else ''}"
    found = (
        f"{facts.num_documents:,} documents from {sources}: {show_bytes(text)} of text, about {show_count(tokens)} "
        "tokens. Built with smoltrove on datatrove; every number below is counted."
    )
    # Of a whole configuration, of which the run may have taken a part.
    return found + (
        f"\n\nIts configuration describes itself as: {_plain(facts.description)}" if facts.description else ""
    )


def _reading(publication: Publication, repository: str) -> str:
    source = publication.facts.written[0]
    every = (
        f'\nload_dataset("{repository}", split="{SPLIT}", streaming=True)  # all sources, one after the other'
        if publication.form == "parquet"
        else ""
    )
    columns = (
        '`id`, `text` and `metadata` (JSON: `json.loads(row["metadata"])`) are the document. `source`, `language`, '
        "`language_score`, `epoch` and `cluster_size` repeat what stands in the metadata, and are empty where it "
        "has no such value."
        if publication.form == "parquet"
        else "A row is a document: `id`, `text` and `metadata`, whose fields differ from source to source."
    )
    one = f'load_dataset("{repository}", "{source.config_name}", split="{SPLIT}", streaming=True)'
    return (
        "There is one configuration for each source.\n\n```python\nfrom datasets import load_dataset\n\n"
        f"{one}{every}\n```\n\n{columns}"
    )


def _licences(facts: Facts) -> str:
    rows = []
    for source in facts.written:
        name = source.source if source.hub_name is None else (
            f"[{source.source}](https://huggingface.co/datasets/{source.hub_name}/tree/{source.revision})"
        )  # fmt: skip
        rows.append(
            (
                source.config_name, name, source.license or "unknown", ", ".join(source.languages),
                f"{source.documents:,}", show_bytes(source.text_bytes), show_count(source.tokens),
            )
        )  # fmt: skip
    headings = ("configuration", "source", "licence", "languages", "documents", "text", "~tokens")
    return (
        "The texts are not the packager's. Each source keeps its own licence and terms, as its publisher names them; "
        "`per-file` and `per-repository` mean that the metadata or the source has it.\n\n"
        + _table(headings, rows, right=4)
    )


def _built(facts: Facts) -> str:
    lines = []
    if facts.config:
        target = f", {show_count(facts.target_tokens)} tokens asked for" if facts.target_tokens else ""
        lines.append(
            f"- Configuration `{_plain(facts.config)}`, stage {_plain(facts.stage)}{target}, seed {facts.seed}."
        )
    lines.append(f"- Fingerprint of everything that decides the documents: `{facts.fingerprint}`.")
    pinned = [source for source in facts.written if source.revision]
    if pinned:
        lines.append(f"- {len(pinned)} sources were read at the commit that the table links to.")
    versions = ", ".join(
        f"{name} {facts.versions[name]}" for name in ("smoltrove", "datatrove") if name in facts.versions
    )
    if versions:
        lines.append(f"- Versions: {versions}.")
    for parameters in facts.dedup:
        methods = parameters.get("methods", [])
        shown = "; ".join(f"{name}: {_parameters(parameters.get(name) or {})}" for name in methods)
        lines.append(f"- Deduplicated by {', '.join(methods)} ({_plain(shown)}).")
    if not facts.complete_history:
        lines.append("- The filtering before the deduplication is not described: that run's folder is gone.")
    return "\n".join(lines)


def _parameters(parameters: dict[str, Any]) -> str:
    shown = []
    for key, value in parameters.items():
        if isinstance(value, (list, tuple, dict)) and len(value) > _LONG_LIST:
            value = f"{len(value)} items"
        elif isinstance(value, (list, tuple)):
            value = " ".join(str(item) for item in value)
        if value is not None:
            shown.append(f"{key} {value}")
    return ", ".join(shown) or "defaults"


def _filters(facts: Facts) -> str:
    """Each set of filters once, with the sources that went through it."""
    groups: dict[str, list[SourceFacts]] = {}
    for source in facts.written:
        chain = "; ".join(f"{spec['name']}: {_parameters(spec.get('params') or {})}" for spec in source.filters)
        groups.setdefault(chain or "none", []).append(source)
    rows = [
        (", ".join(dict.fromkeys(s.profile or "" for s in sources)), ", ".join(s.config_name for s in sources), chain)
        for chain, sources in groups.items()
    ]
    if all(not source.filters for source in facts.written):
        return "" if not facts.complete_history else "No filter was applied."
    return _table(("profile", "configurations", "filters, in order"), rows, right=3)


def _counts(facts: Facts) -> str:
    """The account of each source: rows = rejected + sampled out + dropped + kept, over all steps."""
    headings = ("configuration", "step", "rows", "rejected", "sampled out", "dropped", "repeated", "written")
    rows = [
        (
            source.config_name, step.what, f"{step.rows:,}", f"{step.rejected:,}", f"{step.sampled_out:,}",
            f"{sum(step.dropped.values()):,}", f"{step.repeated:,}", f"{step.written:,}",
        )
        for source in facts.sources
        for step in source.steps
    ]  # fmt: skip
    return (
        "rows = rejected + sampled out + dropped + (written - repeated), for each line. Sampled out: not needed for "
        "the source's share. Repeated: a second and later epoch.\n\n" + _table(headings, rows, right=2)
    )


def _reasons(facts: Facts) -> list[str]:
    found: Counter[str] = Counter()
    for source in facts.sources:
        for step in source.steps:
            found.update(step.dropped)
    if not found:
        return []
    most = found.most_common(MOST_REASONS)
    rest = len(found) - len(most)
    text = _table(("dropped as", "documents"), [(name, f"{number:,}") for name, number in most], right=1)
    return [text + (f"\n\nAnd {rest} reasons with fewer." if rest else "")]


def _limits(publication: Publication) -> Iterable[str]:
    facts = publication.facts
    yield "Tokens are estimated from bytes of text, with a ratio for each language; count them with your tokenizer."
    yield "Personal data, offensive text and opinions of the sources are in it; nothing was masked."
    yield "It was not compared with evaluation sets."
    unknown = [
        s.config_name for s in facts.written if (s.license or "unknown").lower() in ("unknown", "other", "mixed")
    ]
    if unknown:
        yield f"The licence of these is not known: {_plain(', '.join(unknown))}."
    if any(source.gated for source in facts.written):
        gated = ", ".join(source.config_name for source in facts.written if source.gated)
        yield f"These come from gated sources, whose terms bind who passes them on: {_plain(gated)}."
    copies = [source.config_name for source in facts.written if source.origin == "mirror"]
    if copies:
        yield f"These were read from a local copy, not from the Hub at a known commit: {_plain(', '.join(copies))}."
    if not facts.dedup:
        yield "It was not deduplicated here; a source may have been by its publisher."
    elif len(facts.written) > 1 and "sentence" not in {m for item in facts.dedup for m in item.get("methods", ())}:
        yield "Near-duplicates below the thresholds above, and repeated passages inside documents, are still there."
    if any(step.repeated for source in facts.written for step in source.steps):
        yield "Some documents are there more than once on purpose (epochs): ids end in `#epoch2` and so on."
    empty = [source.config_name for source in facts.sources if not source.documents]
    if empty:
        yield f"These sources are part of the mixture and have no document in it: {_plain(', '.join(empty))}."
    if publication.form == "jsonl":
        yield "Metadata of a source can differ from file to file, which `datasets` may refuse; a Parquet export cannot."
