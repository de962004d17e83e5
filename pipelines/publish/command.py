"""What `export`, `card` and `push` do and print.

Gives up: nothing; the work is in the modules that are imported here.
"""

import json
from pathlib import Path

from rich.console import Console

from pipelines.errors import UserError
from pipelines.publish.card import card
from pipelines.publish.card_metadata import card_metadata, described
from pipelines.publish.export import EXPORT_DIR, ExportResult, export_run, open_export, verify_export
from pipelines.publish.publication import check_name, open_publication
from pipelines.quantities import show_bytes
from pipelines.verify import print_verdict


def is_export(folder: Path) -> bool:
    """Whether a folder is the output of `export`."""
    return (folder / EXPORT_DIR).is_dir()


def show_export(run_folder: Path, *, output_folder: Path | None, workers: int, as_json: bool) -> int:
    """Export a run and print what came of it; 128 + the signal when stopped."""
    if is_export(run_folder):
        raise UserError(f"{run_folder}: is an export itself; give the folder of a run")
    result = export_run(run_folder, output_folder=output_folder, workers=workers, show_progress=True)
    if as_json:
        print(json.dumps({"ok": result.ok, **_by_source(result)}, ensure_ascii=False, indent=1))
    elif result.ok:
        rows, size = sum(file.rows for file in result.files), sum(file.size for file in result.files)
        before = f" ({result.num_done_before} files were done before)" if result.num_done_before else ""
        print(
            f"{result.output_folder}: {rows:,} documents in {len(result.files)} Parquet files, {show_bytes(size)}, "
            f"read back and equal to the run{before}"
        )
    if result.stopped is not None:
        _say("stopped: finished files are kept; run the same command to go on")
        return 128 + result.stopped
    return 0


def _by_source(result: ExportResult) -> dict[str, object]:
    sources: dict[str, dict[str, int]] = {}
    for file in result.files:
        entry = sources.setdefault(file.path.rpartition("/")[0], {"files": 0, "documents": 0, "bytes": 0})
        entry["files"] += 1
        entry["documents"] += file.rows
        entry["bytes"] += file.size
    return {
        "output_folder": result.output_folder,
        "documents": sum(file.rows for file in result.files),
        "bytes": sum(file.size for file in result.files),
        "files_done_before": result.num_done_before,
        "sources": sources,
    }


def show_export_verification(folder: Path, *, as_json: bool) -> int:
    """Print what `verify_export` found; 0 when nothing."""
    problems = verify_export(folder, show_progress=not as_json)
    if not problems and not as_json:
        facts, files = open_export(folder)
        print(f"{folder}: verified: {facts.num_documents:,} documents in {len(files)} Parquet files")
    return print_verdict(folder, problems, as_json=as_json)


def show_card(run_folder: Path, *, output: Path | None, repo: str | None, title: str | None, as_json: bool) -> int:
    """Print the card, or write it to a file; with `as_json` its metadata."""
    publication = open_publication(run_folder)
    if repo is not None:
        check_name(repo)
    if as_json:
        metadata = card_metadata(publication, title or described(publication.facts))
        print(json.dumps(metadata, ensure_ascii=False, indent=1))
        if output is None:
            return 0
    text = card(publication, title=title, **({"repository": repo} if repo else {}))
    if output is None:
        print(text, end="")
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: cannot be written ({error.strerror}); choose another file") from None
    if not as_json:
        print(f"{output}: the card of {publication.facts.num_documents:,} documents")
    return 0


def show_push(
    run_folder: Path, repo: str, *, private: bool, keep_others: bool, replace_card: bool, title: str | None,
    plan_only: bool, as_json: bool,
) -> int:  # fmt: skip
    """Push, or with `plan_only` say what that would be; 1 when what is there differs afterwards."""
    from pipelines.publish.push import Push, push_plan_lines

    publication = open_publication(run_folder)
    push = Push(
        publication, repo, private=private, keep_others=keep_others, replace_card=replace_card, title=title,
        show_progress=True,
    )  # fmt: skip
    if plan_only:
        result = push.plan()
        lines = push_plan_lines(publication, result, run_folder)
        print(result.model_dump_json(indent=1) if as_json else "\n".join(lines))
        return 0
    try:
        result = push.run()
    except KeyboardInterrupt:
        _say("stopped: what is on the Hub stays; run the same command to go on")
        return 130
    if as_json:
        print(json.dumps({"ok": result.ok, **result.model_dump()}, ensure_ascii=False, indent=1))
    elif result.ok:
        print(
            f"{result.url}/tree/{result.commit}: {result.files:,} files, {show_bytes(result.bytes)}, size and hash "
            f"of each as here; {result.files_to_send:,} were sent in {result.commits} commits"
        )
    else:
        print("\n".join([*result.problems, f"{repo}: NOT as here, {len(result.problems)} problems"]))
    return 0 if result.ok else 1


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, markup=False, soft_wrap=True)
