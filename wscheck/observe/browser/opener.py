"""Openers: the call sites that opened connections, from DevTools stacks, and the openers of reconnections.

A timer or an event handler inside the client library opens a reconnection. The opener of a reconnection is therefore
the code that called io() for the first connection.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice, pairwise, takewhile
from typing import Any, Protocol, TypeVar

import msgspec

from wscheck.detect import stack_frames
from wscheck.detect.code.openings import MAX_FRAMES, opener_code, rendered_hook
from wscheck.detect.code.source_tree import opener_patch
from wscheck.detect.code.syntax import SourceCode, TooComplex, limited, parse_source
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode
from wscheck.model.events import CodeLocation
from wscheck.observe.traffic import ConnectionOrigin, TrafficRedactor, TrafficSession

T = TypeVar("T")

MAX_STACK_DEPTH = 80

MAX_CANDIDATES = 200
"""Earlier connections of one document that a reconnection may continue, of which the latest are looked at."""

MAX_FILE_S, MAX_TOTAL_S, MAX_INTERRUPTED_S = 3.0, 9.0, 1.0
"""Longest time to read the code of one opener, and of all. Code that people write takes a fraction of a second."""

_IO_FUNCTION_FILE = re.compile(r"socket\.io-client/[^\n]{0,200}\bindex\.\w+$|socket\.io(\.\w+){0,8}\.js$")


class ScriptResolver(Protocol):
    """Interface to the scripts of a live browser or of a HAR file, with their source maps."""

    def resolve_frame(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Return the source position of a DevTools call frame, and the original name of the function called there."""
        ...

    def position_in_bundle(self, session: str, frame: dict[str, Any]) -> CodeLocation:
        """Return the position of a DevTools call frame in its script, and store a note that it is not in a source file.

        Use this for a frame whose position the script's source map does not contain.
        """
        ...

    def script_url(self, session: str, script_id: str, url: str) -> str:
        """Return the URL of a script as reports show it: without user and password, its query replaced by a hash."""
        ...

    def source_at(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, bytes] | None:
        """Return the position of a DevTools call frame in its source file, and the text of this file.

        Return None if the text is not available.
        """
        ...

    def run_number(self, session: str, script_id: str) -> int:
        """Return 1 for the first evaluation of a script in its document, 2 for the second and so on; 0 if unknown."""
        ...


class DevToolsStack(msgspec.Struct, frozen=True):
    """Stack trace of the DevTools protocol (Runtime.StackTrace).

    session     the DevTools session id
    stack       JSON object with `callFrames`, and with `parent` if the stack continues across an await or a timer
    is_of_loop  True if the same run of an async function sent an earlier message, too: the function is then a loop
                that sends queued messages, and the outer frames do not show the code that queued them
    """

    session: str
    stack: dict[str, Any]
    is_of_loop: bool = False

    def segments(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the call frames of each segment (the part between two awaits or timers), innermost first."""
        segment: dict[str, Any] | None = self.stack
        while segment is not None:
            yield segment.get("callFrames", [])
            segment = segment.get("parent")

    def script_ids(self) -> set[str]:
        """Return the ids of the scripts in the stack."""
        return {frame["scriptId"] for segment in self.segments() for frame in segment}


def resolve_origin(raw_stack: DevToolsStack | None, scripts: ScriptResolver) -> ConnectionOrigin:
    """Return the call site that opened a connection, with its stack.

    An asynchronous stack has several parts, the innermost first. The parts are read outwards. If a library, such as a
    framework's scheduler, started application code, the parts further out are left out: the code that called a
    scheduler is unrelated to the code that the scheduler runs.
    """
    if raw_stack is None:
        return ConnectionOrigin()
    stack: list[CodeLocation] = []
    for segment in raw_stack.segments():
        stack += _resolve_segment(raw_stack.session, segment, scripts)
        at_framework = segment and stack_frames.app_frames(stack) and stack_frames.is_library_frame(stack[-1])
        if len(stack) >= MAX_STACK_DEPTH or at_framework:
            break
    return _origin_of(raw_stack, stack, scripts)


def _origin_of(raw_stack: DevToolsStack, stack: list[CodeLocation], scripts: ScriptResolver) -> ConnectionOrigin:
    """Return the origin of a connection: its opener is the innermost position of `stack` in the application."""
    frames = [frame for segment in raw_stack.segments() for frame in segment]
    own_frames = stack_frames.app_frames(stack)
    unmapped = next((at for at, place in enumerate(stack) if place.file == stack_frames.UNMAPPED), None)
    # Beside a package's frames, an unmapped position is a function that the bundler added.
    if not own_frames and unmapped is not None and not stack_frames.has_package(stack):
        stack[unmapped] = scripts.position_in_bundle(raw_stack.session, frames[unmapped])
        own_frames = stack_frames.app_frames(stack)
    opener = own_frames[0] if own_frames else None
    client = next((place for place in stack if stack_frames.is_client_frame(place)), None)
    return ConnectionOrigin(
        opener=opener,
        stack=tuple(stack[:MAX_STACK_DEPTH]),
        component=stack_frames.location_label(opener) if opener is not None else None,
        script=_script_url(raw_stack, frames, stack, scripts, opener),
        client=_script_url(raw_stack, frames, stack, scripts, client),
        run=scripts.run_number(raw_stack.session, frames[stack.index(opener)]["scriptId"]) if opener is not None else 0,
    )


def opener_frames(raw_stack: DevToolsStack, origin: ConnectionOrigin) -> list[dict[str, Any]]:
    """Return the call frames of the application's functions that called each other, from the opener outwards.

    The frames end where a library called the application, unless the application had called this library to run its
    code at once. Frames further out show the reason why the code ran at that time, not the code that opened the
    connection.
    """
    if origin.opener is None or origin.opener not in origin.stack:
        return []
    frames = [frame for segment in raw_stack.segments() for frame in segment]
    start = origin.stack.index(origin.opener)
    return [frames[at] for at in stack_frames.calling_frames(origin.stack, start)]


class OpenerCodeReader:
    """Reader of the facts about the code of openers. Each source file is parsed once.

    A page or a HAR file can contain any text as source code: reading it is bounded in time.

    redactor  replaces the secrets of the traffic, which the source may contain as well
    """

    def __init__(self, scripts: ScriptResolver, redactor: TrafficRedactor) -> None:
        self._scripts, self._redactor = scripts, redactor
        self._parsed: dict[tuple[str, bytes], SourceCode] = {}
        self._found: dict[tuple[CodeLocation, ...], OpenerCode | None] = {}
        self._too_complex: dict[str, None] = {}
        self._left_s = MAX_TOTAL_S

    @property
    def notes(self) -> list[str]:
        """Sentences about source files whose code could not be read."""
        return [
            f"The code in {self._redactor.redact(file)} takes too long to read: causes may be missing."
            for file in self._too_complex
        ]

    def resolve_origin(self, raw_stack: DevToolsStack) -> ConnectionOrigin:
        """Return the call site that opened a connection, with its stack and the facts about its code."""
        origin = resolve_origin(raw_stack, self._scripts)
        hook = self._rendered_hook(raw_stack, origin)
        if hook is None:
            return msgspec.structs.replace(origin, code=self.read(raw_stack, origin))
        # The hook's library closes the connection when the component leaves.
        code = OpenerCode(context=CallContext.EFFECT, owner=hook.function, holder="component", cleanup=Cleanup.CLOSES)
        stack = tuple(hook if place == origin.opener else place for place in origin.stack)
        component = stack_frames.location_label(hook)
        return msgspec.structs.replace(origin, opener=hook, component=component, stack=stack, code=code)

    def resolve_package(self, raw_stack: DevToolsStack) -> ConnectionOrigin:
        """Return the call site (in a package) that opened a connection, for a stack without application code."""
        origin = resolve_origin(raw_stack, self._scripts)
        stack = stack_frames.calling_package(origin.stack)
        if stack == origin.stack:
            return origin
        origin = _origin_of(raw_stack, list(stack), self._scripts)
        code = self.read(raw_stack, origin)
        # A change of an installed package would be lost.
        return msgspec.structs.replace(origin, code=msgspec.structs.replace(code, patch=None) if code else None)

    def _rendered_hook(self, raw_stack: DevToolsStack, origin: ConnectionOrigin) -> CodeLocation | None:
        """Return the location of the library hook that opened the connection, None if no such hook is found.

        A library hook is a function such as `useSocket()` that a component calls. Search for it only if the opener is
        the position that rendered a component (`<Bell />`): this component then calls the hook.
        """
        if origin.opener is None or origin.opener not in origin.stack:
            return None
        at = origin.stack.index(origin.opener)
        if not at or not stack_frames.creates_element(origin.stack[at - 1]):
            return None
        frames = [frame for segment in raw_stack.segments() for frame in segment]
        found = self._scripts.source_at(raw_stack.session, frames[at])
        if found is None:
            return None
        place, text = found
        hook = self._within_limit([place], lambda: rendered_hook(self._parse(place.file, text), place))
        return msgspec.structs.replace(hook, file=origin.opener.file) if hook is not None else None

    def read(self, raw_stack: DevToolsStack, origin: ConnectionOrigin) -> OpenerCode | None:
        """Return the facts about the code that opened a connection, None if the text of this code is not available."""
        sources: list[tuple[CodeLocation, bytes]] = []
        for frame in opener_frames(raw_stack, origin)[:MAX_FRAMES]:
            found = self._scripts.source_at(raw_stack.session, frame)
            if found is None:
                break
            sources.append(found)
        key = tuple(place for place, _ in sources)
        if key not in self._found:
            self._found[key] = self._within_limit(key, lambda: self._facts(sources, origin))
        found_code = self._found[key]
        if found_code is None or found_code.patch is None:
            return found_code
        diff = self._redactor.redact_known(found_code.patch.diff)
        return msgspec.structs.replace(found_code, patch=msgspec.structs.replace(found_code.patch, diff=diff))

    def interrupt(self) -> None:
        """Read code for `MAX_INTERRUPTED_S` seconds at most from now on: the user waits for the end of the run."""
        self._left_s = min(self._left_s, MAX_INTERRUPTED_S)

    def _facts(self, sources: Sequence[tuple[CodeLocation, bytes]], origin: ConnectionOrigin) -> OpenerCode | None:
        code = opener_code([(place, self._parse(place.file, text)) for place, text in sources])
        return _with_patch(code, sources[0], origin) if code is not None else None

    def _within_limit(self, places: Sequence[CodeLocation], read: Callable[[], T | None]) -> T | None:
        """Return the result of `read()`, None if it takes too long or the run is cancelled meanwhile.

        Return None at once if an earlier read of a file in `places` took too long.
        """
        if any(place.file in self._too_complex for place in places):
            return None
        begin, task = time.perf_counter(), _current_task()
        deadline = begin + min(MAX_FILE_S, self._left_s)
        try:
            with limited(lambda: time.perf_counter() > deadline or (task is not None and task.cancelling() > 0)):
                return read()
        except TooComplex:
            self._too_complex |= dict.fromkeys(place.file for place in places)
            return None
        finally:
            self._left_s -= time.perf_counter() - begin

    def _parse(self, file: str, content: bytes) -> SourceCode:
        source = self._parsed.get((file, content))
        if source is None:
            source = self._parsed[file, content] = parse_source(file, content)
        return source


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # a HAR file is read without an event loop
        return None


def _with_patch(code: OpenerCode, opener: tuple[CodeLocation, bytes], origin: ConnectionOrigin) -> OpenerCode:
    """Return `code` with a patch that adds the missing cleanup. Return it unchanged if no patch can be made."""
    is_missing = code.cleanup is Cleanup.MISSING and not code.guarded and code.frames == 1
    if not is_missing or origin.opener is None or stack_frames.is_unmapped(origin.opener):
        return code
    place, content = opener
    return msgspec.structs.replace(code, patch=opener_patch(origin.opener.file, content, place))


def _script_url(
    raw_stack: DevToolsStack,
    frames: list[dict[str, Any]],
    stack: Sequence[CodeLocation],
    scripts: ScriptResolver,
    place: CodeLocation | None,
) -> str | None:
    """Return the URL of the script that contains `place`, one of the positions in `stack`."""
    if place is None:
        return None
    frame = frames[stack.index(place)]
    return scripts.script_url(raw_stack.session, frame["scriptId"], frame.get("url", ""))


def _resolve_segment(session: str, segment: list[dict[str, Any]], scripts: ScriptResolver) -> list[CodeLocation]:
    """Return the source positions of a segment, with original function names.

    The source map has a function's original name at the position where the function is called.
    """
    resolved = [scripts.resolve_frame(session, frame) for frame in segment]
    named = [_with_original_name(place, resolved[depth + 1 : depth + 2]) for depth, (place, _) in enumerate(resolved)]
    return list(stack_frames.tag_bundled_client(named))


def _with_original_name(place: CodeLocation, callers: list[tuple[CodeLocation, str]]) -> CodeLocation:
    if not 0 < len(place.function) <= stack_frames.MINIFIED_NAME_LENGTH or not callers:
        return place
    caller, called_name = callers[0]
    # A framework calls a component by a generic name ("Component", "create"). So does a component that renders another.
    is_component_file = place.file.endswith(stack_frames.COMPONENT_EXTENSIONS) and caller.file != place.file
    generic = (stack_frames.is_library_frame(caller) or is_component_file) and not stack_frames.is_library_frame(place)
    return msgspec.structs.replace(place, function="" if generic else called_name or place.function)


def attribute_reconnects(
    sessions: Sequence[TrafficSession], origins: dict[int, ConnectionOrigin], sids_by_socket: Iterable[Sequence[str]]
) -> dict[int, ConnectionOrigin]:
    """Return `origins`, in which each reconnection has the origin of the first connection of its client.

    origins         dict of id(session) to the origin of the session
    sids_by_socket  list of socket ids, oldest first, for each socket object of the pages that could be inspected
    """
    attributed = dict(origins)
    certain = _predecessors_by_socket(sessions, sids_by_socket)
    not_continued = defaultdict[Hashable, dict[int, TrafficSession]](dict)
    for session in sessions:
        predecessor = certain.get(id(session))
        if predecessor is None and _is_reconnection(session, origins[id(session)]):
            earlier = not_continued[_place_of(session)]
            predecessor = _likely_predecessor(session, earlier, origins[id(session)], attributed)
        if predecessor is not None:
            not_continued[_place_of(predecessor)].pop(id(predecessor), None)
            sid = next(iter(predecessor.sids), None)
            attributed[id(session)] = msgspec.structs.replace(attributed[id(predecessor)], reconnects=sid)
        if attributed[id(session)].opener:
            not_continued[_place_of(session)][id(session)] = session
    return attributed


def attribute_packages(
    sessions: Sequence[TrafficSession], origins: dict[int, ConnectionOrigin], code: OpenerCodeReader
) -> dict[int, ConnectionOrigin]:
    """Return `origins` with a call site in a package for each connection whose stack has no application code.

    origins  dict of id(session) to the origin of the session, as `attribute_reconnects` returns it
    """
    attributed = dict(origins)
    for session in sessions:
        stack = session.initiator.raw_stack
        if origins[id(session)].opener is None and isinstance(stack, DevToolsStack):
            found = code.resolve_package(stack)
            if found.opener is not None:
                attributed[id(session)] = msgspec.structs.replace(found, target=origins[id(session)].target)
    return attributed


def _place_of(session: TrafficSession) -> Hashable:
    """Return a key for the document and the endpoint of a session: a reconnection has the same key."""
    by = session.initiator
    return by.target_id, by.document, session.endpoint, session.protocol


def _predecessors_by_socket(
    sessions: Sequence[TrafficSession], sids_by_socket: Iterable[Sequence[str]]
) -> dict[int, TrafficSession]:
    """Return for each reconnection the session that the same socket object had before. The keys are id(session).

    A reconnection has a new sid, unless the server recovered the connection state.
    """
    sessions_by_sid: dict[str, list[TrafficSession]] = {}
    for session in sessions:
        for sid in session.sids:
            sessions_by_sid.setdefault(sid, []).append(session)
    recovered = sessions_by_sid.values()
    reconnected = ([session for sid in sids for session in sessions_by_sid.get(sid, ())] for sids in sids_by_socket)
    pairs = (pair for chain in (*recovered, *reconnected) for pair in pairwise(chain))
    return {id(after): before for before, after in pairs if after is not before}


def _is_opened_by_client_library(origin: ConnectionOrigin) -> bool:
    """Return whether the client library opened the connection without a call of io(): a reconnection.

    Only the innermost frames are considered, up to the first one outside the client library. Frames of the library
    further out show that it called an event handler of the application, which then connected.
    """
    client_frames = list(takewhile(stack_frames.is_client_frame, origin.stack))
    return bool(client_frames) and not any(_IO_FUNCTION_FILE.search(place.file) for place in client_frames)


def _is_reconnection(session: TrafficSession, origin: ConnectionOrigin) -> bool:
    """Return whether a library or the browser opened the connection again, without a call of the application."""
    if session.is_numbered:
        return not stack_frames.app_frames(origin.stack)
    return _is_opened_by_client_library(origin)


def _likely_predecessor(
    session: TrafficSession,
    earlier: dict[int, TrafficSession],
    origin: ConnectionOrigin,
    attributed: dict[int, ConnectionOrigin],
) -> TrafficSession | None:
    """Return the earlier session to which `session` is the reconnection, None if there is none.

    earlier     dict of id(session) to each earlier session of the same document at the same endpoint that has an
                opener, and that no other session continues
    origin      origin of `session`
    attributed  dict of id(session) to the origin of each earlier session

    The earlier session had no connected namespace when `session` was opened; its transport may still have been open,
    because closing takes time on a busy server. A session that was opened in the same file is preferred.
    """
    candidates = [
        each
        for each in islice(reversed(earlier.values()), MAX_CANDIDATES)
        if each.unused_from is not None and each.unused_from <= session.opened_at
    ]
    files = {place.file for place in stack_frames.app_frames(origin.stack)}
    same_file = [
        each for each in candidates if (opener := attributed[id(each)].opener) is not None and opener.file in files
    ]
    return next(iter(same_file or candidates), None)
