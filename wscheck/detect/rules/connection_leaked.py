"""Rule: a connection outlives the last component that used it, or each visit of a view of a page leaves one behind."""

from collections.abc import Mapping

from wscheck.detect.changes import ClosedChange, OpenedChange
from wscheck.detect.rounds import GrowthKind, RoundSeries, round_series
from wscheck.detect.rules.rule import EmptiedPages, EventHandler, Rule, opener_label
from wscheck.model.events import CodeLocation, Connected, Event, Mounted, RoundCounted, Unmounted
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap


class ConnectionLeaked(Rule):
    """Rule: a connection stays open for longer than the grace period after the page's last component unmounted.

    If wscheck visited a view of the page repeatedly, the rule compares the open connections after each round.
    """

    id = "connection-leaked"
    severity = Severity.ERROR
    title = "A connection stays open although nothing uses it any more"
    meaning = (
        "The last component that used the connection unmounted, or the user left the view that opened it, and the "
        "connection stayed open. Each visit leaves another one behind, and each continues to receive events."
    )
    fix = "Count the components that use the connection and disconnect with the last one: return () => release()."
    source = (
        "origin document (`wscheck docs origin`), "
        '"Watch For" item 4 and "Alert If" item 4: resource waste; cause: no cleanup on unmount'
    )

    def handlers(self) -> Mapping[type, EventHandler]:
        self._emptied = EmptiedPages()
        self._open: dict[str, dict[str, str]] = {}
        self._rounds, self._latest_by_opener = list[RoundCounted](), dict[CodeLocation, Connected]()
        return {
            RoundCounted: self._rounds.append,
            Mounted: self._emptied.on_mounted,
            Unmounted: self._emptied.on_unmounted,
            OpenedChange: self._opened,
            ClosedChange: self._closed,
        }

    def _opened(self, change: OpenedChange) -> None:
        opening = self.ledger.opening_event(change.sid)
        if opening is not None and opening.page is not None:
            self._open.setdefault(opening.page, {})[change.sid] = change.user
            if opening.opener is not None:
                self._latest_by_opener[opening.opener] = opening

    def _closed(self, change: ClosedChange) -> None:
        for sids in self._open.values():
            sids.pop(change.sid, None)

    def finish(self, at: float | None) -> None:
        for page, event in self._emptied.last_unmount.items():
            if at is None or event.at is None or at - event.at <= self.options.grace_s:
                continue
            for sid, user in self._open.get(page, {}).items():
                if sid in self.ledger.open_connections(user):
                    self._report_leak(user, sid, event, at)
        for series in round_series(event for event in self._rounds if event.what == "connections"):
            self._evaluate_series(series)

    def _report_leak(self, user: str, sid: str, event: Event, at: float) -> None:
        opening = self.ledger.opening_event(sid)
        opener = f" of {label}" if (label := opener_label(opening)) else ""
        self.report(user, f"a connection{opener} stayed open after the last component unmounted", at, opening, event)

    def _evaluate_series(self, series: RoundSeries) -> None:
        """Report a leak if each round of `series` leaves the same number of connections open.

        If only some rounds leave connections open, add a gap (missing evidence).
        """
        opening = self._latest_by_opener.get(series.opener) if series.opener is not None else None
        label = opener_label(opening or series.last)
        opened_by = f", opened by {label}" if label else ""
        growth = series.growth
        if growth.kind is GrowthKind.CONSTANT:
            stay = "1 more connection stays" if growth.per_round == 1 else f"{growth.per_round} more connections stay"
            message = f"{stay} open after each of {growth.rounds} rounds of {series.place}{opened_by}"
            message += f" (open: {series.describe()})"
            key = f"{series.place} {label}"
            self.report(series.last.user, message, series.last.at, opening, series.last, key=key)
        elif growth.kind is GrowthKind.UNCLEAR:
            reason = (
                f"some rounds of {series.place} leave connections open{opened_by}, and others do not (open: "
                f"{series.describe()}): are more rounds alike (--loop)?"
            )
            self.gaps[Gap(id="growth-unclear", reason=reason, closes_with="--loop", rules=(self.id,))] = None
