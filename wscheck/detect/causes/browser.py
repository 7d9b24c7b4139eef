"""Signatures that need a look into the page: stacks, scripts, addresses and handlers."""

from collections import Counter
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from wscheck.detect import stack_frames
from wscheck.detect.causes.history import Clue, Signature, UserHistory
from wscheck.detect.causes.rendering import renders
from wscheck.detect.changes import ClosedChange
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, SERVER_ENDED
from wscheck.model.events import CodeLocation, Connected, HandlersRegistered
from wscheck.model.findings import Confidence
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

_DOUBLED = ("doubleInvoke", "StrictEffects", "InvokeEffectsInDEV", "reappearLayoutEffects", "reconnectPassiveEffects")
# One commit of React's runs the effects of all its components: their requests leave together.
SAME_COMMIT_S = 0.05
# For so long a busy machine may hold up a page between the two: then the order of what happened has to say more.
HELD_UP_S = 0.5
# The client closed one and opened the next: an effect's cleanup and its next run.
SWAP_S = 0.25
# Whoever connects again this soon after a kick does so because of it.
AGAIN_S = 10.0


def pairs(trail: UserHistory) -> Iterator[tuple[Connected, Connected]]:
    """Connections of one page that met: one replaced the other, or the second was opened while the first was held."""
    for old, new in (*trail.pairs(), *trail.met):
        if old.page is not None and old.page == new.page:
            yield old, new


def two_openers(trail: UserHistory) -> Clue | None:
    return two_callers(trail) or one_hook(trail)


def two_callers(trail: UserHistory) -> Clue | None:
    """The places where the stacks part: shared code that opens for whoever calls it is not the answer."""
    for old, new in pairs(trail):
        first, second = stack_frames.divergence(old.stack, new.stack), stack_frames.divergence(new.stack, old.stack)
        if first is not None and second is not None and old.opener is not None and new.opener is not None:
            doubtful = old.opener == new.opener and stack_frames.may_be_framework_code(first, old.stack, new.stack)
            if doubtful and _in_one_go(trail, old, new) is None:
                continue  # they may part in the framework, which made one component twice
            through = f", both through {old.opener}" if old.opener == new.opener else ""
            confidence = Confidence.MEDIUM if doubtful else Confidence.HIGH
            return confidence, f"one page opened one connection in {first} and one in {second}{through}"
    return None


def one_hook(trail: UserHistory) -> Clue | None:
    """Several components use the hook that opens: their stacks are the same, since it is React that runs an effect. It
    did not run one twice: StrictMode has names for that, in one of the two stacks."""
    clues: list[Clue] = []
    for old, new in pairs(trail):
        if not old.stack or not _same_place(old, new) or _doubled(old) != _doubled(new):
            continue
        if (gap := _in_one_go(trail, old, new)) is not None:
            told = f"{new.opener} opened two connections {gap * 1000:.0f} ms apart, as two components that use it do"
            clues.append((Confidence.HIGH if gap <= SAME_COMMIT_S else Confidence.MEDIUM, told))
    return next((clue for clue in clues if clue[0] is Confidence.HIGH), clues[0] if clues else None)


def _in_one_go(trail: UserHistory, old: Connected, new: Connected) -> float | None:
    """How far apart they were asked for (seconds), where that may have been one run of the page's code; None where it
    was not: a page hears no answer before its code has run to the end, however slow the machine."""
    first, second = sorted((old, new), key=lambda one: trail.began(one) or 0.0)
    began, then = trail.began(first), trail.began(second)
    if began is None or then is None:
        return None
    seen = trail.saw_begin(first) and trail.saw_begin(second)
    if seen and first.at is not None and first.at <= then:
        return None
    gap = then - began
    return gap if gap <= (HELD_UP_S if seen else SAME_COMMIT_S) else None


def io_in_render(trail: UserHistory) -> Clue | None:
    again = {new.sid: new for old, new in pairs(trail) if _same_place(old, new) and renders(new.stack)}
    if not again:
        return None
    confidence = Confidence.HIGH if len(again) > 1 else Confidence.MEDIUM
    opener = next(iter(again.values())).opener
    return confidence, f"{opener} opened {len(again) + 1} connections while its component rendered"


def strict_mode(trail: UserHistory) -> Clue | None:
    """React says itself that it ran the effect a second time, as StrictMode does in development."""
    for old, new in pairs(trail):
        # Which of the two was acknowledged first says nothing: on a slow line the second run's may overtake.
        # Of two effects, through shared code or through one hook, both may have been run twice: they are two openers.
        if _same_place(old, new) and not _parted(old, new) and _doubled(old) != _doubled(new):
            return Confidence.HIGH, f"StrictMode ran the effect at {new.opener} twice, and the first connection stayed"
    return None


def _doubled(one: Connected) -> bool:
    return any(part in place.function for place in one.stack for part in _DOUBLED)


def _parted(old: Connected, new: Connected) -> bool:
    return (
        stack_frames.divergence(old.stack, new.stack) is not None
        and stack_frames.divergence(new.stack, old.stack) is not None
    )


def hot_reload(trail: UserHistory) -> Clue | None:
    """What was edited may stand some lines further down since."""
    for old, new in pairs(trail):
        if not (old.opener and new.opener and old.script and new.script) or old.opener.file != new.opener.file:
            continue
        if (update := _update(new)) and update != _update(old):
            return Confidence.HIGH, f"{new.opener} ran again from {update}, and the first stayed"
        version = _path(old.script) == _path(new.script) or (old.opener == new.opener and old.client == new.client)
        if old.script != new.script and version:
            return Confidence.HIGH, f"{old.opener} ran again from another version of its script, and the first stayed"
    return None


def _update(one: Connected) -> str:
    """The script that webpack loaded to replace modules of a page, where it ran from one."""
    return next((place.file for place in one.stack if ".hot-update." in place.file), "")


def two_bundles(trail: UserHistory) -> Clue | None:
    for old, new in pairs(trail):
        if old.target != new.target:  # a worker or a frame of another site cannot but have a copy of its own
            continue
        if old.client and new.client and _path(old.client) != _path(new.client):
            return Confidence.HIGH, f"socket.io-client runs from {_path(old.client)} and from {_path(new.client)}"
    return None


def _path(url: str) -> str:
    return url.partition("?")[0]


def forced_new_connection(trail: UserHistory) -> Clue | None:
    for old, new in pairs(trail):
        if _same_place(old, new) and old.url and new.url and old.url != new.url:
            return Confidence.HIGH, f"{old.opener} opened two connections whose {_difference(old.url, new.url)} differ"
    return None


def _difference(old: str, new: str) -> str:
    first, second = dict(parse_qsl(urlsplit(old).query)), dict(parse_qsl(urlsplit(new).query))
    names = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    return f"queries (`{'`, `'.join(names)}`)" if names else "addresses"


def unstable_dependency(trail: UserHistory) -> Clue | None:
    """The client closes and opens again at once, and again: an effect's cleanup, and its next run."""
    swaps: Counter[CodeLocation] = Counter()
    for closed in trail.closings:
        old, at = closed.opening, closed.event.at
        if closed.reason != IO_CLIENT_DISCONNECT or old is None or old.opener is None or at is None:
            continue
        # However late it was answered: that it was asked for at once is what counts.
        after = [new for new in trail.openings if any(0 <= when - at <= SWAP_S for when in _times(trail, new))]
        if any(_same_place(old, new) for new in after):
            swaps[old.opener] += 1
    for opener, count in swaps.most_common(1):
        if count >= 2:
            return Confidence.HIGH, f"{opener} closed its connection and opened the next at once, {count} times"
    return None


def _times(trail: UserHistory, opened: Connected) -> Iterator[float]:
    return (when for when in (trail.began(opened), opened.at) if when is not None)


def back_after_kick(trail: UserHistory) -> Clue | None:
    """The server ended it, and the same code connected again: how steadily does not matter where that is seen."""
    delays = sorted(delay for closed in trail.closings if (delay := _back_after(trail, closed)) is not None)
    if len(delays) < 2:
        return None
    return Confidence.HIGH, f"{len(delays)} times the server ended a connection and its opener connected again, " + (
        f"{delays[len(delays) // 2] * 1000:.0f} ms later"
    )


def _back_after(trail: UserHistory, closed: ClosedChange) -> float | None:
    """How long after a kick its opener was connected again (seconds), None where it was not. What the opener had asked
    for before the kick brought it about, and answered nothing."""
    old, at = closed.opening, closed.event.at
    if closed.reason not in SERVER_ENDED or old is None or old.at is None or at is None:
        return None
    newer = [new for new in trail.openings if new.at is not None and new.at > old.at and _same_place(old, new)]
    if any((trail.began(new) or 0.0) <= at for new in newer):
        return None
    return min((new.at - at for new in newer if new.at is not None and new.at - at <= AGAIN_S), default=None)


def _same_place(old: Connected, new: Connected) -> bool:
    return old.page == new.page and old.opener is not None and old.opener == new.opener


def no_sticky_session(trail: UserHistory) -> Clue | None:
    lost = [event for event in trail.refusals if event.message == SESSION_ID_UNKNOWN]
    if not lost:
        return None
    confidence = Confidence.HIGH if len(lost) > 1 else Confidence.MEDIUM
    return confidence, f'{len(lost)} requests were answered "{SESSION_ID_UNKNOWN}": they reached another process'


def handler_in_connect(trail: UserHistory) -> Clue | None:
    for event in reversed(trail.registrations):
        doubled = doubled_at(event)
        if doubled is not None and event.inside == "connect":
            return Confidence.HIGH, f"{doubled} stands in the connect handler, which ran {len(event.handlers)} times"
    return None


def handler_without_off(trail: UserHistory) -> Clue | None:
    for event in reversed(trail.registrations):
        doubled = doubled_at(event)
        if doubled is not None:
            count = event.handlers.count(doubled)
            # Two may be those of two components that share a hook.
            confidence = Confidence.HIGH if count > 2 else Confidence.MEDIUM
            return confidence, f"{doubled} is registered {count} times for {event.name} on one connection"
    return None


def doubled_at(event: HandlersRegistered) -> CodeLocation | None:
    """Where a handler stands that an event has more than once."""
    return next((place for place, count in Counter(event.handlers).items() if count > 1), None)


def off_without_handler(trail: UserHistory) -> Clue | None:
    for event in reversed(trail.registrations):
        if event.lost:
            return Confidence.HIGH, f"off(`{event.name}`) removed {len(event.lost)} handlers at once"
    return None


LOOKS: dict[str, Signature] = {
    "two-bundles": two_bundles,
    "hot-reload": hot_reload,
    "io-in-render": io_in_render,
    "forced-new-connection": forced_new_connection,
    "unstable-dependency": unstable_dependency,
    "effect-without-cleanup": strict_mode,
    "two-openers": two_openers,
}
"""Why one page opened several connections, as its stacks, scripts and addresses show it."""

HANDLERS: dict[str, Signature] = {
    "handler-in-connect": handler_in_connect,
    "handler-without-off": handler_without_off,
}
"""Why one connection handles an event more than once."""
