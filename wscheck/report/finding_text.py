"""Text of findings, for every report format.

A finding is described by its messages, frequency, openers (call sites that opened the connections), cause and fix.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wscheck.detect import stack_frames
from wscheck.detect.incidents import Incident
from wscheck.detect.rules import RULE_DOCS as RULES
from wscheck.model.events import AnyEvent, AttemptOutcome, CodeLocation, Connecting, ConnectionEvent, Refused, Replaced
from wscheck.model.findings import Finding
from wscheck.report.formatting import escape_control, format_clock_time, format_duration, format_rate, one_line, plural

PATCHES = 3
"""Largest number of diffs that are shown per problem."""

MESSAGES = 6
"""Largest number of messages that are shown per rule and cause."""

SIDS = 3
"""Largest number of socket ids that are shown per opener."""


@dataclass(frozen=True)
class ConnectionOpener:
    """Component and call site that opened connections of a finding, with the socket ids of these connections.

    caller  the code that called the call site, if different callers share the call site (for example a hook); else None
    """

    component: str | None
    call_site: CodeLocation | None
    sids: tuple[str, ...]
    caller: CodeLocation | None = None

    def __str__(self) -> str:
        name = self.component or (self.call_site.function if self.call_site else "an unnamed component")
        location = str(self.call_site) if self.call_site else ""
        opener = " at ".join(part for part in (name, location) if part)
        if self.caller is not None:
            opener = f"{stack_frames.location_label(self.caller)} at {self.caller}, through {opener}"
        # The evidence of a loop contains only its first and its latest connections, so their number means nothing.
        others = " and others" if len(self.sids) > SIDS else ""
        return f"{one_line(opener)} ({', '.join(map(one_line, self.sids[:SIDS]))}{others})"


class OpenerIndex:
    """Index of openers by the socket id of their connections. It is built once per report."""

    def __init__(self, events: Iterable[AnyEvent]) -> None:
        self._outcomes: dict[str, AttemptOutcome] = {}
        self._add(events)

    def openers_for(self, finding: Finding) -> list[ConnectionOpener]:
        """Return the known openers of the connections in `finding`, the opener with the most connections first."""
        self._add(finding.evidence)
        outcomes = [self._outcomes[sid] for sid in connection_ids(finding.evidence) if sid in self._outcomes]
        sids: dict[tuple[str | None, CodeLocation | None, CodeLocation | None], list[str]] = {}
        for outcome in outcomes:
            key = outcome.component, outcome.opener, _caller(outcome, outcomes)
            sids.setdefault(key, []).append(outcome.sid or "refused")
        openers = [
            ConnectionOpener(component, call_site, tuple(group), caller)
            for (component, call_site, caller), group in sids.items()
        ]
        return sorted(openers, key=lambda opener: -len(opener.sids))

    def _add(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            if (
                isinstance(event, AttemptOutcome)
                and (key := event.sid or event.eio)
                and (event.component or event.opener)
            ):
                self._outcomes.setdefault(key, event)


def _caller(outcome: AttemptOutcome, outcomes: Iterable[AttemptOutcome]) -> CodeLocation | None:
    """Return the stack frame that distinguishes the connection of `outcome` from others with the same opener.

    The opener is the call site that opened a connection. The frame is the first one at which the call stack of
    `outcome` differs from that of another connection in `outcomes`. Return None if no stack with this opener is
    different.
    """
    others = (each.stack for each in outcomes if each.opener == outcome.opener and each.stack != outcome.stack)
    frames = (stack_frames.divergence(outcome.stack, other) for other in others)
    return next((frame for frame in frames if frame is not None), None)


def connection_ids(evidence: Iterable[AnyEvent]) -> list[str]:
    """Return the socket id of every connection in `evidence`, once, in order.

    A refused attempt has no socket id, so its Engine.IO session id is returned.
    """
    found: dict[str, None] = {}
    for event in evidence:
        if isinstance(event, Replaced):
            found.update({sid: None for sid in (event.old_sid, event.new_sid) if sid})
        elif isinstance(event, ConnectionEvent) and not isinstance(event, Connecting):
            known = event.sid or (event.eio if isinstance(event, Refused) else None)
            found |= {known: None} if known else {}
    return list(found)


def labelled_facts(finding: Finding, openers: Sequence[ConnectionOpener]) -> list[tuple[str, str]]:
    """Return (label, text) pairs: user, openers, causes and fixes. Each text is one line. Unknown facts are omitted."""
    cause, others = finding.cause, finding.other_causes
    facts = [
        ("who", finding.user or ""),
        *(("opened by", str(opener)) for opener in openers),
        ("cause", f"{cause.name} ({cause.confidence} confidence)" if cause else ""),
        ("because", cause.because if cause else ""),
        ("fix", fix_text(finding)),
        ("to confirm", cause.settle_by if cause else ""),
        *(("also", f"{other.name} ({other.confidence} confidence): {other.because}. {other.fix}") for other in others),
    ]
    return [(label, one_line(text)) for label, text in facts if text]


def fix_text(finding: Finding | Incident) -> str:
    """Return the fix of the finding's cause, or of its rule if the cause is unknown."""
    if finding.cause is not None:
        return one_line(finding.cause.fix)
    rule = RULES.get(finding.rule)
    return one_line(rule.fix) if rule is not None else ""


SHORTEST_SPAN_S = 0.001
"""Shortest time between two events that is reported: shorter ones are those of the observation, not of the system."""


def format_frequency(finding: Finding) -> str:
    """Return for example `once` or `14 times in 3.9 s (3.6/s)`."""
    if finding.count == 1:
        return "once"
    times, first, last = plural(finding.count, "time"), finding.first_at, finding.last_at
    if first is None or last is None or last - first < SHORTEST_SPAN_S:
        return times
    return f"{times} in {format_duration(last - first)}" + (f" ({format_rate(finding.rate)})" if finding.rate else "")


def format_occurrences(finding: Finding) -> str:
    """Return frequency and times: `14 times in 3.9 s (3.6/s), 12:00:01.123 to 12:00:05.020 UTC`."""
    first, last = finding.first_at, finding.last_at
    if first is None or last is None:
        return format_frequency(finding)
    start, end = format_clock_time(first), format_clock_time(last)
    span = f"{start} to {end}" if start != end else f"at {start}"
    return f"{format_frequency(finding)}, {span} UTC"


def full_text(finding: Finding, openers: Sequence[ConnectionOpener]) -> str:
    """Return the finding as plain text: a headline, then one aligned line per fact."""
    facts = [("observed", format_occurrences(finding)), *labelled_facts(finding, openers)]
    width = max((len(label) for label, _ in facts), default=0)
    head = f"{finding.rule} ({finding.severity}, {finding.confidence} confidence): {one_line(finding.message)}"
    return "\n".join([head, *(f"  {label:<{width}}  {text}" for label, text in facts)])


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings sorted by severity, the most severe first. Equally severe findings stay in order."""
    return sorted(findings, key=lambda finding: -finding.severity.rank)


@dataclass(frozen=True)
class FindingGroup:
    """Findings of one rule and one cause. `finding` is the most frequent of them and represents the group."""

    finding: Finding
    others: tuple[Finding, ...] = ()


def patch_texts(groups: Iterable[FindingGroup]) -> tuple[list[str], int]:
    """Return the diffs that remove the findings, each once, and the number of diffs that were left out."""
    findings = (finding for group in groups for finding in (group.finding, *group.others))
    diffs = list(dict.fromkeys(finding.patch.diff for finding in findings if finding.patch is not None))
    shown = ["\n".join(map(_code_line, diff.rstrip("\n").split("\n"))) for diff in diffs[:PATCHES]]
    return shown, len(diffs) - len(shown)


def _code_line(line: str) -> str:
    return "\t".join(map(escape_control, line.removesuffix("\r").split("\t")))


def group_findings(findings: Iterable[Finding]) -> FindingGroup:
    """Return a group of `findings`, which all have the same rule and cause."""
    first, *others = sorted(findings, key=lambda finding: -finding.count)
    return FindingGroup(first, tuple(others))


def group_by_problem(findings: Iterable[Finding]) -> list[list[FindingGroup]]:
    """Group findings by the problem to fix. Return the groups of each problem, the most severe problem first.

    Findings with the same severity and cause are one problem, even if they come from several scenarios, users and
    rules. Findings without a cause are one problem per rule. Each problem has one group per rule.
    """
    problems: dict[tuple[str, str], dict[str, list[Finding]]] = {}
    for finding in by_severity(findings):
        key = (finding.severity, finding.cause.id if finding.cause else f"rule {finding.rule}")
        problems.setdefault(key, {}).setdefault(finding.rule, []).append(finding)
    return [[group_findings(group) for group in problem.values()] for problem in problems.values()]


def group_messages(group: FindingGroup) -> list[tuple[str, str]]:
    """Return each message once, as a pair (message, text that states its frequency, scenarios and users).

    If there are too many messages, the last pair is a text with the number of omitted messages, and "".
    """
    by_message: dict[str, list[Finding]] = {}
    for finding in (group.finding, *group.others):
        by_message.setdefault(one_line(finding.message), []).append(finding)
    users = {finding.user for findings in by_message.values() for finding in findings}
    pairs = [(message, _scope(findings, name_users=len(users) > 1)) for message, findings in by_message.items()]
    if len(pairs) <= MESSAGES:
        return pairs
    omitted = f"and {plural(len(pairs) - MESSAGES + 1, 'more finding')} of this kind"
    return [*pairs[: MESSAGES - 1], (omitted, "")]


def group_lines(group: FindingGroup, openers: Sequence[ConnectionOpener]) -> list[str]:
    """Return the group as lines of text: its messages, then `label: fact`."""
    messages = [f"{message} ({scope})" if scope else message for message, scope in group_messages(group)]
    return [*messages, *(f"{label}: {text}" for label, text in labelled_facts(group.finding, openers))]


def _scope(findings: Sequence[Finding], name_users: bool) -> str:
    """Return frequency and scope: `14 times in 3.9 s (3.6/s), in race, second-tab, for user_2, user_3 and 997 more`."""
    scenarios = list(dict.fromkeys(finding.scenario for finding in findings if finding.scenario))
    users = list(dict.fromkeys(finding.user for finding in findings if finding.user)) if name_users else []
    unnamed = "" if all(finding.user for finding in findings) else " and users without a name"
    is_about_code = all(finding.locations for finding in findings)
    parts = [
        "" if is_about_code else total_frequency(findings),
        f"in {join_limited(scenarios, 12)}" if scenarios else "",
        f"for {join_limited(users)}{unnamed}" if users else "",
    ]
    return ", ".join(part for part in parts if part)


def total_frequency(findings: Sequence[Finding]) -> str:
    """Return the frequency of one finding, or of several findings: their total count and the highest rate."""
    if len(findings) == 1:
        return format_frequency(findings[0])
    fastest = max((finding.rate or 0.0 for finding in findings), default=0.0)
    times = plural(sum(finding.count for finding in findings), "time")
    return f"{times}, up to {format_rate(fastest)}" if fastest else times


def join_limited(names: Sequence[str], limit: int = 3) -> str:
    """Return for example `a, b, c and 4 more`."""
    shown = ", ".join(one_line(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown
