"""Reports of runs. `--format json` writes them as they are, and all other formats render them.

`Report` contains the fields that all commands share, so that one format serves all commands. Each command adds its own
fields and its own `schema` (docs/json.md). A report does not contain the events of the run.
"""

from collections.abc import Iterable, Sequence
from shlex import quote
from typing import Any

import msgspec

from wscheck.model.code_facts import OpeningCall
from wscheck.model.events import CodeLocation
from wscheck.model.findings import AllowNote, Finding, Verdict
from wscheck.model.gaps import Gap


class Control(msgspec.Struct, kw_only=True, omit_defaults=False):
    """Control of a scenario: a run of a client with the known fault, which proves that the scenario detects the fault.

    did       the result of the control run, in a sentence
    verdict   FAILED if the fault was detected, as it must be; INCONCLUSIVE if not, and then the scenario is too
    findings  ids of the rules that were violated
    """

    client: str
    did: str
    verdict: Verdict
    connections_opened: int = 0
    connections_peak: int = 0
    replacements: int = 0
    findings: list[str] = msgspec.field(default_factory=list)


class ScenarioResult(msgspec.Struct, kw_only=True):
    """Result of one scenario.

    must_hold  the requirement that the scenario checks, in a sentence
    reason     reason why the verdict is not PASSED
    """

    id: str
    verdict: Verdict
    must_hold: str = ""
    reason: str = ""
    duration_s: float = 0.0
    connections_opened: int = 0
    connections_peak: int = 0
    replacements: int = 0
    events_received: dict[str, int] = msgspec.field(default_factory=dict)
    control: Control | None = None
    findings: list[Finding] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)
    allowed: list[Finding] = msgspec.field(default_factory=list)


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Description of what a run checked and what it did not check.

    checked      what the run checked, as a noun phrase
    not_checked  what it did not check, as a noun phrase
    closes_with  the command that checks the rest, "" if there is none
    """

    checked: str
    not_checked: str
    closes_with: str = ""


class NotPassed(AssertionError):
    """Error for a report whose verdict is not PASSED. `text` describes the report, by default `str(report)`."""

    # The public name, which tracebacks show.
    __module__ = "wscheck"

    def __init__(self, report: "Report", text: str | None = None) -> None:
        super().__init__(str(report) if text is None else text)
        self.report = report


class Report(msgspec.Struct, kw_only=True):
    """Fields that the reports of all commands share.

    target       a URL, a file or a page, without credentials
    started_at   seconds since the Unix epoch
    reason       reason why the verdict is not PASSED, in a sentence
    interrupted  the run was stopped before its end, so the report is partial
    options      options of the run, without credentials
    findings     all findings that count, including those of the scenarios
    allowed      findings that the allow-list or the baseline permits
    allow_notes  remarks about entries of the allow-list that expired or matched nothing
    gaps         missing evidence, including that of the scenarios
    scope        what was checked and what was not, None if the run ended before it checked anything
    """

    schema: str
    target: str
    verdict: Verdict
    reason: str = ""
    started_at: float | None = None
    duration_s: float = 0.0
    interrupted: bool = False
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    findings: list[Finding] = msgspec.field(default_factory=list)
    gaps: list[Gap] = msgspec.field(default_factory=list)
    allowed: list[Finding] = msgspec.field(default_factory=list)
    allow_notes: list[AllowNote] = msgspec.field(default_factory=list)
    scope: Scope | None = None

    def assert_passed(self) -> None:
        """Raise an error that describes the findings unless the verdict is PASSED.

        Raises:
            NotPassed: The verdict is failed, inconclusive or skipped. It is an AssertionError.
        """
        __tracebackhide__ = True  # pytest shows the line of the test
        if self.verdict is not Verdict.PASSED:
            raise NotPassed(self)

    def __str__(self) -> str:
        """Return the verdict with its reason, and each finding with its cause and fix."""
        lines = [f"{self.target}: {self.verdict}" + (f": {self.reason}" if self.reason else "")]
        for finding in self.findings:
            lines.append(f"  {finding.rule} ({finding.severity}): {finding.user or 'unknown user'}: {finding.message}")
            if finding.cause is not None:
                lines += [f"    cause: {finding.cause.name}", f"    fix: {finding.cause.fix}"]
        return "\n".join(lines)

    @property
    def has_results(self) -> bool:
        """True if the report contains anything other than its reason.

        The report of a run that failed to start has no results.
        """
        return True


class VerifyReport(Report, kw_only=True):
    """Report of `wscheck verify` (schema `wscheck.verify/1`). `client` is "unified" or "per-component"."""

    client: str = "unified"
    scenarios: list[ScenarioResult] = msgspec.field(default_factory=list)


class LogUserSummary(msgspec.Struct, kw_only=True):
    """Connections of one user in the logs.

    open      socket ids that are open at the end
    max_open  the most connections open at once, even if for less than the grace period
    """

    connects: int = 0
    replacements: int = 0
    disconnects: int = 0
    open: list[str] = msgspec.field(default_factory=list)
    max_open: int = 0


class MarkerSuggestion(msgspec.Struct, kw_only=True):
    """Suggested marker (text that identifies an event in a log line) for lines with an unknown wording.

    A suggestion is a hint and no evidence.

    kind     kind of event that the lines seem to report: "connected", "replaced" or "disconnected"
    marker   text that the lines have in common, for `--marker KIND=TEXT`
    keys     further options that are needed, each for `--key FIELD=NAME`
    lines    number of such lines among the lines that were examined
    example  one of the lines, without credentials, possibly truncated
    """

    kind: str
    marker: str
    keys: list[str] = msgspec.field(default_factory=list)
    lines: int = 0
    example: str = ""


class AccessClient(msgspec.Struct, kw_only=True):
    """Requests of one client in an access log.

    client            user in the query of the requests or whom the web server authenticated, otherwise the address
    handshakes        new Engine.IO sessions, WebSockets or event streams that were requested
    upgrades          WebSocket connections that were accepted (101), or requested if the log has no status
    streams           event streams (Server-Sent Events) that were opened
    most_open         most WebSockets or streams to one path that were open at once, 0 if the log has no durations
    long_requests     long requests that may be event streams, because the log has no content types
    polls             requests of sessions over HTTP long-polling
    unknown_sessions  requests that were answered with 400, because the process did not know the session
    first, last       time of the first and of the last handshake, None without times
    """

    client: str
    handshakes: int = 0
    upgrades: int = 0
    streams: int = 0
    most_open: int = 0
    long_requests: int = 0
    polls: int = 0
    unknown_sessions: int = 0
    first: float | None = None
    last: float | None = None

    @property
    def per_second(self) -> float:
        """Number of handshakes per second, 0 if the log does not show it."""
        if self.first is None or self.last is None or self.last <= self.first:
            return 0.0
        return (self.handshakes - 1) / (self.last - self.first)


class AssumedSentence(msgspec.Struct, kw_only=True):
    """Sentence with which this log's application reports an event, learned from repeated lines of the log.

    kind      kind of event that the sentence is assumed to report: "connected", "replaced", "disconnected" or "refused"
    sentence  fixed words of the sentence, with placeholders for the ids: `{user}`, `{sid}`, `{old}`, `{new}`, `{}` for
              other values
    lines     number of such lines among those from which the wording was learned
    example   one of the lines, without credentials, possibly truncated
    ids       dict of placeholder to the id in the example
    """

    kind: str
    sentence: str
    lines: int = 0
    example: str = ""
    ids: dict[str, str] = msgspec.field(default_factory=dict)


class WordingProposal(msgspec.Struct, frozen=True):
    """Two ways to read a log whose wording is unknown.

    sentences  sentences that the option `--guess` would read as events
    options    options `--marker` and `--key` with which the lines can be read
    """

    sentences: Sequence[AssumedSentence] = ()
    options: Sequence[MarkerSuggestion] = ()


def suggested_options(suggestions: Iterable[MarkerSuggestion]) -> str:
    """Return the command line options that apply the suggestions, quoted for a shell. "" without suggestions."""
    options: list[str] = []
    for suggestion in suggestions:
        options.append(f"--marker {suggestion.kind}={quote(suggestion.marker)}")
        options += [f"--key {quote(key)}" for key in suggestion.keys]
    return " ".join(dict.fromkeys(options))


class LogsReport(Report, kw_only=True):
    """Report of `wscheck tail-logs` (schema `wscheck.logs/1`).

    sources     names of the logs
    events      dict of event type to number of events; always contains "connected", "replaced" and "disconnected"
    unreadable  number of lines that look like an event but could not be read
    untimed     number of events without a time, which rules that need a time cannot evaluate
    levels      number of events by the ids that they contain; the keys are "full", "user", "socket", "count" (no id)
                and "ambiguous"; "anonymous" is the number of openings whose user is a word that names nobody
    users_seen  number of users
    connections  number of opened connections; several lines about one connection, and its namespaces, count once
    most_open   the most connections that one user had at once, even if for less than the grace period
    users       dict of user id to summary, with at most as many users as the option `--users` allows
    suggested   markers for lines that seem to report connections in an unknown wording
    assumed     sentences in an unknown wording that were read, because their words and ids leave no doubt
    guessable   sentences that were not read, because their words or ids leave doubt; `--guess` reads them
    access      clients with their HTTP requests, if the logs are access logs, those with the most handshakes first
    polling_share  share of the sessions in access logs that have no WebSocket connection
    """

    sources: list[str] = msgspec.field(default_factory=list)
    lines: int = 0
    bytes: int = 0
    events: dict[str, int] = msgspec.field(default_factory=dict)
    unreadable: int = 0
    untimed: int = 0
    levels: dict[str, int] = msgspec.field(default_factory=dict)
    users_seen: int = 0
    connections: int = 0
    most_open: int = 0
    users: dict[str, LogUserSummary] = msgspec.field(default_factory=dict)
    suggested: list[MarkerSuggestion] = msgspec.field(default_factory=list)
    assumed: list[AssumedSentence] = msgspec.field(default_factory=list)
    guessable: list[AssumedSentence] = msgspec.field(default_factory=list)
    access: list[AccessClient] = msgspec.field(default_factory=list)
    polling_share: float = 0.0

    @property
    def has_results(self) -> bool:
        return bool(self.sources)


class BrowserTarget(msgspec.Struct, kw_only=True):
    """A page, frame or worker of a browser. `type`: "page", "iframe", "worker", "shared_worker" or "service_worker"."""

    type: str = "page"
    url: str = ""


class PageSummary(BrowserTarget, kw_only=True):
    """Observed tab. `screenshot` is a `data:` URI, None unless an HTML report was requested."""

    title: str = ""
    screenshot: str | None = None


class ConnectionSummary(msgspec.Struct, kw_only=True):
    """Connection of a browser.

    protocol        name of the protocol
    endpoint        URL without query
    sid, namespace  socket id and name of the namespace that was connected first
    namespaces      all namespaces of the connection
    opener       call site of `io()` in the application, None if the source contains no stack
    diverges_at  first frame at which the stack differs from those of the user's other connections, None if none does
    stack        frames of the application, the innermost first
    """

    protocol: str = ""
    endpoint: str = ""
    eio: str | None = None
    sid: str | None = None
    user: str | None = None
    namespace: str | None = None
    namespaces: list[str] = msgspec.field(default_factory=list)
    transport: str | None = None
    opened_at: float | None = None
    closed_at: float | None = None
    reason: str | None = None
    page: str | None = None
    target: BrowserTarget = msgspec.field(default_factory=BrowserTarget)
    opener: CodeLocation | None = None
    diverges_at: CodeLocation | None = None
    stack: list[CodeLocation] = msgspec.field(default_factory=list)


class HandlerSummary(msgspec.Struct, kw_only=True):
    """Largest number of handlers that `event` had at once on one connection, with the location of each handler."""

    event: str
    count: int = 0
    locations: list[CodeLocation] = msgspec.field(default_factory=list)


class EventSummary(msgspec.Struct, kw_only=True):
    """Number of deliveries of an event over all connections, and of runs of its handlers.

    The number of runs is None if handlers were not observed.
    """

    received: int = 0
    handled: int | None = None


class RoundCounts(msgspec.Struct, kw_only=True):
    """Connections of one opener, handlers of one event, or subscriptions, after each round of a loop.

    place    the place that was visited in each round: the path of a link, or the line of a step
    what     "connections", "handlers" or "subscriptions"
    event    the event that the handlers handle, or the name that is subscribed to; None for connections
    opener   call site of `io()` or of the subscription, or the location of the handlers; None if unknown
    counts   the number before the first round, and after each round
    at_rest  the number some seconds after the last round, None if it was not counted again
    growth   "constant" (a leak), "none" or "unclear"
    """

    place: str
    what: str = "connections"
    event: str | None = None
    opener: CodeLocation | None = None
    counts: list[int] = msgspec.field(default_factory=list)
    at_rest: int | None = None
    growth: str = "none"


class ActionSummary(msgspec.Struct, kw_only=True):
    """Action of wscheck on a page, such as a click on a link.

    before, after  number of open connections before the action, and after it when the page was at rest
    """

    action: str
    before: int = 0
    after: int = 0


class BrowserReport(Report, kw_only=True):
    """Report of `wscheck browser` and `wscheck har` (schema `wscheck.browser/1`).

    notes    limits of the observation, in sentences: for example a script without a source map
    rounds   counts after each round of the loops (`--loop`, `repeat`)
    actions  actions that were tried with `--loop`
    """

    notes: list[str] = msgspec.field(default_factory=list)
    pages: list[PageSummary] = msgspec.field(default_factory=list)
    connections: list[ConnectionSummary] = msgspec.field(default_factory=list)
    handlers: list[HandlerSummary] = msgspec.field(default_factory=list)
    events: dict[str, EventSummary] = msgspec.field(default_factory=dict)
    rounds: list[RoundCounts] = msgspec.field(default_factory=list)
    actions: list[ActionSummary] = msgspec.field(default_factory=list)


class ScanReport(Report, kw_only=True):
    """Report of `wscheck scan` (schema `wscheck.scan/1`).

    files     number of source files that were read
    openings  calls that open a connection
    """

    files: int = 0
    openings: list[OpeningCall] = msgspec.field(default_factory=list)
