"""Writes a report's three files into `_run/`: `report.html`, `report.md` and `report.json`.

Gives up: drawing at the end of a run that was stopped, or killed while it was deduplicated; `smoltrove report` draws at
any time.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path

from pipelines.errors import SourceError
from pipelines.ledger import write_atomically
from pipelines.run_layout import RUN_DIR
from pipelines.signals import StopRequest, note_signals
from pipelines.store.store import connect
from pipelines.store.url import store_url

HTML, MARKDOWN, JSON = "report.html", "report.md", "report.json"
SWITCH = "SMOLTROVE_REPORT"


# Runs whose reports wait, with their logs; None where reports are drawn when they are due.
_waiting: ContextVar[dict[Path, Path] | None] = ContextVar("waiting", default=None)


@contextmanager
def drawn_once() -> Iterator[None]:
    """What is due within is drawn at the end, each run once: a run and its deduplication change the same page.

    However it ends: what was due when an error or Ctrl-C came is drawn, too.
    """
    waiting: dict[Path, Path] = {}
    token = _waiting.set(waiting)
    try:
        yield
    finally:
        _waiting.reset(token)
        # The outcome stands by now, and is the exit status: Ctrl-C does not change it in the middle of a page.
        with note_signals(StopRequest()) if waiting else nullcontext():
            for run, log_path in waiting.items():
                report_at_the_end(run, log_path)


def write_report(run: Path, *, measure: bool | None = None, where: str | None = None) -> str:
    """Collect, draw and write, into a store where `run` is there; answers where the page is.

    where: what the report calls the run, if its place is another than `run`. Raises UserError where there is no run,
    SourceError where a file cannot be read or written.
    """
    from pipelines.report.data import collect
    from pipelines.report.html import page
    from pipelines.report.markdown import markdown

    url = store_url(run)
    folder = f"{where or url or run}/{RUN_DIR}"
    try:
        report = collect(run, measure=measure)
        if where is not None:
            report.run = where
            if report.duplicates is not None and report.kind == "dedup":
                report.duplicates.output_folder = where
        texts = {JSON: report.model_dump_json(indent=1) + "\n", MARKDOWN: markdown(report), HTML: page(report)}
        for name, text in texts.items():
            if url is not None:
                connect(url).write(f"{RUN_DIR}/{name}", text.encode())
            else:
                write_atomically(run / RUN_DIR / name, text)
    except OSError as error:
        raise SourceError(f"{folder}: the report cannot be written: {error}; put that right and try again") from error
    return f"{folder}/{HTML}"


def report_at_the_end(run: Path, log_path: Path, where: str | None = None) -> None:
    """The report of a run that has just ended, said on stderr and in main.log.

    where: as for `write_report`. Whatever goes wrong with it is said in one line, and ends nothing. The environment
    variable SMOLTROVE_REPORT=0 leaves it out.
    """
    if os.environ.get(SWITCH, "1") == "0":
        return
    # What goes to a store as `where` has its files here for now only.
    if where is None and (waiting := _waiting.get()) is not None:
        waiting[run if store_url(run) is not None else run.absolute()] = log_path.absolute()
        return
    try:
        line = f"report: {write_report(run, where=where)}"
    except Exception as error:  # noqa: BLE001 - a picture must not fail a run; the line says what happened
        reason = " ".join((str(error) if isinstance(error, SourceError) else repr(error)).split())
        named = where or store_url(run) or run
        line = f"warning: no report: {reason}; the run is not affected; try `smoltrove report {named}`"
    print(line, file=sys.stderr, flush=True)
    # On a full disk the line on stderr has to do.
    with suppress(OSError), open(log_path, "a", encoding="utf-8") as log:
        log.write(f"{datetime.now().isoformat(timespec='seconds')} {line}\n")
