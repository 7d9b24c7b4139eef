"""What can go wrong, and the exit code each ends with.

    WscheckError
    ├── UsageError          the command line or the configuration is wrong      exit 2
    │   └── UnknownName     a name that stands for nothing; like ones are suggested
    └── CannotCheck         the target or the evidence cannot be had            exit 3
        ├── Unreachable     nothing there, or it does not answer in time
        ├── NotSocketIO     something answers, but not Socket.IO v3+ (Engine.IO 4)
        ├── Rejected        the target answers and will not let us in
        └── BadEvidence     a recording, log or HAR that cannot be read

Every error carries the problem and the next step, so that a reader is never left with only the former.
"""

from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every wscheck command (docs/exit-codes.md)."""

    CLEAN = 0
    """Checked, and nothing at or above `--fail-on`."""
    FINDINGS = 1
    """At least one finding at or above `--fail-on`."""
    USAGE = 2
    """The command line or the configuration is wrong."""
    COULD_NOT_CHECK = 3
    """Unreachable, no evidence, or inconclusive: neither good nor bad was shown."""
    INTERNAL = 4
    """A defect in wscheck; a crash must never read as a verdict."""
    THRESHOLD = 99
    """A load threshold was crossed."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; partial reports were written and say so."""


class WscheckError(Exception):
    """A problem that a user can act on.

    `problem` says what happened and where, `next_step` what to do about it; both are whole sentences.
    """

    exit_code = ExitCode.INTERNAL

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")
        self.problem = problem
        self.next_step = next_step


class UsageError(WscheckError):
    """The command line or the configuration is wrong."""

    exit_code = ExitCode.USAGE


class UnknownName(UsageError):
    """A name that stands for nothing. The next step suggests what may have been meant, then `otherwise`."""

    def __init__(self, problem: str, name: str, known: Iterable[str], otherwise: str) -> None:
        from difflib import get_close_matches

        near = " or ".join(f"`{match}`" for match in get_close_matches(name, dict.fromkeys(known), n=2))
        super().__init__(problem, f"Did you mean {near}? {otherwise}" if near else otherwise)


class CannotCheck(WscheckError):
    """The target or the evidence cannot be had, so there is no verdict."""

    exit_code = ExitCode.COULD_NOT_CHECK


class Unreachable(CannotCheck):
    """Nothing listens, or what listens does not answer in time."""


class NotSocketIO(CannotCheck):
    """Something answers, but it does not speak Engine.IO 4."""


class Rejected(CannotCheck):
    """The target speaks Socket.IO and will not let us in."""


class BadEvidence(CannotCheck):
    """A recording, log or HAR file that is missing or cannot be read."""
