"""Interfaces between a log that is being watched and the listeners that report its events and incidents."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident
from wscheck.model.events import Event
from wscheck.model.report import WordingProposal


class LogCounters(Protocol):
    """Counters of one log."""

    @property
    def name(self) -> str: ...
    @property
    def lines(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def unreadable(self) -> int: ...


class WatchView(Protocol):
    """Read-only view of the logs that are followed and of their current connections, for listeners that display it.

    lines, bytes, unreadable  number of lines and bytes that were read, and of lines that could not be read
    event_count       number of events read
    connection_count  connections open now
    users_over_one    dict of user to the log time in seconds since when the user has more than one open connection
    open_incidents    incidents that are not resolved
    live              the logs are being written now; if not, times in the logs cannot be compared with the current time
    catching_up       content from before the start is still being read
    proposal          suggested options for the logs, if no line reports a connection in a known wording; else None
    """

    @property
    def logs(self) -> Sequence[LogCounters]: ...
    @property
    def lines(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def unreadable(self) -> int: ...
    @property
    def event_count(self) -> int: ...
    @property
    def connection_count(self) -> int: ...
    @property
    def users_over_one(self) -> Mapping[str, float | None]: ...
    @property
    def open_incidents(self) -> Sequence[Incident]: ...
    @property
    def proposal(self) -> WordingProposal | None: ...
    @property
    def live(self) -> bool: ...
    @property
    def catching_up(self) -> bool: ...

    def connections_for(self, user: str) -> Sequence[str]:
        """Return the sids of the user's open connections."""


class WatchListener(Protocol):
    """Receiver of events and incidents. No method may block, because reading the logs waits for it."""

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Receive an event and the changes that it made to the ledger."""

    def on_incident(self, incident: Incident) -> None:
        """Receive an incident that opened, grew or was resolved."""

    def on_poll_end(self, now: float | None) -> bool:
        """React to the end of a poll (one reading of all logs), after everything new in them was reported.

        Return True if the next poll should be soon.

        `now` is the log time in seconds, None before the first event.
        """
