"""Signatures of causes in the stacks, scripts, addresses and handlers of a page.

A signature (see `history.Signature`) returns evidence for its cause if a user's history contains any.
"""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from wscheck.detect import stack_frames
from wscheck.detect.causes.history import Clue, Signature, UserHistory
from wscheck.detect.changes import ClosedChange
from wscheck.detect.rules.rule import opener_label
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, SERVER_ENDED
from wscheck.model.events import CodeLocation, Connected, HandlersRegistered
from wscheck.model.findings import Confidence
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

# React functions that run an effect a second time in StrictMode.
_STRICT_MODE_FUNCTIONS = (
    "doubleInvoke",
    "StrictEffects",
    "InvokeEffectsInDEV",
    "reappearLayoutEffects",
    "reconnectPassiveEffects",
)

SAME_COMMIT_S = 0.05
"""Longest time between two requests of one React commit, which runs the effects of all its components (seconds)."""

MAX_STALL_S = 0.5
"""Longest pause of a page between two requests of one run of its code, on a busy machine (seconds)."""

EFFECT_RERUN_S = 0.25
"""Longest time between the close by an effect's cleanup and the next connection by the effect's next run (seconds)."""

RECONNECT_WITHIN_S = 10.0
"""Longest time from the server's end of a connection to a connection that counts as a reconnection (seconds)."""


def same_page_pairs(history: UserHistory) -> Iterator[tuple[Connected, Connected]]:
    """Yield the (older, newer) connections of one page that were open together or replaced each other.

    In each pair, the newer connection replaced the older one, or opened while the older one was open.
    """
    for old, new in (*history.replaced_pairs(), *history.met):
        if old.page is not None and old.page == new.page:
            yield old, new


def two_openers(history: UserHistory) -> Clue | None:
    return two_callers(history) or shared_hook(history)


def two_callers(history: UserHistory) -> Clue | None:
    """Detect two connections whose call stacks differ at a frame of the application: two callers opened them.

    Both connections may have the same opener: shared code that opens a connection for each caller.
    """
    for old, new in same_page_pairs(history):
        first, second = stack_frames.divergence(old.stack, new.stack), stack_frames.divergence(new.stack, old.stack)
        if first is not None and second is not None and old.opener is not None and new.opener is not None:
            same_opener = old.opener == new.opener
            is_doubtful = same_opener and stack_frames.may_be_framework_code(first, old.stack, new.stack)
            if is_doubtful and _interval_in_one_run(history, old, new) is None:
                continue  # the stacks may diverge within the framework, which created one component twice
            through = f", both through {old.opener}" if same_opener else ""
            confidence = Confidence.MEDIUM if is_doubtful else Confidence.HIGH
            one, other = sorted((str(first), str(second)))
            return confidence, f"one page opened one connection in {one} and one in {other}{through}"
    return None


def shared_hook(history: UserHistory) -> Clue | None:
    """Detect two connections with equal stacks: two components use the hook that opens a connection.

    React runs the effects, so the stacks do not contain the components. StrictMode did not run one effect twice,
    because then exactly one of the two stacks would contain React's functions for the second run.
    """
    clues: list[Clue] = []
    for old, new in same_page_pairs(history):
        if not old.stack or not _have_same_opener(old, new) or _is_strict_rerun(old) != _is_strict_rerun(new):
            continue
        if (interval := _interval_in_one_run(history, old, new)) is not None:
            opened = f"{new.opener} opened two connections {interval * 1000:.0f} ms apart"
            confidence = Confidence.HIGH if interval <= SAME_COMMIT_S else Confidence.MEDIUM
            clues.append((confidence, f"{opened}, as two components that use it do"))
    return next((clue for clue in clues if clue[0] is Confidence.HIGH), clues[0] if clues else None)


def _interval_in_one_run(history: UserHistory, old: Connected, new: Connected) -> float | None:
    """Return the seconds between two requests if one run of the page's code may have sent both, else None.

    The page cannot receive the answer to the first request before its code has run to the end. An answer before the
    second request therefore means two runs.
    """
    first, second = sorted((old, new), key=lambda one: history.requested_at(one) or 0.0)
    first_at, second_at = history.requested_at(first), history.requested_at(second)
    if first_at is None or second_at is None:
        return None
    requests_known = history.has_request(first) and history.has_request(second)
    if requests_known and first.at is not None and first.at <= second_at:
        return None
    interval = second_at - first_at
    return interval if interval <= (MAX_STALL_S if requests_known else SAME_COMMIT_S) else None


def io_in_render(history: UserHistory) -> Clue | None:
    pairs = same_page_pairs(history)
    rendered = {
        new.sid: new for old, new in pairs if _have_same_opener(old, new) and stack_frames.is_rendering(new.stack)
    }
    if not rendered:
        return None
    confidence = Confidence.HIGH if len(rendered) > 1 else Confidence.MEDIUM
    opener = next(iter(rendered.values())).opener
    return confidence, f"{opener} opened {len(rendered) + 1} connections while its component rendered"


def strict_mode(history: UserHistory) -> Clue | None:
    """Detect two connections of which exactly one was opened in the second run of an effect, by React's StrictMode."""
    for old, new in same_page_pairs(history):
        # The order of the acknowledgements proves nothing: on a slow network, the second run may be acknowledged first.
        # Diverging stacks belong to two effects that call shared code, and both effects may have run twice.
        if not _have_same_opener(old, new) or _have_diverging_stacks(old, new):
            continue
        if _is_strict_rerun(old) != _is_strict_rerun(new):
            ran = f"StrictMode ran the effect at {new.opener} twice"
            return Confidence.HIGH, f"{ran}, and the first connection stayed open"
    return None


def _is_strict_rerun(opening: Connected) -> bool:
    return any(part in frame.function for frame in opening.stack for part in _STRICT_MODE_FUNCTIONS)


def _have_diverging_stacks(old: Connected, new: Connected) -> bool:
    first, second = stack_frames.divergence(old.stack, new.stack), stack_frames.divergence(new.stack, old.stack)
    return first is not None and second is not None


def hot_reload(history: UserHistory) -> Clue | None:
    """Detect two connections from two versions of one file. An edit may have moved the opener by some lines."""
    for old, new in same_page_pairs(history):
        if not (old.opener and new.opener and old.script and new.script) or old.opener.file != new.opener.file:
            continue
        if (update := _hot_update_script(new)) and update != _hot_update_script(old):
            return Confidence.HIGH, f"{new.opener} ran again from {update}, and the first connection stayed open"
        same_library = old.opener == new.opener and old.client == new.client
        is_version = _without_query(old.script) == _without_query(new.script) or same_library
        if old.script != new.script and is_version:
            ran = f"{old.opener} ran again from another version of its script"
            return Confidence.HIGH, f"{ran}, and the first connection stayed open"
    return None


def _hot_update_script(opening: Connected) -> str:
    """Return the URL of the webpack hot update script that opened the connection, "" if none did."""
    return next((frame.file for frame in opening.stack if ".hot-update." in frame.file), "")


def two_bundles(history: UserHistory) -> Clue | None:
    for old, new in same_page_pairs(history):
        if old.target != new.target:  # a worker, or an iframe of another site, always has its own copy of the library
            continue
        if old.client and new.client and _without_query(old.client) != _without_query(new.client):
            first, second = _without_query(old.client), _without_query(new.client)
            return Confidence.HIGH, f"socket.io-client runs from {first} and from {second}"
    return None


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def forced_new_connection(history: UserHistory) -> Clue | None:
    for old, new in same_page_pairs(history):
        if _have_same_opener(old, new) and old.url and new.url and old.url != new.url:
            return Confidence.HIGH, f"{old.opener} opened two connections whose {_difference(old.url, new.url)} differ"
    return None


def _difference(old: str, new: str) -> str:
    first, second = dict(parse_qsl(urlsplit(old).query)), dict(parse_qsl(urlsplit(new).query))
    names = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    return f"queries (`{'`, `'.join(names)}`)" if names else "addresses"


def unstable_dependency(history: UserHistory) -> Clue | None:
    """Detect a client that repeatedly closes its connection and opens another at once, as an effect's rerun does."""
    reruns: Counter[CodeLocation] = Counter()
    for closed in history.closings:
        old, at = closed.opening, closed.event.at
        if closed.reason != IO_CLIENT_DISCONNECT or old is None or old.opener is None or at is None:
            continue
        # Compare with the time of the request: its acknowledgement may be late.
        reopened = [
            new for new in history.openings if any(0 <= time - at <= EFFECT_RERUN_S for time in _times(history, new))
        ]
        if any(_have_same_opener(old, new) for new in reopened):
            reruns[old.opener] += 1
    for opener, count in reruns.most_common(1):
        if count >= 2:
            return Confidence.HIGH, f"{opener} closed its connection and opened the next at once, {count} times"
    return None


def _times(history: UserHistory, opening: Connected) -> Iterator[float]:
    return (time for time in (history.requested_at(opening), opening.at) if time is not None)


def reconnect_after_kick(history: UserHistory) -> Clue | None:
    """Detect connections that their opener opened again after the server had ended them, regularly or not."""
    delays = sorted(delay for closed in history.closings if (delay := _reconnect_delay(history, closed)) is not None)
    if len(delays) < 2:
        return None
    reconnected = f"{len(delays)} times the server ended a connection and its opener connected again"
    return Confidence.HIGH, f"{reconnected}, {delays[len(delays) // 2] * 1000:.0f} ms later"


def _reconnect_delay(history: UserHistory, closed: ClosedChange) -> float | None:
    """Return the seconds from the server's end of a connection to the next one of its opener, None if there is none.

    If the next connection was requested before the end, it is no reconnection: the server may have ended the old
    connection because of it.
    """
    old, at = closed.opening or history.opening_of(closed.sid), closed.event.at
    if closed.reason not in SERVER_ENDED or old is None or old.at is None or at is None:
        return None
    newer = [new for new in history.openings if new.at is not None and new.at > old.at and _have_same_opener(old, new)]
    if any((history.requested_at(new) or 0.0) <= at for new in newer):
        return None
    delays = (new.at - at for new in newer if new.at is not None and new.at - at <= RECONNECT_WITHIN_S)
    return min(delays, default=None)


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
    """Return the location of a handler that is registered more than once, None if no handler is."""
    return next((location for location, count in Counter(event.handlers).items() if count > 1), None)


def off_without_handler(history: UserHistory) -> Clue | None:
    for event in reversed(history.registrations):
        if event.lost:
            return Confidence.HIGH, f"off(`{event.name}`) removed {len(event.lost)} handlers at once"
    return None


OPENING_SIGNATURES: dict[str, Signature] = {
    "two-bundles": two_bundles,
    "hot-reload": hot_reload,
    "io-in-render": io_in_render,
    "forced-new-connection": forced_new_connection,
    "unstable-dependency": unstable_dependency,
    "effect-without-cleanup": strict_mode,
    "two-openers": two_openers,
}
"""Cause id to signature, for causes of several connections of one page."""

HANDLER_SIGNATURES: dict[str, Signature] = {
    "handler-in-connect": handler_in_connect,
    "handler-without-off": handler_without_off,
}
"""Cause id to signature, for causes of an event that one connection handles more than once."""
