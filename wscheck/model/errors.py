"""Errors that a user can act on, and the exit code of each.

    WscheckError
    ├── UsageError          the command line or the configuration is wrong      exit 2
    │   ├── UnknownName     an unknown name; similar names are suggested
    │   └── MissingExtra    a library that only this feature needs is not installed
    └── CannotCheck         the target or the evidence is not available         exit 3
        ├── Unreachable     nothing listens at the address, or it does not answer in time
        ├── NotSocketIO     the server does not speak Socket.IO v3+ (Engine.IO 4)
        ├── Rejected        the server refuses the connection
        └── BadEvidence     a recording, log or HAR that cannot be read

Every error states the problem and the next step.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

DISTRIBUTION = "wscheck-cli"
"""Name of the installable package. `wscheck` without suffix is a package of others on the Python package index."""


class ExitCode(IntEnum):
    """Exit codes of every wscheck command (docs/exit-codes.md)."""

    CLEAN = 0
    """No finding at or above `--fail-on`."""
    FINDINGS = 1
    """At least one finding at or above `--fail-on`."""
    USAGE = 2
    """The command line or the configuration is wrong."""
    COULD_NOT_CHECK = 3
    """Target unreachable, no evidence, or inconclusive: the check proves neither a fault nor its absence."""
    INTERNAL = 4
    """A defect in wscheck: the run has no verdict."""
    THRESHOLD = 99
    """A load threshold was crossed."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C. Partial reports were written and are marked as such."""


INTERRUPTED_ID, INTERNAL_ID = "interrupted", "internal"
"""Ids of the ends of a run that are no `WscheckError`."""


class WscheckError(Exception):
    """A problem that a user can act on.

    `problem` states the problem and its location, `next_step` what to do about it. Both are whole sentences.
    They name a setting or an option in backticks, with or without a value: `verify.server_log=PATH`. The command line
    replaces the name by the flag (`wscheck.config.settings.with_flags`).
    """

    exit_code = ExitCode.INTERNAL
    id = INTERNAL_ID
    """Public identifier of the kind of error, which never changes (docs/errors.md)."""

    def __init__(self, problem: str, next_step: str) -> None:
        super().__init__(f"{problem} {next_step}")
        self.problem = problem
        self.next_step = next_step


class UsageError(WscheckError):
    """The command line or the configuration is wrong."""

    exit_code = ExitCode.USAGE
    id = "usage"


def failure_reason(error: BaseException, otherwise: str = "the connection failed") -> str:
    """Return why an operation failed, in the words of the operating system or of TLS.

    For an exception without such a reason, return `otherwise`, because the exception's own text is written for
    programmers.
    """
    cause: Any = getattr(error, "os_error", error)  # of a client error of aiohttp
    reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None)
    if isinstance(reason, OSError):  # of a client error of urllib
        return failure_reason(reason, otherwise)
    if isinstance(cause, TimeoutError | UnicodeError):
        return "no answer in time" if isinstance(cause, TimeoutError) else "it is not UTF-8 text"
    if isinstance(reason, str) and reason:
        return reason if getattr(cause, "verify_message", None) else reason.replace("_", " ").lower()
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
        return os.strerror(cause.errno).lower()  # asyncio's text would repeat the address
    return getattr(cause, "strerror", None) or otherwise


class UnknownName(UsageError):
    """An unknown name. The next step suggests similar names from `known`, and ends with the sentence `otherwise`."""

    id = "unknown-name"

    def __init__(self, problem: str, name: str, known: Iterable[str], otherwise: str) -> None:
        from difflib import get_close_matches

        near = " or ".join(f"`{match}`" for match in get_close_matches(name, dict.fromkeys(known), n=2))
        super().__init__(problem, f"Did you mean {near}? {otherwise}" if near else otherwise)


class MissingExtra(UsageError):
    """A library is missing, because the group of optional dependencies (extra) that contains it is not installed."""

    id = "missing-extra"

    def __init__(self, problem: str, extra: str) -> None:
        super().__init__(
            problem, f"Install it: pip install '{DISTRIBUTION}[{extra}]' (in a checkout: pip install '.[{extra}]')."
        )


class CannotCheck(WscheckError):
    """The target or the evidence is not available, so there is no verdict."""

    exit_code = ExitCode.COULD_NOT_CHECK
    id = "cannot-check"


class Unreachable(CannotCheck):
    """Nothing listens at the address, or it does not answer in time."""

    id = "unreachable"


class NotSocketIO(CannotCheck):
    """The server answers and does not speak Engine.IO 4."""

    id = "not-socket-io"


class Rejected(CannotCheck):
    """The server speaks Socket.IO and refuses the connection."""

    id = "rejected"


class BadEvidence(CannotCheck):
    """A recording, log or HAR file that is missing or cannot be read."""

    id = "bad-evidence"


def _kinds(kind: type[WscheckError]) -> Iterator[type[WscheckError]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


ERROR_IDS = frozenset({INTERRUPTED_ID, INTERNAL_ID, *(kind.id for kind in _kinds(WscheckError))})
"""Ids of all errors (docs/errors.md)."""
