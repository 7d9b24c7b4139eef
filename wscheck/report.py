"""WHAT IS TOLD: the outcome of one run, as every reporter receives it and as `--format json` prints it.

`Report` is what all runs share, so that a reporter written for one serves them all; each command adds its own fields
and its own `schema` (docs/json.md). The events themselves travel beside the report, not in it.
"""

from typing import Any

import msgspec

from wscheck.findings import Finding, Verdict


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


class VerifyReport(Report, kw_only=True):
    """`wscheck verify` (schema `wscheck.verify/1`). `client`: "unified" or "per-component"."""

    client: str = "unified"
    scenarios: list[ScenarioResult] = msgspec.field(default_factory=list)


class Holdings(msgspec.Struct, kw_only=True):
    """What the logs say of one user. `open`: the sockets held at the end; `max_open`: the most at once, no grace."""

    connects: int = 0
    replacements: int = 0
    disconnects: int = 0
    open: list[str] = msgspec.field(default_factory=list)
    max_open: int = 0


class LogsReport(Report, kw_only=True):
    """`wscheck tail-logs` (schema `wscheck.logs/1`).

    sources     the logs that were read
    events      how many of each kind; always "connected", "replaced" and "disconnected"
    unreadable  lines that look like an event and could not be read
    levels      events by how much their records said: full ids, user only, socket only, count only
    users       by user, as many as were asked for
    """

    sources: list[str] = msgspec.field(default_factory=list)
    lines: int = 0
    bytes: int = 0
    events: dict[str, int] = msgspec.field(default_factory=dict)
    unreadable: int = 0
    levels: dict[str, int] = msgspec.field(default_factory=dict)
    users: dict[str, Holdings] = msgspec.field(default_factory=dict)
