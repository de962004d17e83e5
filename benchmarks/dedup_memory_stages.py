"""What each stage of a deduplication has to do, as memory is measured: two chains of stages on a finished run.

    documents    exact, minhash and simhash on short documents (`pieces_run`)
    sentences    sentence deduplication on documents of several sentences (`spans_run`)

Each stage is a list of jobs, of which the first is the one whose memory counts, and grows with the largest file, with
the records of a part, or with the corpus. Fingerprints of `simhash` are the package's in one file and random in the
others, since making one takes a millisecond. Gives up: stages in another order than a deduplication has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.dedup_corpus import pieces_run, spans_run
from pipelines.dedup import check, minhash, sentence, simhash, store
from pipelines.dedup import sentence_rounds as rounds
from pipelines.dedup.canaries import canary_texts
from pipelines.dedup.config import DedupConfig, MinhashConfig
from pipelines.dedup.decide import decide
from pipelines.dedup.documents import index_file
from pipelines.dedup.methods import method
from pipelines.dedup.near_misses import FILE as NEAR_MISSES
from pipelines.dedup.near_misses import write_near_misses
from pipelines.dedup.report import FILE as DUPLICATES
from pipelines.dedup.report import write_duplicates
from pipelines.dedup.sentence_report import CUTS_FILE, write_cuts
from pipelines.dedup.sentence_spans import sentence_language
from pipelines.dedup.sentence_text import sentences_of, windows
from pipelines.dedup.stages import finish, records_of
from pipelines.dedup.verify import verify_dedup
from pipelines.dedup.work import Work
from pipelines.dedup.writer import write_file

Jobs = list[Callable[[], Any]]
CHECKED = "minhash.decide, min_similarity 0.8"
LATER = "sentence.cut and left, later rounds"
FINISH = "finish"
"""Has to be done before `verify`; its parts are measured as `report` and `write_cuts`."""
DOCUMENTS = {
    "index": "file",
    "exact.scan": "file", "exact.match": "corpus", "exact.decide": "corpus",
    "minhash.scan": "file", "minhash.match": "corpus", "minhash.decide": "corpus",
    check.STAGE: "file", CHECKED: "corpus",
    "simhash.scan": "file", "simhash.match": "corpus", "simhash.decide": "corpus",
    "write": "file", "report": "corpus", FINISH: "corpus", "verify": "corpus",
}  # fmt: skip
SENTENCES = {
    "index": "file",
    "sentence.scan": "file", "sentence.match": "part", "sentence.cut": "part", "sentence.left": "file", LATER: "file",
    "sentence.gone": "file", "sentence.piece": "file", "sentence.decided": "corpus",
    "write": "file", "write_cuts": "file", FINISH: "corpus", "verify": "corpus",
}  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """A chain of stages, and the run of so many documents that it is measured on.

    `stages`: each with what it grows with; `config`, `warm_up`, `jobs`: for a stage of it.
    """

    stages: dict[str, str]
    run: Callable[[Path, Path, int], Path]
    config: Callable[[str], DedupConfig]
    warm_up: Callable[[], object]
    jobs: Callable[[Work, str], Jobs]


def _documents_config(stage: str) -> DedupConfig:
    """The parameters of the run; with the check from its stage on."""
    places = list(DOCUMENTS)
    checked = places.index(stage) >= places.index(check.STAGE)
    return DedupConfig(
        methods=["exact", "minhash", "simhash"], minhash=MinhashConfig(min_similarity=0.8 if checked else None)
    )


def _split_words() -> object:
    stock = minhash.stock_config(MinhashConfig())
    return minhash.Signer(stock).signature(minhash.words_of("one two three four five six", "en", stock))


def _documents_jobs(work: Work, stage: str) -> Jobs:
    every = [index for index, _ in work.files()]
    by_file = {"index": index_file, "write": write_file, check.STAGE: check.scan_candidates}
    if stage in by_file:
        return [partial(by_file[stage], work, index) for index in every]
    if stage == "report":
        folder = work.layout.run_dir
        return [lambda: (write_duplicates(work, folder / DUPLICATES), write_near_misses(work, folder / NEAR_MISSES))]
    if stage in (FINISH, "verify"):
        return [partial(finish, work, 0) if stage == FINISH else partial(_verify, work)]
    name, _, what = stage.split(",")[0].partition(".")
    if stage == "simhash.scan":
        return [partial(simhash.scan, work, 0), *(partial(_made_up, work, index) for index in every[1:])]
    if what == "scan":
        return [partial(method(name).scan, work, index) for index in every]
    if what == "match":
        return [partial(method(name).match, work, part) for part in range(method(name).num_parts(work))]
    return [partial(decide, work, name)]


def _made_up(work: Work, index: int) -> None:
    lines = work.plan.files[index].lines
    texts = canary_texts(simhash.NAME, index, work.layout.fingerprint, work.plan.config)
    values = np.random.default_rng(index).integers(0, 1 << 63, lines + 2, np.uint64)
    values[lines:] = [simhash.fingerprint(text) for text in texts]
    arrays = simhash.by_band(list(zip(values.tolist(), range(lines + 2), strict=True)), work.plan.config.simhash)
    store.commit(work.folder(f"{simhash.NAME}.scan", index), arrays, {"records": lines + 2})


def _verify(work: Work) -> None:
    if problems := verify_dedup(work):
        raise SystemExit("\n".join(problems[:5]))


def _sentences_config(_: str) -> DedupConfig:
    return DedupConfig(methods=["sentence"])


def _split_sentences() -> object:
    config = DedupConfig().sentence
    text = "One two three. Four five six. Seven eight nine."
    return windows(sentences_of(text, sentence_language("en"), config), config)


def _sentences_jobs(work: Work, stage: str) -> Jobs:
    files, parts = len(work.plan.files), sentence.num_parts(work)
    if stage == "sentence.scan":
        return [partial(sentence.scan, work, index) for index in range(files)]
    if stage == "sentence.match":
        return [*(partial(sentence.match, work, part) for part in range(parts)), partial(sentence.check, work)]
    if stage == "sentence.cut":
        return [partial(rounds.cut_part, work, part) for part in range(parts)]
    if stage == "sentence.left":
        return [partial(rounds.left_file, work, index) for index in range(files)]
    if stage == LATER:
        return [partial(_later_rounds, work)]
    if stage == "sentence.gone":
        return [partial(rounds.gone_file, work, _last(work) * files + index) for index in range(files)]
    if stage == "sentence.piece":
        return [partial(rounds.piece_file, work, _last(work) * files + index) for index in range(files)]
    if stage == "sentence.decided":
        return [lambda: rounds.decide(work, _last(work))]
    if stage == "write_cuts":
        return [partial(write_cuts, work, work.layout.run_dir / CUTS_FILE)]
    return _documents_jobs(work, stage)


def _later_rounds(work: Work) -> None:
    """What `settle` does after its first round."""
    files, parts = len(work.plan.files), sentence.num_parts(work)
    for turn in count(1):
        before = [store.totals(work.folder("sentence.left", (turn - 1) * files + index)) for index in range(files)]
        if not sum(totals["changed"] for totals in before):
            return
        for part in range(parts):
            rounds.cut_part(work, turn * parts + part)
        for index in range(files):
            rounds.left_file(work, turn * files + index)


def _last(work: Work) -> int:
    """The number of the last round."""
    return max(int(folder.name) for folder in work.folder("sentence.left").iterdir()) // len(work.plan.files)


def said(work: Work, stage: str) -> str:
    """What there was to do, where the number of documents does not say it."""
    folders = [work.folder(stage, index) for index in range(len(work.plan.files))]
    if stage == "sentence.scan":
        return f"{sum(store.totals(folder)['records'] for folder in folders):,} windows"
    if stage == "sentence.match":
        parts = range(sentence.num_parts(work))
        shared = sum(len(store.load(work.folder(stage, part), "group", check=False)) for part in parts)
        return f"{shared:,} of them in several places, {len(parts)} {'part' if len(parts) == 1 else 'parts'}"
    if stage == "sentence.decided":
        return str(store.totals(work.folder(stage))["said"])
    if stage == "verify":
        records = records_of(work)
        return f"{sum(r.num_dropped for r in records):,} removed, {sum(r.written for r in records):,} written"
    return ""


CHAINS = {
    "documents": Chain(DOCUMENTS, pieces_run, _documents_config, _split_words, _documents_jobs),
    "sentences": Chain(SENTENCES, spans_run, _sentences_config, _split_sentences, _sentences_jobs),
}
