"""WHO OPENED IT: which frames of a stack are the application's own, and where two stacks part; pure."""

import re
from collections.abc import Iterable, Sequence
from itertools import dropwhile, takewhile
from pathlib import PurePosixPath

import msgspec

from wscheck.model.events import CodeLocation

MAX_CLIENT_FRAMES = 18
"""No stack has more frames of the client library than this above the call of io()."""

_TOLD = "socket.io-client/in-the-bundle"

_LIBRARY = re.compile(
    r"(^|[/@\\])(node_modules|\.vite/deps|bower_components)/"
    r"|(^|/)@?(socket\.io|engine\.io)([-/]|[.\w]*\.js)"
    # Maps of what a server serves whole begin with the package; an application may well have a folder of this name.
    r"|^(component-emitter|react-dom|react|scheduler|zone\.js|preact|vue|svelte|next/dist|webpack|rxjs)(/|$)"
    r"|://.*/(react-dom|react|preact|vue|zone)(@[\w.^~-]+/|(\.[\w-]+)*\.m?js$)"
    r"|(^|/)(@vite/|@(react|solid)-refresh$|\[turbopack\]/)|/_next/static/chunks/webpack"
    r"|^(node:|native |<anonymous>)|^$",
)
# Where Vite and what is built on it (Nuxt, SvelteKit, Angular) keep the libraries that they serve as one script each.
_KEPT_READY = re.compile(r"/node_modules/\.[\w./-]*/deps/|/\.angular/cache/.*/deps/|/\.vite/deps/")
# How webpack calls its own functions, and the one around each module, which has the module's name.
_BUNDLER = re.compile(r"^(__webpack_|options\.factory$|webpackJsonpCallback$|(\([\w-]+\)/)?\./)")
_FRAMEWORK = re.compile(r"(^|/)@?(react-dom|react|scheduler|vue|svelte|angular|zone\.js|preact|solid-js)([-/@]|$)")
_CLIENT = re.compile(r"(socket\.io|engine\.io)-(client|parser)|socket__io-client|@socket\.io/|socket\.io(\.\w+)*\.js")
_RUNS = re.compile(r"(^|/)@?(react-dom|preact|vue|svelte|angular|solid-js)[-/@]")
_CALLED = {"react-dom": "react", "preact": "react", "solid-js": "solid"}
# Angular makes a service for whoever asks for it: that one decides.
_ASKED = frozenset({"inject", "ɵɵinject", "ɵɵdirectiveInject"})

COMPONENT_EXTENSIONS = (".vue", ".svelte")
"""Files that are each a component."""

FRAMEWORK_DEPTH = 6
"""So many frames, one upon the other in one script, are a framework's."""

MINIFIED_NAME_LENGTH = 3
"""A function's name of at most this many letters is a minifier's."""

_MODULE = frozenset({"eval", "module evaluation"})
"""What the engine, or a bundler, calls the code of a whole module."""

_OF_THE_FRAMEWORK = frozenset(
    {
        *("setup", "_sfc_render", "template", "$effect", "ngOnInit", "ngAfterViewInit", "ngOnChanges"),
        *("<instance_members_initializer>", "<static_initializer>"),
    }
)
"""What a framework or the language calls a part of every component: it is the file that tells."""

_EVERYWHERE = frozenset({"index", "page", "layout"})
"""Files that are called so in every folder: it is the folder that tells."""


def location_label(place: CodeLocation) -> str:
    """What the author would call it: the function, or the file where the function has no name."""
    if len(place.function) > MINIFIED_NAME_LENGTH and place.function not in _MODULE | _OF_THE_FRAMEWORK:
        return place.function
    path = PurePosixPath(place.file)
    folder = path.parent.name if path.stem in _EVERYWHERE and not is_unmapped(place) else ""
    return folder or path.stem


def is_library_frame(place: CodeLocation) -> bool:
    """Whether a frame belongs to a library rather than to the application."""
    return _LIBRARY.search(place.file) is not None or _BUNDLER.match(place.function) is not None


def is_client_frame(place: CodeLocation) -> bool:
    """Whether a frame belongs to socket.io-client itself."""
    return _CLIENT.search(place.file) is not None


def tag_bundled_client(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """A stack in a bundle without a map, where file names do not tell the client library from the application: its
    frames, known by the names of methods that minifiers keep, are told as the library's. The others stay.

    From the innermost: the transport, doOpen, open (the transport's), open or _open (the engine's, which the library's
    own minified file calls something else), its constructors, open (the manager's), then either connect (the socket's)
    or the manager's constructor and io() itself.
    """
    names = [_method(place) if "://" in place.file else "-" for place in stack[:MAX_CLIENT_FRAMES]]
    manager = _manager(names)
    if manager is None:
        return tuple(stack)
    caller = _method(stack[manager + 1]) if manager + 1 < len(stack) else ""
    if caller in ("", "connect"):  # a timer's nameless function, which connects again; or the socket's connect
        return (*_as_client(stack[: manager + 2]), *stack[manager + 2 :])
    io = msgspec.structs.replace(stack[manager + 2], file=f"{_TOLD}/index.js") if manager + 2 < len(stack) else None
    return (*_as_client(stack[: manager + 2]), *([io] if io else []), *stack[manager + 3 :])


def _method(place: CodeLocation) -> str:
    """Without the object that it was put into: `i.open` is open."""
    return place.function.rpartition(".")[2]


def _as_client(stack: Sequence[CodeLocation]) -> list[CodeLocation]:
    return [msgspec.structs.replace(place, file=f"{_TOLD}/client.js") for place in stack]


def _manager(names: Sequence[str]) -> int | None:
    """Where the manager's open stands among the names of a stack's methods, None where that is no opening."""
    begin = names.index("doOpen") if "doOpen" in names else len(names)
    opens = [at for at in range(begin, len(names)) if names[at] in ("open", "_open")]
    named = len(opens) > 1 and opens[1] == opens[0] + 1  # the engine's follows the transport's at once
    which = 2 if named else 1
    return opens[which] if len(opens) > which else None


def attribute_to_package(place: CodeLocation, script: str) -> CodeLocation:
    """A place as its source map says it, in a script from `script`: what a library serves whole (socket.io.js), and
    what a development server keeps ready of one (Vite's deps), is the library's, also where its map names files that
    say nothing of it."""
    served = CodeLocation(script.partition("?")[0])
    if is_library_frame(place):
        return place
    if is_client_frame(served):
        return msgspec.structs.replace(place, file=f"socket.io-client/{place.file}")
    if _KEPT_READY.search(served.file):
        return msgspec.structs.replace(place, file=f"node_modules/{place.file}")
    within = served.file.rpartition("/node_modules/")[2]
    return msgspec.structs.replace(place, file=f"node_modules/{within}") if within != served.file else place


def resolve_root(place: CodeLocation, root: str) -> CodeLocation:
    """A place of the application as it lies in the checkout, where the frontend is the folder `root` of it: maps name
    files from the frontend's own root, or (Next.js in development) by whole paths, which are right as they are."""
    known = is_unmapped(place) or place.file.startswith(("/", f"{root}/"))
    if not root or known or is_library_frame(place):
        return place
    return msgspec.structs.replace(place, file=f"{root}/{place.file}")


def app_frames(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """The application's frames of `stack`, the innermost first."""
    return tuple(place for place in stack if not is_library_frame(place))


def is_framework_frame(place: CodeLocation) -> bool:
    """Whether a frame belongs to what runs the application's components."""
    return is_library_frame(place) and _FRAMEWORK.search(place.file) is not None


def framework_name(stack: Sequence[CodeLocation]) -> str | None:
    """What runs the application's components: react, vue, svelte, solid or angular; None where no frame tells."""
    for place in stack:
        if place.file.endswith(COMPONENT_EXTENSIONS):
            return place.file.rpartition(".")[2]
        if is_library_frame(place) and (found := _RUNS.search(place.file)) is not None:
            return _CALLED.get(found[2], found[2])
    return None


def framework_frames(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """The frames of the framework that ran the application's innermost code, the innermost first; none where the
    application ran itself."""
    first = next((at for at, place in enumerate(stack) if not is_library_frame(place)), len(stack))
    after = dropwhile(lambda place: not is_library_frame(place), stack[first:])
    return tuple(takewhile(is_framework_frame, after))


def component_frames(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """The application's frames up to the framework that ran them: what is beyond made it run now, not here."""
    own: list[CodeLocation] = []
    rest = list(stack)
    while rest:
        called = list(takewhile(is_framework_frame, rest)) if own else []
        if called and not any(place.function in _ASKED for place in called):
            break
        own += [place for place in rest[len(called) : len(called) + 1] if not is_library_frame(place)]
        del rest[: len(called) + 1]
    return tuple(own[: _into_a_bundle(own)])


def is_unmapped(place: CodeLocation) -> bool:
    """Whether a position is that of a bundle, whose file says nothing of whose code it is."""
    return "://" in place.file


def may_be_framework_code(apart: CodeLocation, *stacks: Sequence[CodeLocation]) -> bool:
    """Whether a frame that tells stacks apart may be a framework's: in a bundle without a map, in which they go
    deeper than a page without a framework does."""
    return is_unmapped(apart) and any(len(app_frames(stack)) >= FRAMEWORK_DEPTH for stack in stacks)


def _into_a_bundle(own: Sequence[CodeLocation]) -> int:
    """Where frames without a map go from the scripts of the application's parts into the one that holds the framework:
    no application calls itself so deep in a script that it comes to from another."""
    start = 0
    for at, place in enumerate(own):
        if place.file != own[start].file:
            start = at
        if is_unmapped(place) and place.file != own[0].file and at - start + 1 == FRAMEWORK_DEPTH:
            return start
    return len(own)


def divergences(stacks: Iterable[tuple[CodeLocation, ...]]) -> dict[tuple[CodeLocation, ...], CodeLocation | None]:
    """For each different stack, the frame at which it parts from another, None where nothing tells it apart. A loop
    opens thousands of connections from one stack, so what comes again is compared once."""
    own = {stack: component_frames(stack) for stack in stacks}
    return {
        stack: next((place for theirs in own.values() if (place := _apart(mine, theirs)) is not None), None)
        for stack, mine in own.items()
    }


def divergence(mine: Sequence[CodeLocation], other: Sequence[CodeLocation]) -> CodeLocation | None:
    """The first of my application frames that the other stack does not have at the same depth; None when mine holds
    nothing that tells the two apart."""
    return _apart(component_frames(mine), component_frames(other))


def _apart(mine: Sequence[CodeLocation], theirs: Sequence[CodeLocation]) -> CodeLocation | None:
    for depth, place in enumerate(mine):
        if depth >= len(theirs) or theirs[depth] != place:
            return place
    return None
