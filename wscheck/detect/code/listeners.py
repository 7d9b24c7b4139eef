"""Listeners that pile up: an effect or a component's body registers one at each run, and nothing removes it."""

import re
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.call_context import Context, call_contexts, effect_dependencies, owner_name
from wscheck.detect.code.cleanups import is_root, only_harmless_calls
from wscheck.detect.code.connection_calls import ConnectionCall, imported_names
from wscheck.detect.code.guards import conditions_around
from wscheck.detect.code.syntax import (
    CACHED_NODES,
    FUNCTIONS,
    SourceCode,
    declares,
    descendants,
    enclosing_function,
    node_text,
    string_value,
)
from wscheck.model.code_facts import CallContext
from wscheck.model.events import CodeLocation

_PATH = re.compile(r"\w+(?:\.\w+)*")
_REMOVES = re.compile(r"off|offAny|removeListener|removeAllListeners|disconnect|close|destroy|unsubscribe|abort")


MAX_LISTENERS = 200
"""Largest number of registrations that are examined per file. A file with more was not written by hand."""


class UnremovedListeners(NamedTuple):
    """Listeners for `events` that an effect or the body of `owner` registers on `socket` and never removes.

    location   place of the first registration
    in_render  the body of the component or hook registers them, at each render
    """

    location: CodeLocation
    events: tuple[str, ...]
    socket: str
    owner: str
    in_render: bool = False


class Registration(NamedTuple):
    """Call that registers a listener for `event` on `socket`. The code in `context` never removes the listener."""

    node: Node
    event: str
    socket: str
    context: Context


def unremoved_registrations(source: SourceCode, openings: list[ConnectionCall]) -> list[Registration]:
    """Return the registrations that pile up: their effect or component runs again and never removes the listener.

    An effect counts only if it certainly removes no listener of the event, and if the file imports the socket or opens
    it outside of the effect.
    """
    imported = frozenset(imported_names(source))
    registrations = (call for call in source.nodes("call_expression") if _registers(call))
    found = (_unremoved(source, call, openings, imported) for call in islice(registrations, MAX_LISTENERS))
    return [registration for registration in found if registration is not None]


def unremoved_listeners(source: SourceCode, registrations: list[Registration]) -> list[UnremovedListeners]:
    """Return the registrations as `UnremovedListeners`, one for each pair of effect and socket."""
    groups: dict[tuple[Node | None, str], list[Registration]] = {}
    for registration in registrations:
        groups.setdefault((registration.context.function, registration.socket), []).append(registration)
    return [_listeners(source, group) for group in groups.values()]


def _listeners(source: SourceCode, group: list[Registration]) -> UnremovedListeners:
    row, column = group[0].node.start_point
    owner = owner_name(group[0].context.owner)
    location = CodeLocation(source.path, row + 1, column + 1, owner)
    events = tuple(dict.fromkeys(registration.event for registration in group))
    in_render = group[0].context.kind is CallContext.RENDER
    return UnremovedListeners(location, events, group[0].socket, owner, in_render)


def _registers(call: Node) -> bool:
    function = call.child_by_field_name("function")
    return (
        function is not None
        and function.type == "member_expression"
        and (node_text(function.child_by_field_name("property")) == "on")
    )


def _is_socket(text: str) -> bool:
    """Return whether an expression is the name of a socket: "socket", "this.chatSocket", "socketRef.current!"."""
    name = text[:-1] if text.endswith(("?", "!")) else text
    name = name.lower().removesuffix(".current")
    return _PATH.fullmatch(name) is not None and "socket" in name.rpartition(".")[2]


def _unremoved(
    source: SourceCode, call: Node, openings: list[ConnectionCall], imported: frozenset[str]
) -> Registration | None:
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    given = arguments.named_children if arguments is not None else []
    event = string_value(given[0]) if given else None
    socket = node_text(function.child_by_field_name("object")) if function is not None else ""
    if event is None or not _is_socket(socket):
        return None
    context = call_contexts(source, call)[0]
    if context.function is None or context.via or is_root(source, context):
        return None
    if _removes_listener(source, context, event):
        return None
    if context.kind is CallContext.EFFECT:
        piles_up = _is_shared(source, socket, context, openings, imported)
    else:
        piles_up = context.kind is CallContext.RENDER and _runs_at_each_render(call, socket, context, openings)
    return Registration(call, event, socket, context) if piles_up else None


def _runs_at_each_render(call: Node, socket: str, context: Context, openings: list[ConnectionCall]) -> bool:
    """Return whether each render registers the listener again.

    It does if the registration has no condition, or only a check that the socket exists. The result is False if the
    body of the component also opens a connection, which is a fault of its own.
    """
    function = context.function
    assert function is not None
    if any(enclosing_function(each.node) == function for each in openings):
        return False
    checks = {node_text(each).strip("()!") for each in conditions_around(call)}
    return checks <= {socket.rstrip("?!"), socket.rstrip("?!").removesuffix(".current")}


def _is_shared(
    source: SourceCode, socket: str, context: Context, openings: list[ConnectionCall], imported: frozenset[str]
) -> bool:
    """Return whether `socket` is imported, or declared at module level and opened outside of the effect."""
    name = socket.split(".", maxsplit=1)[0].rstrip("?!")
    function = context.function
    assert function is not None
    if any(function.start_byte <= each.node.start_byte < function.end_byte for each in openings):
        return False
    if _runs_once_per_mount(context) and any(_is_within(each.node, context.owner) for each in openings):
        return False  # each mount opens a socket of its own, and adds the listener once
    if context.owner is not None and declares(context.owner, name):
        return False
    if name in imported:
        return True
    if source.suffix in (".vue", ".svelte"):
        return False  # a variable of the script belongs to one instance
    return declares(source.root, name, into_functions=False)


def _runs_once_per_mount(context: Context) -> bool:
    """Return whether an effect runs only once per mount.

    It does if its dependency list is empty, or contains only values that React never changes, such as state setters and
    refs.
    """
    dependencies = effect_dependencies(context.effect)
    return dependencies is not None and all(_STABLE.match(each) for each in dependencies)


_STABLE = re.compile(r"^(?:set[A-Z]\w*|dispatch|navigate|toast|router|\w*[rR]ef)$")


def _is_within(node: Node, owner: Node | None) -> bool:
    return owner is not None and owner.start_byte <= node.start_byte < owner.end_byte


def _removes_listener(source: SourceCode, context: Context, event: str) -> bool:
    """Return whether the component may remove the listeners of `event`.

    The result is False only if the component removes no listeners, or only those of other events, and if the effect's
    cleanup calls nothing that could remove them indirectly.
    """
    around = source.root if source.suffix in (".vue", ".svelte") else context.owner or context.function
    assert around is not None and context.function is not None
    if not _removed_events(around).isdisjoint((None, event)):
        return True
    return context.kind is CallContext.EFFECT and _has_unclear_cleanup(context.function)


@lru_cache(maxsize=CACHED_NODES)
def _removed_events(around: Node) -> frozenset[str | None]:
    """Return the events whose listeners the code in a node removes, None among them for events that are unknown."""
    return frozenset(
        _removed_event(node)
        for node in descendants(around)
        if node.type in ("property_identifier", "identifier", "shorthand_property_identifier_pattern")
        and _REMOVES.fullmatch(node_text(node))
    )


@lru_cache(maxsize=CACHED_NODES)
def _has_unclear_cleanup(effect: Node) -> bool:
    """Return whether the cleanup that an effect returns may remove a listener."""
    returned = (
        node.named_children[0]
        for node in descendants(effect, into_functions=False)
        if node.type == "return_statement" and node.named_children
    )
    return not all(each.type in FUNCTIONS and only_harmless_calls(each) for each in returned)


def _removed_event(name: Node) -> str | None:
    """Return the event of `socket.off("event", ...)`, given the name of the method, None for anything else."""
    call = name.parent.parent if name.parent is not None and name.parent.type == "member_expression" else None
    arguments = call.child_by_field_name("arguments") if call is not None and call.type == "call_expression" else None
    given = [each for each in arguments.named_children if each.type != "comment"] if arguments is not None else []
    return string_value(given[0]) if given else None
