"""Rule: each visit of a view of a page leaves another event handler behind."""

from collections.abc import Mapping

from wscheck.detect.rounds import GrowthKind, round_series
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import CodeLocation, HandlersRegistered, RoundCounted
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap


class HandlerLeaked(Rule):
    """Rule: each round of a loop adds the same number of handlers for an event on one connection.

    The view that a user leaves has added a handler to a shared connection and not removed it.
    """

    id = "handler-leaked"
    severity = Severity.ERROR
    title = "An event handler stays although the view that added it was left"
    meaning = (
        "Each visit adds a handler to the shared connection and does not remove it. Every event is then handled once "
        "more per visit, and each handler keeps its view in memory."
    )
    fix = "Remove it when the view is left: return () => socket.off(event, handler)."
    source = "socket.io documentation, How to use with React: cleanup"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._rounds: list[RoundCounted] = []
        self._latest: dict[tuple[str, CodeLocation], HandlersRegistered] = {}
        return {RoundCounted: self._counted, HandlersRegistered: self._registered}

    def _counted(self, event: RoundCounted) -> None:
        if event.what == "handlers":
            self._rounds.append(event)

    def _registered(self, event: HandlersRegistered) -> None:
        for location in event.handlers:
            self._latest[event.name, location] = event

    def finish(self, at: float | None) -> None:
        for series in round_series(self._rounds):
            growth, where = series.growth, f" ({series.opener})" if series.opener is not None else ""
            if growth.kind is GrowthKind.CONSTANT:
                stay = "1 more handler" if growth.per_round == 1 else f"{growth.per_round} more handlers"
                message = f"{stay} of {series.name}{where} after each of {growth.rounds} rounds of {series.place}"
                message += f" (handlers: {series.describe()})"
                registered = self._latest.get((series.name, series.opener)) if series.opener is not None else None
                key = f"{series.place} {series.name}"
                self.report(series.last.user, message, series.last.at, registered, series.last, key=key)
            elif growth.kind is GrowthKind.UNCLEAR:
                reason = (
                    f"some rounds of {series.place} leave handlers of {series.name}{where}, and others do not "
                    f"(handlers: {series.describe()}): are more rounds alike (--loop)?"
                )
                self.gaps[Gap(id="growth-unclear", reason=reason, closes_with="--loop", rules=(self.id,))] = None
