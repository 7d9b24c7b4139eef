"""Rule: a connection outlives the last component that used it."""

from collections.abc import Mapping

from wscheck.detect.changes import ClosedChange, OpenedChange
from wscheck.detect.rules.rule import EventHandler, Rule, opener_label
from wscheck.model.events import Event, Mounted, Unmounted
from wscheck.model.findings import Severity


class ConnectionLeaked(Rule):
    """Rule: a connection stays open for longer than the grace period after the page's last component unmounted."""

    id = "connection-leaked"
    severity = Severity.ERROR
    title = "A connection stays open although nothing uses it any more"
    meaning = (
        "The last component that used the connection unmounted, and the connection stayed open. Each visit leaves "
        "another one behind, and each continues to receive events."
    )
    fix = "Count the components that use the connection and disconnect with the last one: return () => release()."
    source = (
        "origin document (`wscheck docs origin`), "
        '"Watch For" item 4 and "Alert If" item 4: resource waste; cause: no cleanup on unmount'
    )

    def handlers(self) -> Mapping[type, EventHandler]:
        self._components: dict[str, set[str | None]] = {}
        self._open: dict[str, dict[str, str]] = {}
        self._last_unmount: dict[str, Event] = {}
        return {
            Mounted: self._mounted,
            Unmounted: self._unmounted,
            OpenedChange: self._opened,
            ClosedChange: self._closed,
        }

    def _mounted(self, event: Mounted) -> None:
        if event.page is not None:
            self._components.setdefault(event.page, set()).add(event.component)
            self._last_unmount.pop(event.page, None)

    def _unmounted(self, event: Unmounted) -> None:
        components = self._components.get(event.page or "")
        if components is None or event.page is None:
            return
        components.discard(event.component)
        if not components:
            self._last_unmount[event.page] = event

    def _opened(self, change: OpenedChange) -> None:
        opening = self.ledger.opening_event(change.sid)
        if opening is not None and opening.page is not None:
            self._open.setdefault(opening.page, {})[change.sid] = change.user

    def _closed(self, change: ClosedChange) -> None:
        for sids in self._open.values():
            sids.pop(change.sid, None)

    def finish(self, at: float | None) -> None:
        for page, event in self._last_unmount.items():
            if at is None or event.at is None or at - event.at <= self.options.grace_s:
                continue
            for sid, user in self._open.get(page, {}).items():
                if sid in self.ledger.open_connections(user):
                    self._report_leak(user, sid, event, at)

    def _report_leak(self, user: str, sid: str, event: Event, at: float) -> None:
        opening = self.ledger.opening_event(sid)
        opener = f" of {label}" if (label := opener_label(opening)) else ""
        self.report(user, f"a connection{opener} stayed open after the last component unmounted", at, opening, event)
