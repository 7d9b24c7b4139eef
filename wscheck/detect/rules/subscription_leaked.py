"""Rule: a subscription outlives the component that started it, or each visit of a view leaves one behind."""

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import pairwise

import msgspec

from wscheck.detect.changes import ClosedChange
from wscheck.detect.rounds import MIN_ROUNDS, GrowthKind, RoundSeries, round_series
from wscheck.detect.rules.rule import EmptiedPages, EventHandler, Rule
from wscheck.model.code_facts import CallContext, Cleanup
from wscheck.model.events import (
    ActionPerformed,
    CodeLocation,
    Mounted,
    RoundCounted,
    Subscribed,
    Unmounted,
    Unsubscribed,
)
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap
from wscheck.protocols.mqtt import Mqtt
from wscheck.protocols.pusher import Pusher

_KEPT_BY_CLIENT = frozenset({Mqtt.id, Pusher.id})
"""Protocols whose usual clients send one subscription per name, however often the code asks for it.

With other clients, code that sends a subscription at the first visit only checks for an earlier one.
"""

MAX_NAMES = 3
"""Names of subscriptions in one message."""


class SubscriptionLeaked(Rule):
    """Rule: each round of a loop leaves the same number of subscriptions of one call site open.

    The rounds may subscribe to one name, or each round to another name, such as `room:1`, `room:2` and `room:3`.

    Some clients and servers keep only one subscription per name, so that the number does not grow. In this case, a
    subscription that stays open after the first round is reported if each round subscribes again, or if the client
    sends one subscription per name and the source code shows that the effect which subscribes never ends it.

    Without a loop, a subscription of such an effect is reported if fewer components are mounted at the end than there
    were visits that subscribed, and one that the client asked for again after each of several actions, without ending
    it in between.
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
        self._actions: dict[str | None, list[float]] = {}
        self._times: dict[tuple[str, CodeLocation | None], list[float]] = {}
        self._renewed: dict[tuple[str | None, str], list[Subscribed]] = {}
        return {
            Subscribed: self._subscribed,
            Unsubscribed: self._unsubscribed,
            ClosedChange: self._closed,
            Mounted: self._emptied.on_mounted,
            Unmounted: self._emptied.on_unmounted,
            RoundCounted: self._rounds.append,
            ActionPerformed: lambda event: self._actions.setdefault(event.page, []).append(event.at or 0.0),
        }

    def _subscribed(self, event: Subscribed) -> None:
        self._open[event.sid, event.subscription] = event
        self._latest[event.name, event.subscriber] = event
        self._times.setdefault((event.name, event.subscriber), []).append(event.at or 0.0)
        renewed = self._renewed.get((event.sid, event.subscription))
        if renewed is not None and self._has_action_between(renewed[-1], event):
            renewed.append(event)

    def _unsubscribed(self, event: Unsubscribed) -> None:
        key = (event.sid, event.subscription)
        ended = self._open.pop(key, None)
        if not event.replaced:
            self._renewed.pop(key, None)
        elif ended is not None:
            self._renewed.setdefault(key, [ended])

    def _has_action_between(self, old: Subscribed, new: Subscribed) -> bool:
        return any((old.at or 0.0) <= at <= (new.at or 0.0) for at in self._actions.get(new.page, ()))

    def _closed(self, change: ClosedChange) -> None:
        for key in [key for key in self._open if key[0] == change.sid]:
            del self._open[key]
            self._renewed.pop(key, None)

    def finish(self, at: float | None) -> None:
        for event in self._open.values():
            last = self._emptied.last_unmount.get(event.page or "")
            if last is None or at is None or last.at is None or at - last.at <= self.options.grace_s:
                continue
            message = f"the subscription to {event.name} stayed open after the last component unmounted"
            self.report(event.user, message, at, event, last, key=event.name)
        counted = [event for event in self._rounds if event.what == "subscriptions"]
        for series in _with_changing_names(round_series(counted)):
            self._evaluate_series(series)
        pages = {event.page for event in self._rounds}
        reported = self._evaluate_renewed(pages)
        self._evaluate_effects(
            [event for key, event in self._open.items() if event.page not in pages and key not in reported]
        )

    def _evaluate_series(self, series: "_NamedSeries") -> None:
        growth, last = series.total.growth, series.total.last
        place, names, opened_at = series.total.place, _shown_names(series.names), series.total.opener
        latest = self._latest.get((series.names[-1], opened_at))
        where = f" ({opened_at})" if opened_at is not None else ""
        others = ", each for another name" if len(series.names) > 1 else ""
        message = ""
        if growth.kind is GrowthKind.CONSTANT:
            stay = (
                "1 more subscription stays" if growth.per_round == 1 else f"{growth.per_round} more subscriptions stay"
            )
            message = f"{stay} open for {names}{where} after each of {growth.rounds} rounds of {place}{others}"
        elif growth.kind is GrowthKind.UNCLEAR:
            reason = (
                f"some rounds of {place} leave subscriptions to {names}{where} open, and others do not "
                f"(open: {series.total.describe()}): are more rounds alike (--loop)?"
            )
            self.gaps[Gap(id="growth-unclear", reason=reason, closes_with="--loop", rules=(self.id,))] = None
        elif _is_kept(series.total) and latest is not None and self._is_renewed(series.total):
            message = f"the subscription to {names}{where} stays open after {place} is left, and each visit asks again"
        elif _is_kept(series.total) and latest is not None and _is_left_at_client(latest):
            message = f"the subscription to {names}{where} stays open after {place} is left"
        if message:
            message = f"{message} (open: {series.total.describe()})"
            key = f"{place} {series.names[0]}"
            self.report(last.user, message, last.at, latest, last, key=key)

    def _is_renewed(self, series: RoundSeries) -> bool:
        """Return whether the page subscribed in every round."""
        same = (series.page, series.place, series.name, series.opener)
        counted = [
            event.at or 0.0
            for event in self._rounds
            if (event.page, event.place, event.name, event.opener) == same and not event.at_rest
        ]
        times = self._times.get((series.name, series.opener), ())
        return all(any(start < at <= end for at in times) for start, end in pairwise(counted))

    def _evaluate_renewed(self, pages_with_rounds: Set[str | None]) -> set[tuple[str | None, str]]:
        """Report subscriptions that the client asked for again after several actions.

        Return the keys of the reported subscriptions in `self._renewed`. Pages in `pages_with_rounds` are left out.
        """
        reported = set()
        for key, events in self._renewed.items():
            last = events[-1]
            mounted = (last.code.mounted if last.code is not None else None) or 0
            is_one_place = len({event.subscriber for event in events}) == 1
            if len(events) < MIN_ROUNDS or not is_one_place or mounted >= len(events) or last.page in pages_with_rounds:
                continue
            reported.add(key)
            where = f" ({last.subscriber})" if last.subscriber is not None else ""
            message = (
                f"subscribed to {last.name}{where} after each of {len(events)} visits, and never ended it in between"
            )
            self.report(last.user, message, last.at, *events[-4:], key=last.name, confidence=Confidence.MEDIUM)
        return reported

    def _evaluate_effects(self, events: Iterable[Subscribed]) -> None:
        """Report open subscriptions of effects that never end them, if their components have gone."""
        groups: dict[tuple[str | None, CodeLocation | None], list[Subscribed]] = {}
        for event in events:
            if event.code is not None and event.code.mounted is not None and is_never_ended(event):
                groups.setdefault((event.sid, event.subscriber), []).append(event)
        for (_, place), group in groups.items():
            mounted = group[-1].code.mounted if group[-1].code is not None else None
            visits = {sum(at <= (event.at or 0.0) for at in self._actions.get(event.page, ())) for event in group}
            # The same subscription several times is reported by the rule for duplicates.
            is_reported = len(group) > 1 and len({event.same for event in group}) == 1
            if mounted is None or mounted >= len(visits) or (is_reported and mounted):
                continue
            names = _shown_names(list(dict.fromkeys(event.name for event in group)))
            left = "1 component is" if mounted == 1 else f"{mounted or 'no'} components are"
            stay = "subscription stays" if len(group) == 1 else "subscriptions stay"
            message = f"{len(group)} {stay} open for {names} ({place}), and {left} mounted there"
            self.report(group[-1].user, message, group[-1].at, *group[-4:], key=group[0].name)


class _NamedSeries(msgspec.Struct, frozen=True):
    """Numbers of the subscriptions of one call site after each round of a loop.

    names  names to which the call site subscribed
    total  numbers for all these names together
    """

    names: Sequence[str]
    total: RoundSeries


def _with_changing_names(all_series: Iterable[RoundSeries]) -> list[_NamedSeries]:
    """Return one series per name, but one for several names of a call site if each round subscribes to a new name.

    In that case the number of each name grows in one round only, and not all of these names grow in the same round.
    """

    groups: dict[tuple[object, ...], list[RoundSeries]] = {}
    for series in all_series:
        groups.setdefault((series.page, series.place, series.opener, series.last.user), []).append(series)
    found: list[_NamedSeries] = []
    for group in groups.values():
        changing = [each for each in group if _grows_once(each)]
        if len({_round_of_growth(each) for each in changing}) < 2:
            changing = []
        found += [_NamedSeries((each.name,), each) for each in group if each not in changing]
        if changing:
            found.append(_NamedSeries([each.name for each in changing], _sum_series(changing)))
    return found


def _grows_once(series: RoundSeries) -> bool:
    """Return whether the number grew in exactly one round and never fell."""
    return series.counts == tuple(sorted(series.counts)) and len(set(series.counts)) == 2


def _round_of_growth(series: RoundSeries) -> int:
    return series.counts.count(series.counts[0])


def _sum_series(several: Sequence[RoundSeries]) -> RoundSeries:
    counts = tuple(map(sum, zip(*(each.counts for each in several), strict=False)))
    rests = [each.at_rest for each in several if each.at_rest is not None]
    return msgspec.structs.replace(several[-1], counts=counts, at_rest=sum(rests) if rests else None)


def _shown_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def _is_kept(series: RoundSeries) -> bool:
    """Return whether a subscription was open after every round, but not before the first round."""
    first, *later = series.counts
    return len(later) >= MIN_ROUNDS and min(later) > first and series.at_rest != first


def _is_left_at_client(event: Subscribed) -> bool:
    """Return whether an effect never ends its subscription, and the client library keeps one subscription per name.

    The code then subscribes at each visit, but the client sends the subscription only once.
    """
    return event.protocol in _KEPT_BY_CLIENT and is_never_ended(event)


def is_never_ended(event: Subscribed) -> bool:
    """Return whether the code shows that a component's effect subscribes and nothing ends the subscription.

    Return False if the code subscribes only after a check for an earlier subscription: it keeps one on purpose.
    """
    code = event.code
    if code is None or code.guarded:
        return False
    return code.context is CallContext.EFFECT and code.cleanup is Cleanup.MISSING
