"""A load run and a comparison as Markdown tables."""

from collections.abc import Iterable

from wscheck.model.comparison import CompareReport, MeasureChange
from wscheck.model.load_report import LoadReport
from wscheck.model.report import LogsReport, Report
from wscheck.report import load_figures, log_figures
from wscheck.report.formatting import escape_markdown, one_line

_MARK = {MeasureChange.BETTER: "✅", MeasureChange.WORSE: "❌", MeasureChange.SAME: "", MeasureChange.UNKNOWN: ""}


def tables(report: Report) -> list[str]:
    """What there is to show beyond findings, each part a block of Markdown; empty for a report that is all findings, or
    of a run that never began."""
    if not report.has_results:
        return []
    if isinstance(report, LoadReport):
        parts = (_figures(report), _thresholds(report), _server(report), *_notes(report.notes))
        return [part for part in parts if part]
    if isinstance(report, CompareReport):
        return [_measures(report), *_notes(report.notes)]
    if isinstance(report, LogsReport):
        return ["\n".join(f"- {escape_markdown(fact)}" for fact in log_figures.facts(report)), *_users(report)]
    return []


def _users(report: LogsReport) -> list[str]:
    rows = log_figures.rows(report)[: log_figures.SHOWN]
    table = [log_figures.HEAD, ("---", "--:", "--:", "--:", "---"), *(tuple(map(escape_markdown, row)) for row in rows)]
    return ["\n".join(f"| {' | '.join(row)} |" for row in table)] if rows else []


def _notes(notes: Iterable[str]) -> list[str]:
    return [f"> {escape_markdown(one_line(note))}" for note in notes]


def _figures(report: LoadReport) -> str:
    rows = [f"| {f.name} | {f.value} | {escape_markdown(f.more)} |" for f in load_figures.load_figure_rows(report)]
    return "\n".join(["| | | |", "|---|--:|---|", *rows])


def _thresholds(report: LoadReport) -> str:
    return "\n".join(f"- {'❌' if t.crossed else '✅'} `{load_figures.format_threshold(t)}`" for t in report.thresholds)


def _server(report: LoadReport) -> str:
    said = load_figures.server_counts_sentence(report)
    return f"The server itself counted {escape_markdown(said)}." if said else ""


def _measures(report: CompareReport) -> str:
    before, after = (
        f"{escape_markdown(one_line(s.label))} ({escape_markdown(one_line(s.variant))})"
        for s in (report.before, report.after)
    )
    rows = [f"| | {before} | {after} | |", "|---|--:|--:|---|"]
    for benefit, measures in load_figures.measures_by_benefit(report):
        rows.append(f"| **{benefit}** | | | |")
        for m in measures:
            old, new = (load_figures.format_amount(value, m.unit) for value in (m.before, m.after))
            rows.append(
                f"| {m.name} | {old} | {new} | {f'{_MARK[m.change]} {load_figures.format_change(m)}'.strip()} |"
            )
    return "\n".join(rows)
