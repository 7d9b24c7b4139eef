"""Install, serve and check the applications of the corpus, and print the table. `python -m corpus --help`."""

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from corpus.checking import check
from corpus.entries import Case, Entry, cases_of, read_entries
from corpus.evidence import RESULTS, TABLES, spread, table, write_page
from corpus.installing import CACHE, NotInstalled, installed
from corpus.judging import judge
from corpus.others import LINTERS, lint, search_leaks
from corpus.serving import NotServed, serving

SOURCES = ["browser", "count", "har", "scan"]
TABLE_LIMIT_S = 1800


def main() -> int:
    """Run the cases that have no result yet, and print the table of all results."""
    parser = argparse.ArgumentParser(prog="python -m corpus", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="NAME", help="check this application (repeatable)")
    add("--again", action="store_true", help="check cases again that have a result")
    add("--loop", action="store_true", help="run `wscheck browser --loop` too: a minute or more per case")
    add("--others", action="store_true", help="run the linters instead of wscheck")
    add("--fuite", action="store_true", help="run fuite instead of wscheck: a minute or more per case")
    add("--repeat", type=int, default=0, metavar="N", help="run `wscheck browser` until N runs of each case are stored")
    add("--results", type=Path, default=CACHE / "results.json", help="file of the results")
    add("--table", action="append", default=[], choices=[*TABLES], help="measure, and store the table for the page")
    add("--page", action="store_true", help="write docs/evidence.md from corpus/results, and run nothing")
    options = parser.parse_args()
    try:
        entries = read_entries(options.only)
    except ValueError as error:
        parser.error(str(error))
    if options.page:
        write_page(read_entries([]))
        return 0
    if options.table:
        _measure(options.table)
        return 0
    if options.repeat:
        _repeat(entries, options.repeat)
        return 0
    results = _stored(options.results)
    sources = [*SOURCES, "loop"] if options.loop else SOURCES
    if options.others or options.fuite:
        sources = LINTERS if options.others else ["fuite"]
    for case in cases_of(entries):
        wanted = [name for name in sources if options.again or name not in results.get(case.id, {})]
        if case.entry.excluded or not wanted or ("error" in results.get(case.id, {}) and not options.again):
            continue
        results.setdefault(case.id, {}).update(_judged(case, wanted))
        results[case.id]["at"] = datetime.now(UTC).isoformat(timespec="seconds")
        _store(options.results, results)
        print(
            case.id,
            {name: said.get("result") for name, said in results[case.id].items() if name != "at"},
            file=sys.stderr,
        )
    print(table(entries, results))
    return 0


def _stored(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _store(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _repeat(entries: list[Entry], times: int) -> None:
    """Run `wscheck browser` on each case until the file of repeated runs contains `times` of them."""
    path = RESULTS / "repeats.json"
    results = _stored(path)
    for case in cases_of(entries):
        runs = results.setdefault(case.id, [])
        while not case.entry.excluded and len(runs) < times:
            said = _judged(case, ["browser"])
            runs.append({**(said.get("browser") or said["error"]), "load": round(os.getloadavg()[0], 1)})
            _store(path, results)
            print(case.id, len(runs), runs[-1]["result"], file=sys.stderr)
    print(spread(results))


def _measure(names: list[str]) -> None:
    """Run benchmarks and store what they print, with the load of the machine before them."""
    path = RESULTS / "tables.json"
    results = _stored(path)
    for name in names:
        load = round(os.getloadavg()[0], 1)
        command = [sys.executable, "-m", "bench", TABLES[name]]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=TABLE_LIMIT_S, check=True)
        results[name] = {"text": ended.stdout, "load": load}
        _store(path, results)


def _judged(case: Case, sources: list[str]) -> dict[str, Any]:
    """Return what each source was right about, or why the case could not be checked."""
    try:
        folder = installed(case)
        if set(sources) <= set(LINTERS):
            return lint(case, folder)
        with serving(case, folder) as origin:
            if sources == ["fuite"]:
                return {"fuite": search_leaks(case, origin)}
            outcomes = check(case, folder, origin, sources)
    except (NotInstalled, NotServed) as error:
        return {"error": {"result": "error", "details": str(error), "seconds": 0.0}}
    kept = {name: outcome for name, outcome in outcomes.items() if name in sources}
    (CACHE / "reports").mkdir(parents=True, exist_ok=True)
    (CACHE / "reports" / f"{case.id}.json").write_text(json.dumps(outcomes, indent=1), encoding="utf-8")
    absent = {name: {"result": "not run", "details": "", "seconds": 0.0} for name in sources if name not in kept}
    return {name: msgspec.to_builtins(judge(case, name, outcome)) for name, outcome in kept.items()} | absent


if __name__ == "__main__":
    sys.exit(main())
