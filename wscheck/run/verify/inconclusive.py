"""Gaps (missing evidence) of a scenario, because of which its rules could wrongly blame or pass the server.

A gap exists if the server went away, does not send the events of the contract, has a log that cannot be read, or does
not show for which user it opened a connection.

contract  events that the server must send, and the requests that cause them: each [[event]] of wscheck.toml, or the
          four events of docs/origin.md
control   run of the fault of docs/origin.md, in which each component opens a connection: it shows that the scenario can
          fail
"""

from collections.abc import Iterator, Sequence

from wscheck.detect.rules.log_silent import unlogged
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, SERVER_ENDED, TRANSPORT_ENDED
from wscheck.model.events import (
    SOURCE_CLIENT,
    SOURCE_SERVER_LOG,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Expected,
    Refused,
    Replaced,
    Unreadable,
)
from wscheck.model.gaps import Gap
from wscheck.model.replacement import may_have_replaced

CONFIGURATION = "wscheck.toml"

UNKNOWN_IDENTITY = Gap(
    id="identity-unknown",
    reason="the server accepted a token under another user's id, and nothing shows for which user it opened the "
    "connection: name the key of the user's id in an [[event]] of wscheck.toml, or give --server-log",
    closes_with="--server-log",
    rules=("identity-unverified",),
)
OTHER_EVENTS = (
    "the server sent none of the documented events that the client requested: list its events in wscheck.toml "
    "(`wscheck init --observe URL` does)"
)
WRONG_NAMESPACE = (
    "the default namespace / accepts every client and sends nothing: name the application's namespace with "
    "--namespace, or the login after connecting in [connect]"
)
KICKED_WITHOUT_EVENTS = (
    "the server ended the connection, and sent none of the events that the client requested: it may expect a login "
    "after connecting ([connect] in wscheck.toml)"
)

UNKNOWN_WORDING = "it names a connection in words that are not known"
"""Value of `reason` in an `Unreadable` event about a log with an unknown wording."""
READ_ERROR = "it could not be read to its end"
"""Value of `reason` in an `Unreadable` event about a log that could not be read."""

_ABSENCE_RULES = ("connection-missing", "event-missing")
_LOG_RULES = ("log-silent",)


def scenario_gaps(events: Sequence[Event], control: Sequence[Event]) -> list[Gap]:
    """Return the gaps that prevent a verdict on a scenario, the most important first.

    Args:
        events: events of the client under test.
        control: events of the scenario's control (the run with the documented fault).
    """
    gaps = server_unavailable(events)
    if _kept_foreign_sids(events) and opened_as_other_user(events) is None:
        gaps.append(UNKNOWN_IDENTITY)
    if (reason := unanswered_reason(events)) is not None:
        gaps.append(Gap(id="event-unanswered", reason=reason, closes_with=CONFIGURATION, rules=_ABSENCE_RULES))
    if not _logs_replacements(control):
        gaps += _log_gaps(events)
    return gaps


def discounted_rules(events: Sequence[Event], control: Sequence[Event]) -> set[str]:
    """Return the ids of the rules whose findings do not count in this scenario, because evidence is missing."""
    rules = {rule for gap in scenario_gaps(events, control) for rule in gap.rules}
    if _logs_replacements(control):
        rules |= set(_LOG_RULES)
    if not opened_as_other_user(events):
        rules |= {"identity-unverified"}
    return rules


def server_unavailable(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server stopped answering, or refused the credentials of the user."""
    return server_lost(events) or credentials_refused(events)


def server_lost(events: Sequence[Event]) -> list[Gap]:
    """Return a gap (missing evidence) if the server stopped answering, or sent unreadable packets."""
    for event in events:
        if isinstance(event, Unreadable) and event.source == SOURCE_CLIENT:
            reason = f"{event.reason}: what the server did afterwards proves nothing"
            return [Gap(id="packets-unreadable", reason=reason, rules=(*_ABSENCE_RULES, "event-duplicated"))]
    unreachable = [event for event in events if isinstance(event, Refused) and event.reason == "unreachable"]
    if not unreachable:
        return []
    # The last message is the most precise: it comes from the test of whether the server still answers.
    message = (unreachable[-1].message or "it did not answer").rstrip(".")
    reason = f"the server went away during the scenario: {message}; look in its log for why, and run again"
    return [Gap(id="server-lost", reason=reason, rules=_ABSENCE_RULES)]


def unanswered_attempts(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server did not answer a connection attempt with credentials that it must refuse.

    A missing answer is no refusal.
    """
    for event in events:
        if isinstance(event, Refused) and event.reason == "timeout" and event.credential not in (None, "own"):
            message = event.message or "no answer"
            return [
                Gap(id="refusal-unclear", reason=f"the server did not answer an attempt that it must refuse: {message}")
            ]
    return []


def credentials_refused(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server refused the user's own credentials and accepted no connection.

    The server accepted the same credentials when the run started.
    """
    if any(True for _ in _observed(events)):
        return []
    for event in events:
        if isinstance(event, Refused) and event.reason == "refused" and event.credential == "own":
            reason = (
                f"the server now refuses the user's own credentials ({event.message}): has the token expired, or does "
                "the server keep the place of a connection that has ended?"
            )
            return [Gap(id="credentials-refused", reason=reason, closes_with="WSCHECK_TOKEN", rules=_ABSENCE_RULES)]
    return []


def sent_no_documented_event(events: Sequence[Event]) -> bool:
    """Return whether the server answered none of the client's requests for the four events of docs/origin.md.

    Return False if wscheck.toml configures other events.
    """
    requested = {event.name for event in events if isinstance(event, Expected) and event.assumed}
    received = {event.name for event in events if isinstance(event, Delivered)}
    return bool(requested) and requested.isdisjoint(received)


def unanswered_reason(events: Sequence[Event]) -> str | None:
    """Return why the server sent no event of the contract, if the configuration may be the reason; otherwise None."""
    expected = [event for event in events if isinstance(event, Expected) and event.name is not None]
    received = {event.name: None for event in events if isinstance(event, Delivered)}
    if not any(event.what == "delivered" for event in expected) or not received.keys().isdisjoint(
        event.name for event in expected
    ):
        return None
    kicked = _was_sent_away(events)
    if received and all(event.credential != "own" for event in _observed(events)):
        return None  # it told a stranger why it ends the connection, which says nothing about the user's events
    if received:
        names = ", ".join(list(received)[:3])
        return (
            f"the server sent {names} and no event of the contract: it may expect a login or a subscription after "
            "connecting ([connect] in wscheck.toml)"
        )
    if any(event.credential == "invalid" and event.namespace == "/" for event in _observed(events)):
        return WRONG_NAMESPACE
    if any(event.assumed for event in expected):
        return KICKED_WITHOUT_EVENTS if kicked else OTHER_EVENTS
    return KICKED_WITHOUT_EVENTS if kicked else None


def _was_sent_away(events: Sequence[Event]) -> bool:
    """Return whether the server ended a connection although the user had opened no newer one that replaced it."""
    opened = [event for event in _observed(events) if event.at is not None]
    opened_at = {event.sid: event.at for event in opened}

    def is_replaced(ended: Disconnected) -> bool:
        own_at = opened_at.get(ended.sid)
        newer = (e for e in opened if e.user == ended.user and own_at is not None and (e.at or 0.0) > own_at)
        return any(may_have_replaced(event.at, ended.at) for event in newer)

    ends = (event for event in events if isinstance(event, Disconnected) and event.reason == IO_SERVER_DISCONNECT)
    return any(not is_replaced(event) for event in ends)


def _log_gaps(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server's log contains the connections, but in unknown words or without ids."""
    if not unlogged(events):
        return []
    for event in events:
        if isinstance(event, Unreadable) and event.source == SOURCE_SERVER_LOG and event.line is None:
            return [_unread_log(event)]
        if (
            isinstance(event, Connected)
            and event.source == SOURCE_SERVER_LOG
            and event.sid is None
            and event.user is None
        ):
            reason = f"{event.path} reports connections without ids: log socketId and userId with each"
            return [Gap(id="log-without-ids", reason=reason, closes_with="log socketId and userId", rules=_LOG_RULES)]
    return []


def _unread_log(event: Unreadable) -> Gap:
    """Return the gap for a log that cannot be opened, or that reports connections in unknown words."""
    if event.reason == READ_ERROR:
        return Gap(id="log-unread", reason=f"{event.path} {event.text}", rules=_LOG_RULES)
    how = f"read it with {event.closes_with}, or describe it" if event.closes_with else "describe it with --marker or"
    return Gap(
        id="wording-unknown",
        reason=f"{event.path} reports connections in a wording that is not known: {how} in [logs.markers] of "
        f"{CONFIGURATION}",
        closes_with=event.closes_with or "--marker",
        rules=_LOG_RULES,
        example=event.text,
    )


def _logs_replacements(control: Sequence[Event]) -> bool:
    """Return whether the server's log reported a replacement in the control.

    The server then logs replacements, so if it logged none in the scenario, there were none.
    """
    return any(isinstance(event, Replaced) and event.source == SOURCE_SERVER_LOG for event in control)


def opened_as_other_user(events: Sequence[Event]) -> bool | None:
    """Return whether a token that was sent with the id of another user opened a connection as this other user.

    Return None if no evidence shows for which of the two users it was opened. An accepted connection alone is no
    evidence: a server that rightly ignores the id accepts the connection for the owner of the token.
    """
    foreign = {event.sid: event.user for event in _observed(events) if event.credential == "foreign"}
    own = {event.sid: event.user for event in _observed(events) if event.credential == "own"}
    named = set(_users_named_by_server(events, foreign, own))
    if named & set(foreign.values()):
        return True
    return False if named else None


def _kept_foreign_sids(events: Sequence[Event]) -> set[str | None]:
    """Return the socket ids of connections that were opened with another user's id and that the server kept.

    A server that closes such a connection before it sends anything has refused it.
    """
    foreign = {event.sid for event in _observed(events) if event.credential == "foreign"}
    served = {event.sid for event in events if isinstance(event, Delivered)}
    ended = {e.sid for e in events if isinstance(e, Disconnected) and e.reason in SERVER_ENDED | TRANSPORT_ENDED}
    return foreign - (ended - served)


def _observed(events: Sequence[Event]) -> Iterator[Connected]:
    """Yield the `Connected` events that a client or a page reported, without those from the server's log."""
    return (event for event in events if isinstance(event, Connected) and event.source != SOURCE_SERVER_LOG)


UserBySid = dict[str | None, str | None]


def _users_named_by_server(events: Sequence[Event], foreign: UserBySid, own: UserBySid) -> Iterator[str]:
    """Yield the users for whom the server opened the `foreign` connections, unless nothing shows this.

    The client opened a foreign connection with the token of one user and the id of another user. The server shows for
    whom it accepted the connection in its log, in the events that it sends, or by closing the user's other connection.

    foreign, own  dict of socket id to the user whose id the client sent, for these and for the user's other connections
    """
    for event in events:
        if isinstance(event, Delivered) and event.sid in foreign:
            if event.about is not None:
                yield event.about
            elif len(event.mentions) == 1:
                yield event.mentions[0]
        elif isinstance(event, Connected) and event.source == SOURCE_SERVER_LOG and event.sid in foreign:
            yield from filter(None, [event.user])
        elif isinstance(event, Disconnected) and event.sid in own and event.reason in SERVER_ENDED:
            yield from filter(None, [own[event.sid]])
