"""What is concluded: findings, how bad and how sure, and the verdict they add up to."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from wscheck.model.events import AnyEvent


class Severity(StrEnum):
    """How bad. Ordered: `rank` grows with it."""

    NOTE = "note"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        return _RANK[self]


class Confidence(StrEnum):
    """How sure. HIGH: the evidence says so itself; MEDIUM: it fits and little else does; LOW: it fits."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK = {name: rank for scale in (Severity, Confidence) for rank, name in enumerate(scale)}


class Verdict(StrEnum):
    """What a check came to. No evidence is INCONCLUSIVE, never PASSED."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"


class Cause(msgspec.Struct, frozen=True):
    """Why, as far as the evidence carries.

    id         public and stable (docs/causes.md)
    because    the evidence that points here, in a sentence
    settle_by  the evidence that would make it certain, empty when it already is
    """

    id: str
    name: str
    fix: str
    confidence: Confidence = Confidence.MEDIUM
    because: str = ""
    settle_by: str = ""


class Finding(msgspec.Struct, kw_only=True):
    """One thing that is wrong for one user, however often it happened.

    first_at, last_at  seconds since the Unix epoch, None where the evidence has no time
    rate               occurrences per second from the first to the last, None where they are too few to tell
    evidence           the first and the latest events that show it, bounded
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
    evidence: list[AnyEvent] = msgspec.field(default_factory=list)


class Bar(msgspec.Struct, frozen=True):
    """What fails: findings at or above `fail_on`, and with `strict` also what could not be judged."""

    fail_on: Severity = Severity.ERROR
    strict: bool = False

    def failing(self, findings: Iterable[Finding]) -> list[Finding]:
        """Those that fail the run."""
        return [finding for finding in findings if finding.severity.rank >= self.fail_on.rank]
