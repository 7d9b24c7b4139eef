"""Gaps in the evidence of a scenario, where a rule alone would blame the server or pass it.

The server went away, it has other events than the documented ones, its log could not be read, or nothing shows for
which user it opened a connection.
"""

from collections.abc import Iterator, Sequence

from wscheck.detect.rules.log_silent import unlogged
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, SERVER_ENDED
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

CONFIGURATION = "wscheck.toml"

UNKNOWN_IDENTITY = Gap(
    reason="the server accepted a token under another user's id, and nothing shows for which user it opened the "
    "connection: name the key of the user's id in an [[event]] of wscheck.toml, or give --server-log",
    closes_with="--server-log",
    rules=("identity-unverified",),
)
OTHER_EVENTS = (
    "the server sent none of the documented events that it was asked for: name its own in wscheck.toml (`wscheck init`)"
)
KICKED_WITHOUT_EVENTS = "the server ended the connection, and sent none of the events that it was asked for"

UNKNOWN_WORDING = "it names a connection in words that are not known"
"""The `reason` of an `Unreadable` about a whole log whose wording is not known; the options that read it may follow."""
READ_ERROR = "it could not be read to its end"
"""The `reason` of an `Unreadable` about a whole log that could not be read."""

_ABSENCE_RULES = ("connection-missing", "event-missing")
_LOG_RULES = ("log-silent",)


def scenario_gaps(events: Sequence[Event], control: Sequence[Event]) -> list[Gap]:
    """Return what prevents a verdict on a scenario, the most important gap first.

    Args:
        events: events of the scenario itself.
        control: events of its control.
    """
    gaps = server_unavailable(events)
    if any(event.credential == "foreign" for event in _observed(events)) and opened_as_other_user(events) is None:
        gaps.append(UNKNOWN_IDENTITY)
    if sent_no_documented_event(events):
        kicked = any(isinstance(event, Disconnected) and event.reason == IO_SERVER_DISCONNECT for event in events)
        reason = KICKED_WITHOUT_EVENTS if kicked else OTHER_EVENTS
        gaps.append(Gap(reason=reason, closes_with=CONFIGURATION, rules=("event-missing",)))
    if not _logs_replacements(control):
        gaps += _log_gaps(events)
    return gaps


def discounted_rules(events: Sequence[Event], control: Sequence[Event]) -> set[str]:
    """Return the rules whose findings prove nothing in a scenario."""
    rules = {rule for gap in scenario_gaps(events, control) for rule in gap.rules}
    if _logs_replacements(control):
        rules |= set(_LOG_RULES)
    if not opened_as_other_user(events):
        rules |= {"identity-unverified"}
    return rules


def server_unavailable(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server was lost, or refused the user."""
    return server_lost(events) or credentials_refused(events)


def server_lost(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server went away, or sent what the client could not follow."""
    for event in events:
        if isinstance(event, Unreadable) and event.source == SOURCE_CLIENT:
            reason = f"{event.reason}: what it did after that proves nothing"
            return [Gap(reason=reason, rules=(*_ABSENCE_RULES, "event-duplicated"))]
    unreachable = [event for event in events if isinstance(event, Refused) and event.reason == "unreachable"]
    if not unreachable:
        return []
    # The last message is the most precise: it comes from the check whether the server still answers.
    message = (unreachable[-1].message or "it did not answer").rstrip(".")
    reason = f"the server went away during the scenario: {message}; look in its log for why, and run again"
    return [Gap(reason=reason, rules=_ABSENCE_RULES)]


def credentials_refused(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server refused the user's own credentials and accepted no connection.

    The same credentials were accepted when the run started.
    """
    if any(True for _ in _observed(events)):
        return []
    for event in events:
        if isinstance(event, Refused) and event.reason == "refused" and event.credential == "own":
            reason = f"the server now refuses the user's own credentials ({event.message}): has the token expired?"
            return [Gap(reason=reason, closes_with="WSCHECK_TOKEN", rules=_ABSENCE_RULES)]
    return []


def sent_no_documented_event(events: Sequence[Event]) -> bool:
    """Return whether the server sent none of the requested events, and only the documentation says it knows them."""
    requested = {event.name for event in events if isinstance(event, Expected) and event.assumed}
    received = {event.name for event in events if isinstance(event, Delivered)}
    return bool(requested) and requested.isdisjoint(received)


def _log_gaps(events: Sequence[Event]) -> list[Gap]:
    """Return a gap if the server's log is not silent, but its connections cannot be read or have no ids."""
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
            reason = f"{event.path} tells of connections without saying whose: log socketId and userId with them"
            return [Gap(reason=reason, closes_with="log socketId and userId", rules=_LOG_RULES)]
    return []


def _unread_log(event: Unreadable) -> Gap:
    """Return the gap for an event about a log as a whole, which has no line."""
    if event.reason == READ_ERROR:
        return Gap(reason=f"{event.path} {event.text}", rules=_LOG_RULES)
    how = f"read them with {event.closes_with}, or name them" if event.closes_with else "name them with --marker or"
    return Gap(
        reason=f"{event.path} tells of connections in words that are not known: {how} in [logs.markers] of "
        f"{CONFIGURATION}",
        closes_with=event.closes_with or "--marker",
        rules=_LOG_RULES,
        example=event.text,
    )


def _logs_replacements(control: Sequence[Event]) -> bool:
    """Return whether the log showed in the control that it reports replacements: then its silence is evidence."""
    return any(isinstance(event, Replaced) and event.source == SOURCE_SERVER_LOG for event in control)


def opened_as_other_user(events: Sequence[Event]) -> bool | None:
    """Return whether a token sent with another user's id opened that user's connection; None if nothing shows it.

    An accepted connection proves nothing: a server that rightly ignores the id accepts it as the token's owner.
    """
    foreign = {event.sid: event.user for event in _observed(events) if event.credential == "foreign"}
    own = {event.sid: event.user for event in _observed(events) if event.credential == "own"}
    named = set(_users_named_by_server(events, foreign, own))
    if named & set(foreign.values()):
        return True
    return False if named else None


def _observed(events: Sequence[Event]) -> Iterator[Connected]:
    """Yield the connections that a client observed."""
    return (event for event in events if isinstance(event, Connected) and event.source != SOURCE_SERVER_LOG)


UserBySid = dict[str | None, str | None]


def _users_named_by_server(events: Sequence[Event], foreign: UserBySid, own: UserBySid) -> Iterator[str]:
    """Yield the users that the server names for the foreign connections.

    It names them in its log, in the events that it sends, or by closing that user's other connection.
    """
    for event in events:
        if isinstance(event, Delivered) and event.sid in foreign and event.about is not None:
            yield event.about
        elif isinstance(event, Connected) and event.source == SOURCE_SERVER_LOG and event.sid in foreign:
            yield from filter(None, [event.user])
        elif isinstance(event, Disconnected) and event.sid in own and event.reason in SERVER_ENDED:
            yield from filter(None, [own[event.sid]])
