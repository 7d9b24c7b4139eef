"""Findings with their severity, confidence and cause, and the verdict of a run."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

import msgspec

from wscheck.model.allow_list import AllowList
from wscheck.model.code_facts import Patch
from wscheck.model.events import AnyEvent, CodeLocation


class Severity(StrEnum):
    """Severity of a finding. A more severe one has a higher `rank`."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return _RANK[self]


class Confidence(StrEnum):
    """Confidence in a finding or a cause. A higher one has a higher `rank`.

    HIGH: the evidence proves the claim. MEDIUM: few other explanations fit the evidence. LOW: other explanations fit
    too.
    """

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK = {name: rank for scale in (Severity, Confidence) for rank, name in enumerate(scale)}


class Verdict(StrEnum):
    """Result of a check. A check without evidence is INCONCLUSIVE, never PASSED."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Cause(msgspec.Struct, frozen=True):
    """The probable cause of a finding.

    id         public identifier, which never changes (docs/causes.md)
    because    the evidence for the cause, in a sentence
    settle_by  the evidence that would make the cause certain, "" if it is certain
    """

    id: str
    name: str
    fix: str
    confidence: Confidence = Confidence.MEDIUM
    because: str = ""
    settle_by: str = ""


class Finding(msgspec.Struct, kw_only=True):
    """One problem of one user, with all its occurrences.

    first_at, last_at  seconds since the Unix epoch, None where the evidence has no time
    other_causes       causes of other connections in this finding; `cause` is the most specific of all causes
    rate               occurrences per second from the first to the last, None for too few occurrences
    connections        the most connections that were open at once, None for a finding that does not count them
    evidence           the first and the latest events that show the problem, limited in number
    locations          places in the source code that show the problem, for a finding without events
    patch              change of the source code that removes the problem, None if it is not certain
    allowed            reason why the finding does not count, None for a finding that counts
    """

    rule: str
    severity: Severity
    confidence: Confidence
    user: str | None
    message: str
    count: int = 1
    first_at: float | None = None
    last_at: float | None = None
    rate: float | None = None
    scenario: str | None = None
    cause: Cause | None = None
    other_causes: list[Cause] = msgspec.field(default_factory=list)
    connections: int | None = None
    evidence: list[AnyEvent] = msgspec.field(default_factory=list)
    locations: list[CodeLocation] = msgspec.field(default_factory=list)
    patch: Patch | None = None
    allowed: str | None = None


class AllowNote(msgspec.Struct, frozen=True, kw_only=True):
    """A remark about an entry of the allow-list: a warning if it expired, a note if it matched nothing."""

    severity: Severity
    text: str


class Bar(msgspec.Struct, frozen=True):
    """Criteria by which a run fails.

    fail_on  lowest severity of a finding that fails the run
    strict   missing evidence fails the run, instead of making it inconclusive
    allow    findings that do not count
    """

    fail_on: Severity = Severity.ERROR
    strict: bool = False
    allow: AllowList = AllowList()

    def to_dict(self) -> dict[str, Any]:
        """Return `fail_on` and `strict` by name, as reports and recordings store them."""
        return {"fail_on": self.fail_on, "strict": self.strict}

    def failing(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return the findings that fail the run."""
        return [finding for finding in findings if finding.severity.rank >= self.fail_on.rank]
