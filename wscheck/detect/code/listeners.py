"""Listeners that an effect registers on a socket that outlives it, and never removes."""

import re
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.call_context import Context, contexts_of, owner_name
from wscheck.detect.code.connection_calls import ConnectionCall, imported_names
from wscheck.detect.code.syntax import SourceCode, descendants, string_value, text_of
from wscheck.model.code_facts import CallContext
from wscheck.model.events import CodeLocation

_REGISTRATIONS = "(call_expression function: (member_expression property: (property_identifier) @m))"
_SOCKET = re.compile(r"^(?:\w+\.)*_?\w*socket\w*(?:\.current)?[?!]?$", re.I)
_REMOVES = re.compile(
    r"\b(?:off|offAny|removeListener|removeAllListeners|disconnect|close|destroy|unsubscribe|abort)\b"
)


class UnremovedListener(NamedTuple):
    """Listener for `event` that an effect of `owner` registers on `socket` and never removes."""

    location: CodeLocation
    event: str
    socket: str
    owner: str


def unremoved_listeners(source: SourceCode, openings: list[ConnectionCall]) -> list[UnremovedListener]:
    """Return the listeners that pile up, because their effect runs again and never removes them.

    Only an effect without any cleanup counts, on a socket that the file imports or opens outside of the effect.
    """
    found = []
    for member in source.find(_REGISTRATIONS):
        call = member.parent.parent if member.parent is not None else None
        if text_of(member) != "on" or call is None:
            continue
        listener = _unremoved(source, call, openings)
        if listener is not None:
            found.append(listener)
    return found


def _unremoved(source: SourceCode, call: Node, openings: list[ConnectionCall]) -> UnremovedListener | None:
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    given = arguments.named_children if arguments is not None else []
    event = string_value(given[0]) if given else None
    socket = text_of(function.child_by_field_name("object")) if function is not None else ""
    if event is None or not _SOCKET.match(socket):
        return None
    for context in contexts_of(source, call):
        if context.kind is not CallContext.EFFECT or context.function is None or context.via:
            return None
        if not _is_shared(source, socket, context, openings) or _removes_listeners(source, context):
            return None
        row, column = call.start_point
        owner = owner_name(context.owner)
        return UnremovedListener(CodeLocation(source.path, row + 1, column + 1, owner), event, socket, owner)
    return None


def _is_shared(source: SourceCode, socket: str, context: Context, openings: list[ConnectionCall]) -> bool:
    """Return whether `socket` is imported, or declared at module level and opened outside of the effect."""
    name = socket.split(".", maxsplit=1)[0].rstrip("?!")
    function = context.function
    assert function is not None
    if any(function.start_byte <= each.node.start_byte < function.end_byte for each in openings):
        return False
    if context.owner is not None and _declares(context.owner, name):
        return False
    if name in imported_names(source):
        return True
    if source.suffix in (".vue", ".svelte"):
        return False  # a variable of the script belongs to one instance
    return _declares(source.root, name, into_functions=False)


def _declares(around: Node, name: str, into_functions: bool = True) -> bool:
    """Return whether a variable or parameter `name`, also one of a pattern, is declared in a node."""
    declared = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    return any(
        node.type in ("variable_declarator", "formal_parameters")
        and declared.search(text_of(node.child_by_field_name("name") or node))
        for node in descendants(around, into_functions)
    )


def _removes_listeners(source: SourceCode, context: Context) -> bool:
    """Return whether the component removes listeners anywhere, or the effect returns something."""
    around = source.root if source.suffix in (".vue", ".svelte") else context.owner or context.function
    assert around is not None and context.function is not None
    names = " ".join(
        text_of(node) for node in descendants(around) if node.type in ("property_identifier", "identifier")
    )
    returns = any(
        node.type == "return_statement" and node.named_children
        for node in descendants(context.function, into_functions=False)
    )
    return returns or _REMOVES.search(names) is not None
