"""Rule: a page that should be connected is not."""

from collections.abc import Mapping

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import OpenedChange, ReplacedChange
from wscheck.detect.replacements import ReplacementLoops
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Expected, Refused
from wscheck.model.findings import Severity

MAX_REFUSALS = 1_000
"""Users whose last refusal is stored."""


class ConnectionMissing(Rule):
    """Rule: the user has no open connection at the moment at which a scenario expects one.

    A page in a loop of replacements is not reported. With the policy of one connection per page, the page of the
    expectation must have the connection.
    """

    id = "connection-missing"
    severity = Severity.ERROR
    title = "A user who should be connected is not"
    meaning = "The page needs a connection and the user has none: it was refused, closed or never recovered."
    fix = "Reconnect after the transport was lost (with backoff), and keep the connection while a component uses it."
    source = (
        'origin document (`wscheck docs origin`), "Watch For" item 4: persistent connections without disconnections'
    )

    def handlers(self) -> Mapping[type, EventHandler]:
        self._loops = ReplacementLoops()
        self._refusals = BoundedDict[str | None, Refused](MAX_REFUSALS)
        return {
            Expected: self._expected,
            ReplacedChange: self._loops.observe,
            Refused: self._refused,
            OpenedChange: self._opened,
        }

    def _refused(self, event: Refused) -> None:
        """Store a refusal of the user's own credentials, which explains why the connection is missing."""
        if event.reason == "refused" and event.credential in (None, "own"):
            self._refusals.put(event.user, event)

    def _opened(self, change: OpenedChange) -> None:
        self._refusals.pop(change.user, None)

    def _expected(self, event: Expected) -> None:
        if self._loops.contains(event.user, event.page):
            return
        if event.what == "connected" and not self._is_connected(event):
            needed_by = f"{event.component} needs one" if event.component else "the page needs one"
            refusal = self._refusals.get(event.user)
            why = f': the server refused it ("{refusal.message}")' if refusal is not None and refusal.message else ""
            self.report(event.user, f"has no connection although {needed_by}{why}", event.at, refusal, event)

    def _is_connected(self, event: Expected) -> bool:
        connections = self.ledger.open_connections(event.user)
        if not self.options.policy.is_per_page:
            return bool(connections)
        return any(
            opening is not None and opening.page == event.page
            for opening in map(self.ledger.opening_event, connections)
        )
