"""What holds for every report, as functions that several tests call."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from pipelines.report.data import RunReport
from pipelines.report.write import JSON
from tests.browser import DESKTOP, PHONE, open_page

MOST_BYTES = 5_000_000
COUNTS = ("rows", "sampled_out", "repeated", "written", "text_bytes", "tokens")


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The records of a run, as they stand in its ledger."""
    return [json.loads(line) for line in (folder / "_run" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()]


def read(folder: Path) -> RunReport:
    """The report of a run."""
    return RunReport.model_validate_json((folder / "_run" / JSON).read_bytes())


def sums(records: list[dict[str, Any]]) -> Counter[str]:
    """Totals of a ledger, added up without the project's own code."""
    found: Counter[str] = Counter()
    for record in records:
        found.update({name: record[name] for name in COUNTS})
        for name in ("rejected", "dropped"):
            found[name] += sum(record[name].values())
            found.update({f"{name} {reason}": number for reason, number in record[name].items()})
    found["drawn"] = found["rows"] - found["rejected"] - found["sampled_out"]
    found["kept"] = found["drawn"] - found["dropped"]
    return found


def check_numbers(folder: Path) -> RunReport:
    """Totals, sources and reasons of report.json are sums over ledger.jsonl."""
    report, records = read(folder), ledger(folder)
    whole = sums(records)
    names = (*COUNTS, "rejected", "dropped", "drawn", "kept")
    assert {name: report.totals[name] for name in names} == {name: whole[name] for name in names}
    assert {source.source for source in report.sources} == {record["source"] for record in records}
    for source in report.sources:
        mine = sums([record for record in records if record["source"] == source.source])
        for name in (*COUNTS, "drawn", "kept"):
            assert getattr(source, name) == mine[name], (source.source, name)
        for kind in ("rejected", "dropped"):
            assert {f"{kind} {reason}": n for reason, n in getattr(source, kind).items()} == {
                key: n for key, n in mine.items() if key.startswith(f"{kind} ")
            }
    return report


def check_page(path: Path, pictures: Path) -> None:
    """The page is small, and in every width and colour without errors, requests and sideways scrolling."""
    assert path.stat().st_size < MOST_BYTES
    seen = set()
    for width, dark in ((PHONE, False), (PHONE, True), (DESKTOP, False), (DESKTOP, True)):
        with open_page(path.as_uri(), width=width, dark=dark) as view:
            view.page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
            assert view.errors == []
            assert view.outside == []
            assert view.overflow() == 0
            texts = view.page.locator("figure svg text")
            assert texts.count() > 20
            assert texts.first.evaluate("node => node.getBoundingClientRect().height") >= 8, "readable"
            seen.add(view.page.evaluate("getComputedStyle(document.body).backgroundColor"))
            assert view.screenshot(pictures / f"{width}-{dark}.png").stat().st_size > 10_000
    assert len(seen) == 2, "light and dark differ"
