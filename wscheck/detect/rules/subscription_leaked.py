"""Rule: a subscription outlives the component that started it, or each visit of a view leaves one behind."""

from collections.abc import Mapping

from wscheck.detect.changes import ClosedChange
from wscheck.detect.rounds import MIN_ROUNDS, GrowthKind, RoundSeries, round_series
from wscheck.detect.rules.rule import EmptiedPages, EventHandler, Rule
from wscheck.model.code_facts import CallContext, Cleanup
from wscheck.model.events import CodeLocation, Mounted, RoundCounted, Subscribed, Unmounted, Unsubscribed
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap


class SubscriptionLeaked(Rule):
    """Rule: each round of a loop leaves the same number of subscriptions to one name open.

    Some clients keep only one subscription per name, so that the number does not grow. In this case, a subscription
    that stays open after the first round is reported only if the source code shows that the effect which subscribes
    never ends it.
    """

    id = "subscription-leaked"
    severity = Severity.ERROR
    title = "A subscription stays although the component that started it has gone"
    meaning = (
        "A component subscribed, and nothing ended the subscription when the user left it. The server continues to "
        "send its events, and each visit may leave another one behind."
    )
    fix = "End the subscription when the component leaves: return () => subscription.unsubscribe()."
    source = "the clients' own documents: a subscription lasts until it is ended, or the connection is"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._open: dict[tuple[str | None, str], Subscribed] = {}
        self._latest: dict[tuple[str, CodeLocation | None], Subscribed] = {}
        self._emptied = EmptiedPages()
        self._rounds: list[RoundCounted] = []
        return {
            Subscribed: self._subscribed,
            Unsubscribed: self._unsubscribed,
            ClosedChange: self._closed,
            Mounted: self._emptied.on_mounted,
            Unmounted: self._emptied.on_unmounted,
            RoundCounted: self._rounds.append,
        }

    def _subscribed(self, event: Subscribed) -> None:
        self._open[event.sid, event.subscription] = event
        self._latest[event.name, event.subscriber] = event

    def _unsubscribed(self, event: Unsubscribed) -> None:
        self._open.pop((event.sid, event.subscription), None)

    def _closed(self, change: ClosedChange) -> None:
        for key in [key for key in self._open if key[0] == change.sid]:
            del self._open[key]

    def finish(self, at: float | None) -> None:
        for event in self._open.values():
            last = self._emptied.last_unmount.get(event.page or "")
            if last is None or at is None or last.at is None or at - last.at <= self.options.grace_s:
                continue
            message = f"the subscription to {event.name} stayed open after the last component unmounted"
            self.report(event.user, message, at, event, last, key=event.name)
        for series in round_series(event for event in self._rounds if event.what == "subscriptions"):
            self._evaluate_series(series)

    def _evaluate_series(self, series: RoundSeries) -> None:
        growth, latest = series.growth, self._latest.get((series.name, series.opener))
        where = f" ({series.opener})" if series.opener is not None else ""
        message = ""
        if growth.kind is GrowthKind.CONSTANT:
            stay = (
                "1 more subscription stays" if growth.per_round == 1 else f"{growth.per_round} more subscriptions stay"
            )
            message = f"{stay} open for {series.name}{where} after each of {growth.rounds} rounds of {series.place}"
        elif growth.kind is GrowthKind.UNCLEAR:
            reason = (
                f"some rounds of {series.place} leave subscriptions to {series.name}{where} open, and others do not "
                f"(open: {series.describe()}): are more rounds alike (--loop)?"
            )
            self.gaps[Gap(id="growth-unclear", reason=reason, closes_with="--loop", rules=(self.id,))] = None
        elif _is_kept(series) and latest is not None and is_never_ended(latest):
            message = f"the subscription to {series.name}{where} stays open after {series.place} is left"
        if message:
            message = f"{message} (open: {series.describe()})"
            key = f"{series.place} {series.name}"
            self.report(series.last.user, message, series.last.at, latest, series.last, key=key)


def _is_kept(series: RoundSeries) -> bool:
    """Return whether a subscription was open after every round, but not before the first round."""
    first, *later = series.counts
    return len(later) >= MIN_ROUNDS and min(later) > first and series.at_rest != first


def is_never_ended(event: Subscribed) -> bool:
    """Return whether the code shows that a component's effect subscribes and nothing ends the subscription.

    Code that checks for an earlier subscription keeps one for all of its callers.
    """
    code = event.code
    if code is None or code.guarded:
        return False
    return code.context is CallContext.EFFECT and code.cleanup is Cleanup.MISSING
