"""Calls that open a connection in the web server too, because a framework runs the code there to render pages.

Next.js, Nuxt, SvelteKit and similar frameworks run modules, component bodies and set-up code in the server, and effects
and event handlers only in the browser. `"use client"` does not prevent this: such components are rendered there too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from wscheck.detect.code.connection_calls import ConnectionCall
from wscheck.detect.code.guards import conditions_around
from wscheck.detect.code.syntax import SourceCode, ancestors, node_text
from wscheck.model.code_facts import Api, CallContext, OpeningCall

_RUNS_ON_SERVER = frozenset(
    {CallContext.MODULE, CallContext.RENDER, CallContext.SETUP, CallContext.STATE_INITIALISER, CallContext.MEMO}
)
_NOT_RENDERED = re.compile(
    r"(?:^|/)(?:server|api|scripts?|cron|workers?|middleware|electron)(?:/|\.\w+$)"
    r"|(?:^|/)\+?route\.\w+$|\.(?:client|server)\."
)
"""Files of the server itself, and files that a framework only loads in the browser or only in the server."""

_LOADED_BY_FRAMEWORK = re.compile(r"(?:^|/)(?:pages|app|routes|layouts|plugins|composables)/|\.(?:vue|svelte)$")
_ONLY_BROWSER = re.compile(rb"""\bssr\s*[:=]\s*false\b|\bmode\s*:\s*["']spa["']""")
"""A route, an application or a dynamic import without rendering in the server."""


def may_open_on_server(source: SourceCode, call: ConnectionCall, opening: OpeningCall) -> bool:
    """Return whether the web server runs the call if it loads the file.

    The result is False if the call is inside a condition, because the condition may keep it from running on the server.
    """
    if not source.package.server_rendering or opening.api is not Api.SOCKET_IO:
        return False  # a server may lack WebSocket and EventSource
    if opening.context not in _RUNS_ON_SERVER or _NOT_RENDERED.search(source.path):
        return False
    if any(each.type in ("class_declaration", "class") for each in ancestors(call.node)):
        return False
    options = call.arguments[-1] if call.arguments else None
    if options is not None and (len(call.arguments) > 1 or options.type == "object"):
        stated = options.type == "object" and "..." not in node_text(options)
        if not stated or re.search(r"\bautoConnect\s*:\s*(?!true)", node_text(options)):
            return False
    return next(conditions_around(call.node), None) is None


class ServerOpenings:
    """Calls that may run on the web server, and the evidence from other files that decides whether they do.

    The candidates are calls for which `may_open_on_server` returns True. A candidate runs on the server only if another
    file imports its file, or if the framework loads its file. Call `read` for each source file, then `certain`.
    """

    def __init__(self, candidates: Iterable[OpeningCall]) -> None:
        self._candidates = list(candidates)
        self._stems = {_stem(call.location.file): set[str]() for call in self._candidates}
        names = b"|".join(re.escape(stem.encode()) for stem in sorted(self._stems))
        self._imports = re.compile(
            rb"""(?:\bfrom\s*|\bimport\s*(\(\s*)?(?:/\*.*?\*/\s*)?)["'][^"'\n]*?(?:^|[/"'])(%b)(?:\.\w+)?["']""" % names
        )
        self._without_server: set[str] = set()

    def read(self, package: str, content: bytes) -> None:
        """Read one source file, and record its imports of files that contain candidates.

        `content` is the text of the source file, `package` the folder of its package. If the source file turns off
        rendering on the server, this is recorded for the whole package.
        """
        if _ONLY_BROWSER.search(content):
            self._without_server.add(package)
        for found in self._imports.finditer(content):
            self._stems[found.group(2).decode()].add("dynamic" if found.group(1) else "static")

    def certain(self, packages: Sequence[str]) -> Iterator[OpeningCall]:
        """Yield the candidates that the web server certainly runs.

        `packages` are the folders of the candidates' packages, in the order of the candidates.
        """
        for call, package in zip(self._candidates, packages, strict=True):
            imports = self._stems[_stem(call.location.file)]
            is_loaded = "static" in imports or _LOADED_BY_FRAMEWORK.search(call.location.file) is not None
            if package not in self._without_server and "dynamic" not in imports and is_loaded:
                yield call


def _stem(file: str) -> str:
    """Return the name by which other files import a file."""
    path = PurePosixPath(file)
    if path.suffix in (".vue", ".svelte"):
        return path.name
    return path.parent.name if path.stem == "index" else path.stem
