"""Rule: an event about one user arrived on the connection of another."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Delivered, Expected
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap

MIN_TRIES = 3
"""Requests per user from which on the arrival at another user is no coincidence."""


class _Try:
    """Attempt of a scenario: one user requests an event, and the received events are stored until the next request.

    own     digests of the events that the requesting user received
    others  events that other users received
    """

    def __init__(self, request: Expected) -> None:
        self.request = request
        self.own: set[str] = set()
        self.others: list[Delivered] = []

    def add(self, event: Delivered) -> None:
        if event.user == self.request.user:
            self.own |= _digests(event)
        else:
            self.others.append(event)

    def leaks(self, unrequested: set[str]) -> list[Delivered]:
        """Return the events that other users received because of this request.

        `unrequested` contains the digests of events that arrive without a request.
        """
        return [
            event
            for event in self.others
            if self.is_named_in(event) or (self.own & _digests(event) and not unrequested & _digests(event))
        ]

    def is_named_in(self, event: Delivered) -> bool:
        """Return whether the payload contains the id of the user who requested the event, and not the receiver's."""
        return self.request.user in event.mentions and event.user not in event.mentions


class EventLeaked(Rule):
    """Rule: a user receives an event about another user, or an event that only another user requested.

    The payload may name the user at the contract's path. Otherwise the rule compares the tries of a scenario in which
    two users request the same events in turn.
    """

    id = "event-leaked"
    severity = Severity.ERROR
    title = "A user received another user's event"
    meaning = (
        "The server sent an event to the connection of another user than the one whom it names or who requested it: "
        "private data leaks."
    )
    fix = (
        "Send to the connections of that user only (Socket.IO: io.to(`user:${userId}`).emit(...), never io.emit(...))."
    )
    source = "Socket.IO documentation, Rooms; the documented server keys its sockets by user"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._tries: dict[str, list[_Try]] = {}
        self._unrequested: dict[str, set[str]] = {}
        self._reported: set[str] = set()
        return {Delivered: self._delivered, Expected: self._expected}

    def _expected(self, event: Expected) -> None:
        if event.what == "private" and event.name is not None:
            self._tries.setdefault(event.name, []).append(_Try(event))

    def _delivered(self, event: Delivered) -> None:
        if event.about is not None and event.user is not None and event.about != event.user:
            self._reported.add(event.name)
            message = f"received {event.name} about {event.about}"
            self.report(event.user, message, event.at, event, key=event.name)
        if event.name in self._tries:
            self._tries[event.name][-1].add(event)
        else:
            self._unrequested.setdefault(event.name, set()).update(_digests(event))

    def finish(self, at: float | None) -> None:
        shared: list[str] = []
        kept: list[str] = []
        for name, tries in self._tries.items():
            leaks = [one.leaks(self._unrequested.get(name, set())) for one in tries]
            if name in self._reported or not any(one.own or one.others for one in tries):
                continue
            if not any(leaks):
                kept.append(name)
            elif not self._report_certain(name, tries, leaks):
                shared.append(name)
        if shared and not kept:
            for name in shared:
                self._report_possible(name)
        if shared:
            gap = Gap(
                id="audience-unknown",
                reason=f"{', '.join(shared)} also reached the user who had not requested it, and its payload names "
                'nobody: write `audience = "all"` in its [[event]] if that is intended, `private = true` if it is not, '
                "or `user` with the path of the user's id",
                closes_with='audience = "all" or private = true',
                rules=(self.id,),
            )
            self.gaps[gap] = None

    def _report_certain(self, name: str, tries: list[_Try], leaks: list[list[Delivered]]) -> bool:
        """Report the event `name` if its payload names the requesting user, or the contract marks it as private.

        Return False if neither is the case. `leaks` contains, for each of `tries`, the events that reached other users.
        """
        named = [
            (one, event) for one, events in zip(tries, leaks, strict=True) for event in events if one.is_named_in(event)
        ]
        private = any(one.request.required for one in tries)
        reached = sum(map(bool, leaks))
        if not named and not private:
            return False
        event = named[0][1] if named else next(event for events in leaks for event in events)
        requester = next(one.request.user for one, events in zip(tries, leaks, strict=True) if event in events)
        shows = f"its payload contains the id {requester}" if named else "the contract says that it is private"
        message = f"received {name}, which {requester} requested, in {reached} of {len(tries)} tries; {shows}"
        always = reached == len(tries) and _are_enough(tries)
        self.report(
            event.user,
            message,
            event.at,
            *[each for events in leaks for each in events][:4],
            key=name,
            confidence=Confidence.HIGH if always else Confidence.MEDIUM,
        )
        return True

    def _report_possible(self, name: str) -> None:
        tries = self._tries[name]
        leaks = [one.leaks(self._unrequested.get(name, set())) for one in tries]
        if not all(leaks) or not _are_enough(tries):
            return
        event = leaks[0][0]
        message = f"received {name} each time that {tries[0].request.user} requested it, and the other way round; "
        message += "its payload names nobody"
        self.report(
            event.user,
            message,
            event.at,
            *[events[0] for events in leaks][:4],
            key=name,
            severity=Severity.WARNING,
            confidence=Confidence.MEDIUM,
        )


def _are_enough(tries: list[_Try]) -> bool:
    """Return whether each of two users requested the event often enough to show a leak."""
    requesters = [one.request.user for one in tries]
    return len(set(requesters)) > 1 and min(requesters.count(user) for user in set(requesters)) >= MIN_TRIES


def _digests(event: Delivered) -> set[str]:
    return {digest for digest in (event.digest, event.core) if digest is not None}
