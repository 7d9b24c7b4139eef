"""Rule: the server accepted an invalid token, or none."""

from collections.abc import Mapping

import msgspec

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.disconnect_reasons import SERVER_ENDED, TRANSPORT_ENDED
from wscheck.model.events import Connected, Connecting, Delivered, Disconnected, Event, Expected, Refused
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap

HOW = {
    "invalid": "with an invalid token",
    "absent": "without a token",
    "empty": "with an empty token",
    "altered": "with a token whose signature is wrong",
    "unsigned": 'with an unsigned token ("alg": "none")',
    "expired": "with an expired token",
}
"""Values of `Connected.credential` for connections that a server should refuse."""

ANONYMOUS = frozenset({"absent", "empty"})

REPLACEMENT_S = 0.5
"""Seconds between the end of a user's old connection and the beginning of the new one that replaces it."""


class _Intruder(msgspec.Struct):
    """A connection with an invalid credential, and the evidence that the server treats it as the user's.

    end       the event with which the server closed the connection, None if it did not
    answered  an event of the contract arrived
    is_user   a payload names the user, or the user's own connection replaced this one
    others    other names that payloads contain in place of the user
    """

    opened: Connected
    how: str
    end: Disconnected | None = None
    answered: bool = False
    is_user: bool = False
    others: set[str] = msgspec.field(default_factory=set)


class _OwnConnection(msgspec.Struct):
    """A connection with the user's own credential. `began` is its attempt, if a source reported that."""

    began: Event
    opened: Connected

    def replaces(self, intruder: _Intruder) -> bool:
        """Return whether the server closed the intruder's connection while it opened this one, or soon after.

        Some servers close the old connection before they acknowledge the new one.
        """
        end, began, opened = intruder.end, self.began.at, self.opened.at
        if end is None or end.at is None or began is None or opened is None:
            return False
        is_close = abs(end.at - opened) < REPLACEMENT_S
        return is_close and end.at >= began and self.opened.user == intruder.opened.user


class TokenUnchecked(Rule):
    """Rule: a connection was opened with an invalid token, or without one.

    A server that accepts such a connection and closes it, without an answer to the client's requests, has refused it.
    """

    id = "token-unchecked"
    severity = Severity.ERROR
    title = "The server accepts an invalid token"
    meaning = (
        "A connection with an invalid token, or without one, was accepted: whoever knows a user's id can connect as "
        "this user."
    )
    fix = (
        "Verify the token, with its signature and expiry, before the connection is open (Socket.IO: in io.use), and "
        "refuse with an error."
    )
    source = "Socket.IO documentation, Middlewares: sending credentials; RFC 7519 and 8725 for tokens"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._intruders: dict[str | None, list[_Intruder]] = {}
        self._contract: set[str | None] = set()
        self._attempts: dict[str | None, Connecting] = {}
        self._own: dict[str | None, _OwnConnection] = {}
        self._own_events: set[str] = set()
        self._refuses_any = False
        return {
            Connecting: self._connecting,
            Connected: self._connected,
            Refused: self._refused,
            Disconnected: self._disconnected,
            Delivered: self._delivered,
            Expected: self._expected,
        }

    def _expected(self, event: Expected) -> None:
        if event.what == "delivered":
            self._contract.add(event.name)

    def _connecting(self, event: Connecting) -> None:
        if event.credential == "own":
            self._attempts[event.user] = event

    def _connected(self, event: Connected) -> None:
        # The client and the server's log both report the same connection: count it once.
        if event.credential in HOW:
            if event.sid not in self._intruders:
                self._intruders[event.sid] = [_Intruder(event, HOW[event.credential])]
        elif event.credential == "own":
            self._own[event.sid] = _OwnConnection(self._attempts.get(event.user, event), event)

    def _refused(self, event: Refused) -> None:
        if event.credential in HOW and event.reason == "refused":
            self._refuses_any = True

    def _disconnected(self, event: Disconnected) -> None:
        for intruder in self._intruders.get(event.sid, ()):
            if event.reason in SERVER_ENDED | TRANSPORT_ENDED and intruder.end is None:
                intruder.end = event

    def _delivered(self, event: Delivered) -> None:
        if event.sid in self._own:
            self._own_events.add(event.name)
        for intruder in self._intruders.get(event.sid, ()):
            if event.name not in self._contract:
                continue
            intruder.answered = True
            if event.user is not None and event.user in {event.about, *event.mentions}:
                intruder.is_user = True
            elif event.about is not None:
                intruder.others.add(event.about)

    def finish(self, at: float | None) -> None:
        for intruders in self._intruders.values():
            for intruder in intruders:
                intruder.is_user |= any(own.replaces(intruder) for own in self._own.values())
                if intruder.end is None or intruder.answered or intruder.is_user:
                    self._evaluate(intruder)

    def _evaluate(self, intruder: _Intruder) -> None:
        """Report an accepted connection, or set the gap (missing evidence) that prevents a certain finding."""
        is_anonymous = intruder.opened.credential in ANONYMOUS
        if intruder.is_user:
            self._report_intruder(intruder, f"connected {intruder.how}, as this user")
        elif intruder.others:
            self._set_gap(
                f"the server accepts a connection {intruder.how} as {_first(intruder.others)}, and not as the user: "
                "pass --anonymous if guests are intended"
            )
        elif not intruder.answered and self._own_events & self._contract:
            self._set_gap(f"the server keeps a connection {intruder.how} open, but answers none of its requests")
        elif not intruder.answered and self._contract and self._own and self._may_be_wrong_namespace(intruder):
            self._set_gap(
                "the default namespace / accepts every client and sends none of the events of the contract: name the "
                "application's namespace with --namespace, or the login after connecting in [connect]"
            )
        elif is_anonymous:
            self._report_intruder(intruder, f"connected {intruder.how}", Severity.WARNING)
            self._set_gap(
                f"the server accepts a connection {intruder.how}, and nothing shows whose connection it is: pass "
                "--anonymous if that is intended"
            )
        else:
            self._report_intruder(intruder, f"connected {intruder.how}")

    def _may_be_wrong_namespace(self, intruder: _Intruder) -> bool:
        is_socket_io = intruder.opened.protocol is None
        return is_socket_io and intruder.opened.namespace in (None, "/") and not self._refuses_any

    def _report_intruder(self, intruder: _Intruder, message: str, severity: Severity | None = None) -> None:
        self.report(
            intruder.opened.user,
            message,
            intruder.opened.at,
            intruder.opened,
            key=intruder.opened.credential or "",
            severity=severity,
            confidence=Confidence.HIGH if severity is None else Confidence.MEDIUM,
        )

    def _set_gap(self, reason: str) -> None:
        if not self.gaps:
            self.gaps[Gap(id="refusal-unclear", reason=reason, rules=(self.id,))] = None


def _first(names: set[str]) -> str:
    return min(names)
