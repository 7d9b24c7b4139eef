"""Gaps: missing evidence, and the option or command that provides it."""

import msgspec


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Missing evidence, because of which the absence of findings proves nothing.

    id           public identifier of the kind of gap, which never changes (docs/gaps.md)
    reason       the missing evidence, as a clause without a full stop
    closes_with  the option or command that provides the evidence, "" if none does
    blocks       the evidence could have produced a finding, so the run cannot pass; other gaps only limit the report's
                 scope
    rules        ids of the rules that lack the evidence; empty for every rule
    example      a line of the log that shows the gap
    """

    id: str
    reason: str
    closes_with: str = ""
    blocks: bool = True
    rules: tuple[str, ...] = ()
    example: str = ""


class NotTried(Gap, frozen=True, kw_only=True):
    """A check that was omitted on purpose, because it does not apply to the target or the configuration."""


INTERRUPTED = Gap(id="run-interrupted", reason="the run was interrupted")
