"""Policies and faults of the reference backend (docs/reference-backend.md)."""

from collections.abc import Collection
from enum import StrEnum

from wscheck.model.errors import UnknownName


class Fault(StrEnum):
    """Faults that the backend can have. Each makes at least one scenario of `wscheck verify` fail."""

    CLOSE_TRANSPORT = "close-transport"
    EMIT_TWICE = "emit-twice"
    DROP_EVENT = "drop-event"
    SLOW_LOOKUP = "slow-lookup"
    TRUST_USER_ID = "trust-user-id"
    LEAK_EVENTS = "leak-events"
    NEVER_REAP = "never-reap"
    ACCEPT_ANY_TOKEN = "accept-any-token"
    LOG_NOTHING = "log-nothing"


class SecondConnectionPolicy(StrEnum):
    """Policies for a user's second connection: replace the first, refuse the second, or allow both."""

    REPLACE = "replace"
    REJECT = "reject"
    ALLOW = "allow"


def parse_faults(names: Collection[str]) -> frozenset[Fault]:
    """Return the faults with these names.

    Raises:
        UnknownName: A name is not a fault.
    """
    known = sorted(Fault)
    for name in names:
        if name not in known:
            raise UnknownName(f"Unknown fault `{name}`.", name, known, f"Known faults: {', '.join(known)}.")
    return frozenset(map(Fault, names))
