"""`run_dedup` beside a plain model of it, for any small corpus: who survives, the counts, the table, and all text.

The model is written from the rules in words (the guide's "Deduplication"), in sets and loops, and shares no code with
what it checks but the hash functions: `exact` is compared by normalised text itself, `minhash` by every pair of
signatures, `simhash` by every pair of fingerprints. Gives up: `sentence` (tests/dedup/test_sentence.py has its model),
`min_similarity` (tests/dedup/test_check.py) and large corpora.
"""

import os
import re
import tempfile
import unicodedata
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import combinations
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pipelines.dedup import minhash, simhash
from pipelines.dedup.config import DedupConfig, ExactConfig, MinhashConfig, SimhashConfig
from pipelines.dedup.run import run_dedup
from pipelines.dedup.verify import open_dedup, verify_dedup
from tests.dedup.corpus import doc, documents_of, duplicates_of, make_run

EXAMPLES = int(os.environ.get("SMOLTROVE_MODEL_EXAMPLES", "25"))
# Few and loose buckets: pairs that are found, pairs that are not, and chains of them, all in texts of a dozen words.
MINHASH = MinhashConfig(n_grams=2, num_buckets=4, hashes_per_bucket=2, min_words=3)
SIMHASH = SimhashConfig(max_distance=6, min_chars=10, max_chars=60)
SOURCES = ("local/web/en", "local/books/en", "local/web/vi")
WORDS = ("river", "stone", "cloud", "table", "garden", "window", "yellow", "nhà", "đường", "trời")


@dataclass(eq=False)
class Document:
    """One document of the model, its epoch copies in it."""

    run: str  # "" for the run that is deduplicated
    source: str
    ids: list[str]
    text: str
    language: str | None
    epoch: int
    removed_by: str = ""
    partner: "Document | None" = None
    stands_for: int = 1
    order: int = field(default=0, compare=False)

    @property
    def name(self) -> str:
        """The id without its epoch."""
        return self.ids[0].partition("#epoch")[0]


texts = st.one_of(
    st.lists(st.sampled_from(WORDS), min_size=0, max_size=3).map(" ".join),
    st.lists(st.sampled_from(WORDS), min_size=4, max_size=12).map(" ".join),
)
edits = st.sampled_from(
    [
        lambda text: text,
        lambda text: text.replace(" ", "\n "),
        lambda text: f"{text} more",
        lambda text: text.upper(),
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: f"{text}!",
    ]
)


@st.composite
def corpora(draw: st.DrawFn) -> list[Document]:
    """Documents of up to three runs whose texts are a few originals and their edits."""
    originals = draw(st.lists(texts, min_size=1, max_size=5))
    found: list[Document] = []
    for run in ["", *draw(st.sampled_from([[], [], ["one"], ["one", "two"]]))]:
        names = draw(
            st.lists(st.tuples(st.integers(0, 9), st.sampled_from(SOURCES)), min_size=1, max_size=9, unique=True)
        )
        for number, source in names:
            epochs = draw(st.sampled_from([[1], [1], [1], [1, 2], [2], [2, 3]]))
            found.append(
                Document(
                    run=run,
                    source=source,
                    ids=[f"d{number}" + (f"#epoch{e}" if e > 1 else "") for e in epochs],
                    text=draw(edits)(draw(st.sampled_from(originals))),
                    language=draw(st.sampled_from([None, "en", "vi", "xx"])),
                    epoch=epochs[0],
                    order=len(found),
                )
            )
    return found


configs = st.builds(
    DedupConfig,
    methods=st.sampled_from(["exact", "minhash", "simhash"]).flatmap(
        lambda first: st.permutations(["exact", "minhash", "simhash"]).flatmap(
            lambda order: st.integers(1, 3).map(lambda n: [first, *[m for m in order if m != first]][:n])
        )
    ),
    priority=st.lists(st.sampled_from([*SOURCES, "local/web/*", "*/vi"]), max_size=2),
    exact=st.builds(ExactConfig, ignore_whitespace=st.booleans(), ignore_case=st.booleans()),
    minhash=st.just(MINHASH),
    simhash=st.just(SIMHASH),
)


def same(method: str, left: Document, right: Document, config: DedupConfig) -> bool:
    """Whether a method takes these two for duplicates of each other."""
    if method == "exact":
        return plain(left.text, config.exact) == plain(right.text, config.exact)
    if method == "simhash":
        both = [simhash.fingerprint(d.text) for d in (left, right) if 10 <= len(re.sub(r"\W", "", d.text)) <= 60]
        return len(both) == 2 and bin(both[0] ^ both[1]).count("1") <= SIMHASH.max_distance
    signatures = [signed(d) for d in (left, right)]
    return any(a == b for a, b in zip(*signatures, strict=False))


def plain(text: str, config: ExactConfig) -> str:
    """What counts of a text for `exact`."""
    text = unicodedata.normalize("NFC", text)
    if config.ignore_case:
        text = unicodedata.normalize("NFC", text.casefold())
    return " ".join(text.split()) if config.ignore_whitespace else text


def signed(document: Document) -> list[tuple[int, ...]]:
    """The hashes of each bucket; none for a text of too few words."""
    num_words, found = minhash.Signer(minhash.stock_config(MINHASH)).sign(document.text, document.language or "en")
    if found is None or num_words < MINHASH.min_words:
        return []
    return [tuple(found[2 * b : 2 * b + 2].tolist()) for b in range(MINHASH.num_buckets)]


def apply_model(documents: list[Document], config: DedupConfig) -> None:
    """Method after method: clusters of what is left, one survivor each."""

    def merit(document: Document) -> tuple[object, ...]:
        place = next((i for i, g in enumerate(config.priority) if fnmatchcase(document.source, g)), 99)
        return document.run == "", place, -len(document.text), document.ids[0], document.source, document.run

    for method in config.methods:
        active = [document for document in documents if not document.removed_by]
        cluster = {document: {document} for document in active}
        for left, right in combinations(active, 2):
            if cluster[left] is not cluster[right] and same(method, left, right, config):
                cluster[left] |= cluster[right]
                for member in cluster[right]:
                    cluster[member] = cluster[left]
        for members in {id(group): group for group in cluster.values()}.values():
            if len(members) == 1 or all(member.run for member in members):
                continue
            best = min(members, key=merit)
            size = sum(member.stands_for for member in members)
            known = {(member.source, member.name) for member in members if member.run}
            for member in members:
                repeat = not member.run and member.epoch > 1 and (member.source, member.name) in known
                if member is best or member.run or repeat:
                    member.stands_for = size
                else:
                    member.removed_by, member.partner = method, best


def last_partner(document: Document) -> Document:
    """Who survives for a removed document in the end."""
    while document.partner is not None:
        document = document.partner
    return document


@given(corpora(), configs, st.integers(1, 3))
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES == 25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_it_does_what_the_plain_rules_say(documents: list[Document], config: DedupConfig, tasks: int) -> None:
    with tempfile.TemporaryDirectory(prefix="model-") as name:
        folder = Path(name)
        runs = {}
        for run in dict.fromkeys(document.run for document in documents):
            sources: dict[str, list[dict[str, object]]] = {source: [] for source in SOURCES}
            for document in (d for d in documents if d.run == run):
                for i, one in enumerate(document.ids):
                    extra = {} if document.language is None else {"language": document.language}
                    epoch = document.epoch + i
                    entry = doc(one, document.text, **extra, **({"epoch": epoch} if epoch > 1 else {}))
                    sources[document.source].append(entry)
            # Copies of a document stand in one file; so that files can be cut anywhere, only one task where there are.
            whole = any(len(document.ids) > 1 for document in documents if document.run == run)
            runs[run] = make_run(folder / (run or "run"), sources, tasks=1 if whole else tasks)
        # The same documents in two runs are one run to it, and refused.
        assume(len({(run / "_run" / "ledger.jsonl").read_bytes() for run in runs.values()}) == len(runs))
        out = folder / "out"
        result = run_dedup(
            runs[""], config=config, output_folder=out, against=[runs[r] for r in runs if r], workers=0, tasks=tasks
        )
        order = {run: i for i, run in enumerate(runs)}
        for document in documents:
            document.run = f"{order[document.run]} {document.run}" if document.run else ""
        apply_model(documents, config)

        mine = [document for document in documents if not document.run]
        written = {f"{d.source} {one}": d for d in mine if not d.removed_by for one in d.ids}
        found = documents_of(out)
        assert found.keys() == written.keys()
        for key, document in written.items():
            assert found[key]["text"] == document.text
            assert found[key]["metadata"]["cluster_size"] == document.stands_for

        rows = {(row["removed_source"], row["removed_id"]): row for row in duplicates_of(out)}
        removed = {(d.source, one): d for d in mine if d.removed_by for one in d.ids}
        assert rows.keys() == removed.keys()
        for place, document in removed.items():
            row, final = rows[place], last_partner(document)
            assert document.partner is not None
            assert (row["method"], row["kept_source"], row["kept_id"]) == (
                document.removed_by, final.source, final.ids[0],
            )  # fmt: skip
            assert Path(row["kept_run"]).name == final.run.partition(" ")[2]
            assert row["match_id"] == document.partner.ids[0]
            assert row["cluster_size"] == final.stands_for

        for source in SOURCES:
            records = [record for record in result.records if record.source == source]
            ours = [(d, one) for d in mine if d.source == source for one in d.ids]
            assert sum(record.rows for record in records) == len(ours)
            assert sum(record.written for record in records) == sum(not d.removed_by for d, _ in ours)
            for method in config.methods:
                count = sum(record.dropped.get(f"dedup.{method}", 0) for record in records)
                assert count == sum(d.removed_by == method for d, _ in ours)
        assert verify_dedup(open_dedup(out)) == []
