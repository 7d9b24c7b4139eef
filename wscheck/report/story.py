"""What is told of a finding and in which order, whatever the medium: who, what, by whom, why, what to change."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wscheck.detect import stack_frames
from wscheck.detect.incidents import Incident
from wscheck.detect.rules import REGISTRY as RULES
from wscheck.model.comparison import CompareReport
from wscheck.model.events import AnyEvent, AttemptOutcome, CodeLocation, Connecting, ConnectionEvent, Refused, Replaced
from wscheck.model.findings import Finding, Severity, Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.report import BrowserReport, LogsReport, Report, VerifyReport
from wscheck.report import log_figures
from wscheck.report.formatting import escape_control, format_clock_time, format_duration, format_rate, one_line, plural
from wscheck.report.load_figures import format_amount

MESSAGES = 6
"""Messages told of one rule and one cause."""


@dataclass(frozen=True)
class Opening:
    """A component that opened connections of a finding, from where, and which. `caller`: who called a shared opener."""

    component: str | None
    opener: CodeLocation | None
    sids: tuple[str, ...]
    caller: CodeLocation | None = None

    def __str__(self) -> str:
        who = self.component or (self.opener.function if self.opener else "an unnamed component")
        where = str(self.opener) if self.opener else ""
        told = " at ".join(part for part in (who, where) if part)
        if self.caller is not None:
            told = f"{stack_frames.location_label(self.caller)} at {self.caller}, through {told}"
        return f"{one_line(told)} ({_some(self.sids)})"


class Openings:
    """Who opened which connection, looked up by sid: built once a run, asked once a finding."""

    def __init__(self, events: Iterable[AnyEvent]) -> None:
        self._opened: dict[str, AttemptOutcome] = {}
        self._note(events)

    def of(self, finding: Finding) -> list[Opening]:
        """The openings behind `finding`, the busiest first; connections whose opener nobody saw are left out."""
        self._note(finding.evidence)
        opened = [self._opened[sid] for sid in connection_ids(finding.evidence) if sid in self._opened]
        sids: dict[tuple[str | None, CodeLocation | None, CodeLocation | None], list[str]] = {}
        for one in opened:
            sids.setdefault((one.component, one.opener, _caller(one, opened)), []).append(one.sid or "refused")
        told = [Opening(component, opener, tuple(its), caller) for (component, opener, caller), its in sids.items()]
        return sorted(told, key=lambda opening: -len(opening.sids))

    def _note(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if (
                isinstance(event, AttemptOutcome)
                and (key := event.sid or event.eio)
                and (event.component or event.opener)
            ):
                self._opened.setdefault(key, event)


def _caller(one: AttemptOutcome, opened: Iterable[AttemptOutcome]) -> CodeLocation | None:
    """Where the stacks of connections with the same opener part; None where the opener itself tells them apart."""
    others = (other.stack for other in opened if other.opener == one.opener and other.stack != one.stack)
    return next((place for stack in others if (place := stack_frames.divergence(one.stack, stack)) is not None), None)


def rows(finding: Finding, openings: Sequence[Opening]) -> list[tuple[str, str]]:
    """(label, text) in telling order, each text one line of clean text, empty ones left out."""
    cause = finding.cause
    told = [
        ("who", finding.user or ""),
        *(("opened by", str(opening)) for opening in openings),
        ("cause", f"{cause.name} ({cause.confidence} confidence)" if cause else ""),
        ("because", cause.because if cause else ""),
        ("fix", fix_text(finding)),
        ("to be sure", cause.settle_by if cause else ""),
    ]
    return [(label, one_line(text)) for label, text in told if text]


def fix_text(finding: Finding | Incident) -> str:
    """What to change: what its cause asks for, and where no cause is known, what its rule does."""
    if finding.cause is not None:
        return one_line(finding.cause.fix)
    rule = RULES.get(finding.rule)
    return one_line(rule.fix) if rule is not None else ""


def pace(finding: Finding) -> str:
    """How often and how fast: `once`, `14 times in 3.9 s (3.6/s)`."""
    if finding.count == 1:
        return "once"
    times, first, last = plural(finding.count, "time"), finding.first_at, finding.last_at
    if first is None or last is None or last <= first:
        return times
    return f"{times} in {format_duration(last - first)}" + (f" ({format_rate(finding.rate)})" if finding.rate else "")


def seen(finding: Finding) -> str:
    """`pace` and when: `14 times in 3.9 s (3.6/s), 12:00:01.123 to 12:00:05.020 UTC`."""
    first, last = finding.first_at, finding.last_at
    if first is None or last is None:
        return pace(finding)
    span = (
        f"{format_clock_time(first)} to {format_clock_time(last)}" if last > first else f"at {format_clock_time(first)}"
    )
    return f"{pace(finding)}, {span} UTC"


def text(finding: Finding, openings: Sequence[Opening]) -> str:
    """The whole story as plain text: a headline, then one line for each row."""
    told = [("seen", seen(finding)), *rows(finding, openings)]
    width = max((len(label) for label, _ in told), default=0)
    head = f"{finding.rule} ({finding.severity}, {finding.confidence} confidence): {one_line(finding.message)}"
    return "\n".join([head, *(f"  {label:<{width}}  {said}" for label, said in told)])


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; otherwise as they came."""
    return sorted(findings, key=lambda finding: -finding.severity.rank)


@dataclass(frozen=True)
class Strand:
    """Findings of one rule and one cause: the most frequent to tell in full, and the others like it."""

    finding: Finding
    others: tuple[Finding, ...] = ()


def chapters(findings: Iterable[Finding]) -> list[list[Strand]]:
    """What is to be mended, the worst first: strands that share severity and cause are told together.

    A fault that shows in ten scenarios, for a thousand users or under two rules is still one thing to mend.
    """
    told: dict[tuple[str, str], dict[str, list[Finding]]] = {}
    for finding in by_severity(findings):
        key = (finding.severity, finding.cause.id if finding.cause else f"rule {finding.rule}")
        told.setdefault(key, {}).setdefault(finding.rule, []).append(finding)
    return [[strand(group) for group in chapter.values()] for chapter in told.values()]


def strand(group: Iterable[Finding]) -> Strand:
    """Findings of one rule and one cause as one, told by the most frequent."""
    first, *others = sorted(group, key=lambda finding: -finding.count)
    return Strand(first, tuple(others))


def told(strand: Strand) -> list[tuple[str, str]]:
    """(message, how often and where) of a strand, each message once, the last standing for those left out."""
    alike: dict[str, list[Finding]] = {}
    for finding in (strand.finding, *strand.others):
        alike.setdefault(one_line(finding.message), []).append(finding)
    users = {finding.user for group in alike.values() for finding in group}
    lines = [(message, _where(group, many_users=len(users) > 1)) for message, group in alike.items()]
    if len(lines) <= MESSAGES:
        return lines
    return [*lines[: MESSAGES - 1], (f"and {plural(len(lines) - MESSAGES + 1, 'more finding')} like these", "")]


def lines(strand: Strand, opened: Sequence[Opening]) -> list[str]:
    """A strand as lines of text: its messages, then who opened, why, and what to change."""
    messages = [f"{message} ({where})" if where else message for message, where in told(strand)]
    return [*messages, *(f"{label}: {said}" for label, said in rows(strand.finding, opened))]


def _where(alike: Sequence[Finding], many_users: bool) -> str:
    """`14 times in 3.9 s (3.6/s), in race, second-tab, for user_2, user_3 and 997 more`."""
    scenarios = list(dict.fromkeys(finding.scenario for finding in alike if finding.scenario))
    users = list(dict.fromkeys(finding.user for finding in alike if finding.user)) if many_users else []
    parts = [_often(alike), f"in {_some(scenarios, 12)}" if scenarios else "", f"for {_some(users)}" if users else ""]
    return ", ".join(part for part in parts if part)


def _often(alike: Sequence[Finding]) -> str:
    """Of one finding its pace; of several how often in all, and the fastest of them."""
    if len(alike) == 1:
        return pace(alike[0])
    fastest = max((finding.rate or 0.0 for finding in alike), default=0.0)
    times = plural(sum(finding.count for finding in alike), "time")
    return f"{times}, up to {format_rate(fastest)}" if fastest else times


def run_description(report: Report) -> str:
    """What ran, for titles: `unified client and the page http://...`, `duplicated profile, 100 users on 2 workers`;
    empty where the target says it all."""
    if isinstance(report, VerifyReport) and report.client:
        page = report.options.get("page")
        return f"{report.client} client" + (f" and the page {page}" if page else "")
    if not report.has_results:
        return ""
    if isinstance(report, LoadReport):
        workers = f" on {plural(report.workers, 'worker')}" if report.workers > 1 else ""
        return f"{report.profile} profile, {plural(report.users, 'user')}{workers}"
    if isinstance(report, CompareReport):
        return f"{report.before.variant} and {report.after.variant}"
    return ""


def headline(report: Report) -> str:
    """The run in one sentence, for the reader who reads only one."""
    if isinstance(report, CompareReport) and report.has_results:
        return _told_of(report)
    if report.verdict is Verdict.PASSED and (held := _held(report)):
        return f"{held}{_remarks(report)}."
    if isinstance(report, BrowserReport) and report.reason:
        return escape_control(report.reason)
    if report.verdict is Verdict.FAILED and report.findings:
        strand = chapters(report.findings)[0][0]
        worst = strand.finding
        alike = [each for each in strand.others if (each.user, each.message) == (worst.user, worst.message)]
        who = f"{one_line(worst.user)}: " if worst.user else ""
        often = _often([worst, *alike])
        return f"{who}{one_line(worst.message)}" + (f", {often}" if often != "once" else "")
    return escape_control(report.reason) or NOTHING_SAID[report.verdict]


def _held(report: Report) -> str:
    """What held in a run that passed; empty where nothing is to be counted."""
    if isinstance(report, LoadReport):
        held = f"{plural(report.users, 'user')} held {report.connections_per_user:.2f} connections each"
        return f"{held}, {report.replaced:,} replaced"
    if isinstance(report, LogsReport):
        return log_figures.held(report)
    if isinstance(report, BrowserReport):
        users = {one.user for one in report.connections}
        return f"{plural(len(users), 'user')} held {plural(len(report.connections), 'connection')}"
    scenarios = getattr(report, "scenarios", [])
    counts = Counter(scenario.verdict for scenario in scenarios)
    left_out = f", {counts[Verdict.SKIPPED]} skipped" if counts[Verdict.SKIPPED] else ""
    return f"{counts[Verdict.PASSED]} of {plural(len(scenarios), 'scenario')} passed{left_out}" if scenarios else ""


TOLD = ("connections_per_user", "connections_peak", "replaced")
"""What a comparison says in its one sentence, as far as it was measured."""


def _told_of(report: CompareReport) -> str:
    known = [m for m in report.measures if m.id in TOLD and m.before is not None and m.after is not None]
    told = [
        f"{m.name}: {format_amount(m.before, m.unit)} before, {format_amount(m.after, m.unit)} after" for m in known[:2]
    ]
    reason = f"{escape_control(report.reason)}. " if report.reason else ""
    said = reason + "; ".join(told) + ("." if told else "")
    return said[:1].upper() + said[1:]


def _remarks(report: Report) -> str:
    """`, with 1 warning and 2 notes`; empty when there is nothing to remark."""
    counts = Counter(finding.severity for finding in report.findings)
    told = [plural(counts[severity], severity) for severity in reversed(Severity) if counts[severity]]
    return f", with {' and '.join(told)}" if told else ""


NOTHING_SAID = {
    Verdict.PASSED: "Nothing is wrong.",
    Verdict.FAILED: "The check failed.",
    Verdict.INCONCLUSIVE: "Neither good nor bad was shown.",
    Verdict.SKIPPED: "Nothing was checked.",
}


def first_fix(report: Report) -> str:
    """What to change first, for a run that failed on a finding; empty otherwise."""
    if report.verdict is not Verdict.FAILED or not report.findings:
        return ""
    return fix_text(chapters(report.findings)[0][0].finding)


def next_command(report: Report) -> str | None:
    """The one command that helps most now, None when there is nothing to do."""
    if isinstance(report, LogsReport) and (command := log_figures.in_other_words(report)):
        return command
    if report.verdict is not Verdict.FAILED or not report.findings:
        return None
    worst = chapters(report.findings)[0][0].finding
    return f"wscheck explain {worst.cause.id if worst.cause else worst.rule}"


def connection_ids(evidence: Iterable[AnyEvent]) -> list[str]:
    """Every connection that `evidence` is about, in order, once; one that was refused by its session."""
    found: dict[str, None] = {}
    for event in evidence:
        if isinstance(event, Replaced):
            found.update({sid: None for sid in (event.old_sid, event.new_sid) if sid})
        elif isinstance(event, ConnectionEvent) and not isinstance(event, Connecting):
            known = event.sid or (event.eio if isinstance(event, Refused) else None)
            found |= {known: None} if known else {}
    return list(found)


def _some(sids: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(one_line(sid) for sid in sids[:most])
    return f"{shown} and {len(sids) - most} more" if len(sids) > most else shown
