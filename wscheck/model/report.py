"""WHAT IS TOLD: the outcome of one run, as every reporter receives it and as `--format json` prints it.

`Report` is what all runs share, so that a reporter written for one serves them all; each command adds its own fields
and its own `schema` (docs/json.md). The events themselves travel beside the report, not in it.
"""

from collections.abc import Iterable
from shlex import quote
from typing import Any

import msgspec

from wscheck.model.events import CodeLocation
from wscheck.model.findings import Finding, Verdict


class Control(msgspec.Struct, kw_only=True, omit_defaults=False):
    """What the target did when the documented fault was driven at it: proof that the check could have failed.

    did      what happened, in a sentence
    verdict  what the same rules say of it; a control that PASSED shows that the check is blind
    findings the rule ids it raised
    """

    client: str
    did: str
    verdict: Verdict
    connections_opened: int = 0
    connections_peak: int = 0
    replacements: int = 0
    findings: list[str] = msgspec.field(default_factory=list)


class ScenarioResult(msgspec.Struct, kw_only=True):
    """One scenario's outcome. `must_hold` is its claim; `reason` says why the verdict is not PASSED."""

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


class Report(msgspec.Struct, kw_only=True):
    """What every run's outcome has.

    target       a URL, a file or a page, without credentials
    started_at   seconds since the Unix epoch
    reason       why the verdict is not PASSED, in a sentence
    interrupted  the run was stopped before its end: what it says is partial
    options      how the run was asked to look and judge, without credentials
    findings     all of them, those of the scenarios included
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

    @property
    def has_results(self) -> bool:
        """Whether there is anything but the reason to tell: not where a run ended before it had begun."""
        return True


class VerifyReport(Report, kw_only=True):
    """`wscheck verify` (schema `wscheck.verify/1`). `client`: "unified" or "per-component"."""

    client: str = "unified"
    scenarios: list[ScenarioResult] = msgspec.field(default_factory=list)


class LogUserSummary(msgspec.Struct, kw_only=True):
    """What the logs say of one user. `open`: the sockets held at the end; `max_open`: the most at once, no grace."""

    connects: int = 0
    replacements: int = 0
    disconnects: int = 0
    open: list[str] = msgspec.field(default_factory=list)
    max_open: int = 0


class MarkerSuggestion(msgspec.Struct, kw_only=True):
    """Lines that look like events of a kind of which none was read: a hint, never evidence.

    kind     "connected", "replaced" or "disconnected"
    marker   the words that they have in common: as `--marker KIND=TEXT`, they are read
    keys     what else it takes, as `--key FIELD=NAME`
    lines    how many of the lines that were looked at
    example  one of them, without credentials, perhaps cut short
    """

    kind: str
    marker: str
    keys: list[str] = msgspec.field(default_factory=list)
    lines: int = 0
    example: str = ""


def suggested_options(hints: Iterable[MarkerSuggestion]) -> str:
    """What reads such lines, as one writes it in a shell; "" without any."""
    each = (
        option
        for hint in hints
        for option in (f"--marker {hint.kind}={quote(hint.marker)}", *(f"--key {quote(key)}" for key in hint.keys))
    )
    return " ".join(dict.fromkeys(each))


class LogsReport(Report, kw_only=True):
    """`wscheck tail-logs` (schema `wscheck.logs/1`).

    sources     the logs that were read
    events      how many of each kind; always "connected", "replaced" and "disconnected"
    unreadable  lines that look like an event and could not be read
    untimed     events that have no time: rules that need one could not judge them
    levels      events by how much their records said: full ids, user only, socket only, count only
    users_seen  how many users there were
    most_open   the most connections that one user held at once, without any grace
    users       by user, as many as were asked for
    suggested   what may tell of connections in other words, where no line tells of them in those that were looked for
    """

    sources: list[str] = msgspec.field(default_factory=list)
    lines: int = 0
    bytes: int = 0
    events: dict[str, int] = msgspec.field(default_factory=dict)
    unreadable: int = 0
    untimed: int = 0
    levels: dict[str, int] = msgspec.field(default_factory=dict)
    users_seen: int = 0
    most_open: int = 0
    users: dict[str, LogUserSummary] = msgspec.field(default_factory=dict)
    suggested: list[MarkerSuggestion] = msgspec.field(default_factory=list)

    @property
    def has_results(self) -> bool:
        return bool(self.sources)


class BrowserTarget(msgspec.Struct, kw_only=True):
    """What a browser runs code in. `type`: "page", "iframe", "worker", "shared_worker", "service_worker"."""

    type: str = "page"
    url: str = ""


class PageSummary(BrowserTarget, kw_only=True):
    """A tab that was watched. `screenshot`: a `data:` URI, None unless a report that can show it was asked for."""

    title: str = ""
    screenshot: str | None = None


class ConnectionSummary(msgspec.Struct, kw_only=True):
    """One connection that a browser held.

    opener      where the application called io(); None where the source has no stack
    diverges_at the frame that tells this opener from those of the user's other connections, None where nothing does
    stack       the application's own frames, the innermost first
    """

    eio: str | None = None
    sid: str | None = None
    user: str | None = None
    namespace: str | None = None
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
    """The most handlers that `event` had on one connection, and where each is defined."""

    event: str
    count: int = 0
    locations: list[CodeLocation] = msgspec.field(default_factory=list)


class EventSummary(msgspec.Struct, kw_only=True):
    """`received`: deliveries over all connections; `handled`: handler runs, None where handlers were not seen."""

    received: int = 0
    handled: int | None = None


class BrowserReport(Report, kw_only=True):
    """`wscheck browser` and `wscheck har` (schema `wscheck.browser/1`). `pages`: the tabs that were watched;
    `notes`: what could not be seen as well as it should, in sentences."""

    notes: list[str] = msgspec.field(default_factory=list)
    pages: list[PageSummary] = msgspec.field(default_factory=list)
    connections: list[ConnectionSummary] = msgspec.field(default_factory=list)
    handlers: list[HandlerSummary] = msgspec.field(default_factory=list)
    events: dict[str, EventSummary] = msgspec.field(default_factory=dict)
