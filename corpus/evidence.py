"""The table of results, and the page `docs/evidence.md`."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from corpus.entries import Case, Entry, cases_of
from corpus.others import LINTERS, PACKAGES

PAGE = Path(__file__).parent.parent / "docs" / "evidence.md"
RESULTS = Path(__file__).with_name("results")
_MARKS = {True: "right", False: "wrong", None: "-"}

TABLES = {
    "Logs beside grep and mtail": "logs",
    "Load on Socket.IO beside other Locust users": "load",
    "Load on raw WebSocket beside Artillery": "load_ws",
    "Rotation of followed logs": "rotation",
    "Faults of the reference server": "faults",
}
"""Title of a table of the page to the benchmark that prints it."""

Results = dict[str, Any]
"""Case to source to judgement."""


def table(entries: list[Entry], results: Results) -> str:
    """Return the table of the results of entries, as Markdown."""
    columns = ["case", "browser", "line", "cause", "fix", "s", "har", "scan", "loop", "count"]
    rows = [_row(columns), "|---" * len(columns) + "|"]
    for case in cases_of(entries):
        said = results.get(case.id, {})
        browser = said.get("browser") or said.get("error") or {"result": "not run"}
        parts = [_MARKS[browser.get(key)] for key in ("line", "cause", "fix")] if case.is_faulty else ["", "", ""]
        others = [said.get(name, {}).get("result", "") for name in ("har", "scan", "loop", "count")]
        result = f"excluded: {case.entry.excluded}" if case.entry.excluded else browser["result"]
        rows.append(_row([case.id, result, *parts, f"{browser.get('seconds', 0):.0f}", *others]))
    return "\n".join(rows)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def spread(repeats: Results) -> str:
    """Return the table of repeated runs: how many had the most frequent result of their case, and how long they took.

    repeats  dict of case to the judgements of its runs, each with the load of the machine
    """
    columns = ["case", "runs", "same result", "the result", "line", "cause", "s", "load of the machine"]
    rows = [_row(columns), "|---" * len(columns) + "|"]
    for case, runs in sorted(repeats.items()):
        answers = Counter((run["result"], run.get("line"), run.get("cause")) for run in runs)
        (result, line, cause), same = answers.most_common(1)[0]
        seconds, loads = (sorted(run[key] for run in runs) for key in ("seconds", "load"))
        span, load = f"{seconds[0]:.1f} to {seconds[-1]:.1f}", f"{loads[0]:.1f} to {loads[-1]:.1f}"
        marks = [_MARKS[line] if line is not None else "", _MARKS[cause] if cause is not None else ""]
        rows.append(_row([case, str(len(runs)), str(same), result, *marks, span, load]))
    return "\n".join(rows)


def write_page(entries: list[Entry]) -> None:
    """Write the page from the results in the repository."""
    first, now, tools, repeats, tables = (_read(name) for name in ("first", "now", "tools", "repeats", "tables"))
    PAGE.write_text(page(entries, first, now, tools, repeats, tables=tables), encoding="utf-8")


def _measured(tables: Results) -> str:
    """Return the part of the page with the tables of benchmarks, "" if none was stored."""
    if not tables:
        return ""
    parts = [
        f"\n### {title}\n\n`python -m bench {TABLES[title]}`, load of the machine before it: {said['load']}\n\n"
        f"```text\n{said['text'].strip()}\n```\n"
        for title, said in tables.items()
        if title in TABLES
    ]
    about = "What benchmarks printed on a machine with two cores that did other work: ratios count, not times."
    return "".join(["\n## Speed and losses\n\n", about, "\n", *parts])


def _read(name: str) -> Results:
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def page(
    entries: list[Entry], first: Results, now: Results, tools: Results, repeats: Results, *, tables: Results
) -> str:
    """Return the page: misses first, then the figures of both runs, the applications and the other tools."""
    cases = [case for case in cases_of(entries) if not case.entry.excluded]
    applications = sum(entry.kind == "application" for entry in entries if entry.faulty)
    faults = sum(bool(entry.faulty) for entry in entries)
    return f"""# Evidence

Published applications and libraries in fixed versions, checked by wscheck and by other tools. {faults} have a known
fault ({applications} are applications with their own frontend, the others libraries on a page that uses them as their
documentation says); each of these is also checked in its fixed version, or with a patch where the project has not fixed
it. {len(entries) - faults} have no known fault.
`corpus/apps/` contains the versions, the commands and the expected results, which were written down before the first
run: from the code of both versions, their public reports, and a count of open sockets.

```
python -m corpus                     # install, serve and check all; continues where it stopped
python -m corpus --only marimo --again
python -m corpus --loop              # `wscheck browser --loop` too
python -m corpus --repeat 10 --only marimo
python -m corpus --others            # the linters
python -m corpus --fuite             # fuite, a search for memory leaks
python -m corpus --table 'Rotation of followed logs'
python -m corpus --page              # write this page from corpus/results
```

It installs with npm and pip into `~/.cache/wscheck-corpus`, serves on the loopback interface
only, limits every step in time, and ends what it started.

## What is wrong or was not shown

{_misses(cases, now)}

- Right fix: the advice was compared with what the published fix changes. No tool applied it; the fixed version of each
  application is the evidence that the finding is gone.
- The first run counts the lines of gradio, gradio-3 and jupyterlab as wrong because their expected places had been
  copied wrongly from the bundles. They were corrected afterwards; the other expected results are those of the list.
- browser-sync, comfyui, dagit, hocuspocus, lona, ng2-cable, plombery, pywebio, react-logviewer, react-websocket,
  reconnecting-websocket, remi, remix-utils, shiny, sockette, socket-io-client, subscriptions-transport-ws, taipy-gui,
  use-socket-io-client, viser, voila and y-sweet were added after the fixes that the first entries had led to. Their
  first run is with the mended program. What it missed was mended afterwards, by kind, and run again; the other results
  are those of the first run.
- sockette and y-sweet: the cause of a client that reconnects although the code has closed it got an id of its own after
  the first run, and was added to the expected ones. The expected line of subscriptions-transport-ws got the line that
  creates the client, to which its timer belongs.
- In a HAR file of Playwright, a plain websocket counts as open until its last message since the second run: before, its
  missing end made one false alarm, and some of the faults were found by chance.
- The fault of marimo is a race of two renders, in three of four loads on an idle machine. In the run after the fixes,
  its page opened a second connection in two of three loads, and the server ended it after 30 ms: less than the grace
  period of 250 ms, so wscheck passes. It counts as missed.
- JupyterLab 4.4.9 opens three connections to a new kernel and closes two of them soon. Until an event on two
  connections counted only once they had overlapped for the grace period, that was a false alarm, in the first run too.
  The fault of 3.4.5 is a race: of three further runs, one did not show it.
- taipy-gui was inconclusive in the first run, because its server failed with a newer version of Flask, which the entry
  had not pinned. Its page never had a connection.
- subscriptions-transport-ws: the advice is to create one client, which the page does; the timer of that client opens
  the second connection.
- One run of each case, except those under [repeated runs](#repeated-runs). Faults that need a login, several users or a
  slow network are not in the corpus.
- Applications whose package contains only minified bundles without source maps have no line of their source code: the
  expected place is the line of the bundle.

## Figures

{_figures(cases, first, now)}

Line, cause and fix are counted for the faults that were found.

## The first run

{table(entries, first)}

## The run after the fixes

{table(entries, now)}

`inconclusive` is no answer: the exit code is 3. A HAR file that Playwright recorded has neither openers nor the ends of
websockets. `scan` is listed where the package contains source code, and `loop` where it was run.
`--loop` follows links: the page of react-logviewer has none, so its version without fault is inconclusive there; the
fault is found all the same.

## Repeated runs

`python -m corpus --repeat 10 --only NAME`, on a machine with two cores that did other work at the same time.

{spread(repeats)}

## The applications

{_applications(entries)}
{_measured(tables)}
## Other tools

The same inputs. A linter has found a fault if a message names a connection, a subscription, a listener or a cleanup.
Of a library whose package has no source code it reads the page only.
`count` is a test of twenty lines with Playwright: two websockets of one page to one address that are open together for
more than 300 ms.

{_tools(cases, now, tools)}

Versions: {", ".join(PACKAGES)}.
fuite follows the links of a page: on five entries that were tried, no page has one, so it says nothing about them.
memlab was not run: it needs a scenario of its own for each page.
"""


def _misses(cases: list[Case], now: Results) -> str:
    """Return a list of what is wrong in the run, worst first."""
    order = ["missed", "false alarm", "error", "inconclusive"]
    lines = []
    for case in cases:
        for source in ("browser", "har", "scan", "loop"):
            said = now.get(case.id, {}).get(source) or {}
            if source != "browser" and case.is_faulty and said.get("result") != "false alarm":
                continue
            wrong = [key for key in ("line", "cause", "fix") if said.get(key) is False]
            if said.get("result") in order or wrong:
                what = said["result"] if said["result"] in order else f"wrong {', '.join(wrong)}"
                rank = order.index(said["result"]) if said["result"] in order else len(order)
                lines.append((rank, f"- {case.id}, {source}: {what}. {_short(said.get('details', ''))}"))
        if "error" in now.get(case.id, {}):
            lines.append((2, f"- {case.id}: not checked. {_short(now[case.id]['error']['details'])}"))
    return "\n".join(text for _, text in sorted(lines)) or "- Nothing in the runs of wscheck."


def _short(text: str) -> str:
    """Return one line of a text, without markup and without paths of this machine."""
    line = " ".join(text.replace("|", "/").replace("`", "'").split())
    line = re.sub(r"\S*/wscheck-corpus-\w+/", "", line)
    return line.replace(str(Path.home()), "~")[:240]


def _figures(cases: list[Case], first: Results, now: Results) -> str:
    """Return the figures of both runs."""
    faulty = [case for case in cases if case.is_faulty]
    healthy = [case for case in cases if not case.is_faulty]

    def browser(results: Results, case: Case) -> dict[str, Any]:
        return dict(results.get(case.id, {}).get("browser") or {})

    def of(results: Results, among: list[Case], is_right: Callable[[dict[str, Any]], bool]) -> str:
        return f"{sum(is_right(browser(results, case)) for case in among)} of {len(among)}"

    rows = [_row(["", "first run", "now"]), "|---|---|---|"]
    for name, among, is_right in (
        ("recall: faults found", faulty, lambda said: said.get("result") == "found"),
        ("false alarms on versions without fault", healthy, lambda said: said.get("result") == "false alarm"),
        ("versions without fault that pass", healthy, lambda said: said.get("result") == "passed"),
    ):
        rows.append(_row([name, of(first, among, is_right), of(now, among, is_right)]))
    for name, key in (("right line", "line"), ("right cause", "cause"), ("right fix", "fix")):
        cells = []
        for results in (first, now):
            found = [case for case in faulty if browser(results, case).get("result") == "found"]
            cells.append(of(results, found, lambda said, key=key: said.get(key) is True))  # type: ignore[misc]
        rows.append(_row([name, *cells]))
    rows.append(_row(["median time of a run", *(_median(browser, cases, results) for results in (first, now))]))
    return "\n".join(rows)


def _median(browser: Callable[[Results, Case], dict[str, Any]], cases: list[Case], results: Results) -> str:
    """Return the median and the longest time of the runs of `wscheck browser`."""
    times = sorted(said["seconds"] for case in cases if (said := browser(results, case)))
    return f"{times[len(times) // 2]:.0f} s, longest {times[-1]:.0f} s" if times else "-"


def _applications(entries: list[Entry]) -> str:
    """Return the list of the applications with their versions and faults."""
    rows = [
        _row(["name", "kind", "framework", "protocol", "licence", "faulty", "healthy", "known by"]),
        "|---" * 8 + "|",
    ]
    for entry in entries:
        faulty = entry.faulty.install[0] if entry.faulty else "-"
        healthy = entry.healthy.install[0] + (", patched" if entry.healthy.patch else "")
        rows.append(
            _row([entry.name, entry.kind, entry.framework, entry.protocol, entry.licence, faulty, healthy])[:-1]
            + f"| {_short(entry.expected.known_by)} |"
        )
    faults = [f"- **{e.name}**: {e.expected.fault}. Fix: {e.expected.fix}." for e in entries if e.faulty]
    return "\n".join([*rows, "", *faults])


def _tools(cases: list[Case], now: Results, tools: Results) -> str:
    """Return what each tool found, among the cases that it can read."""
    rows = [_row(["tool", "inputs with a fault", "found", "inputs without", "false alarms", "s"]), "|---" * 6 + "|"]
    sources = [("wscheck browser", now, "browser"), ("wscheck scan", now, "scan"), ("count", now, "count")]
    sources += [(name, tools, name) for name in [*LINTERS, "fuite"]]
    for name, results, key in sources:
        ran = [(case, results[case.id][key]) for case in cases if key in results.get(case.id, {})]
        ran = [(case, said) for case, said in ran if said["result"] not in ("not run", "error")]
        if not ran:
            continue
        faulty = [said for case, said in ran if case.is_faulty]
        healthy = [said for case, said in ran if not case.is_faulty]
        found = sum(said["result"] == "found" for said in faulty)
        alarms = sum(said["result"] == "false alarm" for said in healthy)
        times = sorted(said["seconds"] for _, said in ran)
        seconds = f"{times[len(times) // 2]:.0f}" if times else "-"
        rows.append(_row([name, str(len(faulty)), str(found), str(len(healthy)), str(alarms), seconds]))
    return "\n".join(rows)
