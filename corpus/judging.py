"""Comparison of what was said about a case with its expected result."""

import re
from typing import Any

import msgspec

from corpus.entries import Case

RIGHT = {"found", "passed"}


class Judgement(msgspec.Struct, frozen=True):
    """What one source was right about.

    result    `found`, `missed` or `inconclusive` for a fault; `passed`, `false alarm` or `inconclusive` without one;
              `error` if the source did not finish
    line      whether the openers are the expected ones, `None` where that was not asked
    cause     the same for the cause, and
    fix       for the fix
    details   what was said: finding, openers and cause
    seconds   duration of the run
    """

    result: str
    details: str
    seconds: float
    line: bool | None = None
    cause: bool | None = None
    fix: bool | None = None


def judge(case: Case, source: str, outcome: dict[str, Any]) -> Judgement:
    """Compare the outcome of a source with the expected result of a case."""
    seconds = float(outcome.get("seconds", 0.0))
    if source == "count":
        return _judge_count(case, outcome, seconds)
    report = outcome.get("report")
    if report is None or outcome["exit"] not in (0, 1, 3):
        return Judgement("error", f"exit {outcome['exit']}: {outcome.get('said', '')}", seconds)
    loud = [finding for finding in report["findings"] if finding["severity"] != "note"]
    said = "; ".join(f"{finding['rule']}: {finding['message']}" for finding in loud[:2]) or report.get("reason")
    said = said or f"connections that were seen: {len(report.get('connections', []))}"
    if not case.is_faulty:
        result = "false alarm" if loud else "passed" if report["verdict"] == "passed" else "inconclusive"
        return Judgement(result, said, seconds)
    found = [finding for finding in loud if _is_expected(case, source, finding)]
    if not found:
        result = "inconclusive" if report["verdict"] == "inconclusive" else "missed"
        return Judgement(result, said, seconds)
    return _judge_finding(case, source, report, found, seconds)


def _is_expected(case: Case, source: str, finding: dict[str, Any]) -> bool:
    """Return whether a finding is about the fault. `wscheck scan` has rules of its own, so that its causes count."""
    expected = case.entry.expected
    cause = (finding.get("cause") or {}).get("id") if source == "scan" else None
    return finding["rule"] in expected.rules or cause in expected.causes


def _judge_count(case: Case, outcome: dict[str, Any], seconds: float) -> Judgement:
    if "is_faulty" not in outcome:
        return Judgement("error", f"exit {outcome['exit']}: {outcome.get('said', '')}", seconds)
    said = f"{outcome['open']} open to one address at the end, {outcome['opened']} opened"
    if case.is_faulty:
        return Judgement("found" if outcome["is_faulty"] else "missed", said, seconds)
    return Judgement("false alarm" if outcome["is_faulty"] else "passed", said, seconds)


def _judge_finding(
    case: Case, source: str, report: dict[str, Any], found: list[dict[str, Any]], seconds: float
) -> Judgement:
    """Compare the openers, the causes and the fixes of findings."""
    expected = case.entry.expected
    causes = [finding["cause"] for finding in found if finding.get("cause")]
    named = sorted(_places(report))
    line = all(any(is_place(place, wanted) for place in named for wanted in group) for group in expected.openers)
    cause = bool(causes) and causes[0]["id"] in expected.causes
    advice = " ".join(cause["fix"] for cause in causes)
    fix = cause and any(re.search(words, advice, re.IGNORECASE) for words in expected.fix_words)
    told = ", ".join(f"{cause['id']} ({cause['confidence']})" for cause in causes) or "no cause"
    details = f"{found[0]['rule']}: {found[0]['message']}; {told}; {', '.join(named) or 'no opener'}"
    has_openers = source in ("browser", "loop") or bool(named)
    return Judgement(
        "found",
        details,
        seconds,
        line=line if has_openers else None,
        cause=cause if has_openers else None,
        fix=fix if has_openers else None,
    )


def _places(report: dict[str, Any]) -> set[str]:
    """Return the places that a report names for its connections or calls, as `file:line`."""
    frames = [opened.get(key) for opened in report.get("connections", []) for key in ("opener", "diverges_at")]
    frames += report.get("places", [])
    return {f"{frame['file'].split('?')[0]}:{frame['line']}" for frame in frames if frame and frame.get("file")}


def is_place(named: str, wanted: str) -> bool:
    """Return whether a named place is the wanted one: the same line of a file whose path ends alike."""
    return named == wanted or named.endswith("/" + wanted)
