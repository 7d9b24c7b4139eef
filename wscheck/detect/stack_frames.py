"""Classification of stack frames (application, library, client library, framework) and comparison of stacks.

Two stacks diverge at the first frame, counted from the innermost one, at which they differ.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import dropwhile, takewhile
from pathlib import PurePosixPath

import msgspec

from wscheck.model.events import CodeLocation

MAX_CLIENT_FRAMES = 18
"""Largest number of frames of the client library in a stack, before the frame that called io()."""

UNMAPPED = "<unmapped>"
"""File of a position that the script's source map leaves out: a function that a compiler or bundler added."""

_BUNDLED_CLIENT = "socket.io-client/in-the-bundle"

_LIBRARY = re.compile(
    r"(^|[/@\\])(node_modules|\.vite/deps|bower_components)/"
    r"|(^|/)@?(socket\.io|engine\.io)([-/]|[.\w]*\.js)"
    # If a library is served as one file, the paths in its source map begin with the package name. An application may
    # have a folder of the same name, but not at the beginning of the path.
    r"|^(component-emitter|react-dom|react|scheduler|zone\.js|preact|vue|svelte|next/dist|webpack|rxjs)(/|$)"
    r"|^[^:]*(?::(?!//)[^:]*)*://.*/(react-dom|react|preact|vue|zone)(@[\w.^~-]+/|(\.[\w-]+)*\.m?js$)"
    r"|(^|/)(@vite/|@(react|solid)-refresh$|\[turbopack\]/)|/_next/static/chunks/webpack"
    r"|^(node:|native |<anonymous>|<unmapped>)|^$"
    r"|^ng:/",  # functions that Angular compiles in the browser
)
_PACKAGE = re.compile(r"^.*(?:^|[/\\])node_modules/(?P<path>(?P<name>(?:@[\w.-]+/)?[\w-][\w.-]*)/.*)$")
# Path of a file of Angular in the source maps of its packages: it is that of the build of Angular itself.
_ANGULAR_BUILD = re.compile(r"^(?:.*/)?[\w.-]+-(?:fastbuild|opt)[\w.-]*/bin/packages/")
# Folders from which Vite and tools based on it (Nuxt, SvelteKit, Angular) serve each library as one script.
_PREBUNDLED = re.compile(r"/node_modules/\.[\w./-]{0,200}/deps/|/\.angular/cache/.{0,200}/deps/|/\.vite/deps/")
# Names of webpack's own functions, and of the function that wraps each module: it is named after the module.
_BUNDLER = re.compile(r"^(__webpack_|options\.factory$|webpackJsonpCallback$|(\([\w-]+\)/)?\./)")
_FRAMEWORK = re.compile(r"(^|/)@?(react-dom|react|scheduler|vue|svelte|angular|zone\.js|preact|solid-js)([-/@]|$)")
_CLIENT = re.compile(
    r"(socket\.io|engine\.io)-(client|parser)|socket__io-client|@socket\.io/|socket\.io(\.\w+){0,8}\.js"
)
_FRAMEWORK_PACKAGE = re.compile(r"(^|/)@?(react-dom|preact|vue|svelte|angular|solid-js)[-/@]")
# Packages that are a framework or part of one. A package that extends a framework is none: react-use-websocket.
_FRAMEWORK_NAME = re.compile(
    r"(p?react|react-dom|react-reconciler|scheduler|vue|svelte|solid-js|zone\.js|rxjs|next|nuxt)$"
    r"|@(angular|vue|sveltejs|preact)/"
)
_ELEMENT_FUNCTIONS = frozenset({"jsxDEV", "jsx", "jsxs", "createElement", "jsxWithValidation"})
_FRAMEWORK_NAMES = {"react-dom": "react", "preact": "react", "solid-js": "solid"}
# When Angular creates a service, the frames of the code that injects the service belong to the stack too.
_INJECTORS = frozenset({"inject", "ɵɵinject", "ɵɵdirectiveInject"})
# Public functions of frameworks that run the function they are given at once, before they return to their caller.
_RUN_AT_ONCE = frozenset(
    {
        *("useState", "useReducer", "useMemo", "flushSync"),  # React
        *("run", "runWithContext"),  # Vue: EffectScope.run, App.runWithContext; also NgZone.run
        *("untrack", "batch", "createRoot", "runWithOwner"),  # Solid and Svelte
        *("runInInjectionContext", "runOutsideAngular", "runGuarded", "untracked"),  # Angular
    }
)

COMPONENT_EXTENSIONS = (".vue", ".svelte")
"""Extensions of files that contain exactly one component."""

FRAMEWORK_DEPTH = 6
"""Number of consecutive frames in one script that only a framework reaches."""

MINIFIED_NAME_LENGTH = 3
"""Longest function name that is assumed to be a minifier's abbreviation of the original name."""

_MODULE_FUNCTIONS = frozenset({"eval", "module evaluation"})
"""Names that JavaScript engines and bundlers give to the top-level code of a module."""

_LIFECYCLE_FUNCTIONS = frozenset(
    {
        *("setup", "_sfc_render", "template", "$effect", "ngOnInit", "ngAfterViewInit", "ngOnChanges"),
        *("<instance_members_initializer>", "<static_initializer>"),
    }
)
"""Function names that every component has: the file name identifies the component better."""

_GENERIC_FILES = frozenset({"index", "page", "layout"})
"""File names that occur in every folder: the folder name identifies the component better."""


def location_label(frame: CodeLocation) -> str:
    """Return a short name for `frame`: the function, or the file if the function name does not identify the code."""
    if len(frame.function) > MINIFIED_NAME_LENGTH and frame.function not in _MODULE_FUNCTIONS | _LIFECYCLE_FUNCTIONS:
        return frame.function
    path = PurePosixPath(frame.file)
    folder = path.parent.name if path.stem in _GENERIC_FILES and not is_unmapped(frame) else ""
    return folder or path.stem


def is_library_frame(frame: CodeLocation) -> bool:
    """Return whether a frame belongs to a library rather than to the application."""
    return _LIBRARY.search(frame.file) is not None or _is_bundler_frame(frame)


def _is_bundler_frame(frame: CodeLocation) -> bool:
    """Return whether a frame belongs to the bundler: a function of its own, or one that evaluates a module.

    A function with the name of a module may also contain the module's code. Its position is then in the module's file.
    """
    if _BUNDLER.match(frame.function) is None:
        return False
    module = frame.function.rpartition("!")[2].partition("?")[0].partition("./")[2]
    return not (module and not is_unmapped(frame) and frame.file.endswith(module))


def is_client_frame(frame: CodeLocation) -> bool:
    """Return whether a frame belongs to socket.io-client."""
    return _CLIENT.search(frame.file) is not None


def tag_bundled_client(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """Return `stack` with the frames of the client library marked by a file name of the library.

    In a bundle without a source map, file names do not distinguish the client library from the application. Its frames
    are recognised by method names that minifiers do not change. All other frames are returned unchanged. From the
    innermost frame outwards, the client library's frames are:

    1. the transport: `doOpen`, `open`
    2. the engine: `open` or `_open` (another name in the library's own minified file), and its constructors
    3. the manager: `open`, then either `connect` (the socket's) or the manager's constructor and `io()`
    """
    names = [_method_name(frame) if "://" in frame.file else "-" for frame in stack[:MAX_CLIENT_FRAMES]]
    manager = _manager_index(names)
    if manager is None:
        return tuple(stack)
    caller = _method_name(stack[manager + 1]) if manager + 1 < len(stack) else ""
    if caller in ("", "connect"):  # the anonymous function of the reconnection timer, or `connect` of the socket
        return (*_as_client(stack[: manager + 2]), *stack[manager + 2 :])
    io = [
        msgspec.structs.replace(each, file=f"{_BUNDLED_CLIENT}/index.js") for each in stack[manager + 2 : manager + 3]
    ]
    return (*_as_client(stack[: manager + 2]), *io, *stack[manager + 3 :])


def _method_name(frame: CodeLocation) -> str:
    """Return the function name without the object before it: "open" for "i.open"."""
    return frame.function.rpartition(".")[2]


def _as_client(stack: Sequence[CodeLocation]) -> list[CodeLocation]:
    return [msgspec.structs.replace(frame, file=f"{_BUNDLED_CLIENT}/client.js") for frame in stack]


def _manager_index(names: Sequence[str]) -> int | None:
    """Return the index of the manager's `open` in the method names of a stack, None if the names do not contain it."""
    start = names.index("doOpen") if "doOpen" in names else len(names)
    opens = [at for at in range(start, len(names)) if names[at] in ("open", "_open")]
    # The engine's `open` directly follows the transport's.
    engine_is_named = len(opens) > 1 and opens[1] == opens[0] + 1
    index = 2 if engine_is_named else 1
    return opens[index] if len(opens) > index else None


def attribute_to_package(frame: CodeLocation, script: str) -> CodeLocation:
    """Return `frame`, which comes from the source map of `script`, with the package name of its library in the path.

    The file names in a source map may lack the package name, if a library is served as one file (socket.io.js), if a
    development server prepared it (Vite's deps), and for Angular's own packages.
    """
    served = CodeLocation(script.partition("?")[0])
    if is_library_frame(frame):
        return frame
    if (of_angular := _ANGULAR_BUILD.match(frame.file)) is not None:
        return msgspec.structs.replace(frame, file=f"node_modules/@angular/{frame.file[of_angular.end() :]}")
    if is_client_frame(served):
        return msgspec.structs.replace(frame, file=f"socket.io-client/{frame.file}")
    if _PREBUNDLED.search(served.file):
        return msgspec.structs.replace(frame, file=f"node_modules/{frame.file}")
    within = served.file.rpartition("/node_modules/")[2]
    return msgspec.structs.replace(frame, file=f"node_modules/{within}") if within != served.file else frame


def resolve_root(frame: CodeLocation, root: str) -> CodeLocation:
    """Return `frame` with a path relative to the checkout, in which the frontend is the folder `root`.

    Source maps contain paths relative to the frontend, or absolute paths (Next.js in development). An absolute path is
    not changed.
    """
    is_resolved = is_unmapped(frame) or frame.file.startswith(("/", f"{root}/"))
    if not root or is_resolved or is_library_frame(frame):
        return frame
    return msgspec.structs.replace(frame, file=f"{root}/{frame.file}")


def app_frames(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """Return the application's frames of `stack`, the innermost first."""
    return tuple(frame for frame in stack if not is_library_frame(frame))


def calling_package(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """Return `stack` with shorter file paths in the frames of one package, so that they count as the application's.

    This is for connections that were opened without a frame of the application, for example by an effect in a
    library's hook. The chosen package is the caller of the innermost package, or the innermost package if no other
    called it: a package that it calls itself, and that calls it back (an event emitter), is not its caller. The new
    paths start with the chosen name: `@scope/name/src/cable.js`. Frameworks and Socket.IO's client are not chosen. A
    stack with a frame of the application, or without a package, is returned unchanged.
    """
    names = [found["name"] for frame in stack if (found := _package_of(frame)) is not None]
    if app_frames(stack) or not names:
        return tuple(stack)
    outermost = max(at for at, name in enumerate(names) if name == names[0])
    name = names[outermost + 1] if outermost + 1 < len(names) else names[0]
    named = [(frame, _package_of(frame)) for frame in stack]
    return tuple(
        msgspec.structs.replace(frame, file=found["path"]) if found is not None and found["name"] == name else frame
        for frame, found in named
    )


def has_package(stack: Sequence[CodeLocation]) -> bool:
    """Return whether a frame belongs to a package other than a framework and Socket.IO's client."""
    return any(_package_of(frame) is not None for frame in stack)


def _package_of(frame: CodeLocation) -> re.Match[str] | None:
    """Return a match with two groups: `name` is the frame's package, `path` is its file path from that name on.

    Return None for frameworks and Socket.IO's client, and if the frame is in no package.
    """
    found = None if is_client_frame(frame) else _PACKAGE.match(frame.file)
    return found if found is not None and _FRAMEWORK_NAME.match(found["name"]) is None else None


def is_framework_frame(frame: CodeLocation) -> bool:
    """Return whether a frame belongs to the framework that runs the application's components."""
    return is_library_frame(frame) and _FRAMEWORK.search(frame.file) is not None


def creates_element(frame: CodeLocation) -> bool:
    """Return whether a frame belongs to the function of React that JSX calls: `<Bell />` is `jsxDEV(Bell)`."""
    return is_library_frame(frame) and frame.function.rpartition(".")[2] in _ELEMENT_FUNCTIONS


def framework_name(stack: Sequence[CodeLocation]) -> str | None:
    """Return the framework of the stack: "react", "vue", "svelte", "solid" or "angular"; None if no frame shows it."""
    for frame in stack:
        if frame.file.endswith(COMPONENT_EXTENSIONS):
            return frame.file.rpartition(".")[2]
        if is_library_frame(frame) and (found := _FRAMEWORK_PACKAGE.search(frame.file)) is not None:
            return _FRAMEWORK_NAMES.get(found[2], found[2])
    return None


def framework_frames(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """Return the framework's frames that called the application's innermost code, the innermost first.

    Return an empty tuple if no framework called that code.
    """
    first = next((at for at, frame in enumerate(stack) if not is_library_frame(frame)), len(stack))
    after = dropwhile(lambda frame: not is_library_frame(frame), stack[first:])
    return tuple(takewhile(is_framework_frame, after))


def component_frames(stack: Sequence[CodeLocation]) -> tuple[CodeLocation, ...]:
    """Return the application's frames up to the framework that called them, the innermost first.

    Frames beyond the framework show why the code ran at that time, not which code opened the connection. A framework
    that the application called to run more of its own code at once does not end the result (see `ran_at_once`).
    """
    own: list[CodeLocation] = []
    rest = list(stack)
    while rest:
        called = list(takewhile(is_framework_frame, rest)) if own else []
        if called and not (ran_at_once(called) or any(frame.function in _INJECTORS for frame in called)):
            break
        own += [frame for frame in rest[len(called) : len(called) + 1] if not is_library_frame(frame)]
        del rest[: len(called) + 1]
    return tuple(own[: _framework_script_index(own)])


def calling_frames(stack: Sequence[CodeLocation], start: int) -> list[int]:
    """Return the indexes of the application's frames that called each other, from the frame at `start` outwards.

    The search stops at a library, unless the application called it to run its own code at once (see `ran_at_once`).
    """
    found = [start]
    while True:
        at = found[-1] + 1
        called = list(takewhile(is_library_frame, stack[at:]))
        if (called and not ran_at_once(called)) or at + len(called) == len(stack):
            return found
        found.append(at + len(called))


def ran_at_once(called: Sequence[CodeLocation]) -> bool:
    """Return whether the application called these frames of a framework, to run more of its own code at once.

    For example `useState(() => new Feed())`: the component that calls `useState` is also the caller of `new Feed()`.

    called  consecutive frames of a framework between two frames of the application, the innermost first
    """
    return bool(called) and is_framework_frame(called[-1]) and called[-1].function.rpartition(".")[2] in _RUN_AT_ONCE


def is_unmapped(frame: CodeLocation) -> bool:
    """Return whether `frame` is a position in a bundle, so that its file name does not show the original module."""
    return "://" in frame.file


def may_be_framework_code(frame: CodeLocation, *stacks: Sequence[CodeLocation]) -> bool:
    """Return whether `frame`, at which `stacks` diverge, may belong to a framework.

    In a bundle without a source map, this is assumed if a stack has at least `FRAMEWORK_DEPTH` frames, because the
    application alone rarely makes such a deep stack.
    """
    return is_unmapped(frame) and any(len(app_frames(stack)) >= FRAMEWORK_DEPTH for stack in stacks)


def _framework_script_index(own: Sequence[CodeLocation]) -> int:
    """Return the index in `own` of the first frame in the framework's script, or `len(own)` if there is no such script.

    `own` contains the frames that are not known to be a library's, the innermost first.

    A script counts as the framework's if it is not the script of the innermost frame, has no source map, and contains
    FRAMEWORK_DEPTH consecutive frames.
    """
    start = 0
    for at, frame in enumerate(own):
        if frame.file != own[start].file:
            start = at
        if is_unmapped(frame) and frame.file != own[0].file and at - start + 1 == FRAMEWORK_DEPTH:
            return start
    return len(own)


def divergences(stacks: Iterable[tuple[CodeLocation, ...]]) -> dict[tuple[CodeLocation, ...], CodeLocation | None]:
    """Return, for each distinct stack, the first of its frames that differs from another stack; None if none differs.

    A loop opens thousands of connections with one stack, so equal stacks are compared only once.
    """
    own = {stack: component_frames(stack) for stack in stacks}
    return {
        stack: next(
            (found for others in own.values() if (found := _first_difference(frames, others)) is not None), None
        )
        for stack, frames in own.items()
    }


def divergence(stack: Sequence[CodeLocation], other: Sequence[CodeLocation]) -> CodeLocation | None:
    """Return the first application frame of `stack` that differs from `other` at the same depth, None if none does."""
    return _first_difference(component_frames(stack), component_frames(other))


def _first_difference(frames: Sequence[CodeLocation], others: Sequence[CodeLocation]) -> CodeLocation | None:
    for depth, frame in enumerate(frames):
        if depth >= len(others) or others[depth] != frame:
            return frame
    return None


# Functions of React that render a component, and functions that run a state initialiser or memo, which run once.
_REACT_RENDERS = (
    "renderWithHooks",
    "renderFunctionComponent",
    "beginWork",
    "updateFunctionComponent",
    "finishClassComponent",
)
_REACT_ONCE = ("mountState", "mountReducer", "mountMemo", "useState", "useMemo")
# A memo runs again if a dependency has changed: at worst, with every render.
_REACT_MEMO_UPDATE = ("updateMemo",)
_REACT_EFFECTS = ("commitHookEffect", "commitPassive", "flushPassive", "invokePassiveEffect")

# Functions that call templates in Vue, Angular and Svelte, and computed values in Vue and Svelte.
_TEMPLATE_RENDERS = frozenset({"renderComponentRoot", "refreshComputed", "executeTemplate", "execute_derived"})
# Solid's package solid-js/web calls no application code except JSX.
_SOLID_WEB = "solid-js/web/"


def is_rendering(stack: Sequence[CodeLocation]) -> bool:
    """Return whether the code ran while a component rendered, or computed a value to render."""
    return _is_in_template(stack) or _is_in_react_render(stack)


def is_in_effect(stack: Sequence[CodeLocation]) -> bool:
    """Return whether React ran the code in an effect."""
    return _any_contains([frame.function for frame in stack if is_framework_frame(frame)], _REACT_EFFECTS)


def _is_in_template(stack: Sequence[CodeLocation]) -> bool:
    # Outer frames prove nothing: the template of one component may run while another is created or notified.
    frames = framework_frames(stack)
    in_template = any(frame.function in _TEMPLATE_RENDERS for frame in frames[:2])
    return in_template or (bool(frames) and _SOLID_WEB in frames[0].file)


def _is_in_react_render(stack: Sequence[CodeLocation]) -> bool:
    names = [frame.function for frame in stack if is_framework_frame(frame)]
    runs_again = _any_contains(names, _REACT_MEMO_UPDATE) or not _any_contains(names, _REACT_ONCE)
    return _any_contains(names, _REACT_RENDERS) and not _any_contains(names, _REACT_EFFECTS) and runs_again


def _any_contains(names: Sequence[str], parts: tuple[str, ...]) -> bool:
    return any(part in name for name in names for part in parts)


# Files of frameworks that render pages on the server, and the URL paths of their bundles.
_SERVER_RENDERED = (
    ("Next.js", re.compile(r"/_next/static/|\((app-pages|pages-dir)-browser\)|node_modules/next/")),
    ("Nuxt", re.compile(r"/_nuxt/|node_modules/nuxt/")),
    ("SvelteKit", re.compile(r"/_app/immutable/|(^|/)\.svelte-kit/|@sveltejs/kit/")),
)
_VUE_SETUP = "setupStatefulComponent"


def server_framework(files: Iterable[str]) -> str:
    """Return the framework that renders the page on a server too, from files or script URLs; "" if none is seen."""
    names = list(files)
    return next((name for name, path in _SERVER_RENDERED if any(path.search(each) for each in names)), "")


def runs_while_rendering_on_server(stack: Sequence[CodeLocation]) -> bool:
    """Return whether a server that renders the page also runs the code of `stack`.

    A server runs modules, the rendering of components, and Vue's setup(). It does not run effects, event handlers, and
    hooks that run after mounting.
    """
    names = [frame.function for frame in stack if is_framework_frame(frame)]
    if names:
        in_render = _any_contains(names, _REACT_RENDERS) and not _any_contains(names, _REACT_EFFECTS)
        return in_render or _VUE_SETUP in names or _is_in_template(stack)
    own = app_frames(stack)
    return bool(own) and (own[-1].function in {"", *_MODULE_FUNCTIONS} or "./" in own[-1].function)
