"""Runs of wscheck and of a count of websockets on an application that is being served."""

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from corpus.entries import Case
from corpus.serving import run_limited
from wscheck.observe.browser import launch

_LIMIT_S = {"browser": 150, "loop": 300, "har": 60, "scan": 60, "count": 150}
_ROOT = Path(__file__).parent.parent
_LOOP = ["--loop", "4", "--loop-links", "2"]


def check(case: Case, folder: Path, origin: str, sources: list[str]) -> dict[str, dict[str, Any]]:
    """Run each source on a case, and return what it said.

    Every outcome has `exit` and `seconds`; those of wscheck have `report`, unless it wrote none.
    """
    outcomes: dict[str, dict[str, Any]] = {}
    visit, url = case.entry.visit, origin + case.entry.visit.path
    with tempfile.TemporaryDirectory(prefix="wscheck-corpus-", ignore_cleanup_errors=True) as name:
        work = Path(name)
        (work / "wscheck.toml").write_text(as_toml(visit.steps), encoding="utf-8")
        har = work / "page.har"
        if "browser" in sources:
            outcomes["browser"] = _wscheck("browser", [url, "--for", visit.watch, *visit.options], work)
        if "count" in sources or "har" in sources:
            outcomes["count"] = _count(url, case, work, har)
        if "har" in sources and har.exists():
            outcomes["har"] = _wscheck("har", [str(har), *visit.options], work)
        if "loop" in sources:
            outcomes["loop"] = _wscheck("loop", [url, *_LOOP, *visit.options], work)
        if "scan" in sources and visit.scan:
            outcomes["scan"] = _wscheck("scan", [str(folder / visit.scan)], work)
    return outcomes


def as_toml(steps: list[dict[str, Any]]) -> str:
    """Return browser steps as the text of a wscheck.toml."""
    lines = []
    for step in steps:
        lines += ["[[browser.step]]", *(f"{key} = {json.dumps(value)}" for key, value in step.items())]
    return "\n".join([*lines, ""])


def _wscheck(source: str, arguments: list[str], work: Path) -> dict[str, Any]:
    """Run a command of wscheck, and return its outcome."""
    report = work / f"{source}.json"
    command = [sys.executable, "-m", "wscheck", "browser" if source == "loop" else source, *arguments]
    outcome, text = _run([*command, "--format", f"json={report}", "--format", "terminal"], work, _LIMIT_S[source])
    if report.exists():
        outcome["report"] = json.loads(report.read_text(encoding="utf-8"))
    else:
        outcome["said"] = text.strip()[-300:]
    return outcome


def _count(url: str, case: Case, work: Path, har: Path) -> dict[str, Any]:
    """Count the websockets of a page in a run of its own, and record its HAR file."""
    visit = case.entry.visit
    watch_s = float(visit.watch.removesuffix("s"))
    options = {"url": url, "steps": visit.steps, "watch_s": watch_s, "har": str(har)}
    options["browser"] = str(launch.find_browser(None))
    command = [sys.executable, "-m", "corpus.counting", json.dumps(options)]
    outcome, text = _run(command, work, _LIMIT_S["count"])
    with suppress(ValueError, IndexError):
        outcome |= json.loads(text.strip().splitlines()[-1])
    if "is_faulty" not in outcome:
        outcome["said"] = text.strip()[-300:]
    return outcome


def _run(command: list[str], work: Path, limit_s: float) -> tuple[dict[str, Any], str]:
    """Run a command, and return its exit code and seconds, and its output."""
    ended = run_limited(command, work, limit_s, {"PYTHONPATH": str(_ROOT), "COLUMNS": "200"})
    return {"exit": ended.code, "seconds": ended.seconds}, ended.text
