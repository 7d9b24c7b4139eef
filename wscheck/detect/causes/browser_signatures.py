"""Signatures of causes in what a page shows: the stacks, scripts and URLs of its connections, and its event handlers.

A signature (see `history.Signature`) returns the evidence for its cause that a user's history contains, if any.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from wscheck.detect import stack_frames
from wscheck.detect.causes import fixes
from wscheck.detect.causes.history import Clue, Explanation, Signature, UserHistory
from wscheck.detect.changes import ClosedChange
from wscheck.detect.rules.rule import opener_label
from wscheck.model.code_facts import CallContext, OpenerCode
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, SERVER_ENDED, TRANSPORT_ENDED
from wscheck.model.events import CodeLocation, Connected, HandlersRegistered
from wscheck.model.findings import Confidence
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

RECONNECT_WITHIN_S = 10.0
"""Longest time from the server's end of a connection to a connection that counts as a reconnection (seconds)."""


MIN_RERUNS = 2
"""Times that an effect must close its connection and open the next before a loop is assumed."""

_LISTENERS = frozenset({CallContext.EVENT_HANDLER, CallContext.DISCONNECT_HANDLER})
_RUNS_AGAIN = _LISTENERS | {CallContext.FUNCTION, CallContext.MODULE}

TOKEN_NAME = re.compile(r"token|jwt|auth|credential|session|bearer", re.I)
"""Names of dependencies and query parameters that are new for each login or renewal."""


class _Reruns(NamedTuple):
    """Repeated runs of one opener (call site): it closed a connection and then opened the next one.

    last    the newest connection
    times   number of connections that were closed and followed by another
    tokens  number of those connections that were followed by a connection with another token
    """

    last: Connected
    times: int
    tokens: int


def _reruns(history: UserHistory, *, after_actions: bool = False) -> _Reruns | None:
    """Return the connections of the opener that most often closed its connection and then opened the next one.

    An effect that runs again does this. Count a connection if the client closed it, and the same opener in the same
    document requested the next connection after the close. Only this order counts, not the time between the two. Return
    None if no opener did this at least `MIN_RERUNS` times.

    A connection does not count if wscheck acted on the page between the close and the next request: wscheck left a view
    and visited it again, so the page did not run the code again by itself. With `after_actions`, these connections
    count too.
    """
    counts: Counter[CodeLocation] = Counter()
    tokens: Counter[CodeLocation] = Counter()
    newest: dict[CodeLocation, Connected] = {}
    for closed in history.closings:
        old, at = closed.opening, closed.event.at
        if closed.reason != IO_CLIENT_DISCONNECT or old is None or old.opener is None or at is None:
            continue
        # Compare with the time of the request: its acknowledgement may be late.
        later = [
            new
            for new in history.openings
            if _have_same_opener(old, new)
            and old.document == new.document
            and new.sid != old.sid
            and any(time >= at for time in _times(history, new))
        ]
        reopened_at = min((time for new in later for time in _times(history, new) if time >= at), default=at)
        if later and (after_actions or not history.has_action_between(old.page, at, reopened_at)):
            counts[old.opener] += 1
            tokens[old.opener] += later[0].fingerprint != old.fingerprint
            newest[old.opener] = later[-1]
    for opener, count in counts.most_common(1):
        if count >= MIN_RERUNS:
            return _Reruns(newest[opener], count, tokens[opener])
    return None


def token_in_dependencies(history: UserHistory) -> Explanation | None:
    """Detect an effect that reconnects for each new token, because the token is one of its dependencies."""
    found = _reruns(history)
    code = found.last.code if found is not None else None
    if found is None or code is None or not code.dependencies or found.tokens < MIN_RERUNS:
        return None
    named = [each for each in code.dependencies if TOKEN_NAME.search(each)]
    because = (
        f"the effect at {found.last.opener} reconnected {found.times} times, {found.tokens} times with another token; "
        f"its dependencies are {', '.join(code.dependencies)}"
    )
    tokens = named or list(code.dependencies)
    confidence = Confidence.HIGH if named else Confidence.MEDIUM
    fix = fixes.leave_out_of_dependencies(found.last, tokens)
    return Explanation("token-in-dependencies", confidence, because, fix)


def unstable_dependency(history: UserHistory) -> Explanation | None:
    """Detect an effect that runs again and again: each run closes the connection and opens another."""
    found = _reruns(history)
    code = found.last.code if found is not None else None
    if found is None or (code is not None and code.context not in (None, CallContext.EFFECT)):
        return None
    because = f"{found.last.opener} closed its connection and opened the next, {found.times} times"
    if code is None or code.context is None:
        is_effect = stack_frames.is_in_effect(found.last.stack)
        return Explanation("unstable-dependency", Confidence.MEDIUM, because) if is_effect else None
    is_react = stack_frames.framework_name(found.last.stack) in ("react", None)
    if code.dependencies == () or (
        is_react and code.dependencies is None and code.holder != "hook" and _is_method(code)
    ):
        return None
    if not is_react:
        return Explanation("unstable-dependency", Confidence.MEDIUM, because)
    if code.effect == "useSyncExternalStore":
        because = f"{because}; useSyncExternalStore subscribes again if the function that it gets is new"
        return Explanation("unstable-dependency", Confidence.HIGH, because, fixes.stable_dependencies(found.last))
    listed = f"its dependencies are {', '.join(code.dependencies)}" if code.dependencies else "it lists no dependencies"
    fix = fixes.stable_dependencies(found.last)
    return Explanation("unstable-dependency", Confidence.HIGH, f"{because}; {listed}", fix)


def _is_method(code: OpenerCode) -> bool:
    return code.holder in ("component", "class", "element") and code.assigned_to.startswith("this.")


def component_remounted(history: UserHistory) -> Explanation | None:
    """Detect a component that is unmounted and mounted again, each time with a connection of its own."""
    found = _reruns(history)
    code = found.last.code if found is not None else None
    if found is None or code is None or code.context is not CallContext.EFFECT:
        return None
    if code.dependencies != () and not _is_method(code):
        return None
    owner = code.owner or "its component"
    because = f"{found.last.opener} runs once per mount of {owner}, and closed and opened {found.times} times"
    return Explanation("component-remounted", Confidence.MEDIUM, because)


def reopened_by_its_own_end(history: UserHistory) -> Explanation | None:
    """Detect a disconnect handler that also reacts when the code itself closes a connection, so that a loop starts.

    The code closes a connection and opens another. The close runs the handler of the old connection, and the handler
    replaces the new connection in the same way.
    """
    found = _reruns(history)
    if found is None or _context(found) is not CallContext.DISCONNECT_HANDLER:
        return None
    because = (
        f"the handler of each end runs {found.last.opener}, which closes the newer connection, {found.times} times"
    )
    return Explanation("opened-on-disconnect", Confidence.HIGH, because, fixes.only_the_current_one(found.last))


def opened_per_action(history: UserHistory) -> Explanation | None:
    """Detect code outside of effects that, at each run, closes its connection and opens the next one.

    The runs of an event listener count even if an action of wscheck on the page caused them. The runs of other code,
    such as a timer, do not count after an action of wscheck.
    """
    in_listener = _reruns(history, after_actions=True)
    found = in_listener if in_listener is not None and _context(in_listener) in _LISTENERS else _reruns(history)
    context = _context(found)
    if found is None or context not in _RUNS_AGAIN or stack_frames.is_in_effect(found.last.stack):
        return None
    runs = "a listener runs" if context in _LISTENERS else "a timer, loop or caller runs"
    because = f"{runs} {found.last.opener}, which closed its connection and opened the next, {found.times} times"
    return Explanation("opened-per-action", Confidence.HIGH, because, fixes.keep_one_connection(found.last))


def _context(reruns: _Reruns | None) -> CallContext | None:
    return reruns.last.code.context if reruns is not None and reruns.last.code is not None else None


def _times(history: UserHistory, opening: Connected) -> Iterator[float]:
    return (time for time in (history.requested_at(opening), opening.at) if time is not None)


def reconnect_after_kick(history: UserHistory) -> Clue | None:
    """Detect connections that their opener opened again after the server had ended them.

    The delays may be equal (a reconnect timer) or different.
    """
    found = [(delay, closed) for closed in history.closings if (delay := _reconnect_delay(history, closed)) is not None]
    if len(found) < 2:
        return None
    delays = sorted(delay for delay, _ in found)
    is_certain = all(closed.reason in SERVER_ENDED for _, closed in found)
    ended = "the server ended a connection" if is_certain else "a connection ended"
    reconnected = f"{len(delays)} times {ended} and its opener connected again"
    confidence = Confidence.HIGH if is_certain else Confidence.MEDIUM
    return confidence, f"{reconnected}, {delays[len(delays) // 2] * 1000:.0f} ms later"


def _reconnect_delay(history: UserHistory, closed: ClosedChange) -> float | None:
    """Return the seconds between the end of a connection by the server and the next connection of the same opener.

    Return None if the server did not end the connection, if the opener opened none within `RECONNECT_WITHIN_S`, or if
    the next connection was requested before the end. In the last case, the server may have ended the old connection
    because of the new one, so the new one is not a reconnection.
    """
    old, at = closed.opening or history.find_opening(closed.sid), closed.event.at
    if old is None or old.at is None or at is None or not _may_be_ended_by_server(closed, old):
        return None
    newer = [new for new in history.openings if new.at is not None and new.at > old.at and _have_same_opener(old, new)]
    if any((history.requested_at(new) or 0.0) <= at for new in newer):
        return None
    delays = (new.at - at for new in newer if new.at is not None and new.at - at <= RECONNECT_WITHIN_S)
    return min(delays, default=None)


def _may_be_ended_by_server(closed: ClosedChange, old: Connected) -> bool:
    """Return whether the server ended a connection, or may have ended it. `old` is the event that opened it.

    For a plain WebSocket, the browser does not show which side closed it.
    """
    return closed.reason in SERVER_ENDED or (old.protocol is not None and closed.reason in TRANSPORT_ENDED)


def _have_same_opener(old: Connected, new: Connected) -> bool:
    return old.page == new.page and bool(opener_label(old)) and opener_label(old) == opener_label(new)


def no_sticky_session(history: UserHistory) -> Clue | None:
    unknown = [event for event in history.refusals if event.message == SESSION_ID_UNKNOWN]
    if not unknown:
        return None
    confidence = Confidence.HIGH if len(unknown) > 1 else Confidence.MEDIUM
    return confidence, f'{len(unknown)} requests were answered "{SESSION_ID_UNKNOWN}": they reached another process'


def handler_in_connect(history: UserHistory) -> Clue | None:
    for event in reversed(history.registrations):
        location = repeated_handler(event)
        if location is not None and event.inside == "connect":
            return Confidence.HIGH, f"{location} is in the connect handler, which ran {len(event.handlers)} times"
    return None


def handler_without_off(history: UserHistory) -> Clue | None:
    for event in reversed(history.registrations):
        location = repeated_handler(event)
        if location is not None:
            count = event.handlers.count(location)
            # Two registrations may belong to two components that share a hook.
            confidence = Confidence.HIGH if count > 2 else Confidence.MEDIUM
            return confidence, f"{location} is registered {count} times for {event.name} on one connection"
    return None


def repeated_handler(event: HandlersRegistered) -> CodeLocation | None:
    """Return the location of a handler that is registered more than once, None if there is no such handler."""
    return next((location for location, count in Counter(event.handlers).items() if count > 1), None)


def off_without_handler(history: UserHistory) -> Clue | None:
    for event in reversed(history.registrations):
        if event.lost:
            return Confidence.HIGH, f"off(`{event.name}`) removed {len(event.lost)} handlers at once"
    return None


RERUN_SIGNATURES: dict[str, Signature] = {
    "token-in-dependencies": token_in_dependencies,
    "unstable-dependency": unstable_dependency,
    "component-remounted": component_remounted,
}
"""Cause id to signature, for connections of one opener that follow each other."""

HANDLER_SIGNATURES: dict[str, Signature] = {
    "handler-in-connect": handler_in_connect,
    "handler-without-off": handler_without_off,
}
"""Cause id to signature, for causes of an event that one connection handles more than once."""
