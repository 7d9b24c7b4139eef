"""Missing evidence, and what provides it."""

import msgspec


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that was missing, so that the absence of a finding proves nothing.

    reason       what was missing, as a clause without a full stop
    closes_with  the option or command that provides it, "" where none does
    blocks       the missing evidence could have produced a finding; other gaps only limit the scope of a report
    rules        ids of the rules that it concerns; none stands for every rule
    example      a line of the evidence that shows the gap
    """

    reason: str
    closes_with: str = ""
    blocks: bool = True
    rules: tuple[str, ...] = ()
    example: str = ""


class NotTried(Gap, frozen=True, kw_only=True):
    """A check that was left out on purpose, because the target or the configuration gives no occasion for it."""


INTERRUPTED = Gap(reason="the run was interrupted")
