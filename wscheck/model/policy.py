"""Policy: how many connections a user may have to one endpoint (origin and path). The team decides it."""

from typing import Literal

import msgspec

from wscheck.model.gaps import Gap

PER_USER: Literal["per-user"] = "per-user"
PER_TAB: Literal["per-tab"] = "per-tab"

Connections = Literal["per-user", "per-tab"] | int
"""Value of the setting: one connection per user, one per page or device, or a number per user over all pages."""

POLICY_LINE = 'connections = "per-tab" (or "per-user", or a number) under [policy] in wscheck.toml'
"""The line of the configuration that decides, as reports print it."""


class ConnectionPolicy(msgspec.Struct, frozen=True):
    """Connections that a user may have to one endpoint. None means that the team has not decided.

    Namespaces of one connection count once. Two connections of one page violate every policy.
    """

    connections: Connections | None = None

    @property
    def is_set(self) -> bool:
        return self.connections is not None

    @property
    def is_per_page(self) -> bool:
        """True if each page may have a connection of its own."""
        return self.connections == PER_TAB

    @property
    def limit(self) -> int | None:
        """The most connections of a user over all pages, None without such a limit."""
        if isinstance(self.connections, int):
            return self.connections
        return 1 if self.connections == PER_USER else None

    def __str__(self) -> str:
        return str(self.connections) if self.is_set else "not set"


UNDECIDED = Gap(
    id="no-policy",
    reason="no policy states whether a user may have several connections",
    closes_with=POLICY_LINE,
    blocks=False,
    rules=("multiple-connections",),
)
"""Gap of a report on a user with several connections, if no policy is configured."""
