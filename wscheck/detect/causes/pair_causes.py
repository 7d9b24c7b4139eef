"""Causes of two connections of one page.

Each pair of connections is explained by its own evidence: where the connections were opened (document, frame or worker,
script, stack), what the source code at that place does, how many mounted components run it, and the order of the
events. Only the order of the times counts, never their distance.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from wscheck.detect import stack_frames
from wscheck.detect.causes import fixes
from wscheck.detect.causes.browser_signatures import TOKEN_NAME
from wscheck.detect.causes.history import Explanation, UserHistory
from wscheck.model.code_facts import CallContext, Cleanup, CodeLocation, OpenerCode
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.model.events import Connected
from wscheck.model.findings import Confidence

# React functions that run an effect a second time in StrictMode.
_STRICT_MODE_FUNCTIONS = (
    "doubleInvoke",
    "StrictEffects",
    "InvokeEffectsInDEV",
    "reappearLayoutEffects",
    "reconnectPassiveEffects",
)
_STRICT_MODE_DEPTH = 4
"""Number of React's frames around a function that StrictMode runs twice, among which the second call differs."""

_PACKAGE = re.compile(r"^(.*?node_modules/(?:@[^/]+/)?[^/]+)/")
_RENDER_ONCE = frozenset({CallContext.STATE_INITIALISER, CallContext.MEMO})
_CALLED_BY_PAGE = frozenset({CallContext.FUNCTION, CallContext.MODULE})
_CALLED_ANY_TIME = _CALLED_BY_PAGE | {CallContext.EVENT_HANDLER}
_RUN_WITH_COMPONENT = _RENDER_ONCE | {CallContext.SETUP, CallContext.RENDER}
_HOOK = re.compile(r"use[A-Z0-9]")
_NEVER_IN_RENDER = frozenset(
    {
        *(CallContext.STATE_INITIALISER, CallContext.EFFECT, CallContext.CONSTRUCTOR, CallContext.MODULE),
        *(CallContext.EVENT_HANDLER, CallContext.DISCONNECT_HANDLER),
    }
)


_EXPLAIN_ALL_OF_AN_OPENER = frozenset({"opened-on-disconnect", "reopened-without-closing"})
"""Causes that also explain the first overlap of their opener with a connection of another opener."""


class PairClue(NamedTuple):
    """Evidence for the cause of a pair of connections, as a clause.

    The fix names the code that opened the connections; it is "" if the fix of the catalogue is used.
    """

    confidence: Confidence
    because: str
    fix: str = ""


class Pair(NamedTuple):
    """Older and newer connection of one page, that were open together or replaced each other."""

    history: UserHistory
    old: Connected
    new: Connected

    @property
    def has_one_opener(self) -> bool:
        """True if the same call site opened both connections."""
        return self.old.opener is not None and self.old.opener == self.new.opener

    @property
    def context(self) -> CallContext | None:
        """Part of the program that opened the newer connection (an effect, a handler, ...), None if unknown."""
        return self.new.code.context if self.new.code is not None else None

    @property
    def mounted(self) -> int | None:
        """Number of mounted components that run the code of the newer connection, None if unknown."""
        return self.new.code.mounted if self.new.code is not None else None

    @property
    def place(self) -> str:
        """Opener (call site) of the newer connection, as text."""
        return str(self.new.opener)

    def divergence(self) -> tuple[CodeLocation, CodeLocation] | None:
        """Return the application's stack frames at which the two stacks differ, None if they do not differ.

        The callers of the effect, handler or component that opened the connection are ignored: they show why it ran
        at that time, not which code opened the connection.
        """
        old, new = _own_stack(self.old), _own_stack(self.new)
        first, second = stack_frames.divergence(old, new), stack_frames.divergence(new, old)
        return (first, second) if first is not None and second is not None else None


def _own_stack(opening: Connected) -> tuple[CodeLocation, ...]:
    """Return the application's frames from the opener up to the effect, handler or component that called the opener.

    If a hook called the opener while a component was created or rendered, this component is the last frame.

    Return all application frames if no framework called the opener, or if a service class opens the connection: that
    connection belongs to the code which created the instance.
    """
    code = opening.code
    if code is None or code.context is None or opening.opener not in opening.stack:
        return opening.stack
    is_service = code.context in (CallContext.CONSTRUCTOR, CallContext.SETUP) and code.holder == "class"
    if code.context in _CALLED_BY_PAGE or is_service:
        return stack_frames.app_frames(opening.stack)
    calling = stack_frames.calling_frames(opening.stack, opening.stack.index(opening.opener))
    last = min(code.frames, len(calling)) - 1
    if code.holder == "hook" and code.context in _RUN_WITH_COMPONENT:
        outer = (at for at in range(last, len(calling)) if not _is_hook(opening.stack[calling[at]]))
        last = next(outer, len(calling) - 1)
    return opening.stack[: calling[last] + 1]


def _is_hook(frame: CodeLocation) -> bool:
    return _HOOK.match(frame.function.rpartition(".")[2]) is not None


def same_page_pairs(history: UserHistory) -> Iterator[Pair]:
    """Yield the pairs of connections of one page."""
    for old, new in (*history.replaced_pairs(), *history.met):
        if old.page is not None and old.page == new.page:
            yield Pair(history, old, new)


def explain_pairs(history: UserHistory, causes: frozenset[str] | None = None) -> list[Explanation]:
    """Return the causes that explain the pairs of connections of each page, the most specific first, each cause once.

    causes  causes that are considered, None for all
    """
    found: dict[str, PairClue] = {}
    decided = [(pair, decision) for pair in same_page_pairs(history) if (decision := _decide(pair, causes)) is not None]
    reopening = {_reopened(pair).opener for pair, (cause, _) in decided if cause in _EXPLAIN_ALL_OF_AN_OPENER}
    for pair, (cause, clue) in decided:
        if cause == "two-openers" and pair.new.opener in reopening:
            continue
        before = found.get(cause)
        if before is None or clue.confidence.rank > before.confidence.rank:
            found[cause] = clue
    return [Explanation(cause, *found[cause]) for cause in PAIR_CAUSES if cause in found]


def _decide(pair: Pair, causes: frozenset[str] | None) -> tuple[str, PairClue] | None:
    for cause, signature in PAIR_CAUSES.items():
        if (causes is None or cause in causes) and (clue := signature(pair)) is not None:
            return cause, clue
    return None


# --- pages, frames, scripts -----------------------------------------------------------------------------------------


def page_and_worker(pair: Pair) -> PairClue | None:
    kinds = {_kind(pair.old), _kind(pair.new)}
    worker = next((kind for kind in sorted(kinds) if kind.endswith("worker")), None)
    if worker is None or len(kinds) < 2:
        return None
    name = worker.replace("_", " ")
    because = f"the page and its {name} each opened one: {_both_places(pair)}"
    return PairClue(Confidence.HIGH, because, fixes.page_and_worker(pair.old, pair.new))


def frame_and_parent(pair: Pair) -> PairClue | None:
    frame = next((one for one in (pair.new, pair.old) if _kind(one) == "iframe"), None)
    if frame is None or pair.old.target == pair.new.target:
        return None
    url = (frame.target or "").partition(" ")[2]
    return PairClue(Confidence.HIGH, f"the page and its frame {url} each opened one: {_both_places(pair)}")


def _kind(opening: Connected) -> str:
    return (opening.target or "").partition(" ")[0]


def _both_places(pair: Pair) -> str:
    first, second = sorted((str(pair.old.opener), str(pair.new.opener)))
    return f"both at {first}" if first == second else f"{first} and {second}"


def hot_reload(pair: Pair) -> PairClue | None:
    """Detect two connections from two versions of one file.

    The edit between them may have moved the opener by some lines.
    """
    old, new = pair.old, pair.new
    if not (old.opener and new.opener and old.script and new.script) or old.opener.file != new.opener.file:
        return None
    if (update := _hot_update_script(new)) and update != _hot_update_script(old):
        return PairClue(Confidence.HIGH, f"{new.opener} ran again from {update}, and the first connection stayed open")
    is_own_module = new.script.startswith("webpack") and old.script == new.script and old.run != new.run
    same_library = old.opener == new.opener and old.client == new.client
    is_version = _without_query(old.script) == _without_query(new.script) or same_library
    if is_own_module or (old.script != new.script and is_version):
        ran = f"{old.opener} ran again from another version of its script"
        return PairClue(Confidence.HIGH, f"{ran}, and the first connection stayed open")
    return None


def _hot_update_script(opening: Connected) -> str:
    """Return the URL of the webpack hot update script that opened the connection, "" if none did."""
    return next((frame.file for frame in opening.stack if ".hot-update." in frame.file), "")


def script_ran_twice(pair: Pair) -> PairClue | None:
    old, new = pair.old, pair.new
    if not (pair.has_one_opener and old.script and old.script == new.script and old.document == new.document):
        return None
    if not (old.run and new.run) or old.run == new.run:
        return None
    return PairClue(
        Confidence.HIGH,
        f"the page ran the script {new.script} again ({max(old.run, new.run)} times), and each run opened a connection",
        fixes.script_ran_twice(new),
    )


def module_in_two_bundles(pair: Pair) -> PairClue | None:
    old, new = pair.old, pair.new
    if not (pair.has_one_opener and _have_own_scripts(old, new)) or stack_frames.is_unmapped(_opener(new)):
        return None
    scripts = " and ".join(sorted((str(old.script), str(new.script))))
    because = f"the module {_opener(new).file} ran in both bundles, {scripts}"
    return PairClue(Confidence.HIGH, because, fixes.module_in_two_bundles(new))


def micro_frontends(pair: Pair) -> PairClue | None:
    old, new = pair.old, pair.new
    if pair.has_one_opener or not _have_own_scripts(old, new):
        return None
    because = f"two scripts with a copy of socket.io-client each opened one: {_both_places(pair)}"
    return PairClue(Confidence.HIGH, because)


def _have_own_scripts(old: Connected, new: Connected) -> bool:
    """Return whether two different scripts opened the connections, and each script contains its own client library."""
    scripts = [(_without_query(one.script or ""), _without_query(one.client or "")) for one in (old, new)]
    return all(script and script == client for script, client in scripts) and scripts[0] != scripts[1]


def two_bundles(pair: Pair) -> PairClue | None:
    """Detect two copies of socket.io-client that opened one namespace each.

    A single copy would put both namespaces on one connection.
    """
    old, new = pair.old, pair.new
    if old.namespace == new.namespace or old.target != new.target:
        return None
    scripts = [_without_query(one.client or "") for one in (old, new)]
    packages = [_client_package(one) for one in (old, new)]
    for first, second in (scripts, packages):
        if first and second and first != second:
            return PairClue(Confidence.HIGH, f"socket.io-client runs from {first} and from {second}")
    return None


def _client_package(opening: Connected) -> str:
    """Return the folder of the client library's package in which the opener called `io`, "" if it is in no package."""
    at = opening.stack.index(opening.opener) if opening.opener in opening.stack else 0
    match = _PACKAGE.match(opening.stack[at - 1].file) if at else None
    return match[1] if match is not None else ""


def _without_query(url: str) -> str:
    return url.partition("?")[0]


def _opener(opening: Connected) -> CodeLocation:
    return opening.opener or CodeLocation("")


# --- code that opens again ------------------------------------------------------------------------------------------


def opened_on_disconnect(pair: Pair) -> PairClue | None:
    """Detect a disconnect handler that opened one of the two connections.

    If the client has also reconnected by itself, the handler's connection can be the older one.
    """
    opened = _reopened(pair)
    if opened.code is None or opened.code.context is not CallContext.DISCONNECT_HANDLER:
        return None
    place = opened.opener
    because = f"a disconnect handler runs {place}, which opens a connection beside the client's own reconnection"
    return PairClue(Confidence.HIGH, because)


def _reopened(pair: Pair) -> Connected:
    """Return the connection of the pair that the page's code opened, rather than the client's automatic reconnection.

    This is the newer one, unless a disconnect handler opened the older one and the newer one may be a reconnection.
    """
    code = pair.old.code
    in_handler = code is not None and code.context is CallContext.DISCONNECT_HANDLER
    return pair.old if in_handler and _is_reconnection(pair.history, pair.new) else pair.new


def _is_reconnection(history: UserHistory, opening: Connected) -> bool:
    """Return whether `opening` may be the reconnection of an earlier connection that was lost.

    The two connections have the same document and the same stack.
    """
    lost = (closed.opening for closed in history.closings if closed.reason != IO_CLIENT_DISCONNECT)
    return any(
        old is not None and old.sid != opening.sid and old.document == opening.document and old.stack == opening.stack
        for old in lost
    )


def reconnection_not_cancelled(pair: Pair) -> PairClue | None:
    """Detect a client library that reconnected automatically after the code had closed or replaced its client.

    The code has replaced a client whose connection was lost only if it assigned the next client to the same variable.
    """
    history, old, new = pair
    of_old, of_new = pair.divergence() or (old.opener, new.opener)
    for reconnection, other, place, other_place in ((new, old, of_new, of_old), (old, new, of_old, of_new)):
        ends = (each for each in reversed(history.closings) if each.sid == reconnection.reconnects)
        end = next(ends, None) if reconnection.reconnects and not other.reconnects else None
        if end is None or end.opening is None or (end.opening, other) in history.met:
            continue
        if end.reason == IO_CLIENT_DISCONNECT:
            because = f"the code closed the connection of {place}, and its client connected again by itself"
            return PairClue(Confidence.HIGH, because, fixes.cancel_reconnection(reconnection))
        variable = _variable(reconnection)
        if variable is not None and variable == _variable(other):
            because = (
                f"the connection of {place} was lost, {other_place} opened another in its place, and the client of "
                "the first connected again by itself"
            )
            return PairClue(Confidence.MEDIUM, because, fixes.cancel_reconnection(reconnection))
    return None


def _variable(opening: Connected) -> tuple[str, str] | None:
    """Return the file and the variable to which the code assigned the client, None if it assigned it to none."""
    assigned_to = opening.code.assigned_to if opening.code is not None else ""
    return (_opener(opening).file, assigned_to) if assigned_to else None


def io_in_render(pair: Pair) -> PairClue | None:
    code = pair.new.code
    if code is not None and code.of_render and pair.has_one_opener and (code.mounted or 1) == 1:
        because = (
            f"{pair.place} uses `{code.of_render}`, which {code.owner or 'the component'} creates at each render, "
            "so each run of the effect opens a connection of its own"
        )
        return PairClue(Confidence.HIGH, because, fixes.create_client_once(pair.new))
    in_body = code is not None and code.context is CallContext.RENDER
    runs_once = code is not None and (code.guarded or code.context in _NEVER_IN_RENDER)
    if not pair.has_one_opener or runs_once or not (in_body or stack_frames.is_rendering(pair.new.stack)):
        return None
    rendered = {
        other.new.sid
        for other in same_page_pairs(pair.history)
        if other.has_one_opener and other.new.opener == pair.new.opener
    }
    confidence = Confidence.HIGH if len(rendered) > 1 or in_body else Confidence.MEDIUM
    because = f"{pair.place} opened {len(rendered) + 1} connections while its component rendered"
    return PairClue(confidence, because, fixes.io_in_render(pair.new))


def strict_mode_initialiser(pair: Pair) -> PairClue | None:
    """Detect code that opens a connection during a render, and that React's StrictMode ran twice.

    The code is a state initialiser, a memo, or a component body that checks for an existing connection.
    """
    code = pair.new.code
    runs_once = code is not None and (
        code.context in _RENDER_ONCE or (code.guarded and code.context is CallContext.RENDER)
    )
    if not (pair.has_one_opener and runs_once and _ran_twice_in_strict_mode(pair)):
        return None
    because = f"StrictMode ran {pair.place} twice while rendering, and nothing holds the first connection"
    return PairClue(Confidence.HIGH, because, fixes.move_to_effect(pair.new))


def _ran_twice_in_strict_mode(pair: Pair) -> bool:
    """Return whether React called a function twice in one render.

    StrictMode makes the two calls on different lines of React's code. All other React frames of the two stacks are
    equal.
    """
    old, new = (
        [frame for frame in one.stack if stack_frames.is_framework_frame(frame)] for one in (pair.old, pair.new)
    )
    names = [frame.function for frame in old] == [frame.function for frame in new]
    different = [first != second for first, second in zip(old, new, strict=False)]
    return names and sum(different) == 1 and any(different[:_STRICT_MODE_DEPTH])


def opened_after_cleanup(pair: Pair) -> PairClue | None:
    code = pair.new.code
    if code is None or code.context is not CallContext.EFFECT or not pair.has_one_opener:
        return None
    if code.cleanup is Cleanup.MISSING or (code.mounted or 0) > 1 or pair.divergence() is not None:
        return None
    if not code.after_await:
        return _opened_by_client_after_cleanup(pair, code)
    confidence = Confidence.HIGH if code.mounted is not None else Confidence.MEDIUM
    because = f"the effect of {pair.place} waits before it opens, so it opened after its cleanup had run"
    return PairClue(confidence, because, fixes.opened_after_cleanup(pair.new))


def _opened_by_client_after_cleanup(pair: Pair, code: OpenerCode) -> PairClue | None:
    """Detect a client library that opens its connection asynchronously, after the cleanup of the effect has run.

    The effect of exactly one mounted component ran twice, and its cleanup closes the client of each run.
    """
    ran_twice = is_strict_rerun(pair.old) != is_strict_rerun(pair.new) or are_separate_runs(pair)
    if code.cleanup is not Cleanup.CLOSES or code.mounted != 1 or not ran_twice:
        return None
    because = (
        f"the effect of {pair.place} ran twice and its cleanup closes the connection, but one more is open than there "
        "are components: its client opened it after the cleanup had run"
    )
    return PairClue(Confidence.MEDIUM, because, fixes.close_before_opening(pair.new))


def guard_before_await(pair: Pair) -> PairClue | None:
    """Detect two calls that passed a check for an earlier connection before either of them had stored one."""
    code = pair.new.code
    if code is None or not code.races or code.dropped_at or not pair.has_one_opener:
        return None
    because = f"the check for an earlier connection precedes a wait, and two calls passed it before {pair.place} ran"
    return PairClue(Confidence.HIGH, because, fixes.guard_before_await(pair.new))


def opened_per_action(pair: Pair) -> PairClue | None:
    """Detect two overlapping runs of a function that opens a connection and closes it at the end of each run."""
    code = pair.new.code
    is_function = code is not None and code.context in _CALLED_ANY_TIME and code.cleanup is Cleanup.CLOSES
    if not is_function or not pair.has_one_opener or pair.divergence() is not None:
        return None
    because = f"each run of {pair.place} opens a connection and closes it at its end, and two runs overlapped"
    return PairClue(Confidence.HIGH, because, fixes.keep_one_connection(pair.new))


def strict_mode(pair: Pair) -> PairClue | None:
    """Detect two connections of which exactly one was opened when React's StrictMode ran an effect again."""
    # The order of the acknowledgements proves nothing: on a slow network, the second run may be acknowledged first.
    # Diverging stacks belong to two effects that call shared code, and both effects may have run twice.
    closes = pair.new.code is not None and pair.new.code.cleanup is Cleanup.CLOSES
    if closes or not pair.has_one_opener or pair.divergence() is not None:
        return None
    if is_strict_rerun(pair.old) == is_strict_rerun(pair.new):
        return None
    ran = f"StrictMode ran the effect at {pair.place} twice"
    fix = fixes.close_when_it_leaves(pair.new)
    return PairClue(Confidence.HIGH, f"{ran}, and the first connection stayed open", fix)


def is_strict_rerun(opening: Connected) -> bool:
    """Return whether a connection was opened when React's StrictMode ran an effect for the second time."""
    return any(part in frame.function for frame in opening.stack for part in _STRICT_MODE_FUNCTIONS)


def token_refresh(pair: Pair) -> PairClue | None:
    old, new = pair.old, pair.new
    if not (old.fingerprint and new.fingerprint) or old.fingerprint == new.fingerprint:
        return None
    if pair.new.code is not None and pair.new.code.dropped_at:
        return None  # signing in again, after the code has forgotten the connection
    owners = [one.code.owner for one in (old, new) if one.code is not None and one.code.context is CallContext.EFFECT]
    if len(set(owners)) == 2:
        return None  # two components, each with a token of its own
    return PairClue(Confidence.HIGH, "the two connections of one page presented different tokens")


def reopened_without_closing(pair: Pair) -> PairClue | None:
    code = pair.new.code
    if code is None or code.context not in _CALLED_ANY_TIME or code.guarded or code.cleanup is Cleanup.CLOSES:
        return None
    old = pair.old.code
    same_variable = old is not None and code.overwrites and code.assigned_to == old.assigned_to
    same_file = _opener(pair.old).file == _opener(pair.new).file
    opens_again = pair.has_one_opener and (code.overwrites or pair.divergence() is None)
    if not opens_again and not (same_variable and same_file):
        return None
    verb = {CallContext.EVENT_HANDLER: "a listener runs", CallContext.MODULE: "the page ran"}.get(code.context, "")
    opened = f"{verb} {pair.place} again, which" if verb else f"{pair.place} ran again and"
    because = f"{opened} opened another connection while the earlier one was open"
    differing = _differing_address(pair)
    if differing:
        because = f"{because}; their {differing} differ"
    return PairClue(Confidence.HIGH, because, fixes.reopened_without_closing(pair.new, has_values=bool(differing)))


def forced_new_connection(pair: Pair) -> PairClue | None:
    old, new = pair.old, pair.new
    if old.namespace != new.namespace and old.target == new.target and _endpoint(old) == _endpoint(new):
        forced = sorted({str(one.opener) for one in (old, new) if one.code is not None and one.code.forces_new})
        if forced:
            names = f"{old.namespace} and {new.namespace}"
            because = f"{' and '.join(forced)} forced a connection of its own, so the namespaces {names} share none"
            return PairClue(Confidence.HIGH, because, fixes.stop_forcing(forced))
    differing = _differing_address(pair)
    # Only Socket.IO's client would share a connection to one URL. Elsewhere, two callers are two openers at any URL.
    two_callers = new.protocol is not None and pair.divergence() is not None
    is_other = two_callers or _opens_at_each_event(pair) or _is_left(pair) or opened_per_action(pair) is not None
    if differing and not is_other:
        because = f"{old.opener} opened two connections whose {differing} differ"
        fix = fixes.varying_address(new) if old.namespace == new.namespace else ""
        return PairClue(Confidence.HIGH, because, fix)
    return None


def _opens_at_each_event(pair: Pair) -> bool:
    """Return whether an event listener, or a later run of the same code, opened the newer connection.

    If so, a different URL is not the cause: the code would also open a second connection to the same URL.
    """
    is_later = pair.context is CallContext.EVENT_HANDLER or are_separate_runs(pair)
    return is_later and reopened_without_closing(pair) is not None


def _is_left(pair: Pair) -> bool:
    """Return whether the effect of one component ran again, and the connection of the run before stayed open.

    The effect never closes its connection, or opens it after its cleanup has run. In the second case, the addresses may
    differ in tokens only: an effect whose addresses differ otherwise opens several connections on purpose.
    """
    code = pair.new.code
    if opened_after_cleanup(pair) is not None:
        names = _differing_parameters(pair.old.url or "", pair.new.url or "")
        return bool(names) and all(map(TOKEN_NAME.search, names))
    is_unclosed = code is not None and code.context is CallContext.EFFECT and code.cleanup is Cleanup.MISSING
    return is_unclosed and (pair.mounted or 0) < 2 and are_separate_runs(pair)


def _endpoint(opening: Connected) -> str:
    return _without_query(opening.url or "")


def _differing_address(pair: Pair) -> str:
    """Return the part in which the URLs of two connections of one opener differ, as text for a sentence.

    For example "queries (`token`)" or "addresses". Return "" if the URLs are equal or unknown, or the openers differ.
    """
    old, new = pair.old.url, pair.new.url
    return _difference(old, new) if pair.has_one_opener and old and new and old != new else ""


def _differing_parameters(old: str, new: str) -> list[str]:
    first, second = dict(parse_qsl(urlsplit(old).query)), dict(parse_qsl(urlsplit(new).query))
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _difference(old: str, new: str) -> str:
    names = _differing_parameters(old, new)
    return f"queries (`{'`, `'.join(names)}`)" if names else "addresses"


# --- components -----------------------------------------------------------------------------------------------------


def provider_mounted_twice(pair: Pair) -> PairClue | None:
    code = pair.new.code
    if code is None or not code.provides or not code.owner or not pair.has_one_opener:
        return None
    is_component = code.holder == "component" and code.context is not CallContext.FUNCTION
    if not is_component or (code.mounted or 0) < 2:
        return None
    because = f"{code.owner} is mounted {code.mounted} times, and each opens a connection at {pair.place}"
    return PairClue(Confidence.HIGH, because, fixes.provider_mounted_twice(pair.new))


def discarded_render(pair: Pair) -> PairClue | None:
    """Detect a state initialiser that ran again because React had discarded the render of its first run.

    A component that suspends before it is mounted renders again from the start, with new state. No effect of the first
    run exists, so nothing closes its connection, although the code closes the connection of a mounted component.
    """
    code = pair.new.code
    if code is None or code.context not in _RENDER_ONCE or code.cleanup is not Cleanup.CLOSES:
        return None
    if not pair.has_one_opener or stack_frames.framework_name(pair.new.stack) != "react" or (code.mounted or 0) > 1:
        return None
    because = (
        f"{pair.place} runs while a component is created, and ran again although an effect would have closed the first "
        "connection when the component left"
    )
    return PairClue(Confidence.MEDIUM, because, fixes.move_to_effect(pair.new))


def two_openers(pair: Pair) -> PairClue | None:
    """Detect two callers or two components that each opened one of the connections.

    Callers are recognised by the stacks. Components that run the same code are recognised by the component tree and the
    source code.
    """
    return _two_callers(pair) or _shared_code(pair)


def _two_callers(pair: Pair) -> PairClue | None:
    """Detect two callers in the application, by the frame at which the two stacks differ.

    Both callers may use the same code to connect: the frames below the differing frame are then equal.
    """
    old, new = pair.old, pair.new
    diverging = pair.divergence()
    if diverging is None or old.opener is None or new.opener is None:
        return None
    is_doubtful = pair.has_one_opener and stack_frames.may_be_framework_code(diverging[0], old.stack, new.stack)
    if is_doubtful and (pair.mounted or 0) < 2 and not may_be_one_run(pair):
        return None  # the stacks may diverge within the framework, which created one component twice
    through = f", both through {old.opener}" if pair.has_one_opener else ""
    one, other = sorted((str(diverging[0]), str(diverging[1])))
    confidence = Confidence.MEDIUM if is_doubtful else Confidence.HIGH
    return PairClue(
        confidence,
        f"one page opened one connection in {one} and one in {other}{through}",
        fixes.share(pair.new, _caller_names(pair, diverging)),
    )


def _caller_names(pair: Pair, diverging: tuple[CodeLocation, CodeLocation]) -> list[str]:
    """Return the names of the two callers, or their places if the names are equal."""
    owners = [one.code.owner if one.code is not None else "" for one in (pair.old, pair.new)]
    labels = [stack_frames.location_label(frame) for frame in diverging]
    named = next(
        (names for names in (owners, labels) if all(names) and names[0] != names[1]), list(map(str, diverging))
    )
    return sorted(named)


def _shared_code(pair: Pair) -> PairClue | None:
    """Detect two components that run the same code, for example the same hook.

    The framework calls the code, so the stacks do not contain the components. If exactly one of the two stacks contains
    React's functions for StrictMode, return None: StrictMode ran the effect of one component twice.
    """
    code, opened = pair.new.code, f"{pair.place} opens a connection"
    if not pair.has_one_opener or not pair.old.stack:
        return None
    if code is not None and (code.mounted or 0) > 1:
        names = fixes.component_names(code)
        components = f"{code.mounted} mounted components" + (f" ({', '.join(names)})" if names else "")
        return PairClue(Confidence.HIGH, f"{opened} for each of {components}", fixes.share(pair.new, names))
    if is_strict_rerun(pair.old) != is_strict_rerun(pair.new):
        return None
    if code is not None and code.context is CallContext.EFFECT:
        # The connection of a component that left would be closed.
        closes = code.cleanup is Cleanup.CLOSES and not code.after_await and not code.mounted
        because = f"{opened} and closes it when its component leaves, so two components that use it are mounted"
        return PairClue(Confidence.MEDIUM, because, fixes.share(pair.new, [])) if closes else None
    if code is None and may_be_one_run(pair):
        because = f"{pair.place} opened two connections before the first was answered, as two components that use it do"
        return PairClue(Confidence.MEDIUM, because)
    return None


def may_be_one_run(pair: Pair) -> bool:
    """Return whether one run of the page's code may have sent both requests, by the order of requests and answers.

    The page cannot receive the answer to the first request before its code has run to the end. An answer before the
    second request therefore means two runs.
    """
    return _answered_first(pair) is False


def are_separate_runs(pair: Pair) -> bool:
    """Return whether the first request of a pair was answered before the second was sent: the code ran twice."""
    return _answered_first(pair) is True


def _answered_first(pair: Pair) -> bool | None:
    """Return whether the first request was answered before the second was sent, None if a time is unknown."""
    history = pair.history
    if not (history.has_request(pair.old) and history.has_request(pair.new)):
        return None
    first, second = sorted((pair.old, pair.new), key=lambda one: history.requested_at(one) or 0.0)
    second_at = history.requested_at(second)
    return first.at <= second_at if first.at is not None and second_at is not None else None


def unmount_without_cleanup(pair: Pair) -> PairClue | None:
    if not pair.has_one_opener or not pair.new.stack:
        return None
    code, confidence = pair.new.code, Confidence.MEDIUM
    because = f"{pair.place} opened another connection while its first was still open"
    if _kind(pair.new) == _kind(pair.old) == "worker" and pair.new.document != pair.old.document:
        url = (pair.new.target or "").partition(" ")[2]
        because = f"two workers of {url} run at once, and each opened a connection at {pair.place}"
        return PairClue(Confidence.HIGH, because, fixes.terminate_worker(pair.new))
    if code is not None and code.mounted is not None and fixes.belongs_to_instance(code):
        because, confidence = f"{because}; mounted components that use it: {code.mounted}", Confidence.HIGH
    return PairClue(confidence, because, fixes.close_when_it_leaves(pair.new))


PairSignature = Callable[[Pair], PairClue | None]

PAIR_CAUSES: dict[str, PairSignature] = {
    "page-and-worker": page_and_worker,
    "frame-and-parent": frame_and_parent,
    "hot-reload": hot_reload,
    "script-ran-twice": script_ran_twice,
    "module-in-two-bundles": module_in_two_bundles,
    "micro-frontends": micro_frontends,
    "two-bundles": two_bundles,
    "opened-on-disconnect": opened_on_disconnect,
    "reconnection-not-cancelled": reconnection_not_cancelled,
    "strict-mode-initialiser": strict_mode_initialiser,
    "io-in-render": io_in_render,
    "forced-new-connection": forced_new_connection,
    "guard-before-await": guard_before_await,
    "opened-after-cleanup": opened_after_cleanup,
    "effect-without-cleanup": strict_mode,
    "token-refresh": token_refresh,
    "opened-per-action": opened_per_action,
    "reopened-without-closing": reopened_without_closing,
    "provider-mounted-twice": provider_mounted_twice,
    "two-openers": two_openers,
    "discarded-render": discarded_render,
    "unmount-without-cleanup": unmount_without_cleanup,
}
"""Cause id to the signature of one pair, the most specific first."""
