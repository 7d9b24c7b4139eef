"""Rule: an expected event did not arrive, or did not reach the component that waited for it."""

from collections.abc import Mapping

from wscheck.detect.changes import ReplacedChange
from wscheck.detect.replacements import ReplacementLoops
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Delivered, Expected, Handled, Mounted, Upgraded
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap

MAX_EVENT_NAMES = 1_000


class EventMissing(Rule):
    """Rule: an event of the contract was not delivered, or not handled, within the expected time.

    If an optional event is absent, the finding is a note, even for an event that the client cannot request. A page in a
    loop of replacements is not reported.
    """

    id = "event-missing"
    severity = Severity.ERROR
    title = "An expected event did not arrive"
    meaning = (
        "The client requested an event of the contract and the event did not arrive in time on the connection, or no "
        "handler of the waiting component ran. Users see a stale page."
    )
    fix = "Check that the server emits to the user's current socket (a room per user), and that handlers are attached."
    source = 'origin document (`wscheck docs origin`), "Testing" 2: should see all events on single connection'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._awaited: list[Expected] = []
        self._optional: list[Expected] = []
        self._loops = ReplacementLoops()
        self._requested: set[tuple[str | None, str | None]] = set()
        self._greetings: dict[tuple[str | None, str | None], Delivered] = {}
        self._mounted: dict[tuple[str | None, str | None], float] = {}
        self._upgraded: set[str | None] = set()
        self._pages_by_event: dict[str, set[str | None]] = {}
        return {
            ReplacedChange: self._replaced,
            Expected: self._expected,
            Delivered: self._delivered,
            Handled: self._arrived,
            Mounted: self._component_mounted,
            Upgraded: self._connection_upgraded,
        }

    def _connection_upgraded(self, event: Upgraded) -> None:
        self._upgraded.add(event.page)

    def _replaced(self, change: ReplacedChange) -> None:
        """Expect no more events on a page whose connection was replaced by that of another page."""
        self._loops.observe(change)
        if change.old is not None and change.new is not None and change.old.page != change.new.page:
            lost = (change.user, change.old.page)
            self._awaited = [each for each in self._awaited if (each.user, each.page) != lost]

    def _expected(self, event: Expected) -> None:
        if event.what in ("delivered", "handled"):
            self._awaited.append(event)
            self._requested.add((event.page, event.name))
        elif event.what == "unrequested" and not event.required:
            self._optional.append(event)

    def _delivered(self, event: Delivered) -> None:
        if (event.page, event.name) not in self._requested:
            self._greetings.setdefault((event.page, event.name), event)
        if event.page is not None and len(self._pages_by_event) < MAX_EVENT_NAMES:
            self._pages_by_event.setdefault(event.name, set()).add(event.page)
        self._arrived(event)

    def _component_mounted(self, event: Mounted) -> None:
        if event.at is not None:
            self._mounted[event.page, event.component] = event.at

    def _arrived(self, event: Delivered | Handled) -> None:
        what = "handled" if isinstance(event, Handled) else "delivered"
        self._awaited = [e for e in self._awaited if not _is_met(e, what, event)]

    def finish(self, at: float | None) -> None:
        undelivered = {(e.name, e.page) for e in self._awaited if e.what == "delivered"}
        has_several_pages = len({page for page, _ in self._mounted}) > 1
        for event in self._awaited:
            if event.at is None or at is None or at - event.at < event.within:
                continue
            if self._loops.contains(event.user, event.page):
                continue
            if (reason := self._gap_reason(event)) is not None:
                self.gaps[
                    Gap(
                        id="event-unanswered", reason=reason, closes_with="wscheck init --observe URL", rules=(self.id,)
                    )
                ] = None
                continue
            if event.what == "handled" and (event.name, event.page) in undelivered:
                continue  # an event that did not arrive cannot be handled either: it is reported only as not delivered
            severity = Severity.ERROR if event.required else Severity.NOTE
            message = _message(event)
            if self._is_lost_by_upgrade(event):
                message += " after the upgrade to websocket, and arrives without the upgrade"
            elif has_several_pages:
                message += f" on {event.page}"
            self.report(event.user, message, event.at, event, key=event.name or "", severity=severity)
        for event in self._optional:
            is_absent = (event.page, event.name) not in self._greetings
            if is_absent and not self._loops.contains(event.user, event.page):
                message = f"{event.name} did not arrive, and nothing requests it"
                self.report(event.user, message, event.at, event, key=event.name or "", severity=Severity.NOTE)

    def _is_lost_by_upgrade(self, event: Expected) -> bool:
        """Return whether an event is missing after a transport upgrade (polling to WebSocket), but arrived without one.

        The event must be missing on a page whose transport was upgraded, and have arrived on another page.
        """
        pages = self._pages_by_event.get(event.name or "", set())
        return event.page in self._upgraded and bool(pages - self._upgraded)

    def _gap_reason(self, event: Expected) -> str | None:
        """Return why the absence of an event proves nothing, None if the absence is a fault."""
        greeting = self._greetings.get((event.page, event.name))
        if greeting is not None and greeting.at is not None:
            mounted_at = self._mounted.get((event.page, event.component))
            if mounted_at is not None and mounted_at > greeting.at:
                return (
                    f"{event.component} mounted after {event.name} had arrived unrequested, so it did not receive it: "
                    "let the server send the event on request too, or keep its latest value in the page"
                )
            return (
                f"{event.name} arrives unrequested when the client connects, and not on request: correct `emit` in its "
                "[[event]], or leave it out"
            )
        if event.assumed:
            return (
                f"the server did not send {event.name}, which only the default contract expects: list its events in "
                "wscheck.toml (`wscheck init --observe URL` does)"
            )
        return None


def _is_met(expected: Expected, what: str, event: Delivered | Handled) -> bool:
    return (
        expected.what == what
        and expected.name == event.name
        and expected.user == event.user
        and (expected.page is None or expected.page == event.page)
        and (expected.component is None or expected.component == event.component)
    )


def _message(event: Expected) -> str:
    if event.what == "handled":
        return f"{event.name} did not reach {event.component or 'any handler'} within {event.within:g} s"
    return f"{event.name} did not arrive within {event.within:g} s"
