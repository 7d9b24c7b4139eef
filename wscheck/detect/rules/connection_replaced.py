"""Rule: the server closed a user's connection in favour of a newer one."""

from collections import Counter
from collections.abc import Mapping

from wscheck.detect.changes import ReplacedChange
from wscheck.detect.rules.rule import EventHandler, Rule, distinct_openers
from wscheck.model.events import SOURCE_SERVER_LOG
from wscheck.model.findings import Confidence, Severity


class ConnectionReplaced(Rule):
    """Rule that reports each replacement, whether the server logs the replacement or wscheck infers it.

    A takeover in the log of an MQTT broker is a warning: a client that lost its network takes over its own connection.
    Takeovers in a row are a finding of another rule, client-id-shared.
    """

    id = "connection-replaced"
    severity = Severity.ERROR
    title = "A connection was replaced by a newer one of the same user"
    meaning = (
        "The server keeps one socket per user and closed the older one. The code that used it gets no more events; if "
        "it reconnects, the two connections replace each other for ever."
    )
    fix = "Open one connection per user, and do not reconnect when the server replaced it."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 2: "Replacing existing socket" messages'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._described: dict[str | None, str] = {}
        self._implied = Counter[str]()
        return {ReplacedChange: self._replaced}

    def _replaced(self, change: ReplacedChange) -> None:
        self.report(
            change.user,
            self._message(change),
            change.event.at,
            change.old,
            change.new,
            change.event,
            confidence=change.confidence if change.user is not None else Confidence.MEDIUM,
            severity=self._severity(change),
        )

    def _severity(self, change: ReplacedChange) -> Severity:
        """Return WARNING for the takeover of a client id, and for a user's first replacement that a log only implies.

        A lost network, or a second tab, can cause one such replacement. Only a fault causes them again and again,
        so all others are an ERROR.
        """
        if getattr(change.event, "client_id", None) is not None:
            return Severity.WARNING
        if change.explicit or change.event.source != SOURCE_SERVER_LOG or change.user is None:
            return Severity.ERROR
        self._implied[change.user] += 1
        return Severity.WARNING if self._implied[change.user] == 1 else Severity.ERROR

    def _message(self, change: ReplacedChange) -> str:
        """Return a message that names the openers of the replaced and of the newer connection.

        If an opener is unknown, return the latest message about this user that named both openers. If there is none,
        return a message without the unknown opener.
        """
        old, new = distinct_openers(change.old, change.new)
        if old and new:
            self._described[change.user] = _describe(old, new)
        return self._described.get(change.user) or _describe(old, new)


def _describe(old: str, new: str) -> str:
    if old and new and old != new:
        first, second = sorted((old, new))  # which of the two is replaced may differ from run to run
        return f"the server replaced one of the connections of {first} and {second} by the other"
    if old or new:
        return f"the server replaced a connection of {old or new} by another"
    return "the server replaced the user's connection by a newer one"
