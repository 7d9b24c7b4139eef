"""WHAT A PHASE PROVES NOTHING OF, although a rule by itself would say so: the server is gone, or has other events, or
nobody saw it give one user's connection to another. Pure."""

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

UNTOLD = (
    "the server let a token in under another user's id, and nothing told whose connection it became: name the key of "
    "the user's id in an [[event]] of wscheck.toml, or give --server-log"
)
OTHER_EVENTS = (
    "the server sent none of the documented events that it was asked for: name its own in wscheck.toml (`wscheck init`)"
)

ENDED = "the server ended the connection, and sent none of the events that it was asked for"

OTHER_WORDS = "it names a connection in words that are not known"
UNREAD = "it could not be read to its end"
IN_THE_FILE = "in [logs.markers] of wscheck.toml"


def consequences(events: Sequence[Event], control: Sequence[Event]) -> frozenset[str]:
    """The rules whose findings prove nothing here, after what the control showed."""
    follow: set[str] = set()
    if _told_otherwise(events) is not None or _told_replacement(control):
        follow |= {"log-silent"}
    if away(events) is not None:
        follow |= {"connection-missing", "event-missing"}
    if any(map(_senseless, events)):
        follow |= {"event-duplicated"}
    if has_other_events(events):
        follow |= {"event-missing"}
    if not taken_over(events):
        follow |= {"identity-unverified"}
    return frozenset(follow)


def unshown(events: Sequence[Event], control: Sequence[Event]) -> str | None:
    """Why nothing was shown, although nothing was found; None when something was."""
    if (reason := away(events)) is not None:
        return reason
    if any(e.credential == "foreign" for e in _seen(events)) and taken_over(events) is None:
        return UNTOLD
    if has_other_events(events):
        return (
            ENDED
            if any(isinstance(e, Disconnected) and e.reason == IO_SERVER_DISCONNECT for e in events)
            else OTHER_EVENTS
        )
    return None if _told_replacement(control) else _told_otherwise(events)


def away(events: Sequence[Event]) -> str | None:
    """That the server was not there to be judged, or no longer for this user."""
    return gone(events) or shut_out(events)


def gone(events: Sequence[Event]) -> str | None:
    """That the server went away, or became impossible to follow; None while it was there and made sense."""
    for event in events:
        if isinstance(event, Unreadable) and _senseless(event):
            return f"{event.reason}: what it did after that proves nothing"
    unreached = [e for e in events if isinstance(e, Refused) and e.reason == "unreachable"]
    if not unreached:
        return None
    # The last word is that of the look whether the server is still there: it says it best.
    said = (unreached[-1].message or "it did not answer").rstrip(".")
    return f"the server went away during the scenario: {said}; look in its log for why, and run again"


def shut_out(events: Sequence[Event]) -> str | None:
    """That the server let nobody in with the credentials it had taken when the run began; None when it did."""
    if any(True for _ in _seen(events)):
        return None
    for event in events:
        if isinstance(event, Refused) and event.reason == "refused" and event.credential == "own":
            return f"the server now refuses the user's own credentials ({event.message}): has the token expired?"
    return None


def _senseless(event: Event) -> bool:
    return isinstance(event, Unreadable) and event.source == SOURCE_CLIENT


def has_other_events(events: Sequence[Event]) -> bool:
    """Whether nobody said that the server knows what it was asked for, and nothing of that came."""
    asked = {e.name for e in events if isinstance(e, Expected) and e.assumed}
    return bool(asked) and asked.isdisjoint(e.name for e in events if isinstance(e, Delivered))


def _told_otherwise(events: Sequence[Event]) -> str | None:
    """That the server's log is not silent, although it told of a connection neither in words that are known nor whose
    it is, or could not be read; None when it did, and when it is silent."""
    if not unlogged(events):
        return None
    for event in events:
        if isinstance(event, Unreadable) and event.reason.startswith(OTHER_WORDS):
            options = event.reason.removeprefix(OTHER_WORDS).removeprefix(": ")
            how = f"read them with {options}, or name them" if options else "name them with --marker or"
            told = f"{event.path} tells of connections in words that are not known: {how} {IN_THE_FILE}"
            return f"{told}. It says: {event.text}"
        if isinstance(event, Unreadable) and event.reason == UNREAD:
            return f"{event.path} {event.text}"
        if (
            isinstance(event, Connected)
            and event.source == SOURCE_SERVER_LOG
            and event.sid is None
            and event.user is None
        ):
            return f"{event.path} tells of connections without saying whose: log socketId and userId with them"
    return None


def _told_replacement(control: Sequence[Event]) -> bool:
    """Whether the log showed in the control that it does tell of a replacement: then its silence is evidence."""
    return any(isinstance(e, Replaced) and e.source == SOURCE_SERVER_LOG for e in control)


def taken_over(events: Sequence[Event]) -> bool | None:
    """Whether a token that came with another user's id opened that user's connection; None when nothing told.

    That it was let in proves nothing: a server that ignores the id, as it should, lets it in as the token's owner.
    """
    foreign = {e.sid: e.user for e in _seen(events) if e.credential == "foreign"}
    owner = {e.sid: e.user for e in _seen(events) if e.credential == "own"}
    told = set(_told(events, foreign, owner))
    if told & set(foreign.values()):
        return True
    return False if told else None


def _seen(events: Sequence[Event]) -> Iterator[Connected]:
    return (e for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG)


Users = dict[str | None, str | None]
"""Of some connections, by sid, who they were opened as."""


def _told(events: Sequence[Event], foreign: Users, owner: Users) -> Iterator[str]:
    """The users that the server named for it: in its log, in what it sent, or by closing that user's other one."""
    for event in events:
        if isinstance(event, Delivered) and event.sid in foreign and event.about is not None:
            yield event.about
        elif isinstance(event, Connected) and event.source == SOURCE_SERVER_LOG and event.sid in foreign:
            yield from filter(None, [event.user])
        elif isinstance(event, Disconnected) and event.sid in owner and event.reason in SERVER_ENDED:
            yield from filter(None, [owner[event.sid]])
