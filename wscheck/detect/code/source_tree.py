"""Findings about a tree of source files: the facts about each file, and what several files do together."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from posixpath import normpath
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from tree_sitter import Node

from wscheck.detect.causes import CATALOGUE, FRAMEWORK_FIXES
from wscheck.detect.causes.client_words import fix_for_opening
from wscheck.detect.code.call_context import Context, call_contexts, is_returned, outermost_owner, owner_name
from wscheck.detect.code.cleanup_patches import cleanup_edits, make_patch, patched
from wscheck.detect.code.cleanups import reopens_after_cleanup
from wscheck.detect.code.connection_calls import (
    CANDIDATE,
    Binding,
    ConnectionCall,
    connection_calls,
    default_export,
    imported_names,
)
from wscheck.detect.code.listeners import (
    Registration,
    UnremovedListeners,
    unremoved_listeners,
    unremoved_registrations,
)
from wscheck.detect.code.openings import call_at, opening_call, opens_at_once
from wscheck.detect.code.packages import Package
from wscheck.detect.code.server_rendering import may_open_on_server
from wscheck.detect.code.syntax import SourceCode, enclosing_function, node_text, parse_source
from wscheck.detect.code.url_values import ModuleConstants, resolved, url_value
from wscheck.detect.rules.code_rules import CODE_RULES
from wscheck.model.code_facts import Api, CallContext, Cleanup, OpeningCall, Patch
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Cause, Confidence, Finding, Severity

_LISTENER = re.compile(rb"socket[\w.?!]{0,200}\.on\(", re.I)
_PLACES_NAMED = 6
_ROUTE = re.compile(r"(?:^|/)\+?page\.\w+$|(?:^|/)(?:pages|routes|views|screens)/")
"""Files of routes, of which a browser shows one at a time."""
_USING = {"call_expression": "function", "jsx_self_closing_element": "name", "jsx_opening_element": "name"}
"""Type of a node that calls or renders a function to the field with the function's name."""


MAX_CALLS = 50
"""Largest number of opening calls that are examined per file. A file with more was not written by hand."""

MAX_PATCHES = 10
"""Largest number of effects per file for which a patch is made."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about one file.

    openings   calls that open a connection
    urls       for each of these calls the value of its URL, None if the value differs between runs
    repeated   calls in a hook, provider or function that open one more connection for each component that uses it
    listeners  listeners that no cleanup removes
    patches    changes that add a cleanup, by line and column of the call or the listener
    in_render  calls that open a connection at each render
    on_server  calls that the web server runs too, if it loads the file
    reopened   calls that open a connection again because a cleanup has closed the one before
    unchecked  number of further calls, in a file with more than `MAX_CALLS`
    package    package that contains the file
    default_export  name of the function or class that the file exports as its default, "" if it exports none by name
    is_module  the file imports something; a script without imports belongs to the one page that includes it
    """

    path: str
    package: Package = Package()
    default_export: str = ""
    is_module: bool = True
    openings: tuple[OpeningCall, ...] = ()
    urls: tuple[str | None, ...] = ()
    repeated: tuple[OpeningCall, ...] = ()
    listeners: tuple[UnremovedListeners, ...] = ()
    patches: dict[tuple[int, int], Patch] = {}
    in_render: tuple[OpeningCall, ...] = ()
    on_server: tuple[OpeningCall, ...] = ()
    reopened: tuple[OpeningCall, ...] = ()
    unchecked: int = 0


class Use(NamedTuple):
    """Place in the component or function `user` that calls or renders the function `name`.

    module    module from which `name` is imported, "" if the file itself defines it
    context   part of the program that runs this place
    is_call   `user` calls `name`, so `name` runs whenever `user` runs; a rendered element may be conditional
    """

    name: str
    user: str
    location: CodeLocation
    module: str = ""
    is_call: bool = False
    context: CallContext = CallContext.FUNCTION

    def refers_to(self, call: OpeningCall) -> bool:
        """Return whether the used function contains `call`.

        The function must have the name of the call's owner, and be defined in the same file or imported from the call's
        file.
        """
        if self.name != call.owner:
            return False
        if not self.module:
            return self.location.file == call.location.file
        return _is_import_of(call.location.file, self.module, self.location.file)


def _is_import_of(file: str, module: str, importer: str) -> bool:
    """Return whether the module name `module` in the file `importer` means the file `file`."""
    defined_in = PurePosixPath(file)
    names = {str(defined_in), str(defined_in.with_suffix(""))}
    names |= {str(defined_in.parent)} if defined_in.stem == "index" else set()
    if module.startswith("."):
        return normpath(PurePosixPath(importer).parent / module) in names
    alias = module.lstrip("@~/").partition("/")[2] or module  # @/hooks/feed, src/hooks/feed
    return any(name == module or name.endswith(f"/{alias}") for name in names)


def may_have_facts(content: bytes) -> bool:
    """Return whether a file may contain calls that open connections or register listeners.

    This is a fast search of the text, so that other files need not be parsed.
    """
    return CANDIDATE.search(content) is not None or _LISTENER.search(content) is not None


def file_facts(path: str, content: bytes, package: Package | None = None) -> FileFacts:
    """Return the facts about one file of a package. `path` has slashes."""
    source = parse_source(path, content, package)
    calls = connection_calls(source)
    openings = [opening_call(source, call) for call in calls[:MAX_CALLS]]
    registrations = unremoved_registrations(source, calls)
    unclosed = [call for call, opening in zip(calls, openings, strict=False) if _is_unclosed(opening)]
    return FileFacts(
        path=path,
        package=source.package,
        default_export=default_export(source),
        is_module=bool(imported_names(source)) and source.suffix not in (".html", ".htm"),
        openings=tuple(openings),
        urls=tuple(url_value(source, call) for call in calls[:MAX_CALLS]),
        repeated=tuple(
            opening for call, opening in zip(calls, openings, strict=False) if _opens_for_each_user(call, opening)
        ),
        in_render=tuple(
            opening
            for call, opening in zip(calls, openings, strict=False)
            if opening.context is CallContext.RENDER and not opening.guarded and opens_at_once(call)
        ),
        on_server=tuple(
            opening for call, opening in zip(calls, openings, strict=False) if may_open_on_server(source, call, opening)
        ),
        reopened=tuple(
            opening
            for call, opening in zip(calls, openings, strict=False)
            if opening.constructor == "WebSocket"
            and not call.library
            and reopens_after_cleanup(source, call.node, call_contexts(source, call.node))
        ),
        unchecked=max(len(calls) - MAX_CALLS, 0),
        listeners=tuple(unremoved_listeners(source, registrations)),
        patches=_patches(source, content, unclosed, registrations),
    )


def opener_patch(path: str, content: bytes, place: CodeLocation) -> Patch | None:
    """Return the change of a file that closes the connection which the call at `place` opens, None if none is certain.

    `path` is the path of the file in reports.
    """
    call = call_at(parse_source(path, content), place)
    if call is None:
        return None
    row, column = call.start_point
    return file_facts(path, content).patches.get((row + 1, column + 1))


def _opens_for_each_user(call: ConnectionCall, opening: OpeningCall) -> bool:
    """Return whether each component that uses the function around a call gets a connection of its own."""
    if opening.api is not Api.SOCKET_IO or opening.guarded or opening.via:
        return False
    if opening.context is CallContext.FUNCTION:
        return is_returned(call.node)
    return opening.context in RUNS_FOR_EACH_USER and _SHARED_BY_NAME.match(opening.owner) is not None


_SHARED_BY_NAME = re.compile(r"^use[A-Z0-9]|\w+Provider$")
RUNS_FOR_EACH_USER = frozenset(
    {
        *(CallContext.EFFECT, CallContext.RENDER, CallContext.STATE_INITIALISER),
        *(CallContext.MEMO, CallContext.SETUP),
    }
)
"""Contexts of a component or hook: they run once or more for each one that is mounted."""


def _is_unclosed(call: OpeningCall) -> bool:
    return call.cleanup is Cleanup.MISSING and not call.guarded


def _patches(
    source: SourceCode, content: bytes, unclosed: Sequence[ConnectionCall], registrations: Sequence[Registration]
) -> dict[tuple[int, int], Patch]:
    """Return the changes that add the missing cleanups. Each was checked: the result parses and has fewer faults."""
    if source.root.has_error or not (unclosed or registrations):
        return {}
    effects: dict[Node | None, tuple[list[Context], list[ConnectionCall], list[Registration]]] = {}
    for call in unclosed:
        contexts = call_contexts(source, call.node)
        known, calls, _ = effects.setdefault(contexts[0].function, ([], [], []))
        known += contexts
        calls.append(call)
    for registration in registrations:
        known, _, group = effects.setdefault(registration.context.function, ([], [], []))
        known.append(registration.context)
        group.append(registration)
    patches: dict[tuple[int, int], Patch] = {}
    faults = len(unclosed) + len(registrations)
    for contexts, calls, group in list(effects.values())[:MAX_PATCHES]:
        if len({context.function for context in contexts}) > 1:
            continue
        edits = cleanup_edits(source, content, contexts[0], calls, [each.node for each in group])
        left = _faults_after(source, patched(content, edits)) if edits is not None else None
        if edits is None or left is None or left > faults - len(calls) - len(group):
            continue
        patch = make_patch(source.path, content, edits)
        nodes = [*(call.node for call in calls), *(registration.node for registration in group)]
        patches |= {(node.start_point[0] + 1, node.start_point[1] + 1): patch for node in nodes}
    return patches


def _faults_after(source: SourceCode, content: bytes) -> int | None:
    """Return the number of missing cleanups in a changed file, None if it has a syntax error."""
    changed = parse_source(source.path, content, source.package)
    if changed.root.has_error:
        return None
    calls = connection_calls(changed)
    unclosed = sum(_is_unclosed(opening_call(changed, call)) for call in calls[:MAX_CALLS])
    return unclosed + len(unremoved_registrations(changed, calls))


def find_uses(
    names: frozenset[str], path: str, content: bytes, default_exports: Mapping[str, str] = MappingProxyType({})
) -> list[Use]:
    """Return the places in a file that call or render one of `names`, also under another name that it is imported as.

    default_exports  dict of file to the one of `names` that the file exports as its default
    """
    source = parse_source(path, content)
    origins = imported_names(source)
    original = {local: _exported_name(binding, path, local, default_exports) for local, binding in origins.items()}
    found = []
    for node in source.nodes(*_USING):
        local, function = node_text(node.child_by_field_name(_USING[node.type])), enclosing_function(node)
        name = original.get(local, local)
        user = owner_name(outermost_owner(function)) if function is not None else PurePosixPath(path).name
        if name not in names or not user or user == name:
            continue
        row, column = node.start_point
        is_call = node.type == "call_expression"
        module = origins[local].module if local in origins else ""
        context = call_contexts(source, node)[0].kind
        found.append(Use(name, user, CodeLocation(path, row + 1, column + 1, user), module, is_call, context))
    return found


def _exported_name(binding: Binding, importer: str, local: str, default_exports: Mapping[str, str]) -> str:
    """Return the name that an import has in the module that exports it, `local` if that is unknown."""
    if binding.export != "default":
        return binding.export if binding.export != "*" else local
    files = (file for file in default_exports if _is_import_of(file, binding.module, importer))
    return default_exports.get(next(files, ""), local)


def shared_urls(
    files: Iterable[FileFacts], lookup: Callable[[str, str], ModuleConstants | None] = lambda file, module: None
) -> list[list[OpeningCall]]:
    """Return the groups of opening calls that certainly have the same URL and may be open at the same time.

    `lookup(file, module)` finds the constants of the module that a file imports.
    """
    groups: dict[tuple[str, str, str], list[OpeningCall]] = {}
    for file in files:
        for call, url in zip(file.openings, file.urls, strict=True) if file.is_module else ():
            # Several WebSockets to one URL may be subscriptions of their own.
            if url is not None and call.api is Api.SOCKET_IO and not call.guarded:
                value = resolved(url, file.path, lookup)
                groups.setdefault((file.package.folder, call.api, value), []).append(call)
    return [
        calls
        for calls in groups.values()
        if len({(call.location.file, call.owner) for call in calls}) > 1
        and not all(_ROUTE.search(call.location.file) for call in calls)
    ]


def findings_in(
    files: Sequence[FileFacts],
    uses: Sequence[Use] = (),
    on_server: Sequence[OpeningCall] = (),
    groups: Sequence[Sequence[OpeningCall]] | None = None,
) -> list[Finding]:
    """Return the findings about a tree, in the order of the rules.

    `uses` are the uses of the functions that open connections, `on_server` the calls that the web server certainly
    runs, and `groups` the calls with the same URL (by default the groups that `shared_urls` finds without constants of
    other files).
    """
    groups = shared_urls(files) if groups is None else groups
    grouped = {call for group in groups for call in group}
    alone = [call for file in files for call in file.repeated if call not in grouped]
    frameworks = {file.path: file.package.server_rendering for file in files}
    calls = [call for file in files for call in file.openings]
    return [
        *(_opened_in_render(call) for file in files for call in file.in_render),
        *(_not_closed(call, file) for file in files for call in file.openings if _is_unclosed(call)),
        *(_opened_in_several_places(group, uses) for group in groups),
        *(_opened_for_users(call, users) for call in alone if len(users := _using_components(call, uses)) > 1),
        *(_opened_on_disconnect(call) for call in calls if _adds_to_reconnection(call)),
        *(_reopened_after_cleanup(call) for file in files for call in file.reopened),
        *(_opened_on_server(call, frameworks[call.location.file]) for call in on_server),
        *(_listeners_not_removed(each, file) for file in files for each in file.listeners),
    ]


def _adds_to_reconnection(call: OpeningCall) -> bool:
    in_handler = call.context is CallContext.DISCONNECT_HANDLER and not call.guarded
    return call.api is Api.SOCKET_IO and in_handler and call.reconnects is True


def _opened_in_render(call: OpeningCall) -> Finding:
    message = f"{_owner(call)} opens a connection to {_url(call)} each time it renders ({call.location})"
    because = "the call is in the body of the function"
    return _finding("opened-in-render", message, [call.location], "io-in-render", because, opening=call)


def _not_closed(call: OpeningCall, file: FileFacts) -> Finding:
    """Return the finding about a connection that its component never closes.

    The finding is an error for a call in an effect. For any other call it is a warning, because the page may never
    unmount this component.
    """
    is_effect = call.context is CallContext.EFFECT
    part = "an effect" if is_effect else _PARTS.get(call.context, "the script")
    message = f"{part} of {_owner(call)} opens a connection to {_url(call)}, and nothing closes it ({call.location})"
    calls_nothing = "the component calls nothing that closes a connection"
    because = f"no cleanup of the effect closes it, and {calls_nothing}" if is_effect else calls_nothing
    fix = _framework_fix(file, "unmount-without-cleanup")
    if not is_effect:
        fix = fix or CATALOGUE["strict-mode-initialiser"].fix
    cause = "unmount-without-cleanup" if fix else "effect-without-cleanup"  # only React runs an effect twice
    finding = _finding("opening-not-closed", message, [call.location], cause, because, fix=fix, opening=call)
    if not is_effect:
        finding.severity = Severity.WARNING
    finding.patch = file.patches.get((call.location.line, call.location.column))
    return finding


_PARTS = {CallContext.STATE_INITIALISER: "a state initialiser", CallContext.MEMO: "a memo"}


def _opened_in_several_places(group: Sequence[OpeningCall], uses: Sequence[Use]) -> Finding:
    uses_by_call = [(call, [use for use in uses if use.refers_to(call)]) for call in group]
    places = _join([_describe_place(*each) for each in uses_by_call], "; ")
    message = f"{len(group)} places open a connection to {_url(group[0])}: {places}"
    locations = [call.location for call in group]
    both = _several_openings_text(uses_by_call)
    if both:
        rule, is_error = "opened-in-several-places", Severity.ERROR
        return _finding(rule, message, locations, "two-openers", both, severity=is_error, opening=group[0])
    return _possibly_open_together(message, locations, group[0])


def _using_components(call: OpeningCall, uses: Sequence[Use]) -> list[Use]:
    """Return one use of the opening function for each component that gets a connection of its own.

    Return [] if all these components are routes, because a page shows only one route at a time.
    """
    users = {
        (use.location.file, use.user): use
        for use in reversed(uses)
        if use.refers_to(call) and use.context in RUNS_FOR_EACH_USER
    }
    return [] if all(_ROUTE.search(file) for file, _ in users) else list(users.values())[::-1]


def _opened_for_users(call: OpeningCall, uses: Sequence[Use]) -> Finding:
    users = _join([f"{use.user} ({use.location.file}:{use.location.line})" for use in uses])
    opens = f"{_owner(call)} opens a connection to {_url(call)} ({call.location})"
    return _possibly_open_together(f"{opens} for each component that uses it: {users}", [call.location], call)


def _possibly_open_together(message: str, locations: list[CodeLocation], opening: OpeningCall) -> Finding:
    finding = _finding("opened-in-several-places", message, locations, "two-openers", opening=opening)
    finding.confidence = Confidence.MEDIUM
    if finding.cause is not None:
        confirm = "`wscheck browser URL` shows whether both are open at the same time"
        finding.cause = msgspec.structs.replace(finding.cause, confidence=Confidence.LOW, settle_by=confirm)
    return finding


def _describe_place(call: OpeningCall, uses: Sequence[Use]) -> str:
    users = list(dict.fromkeys(f"{use.user} ({use.location.file}:{use.location.line})" for use in uses))
    used_by = f", used by {_join(users)}" if users else ""
    return f"{_owner(call)} ({call.location}){used_by}"


def _several_openings_text(uses_by_call: Sequence[tuple[OpeningCall, Sequence[Use]]]) -> str:
    """Return a sentence about one function that calls several functions which open connections, "" if there is none.

    `uses_by_call` contains each call that opens a connection, with the uses of the function around it. A rendered
    element does not count as a call of a function, because it may be conditional.
    """
    called: dict[tuple[str, str], dict[str, None]] = {}
    for call, uses in uses_by_call:
        for use in uses:
            if use.is_call:
                called.setdefault((use.location.file, use.user), {})[call.owner] = None
    for (_, user), owners in called.items():
        if len(owners) > 1:
            return f"{user} calls {_join(list(owners))}"
    return ""


def _opened_on_disconnect(call: OpeningCall) -> Finding:
    message = f"{_owner(call)} opens another connection to {_url(call)} in a disconnect handler ({call.location})"
    return _finding("opened-on-disconnect", message, [call.location])


def _reopened_after_cleanup(call: OpeningCall) -> Finding:
    message = (
        f"the cleanup of {_owner(call)} closes its connection to {_url(call)}, and the close handler opens another"
    )
    because = "the close handler connects again without a condition, and the cleanup does not remove it"
    cause = "reconnection-not-cancelled"
    return _finding("reopened-after-cleanup", f"{message} ({call.location})", [call.location], cause, because)


def _opened_on_server(call: OpeningCall, framework: str) -> Finding:
    often = "once" if call.context is CallContext.MODULE else "for each request"
    place = f"{_owner(call)} opens a connection to {_url(call)} in the web server too, {often}"
    message = f"{place}: {framework} runs this code there ({call.location})"
    finding = _finding("opened-on-server", message, [call.location])
    if call.context is not CallContext.MODULE:
        finding.severity = Severity.ERROR  # nothing closes them
    return finding


def _listeners_not_removed(listeners: UnremovedListeners, file: FileFacts) -> Finding:
    owner, several = _component(listeners.owner, listeners.location), len(listeners.events) > 1
    added = f"an effect of {owner} adds {'listeners' if several else 'a listener'} for {_join(listeners.events)}"
    removed = f"nothing removes {'them' if several else 'it'} ({listeners.location})"
    if listeners.in_render:
        added = f"{owner} adds {'listeners' if several else 'a listener'} for {_join(listeners.events)}"
        message = f"{added} to {listeners.socket} each time it renders ({listeners.location})"
        return _finding("listener-added-in-render", message, [listeners.location])
    message = f"{added} to {listeners.socket}, and {removed}"
    fix, because = (
        _framework_fix(file, "handler-without-off"),
        "nothing in the component removes a listener of the event",
    )
    finding = _finding("listener-not-removed", message, [listeners.location], "handler-without-off", because, fix=fix)
    finding.patch = file.patches.get((listeners.location.line, listeners.location.column))
    return finding


def _finding(
    rule: str,
    message: str,
    locations: list[CodeLocation],
    cause: str | None = None,
    because: str = "",
    *,
    severity: Severity | None = None,
    fix: str = "",
    opening: OpeningCall | None = None,
) -> Finding:
    doc = CATALOGUE[cause] if cause is not None else None
    fix = fix or CODE_RULES[rule].fix
    if opening is not None:
        fix = fix_for_opening(opening, cause or "", fix)
    return Finding(
        rule=rule,
        severity=severity or CODE_RULES[rule].severity,
        confidence=Confidence.HIGH,
        user=None,
        message=message,
        cause=Cause(doc.id, doc.name, fix, Confidence.HIGH, because) if doc else None,
        locations=locations,
    )


def _framework_fix(file: FileFacts, cause: str) -> str:
    """Return the fix of a cause for the framework of the file, "" for React."""
    framework = file.package.framework_for(PurePosixPath(file.path).suffix.lower())
    return FRAMEWORK_FIXES.get(framework, {}).get(cause, "")


def _owner(call: OpeningCall) -> str:
    return _component(call.owner, call.location)


def _component(name: str, location: CodeLocation) -> str:
    """Return the name of a component for a message.

    Return the name of the file instead if `name` is empty, or is only a method of Vue's options such as `mounted`.
    """
    return name if name and name not in ("created", "mounted", "setup", "data") else PurePosixPath(location.file).name


def _url(call: OpeningCall) -> str:
    if call.api in (Api.PUSHER, Api.ECHO):
        return "Pusher" if call.api is Api.PUSHER else "Laravel Echo's broadcaster"
    return call.url or "the page's own origin"


def _join(names: Sequence[str], separator: str = ", ") -> str:
    shown = list(names[:_PLACES_NAMED])
    more = len(names) - len(shown)
    return separator.join(shown) + (f" and {more} more" if more else "")
