"""Listeners that an effect registers on a socket that outlives it, and never removes."""

import re
from itertools import islice
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.call_context import Context, contexts_of, owner_name
from wscheck.detect.code.connection_calls import ConnectionCall, imported_names
from wscheck.detect.code.syntax import SourceCode, declares, descendants, string_value, text_of
from wscheck.model.code_facts import CallContext
from wscheck.model.events import CodeLocation

_SOCKET = re.compile(r"^(?:\w+\.)*_?\w*socket\w*(?:\.current)?[?!]?$", re.I)
_REMOVES = re.compile(
    r"\b(?:off|offAny|removeListener|removeAllListeners|disconnect|close|destroy|unsubscribe|abort)\b"
)


MAX_LISTENERS = 200
"""Largest number of registrations that are examined per file. A file with more was not written by hand."""


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
    imported = frozenset(imported_names(source))
    registrations = (call for call in source.nodes("call_expression") if _registers(call))
    for call in islice(registrations, MAX_LISTENERS):
        listener = _unremoved(source, call, openings, imported)
        if listener is not None:
            found.append(listener)
    return found


def _registers(call: Node) -> bool:
    function = call.child_by_field_name("function")
    return (
        function is not None
        and function.type == "member_expression"
        and (text_of(function.child_by_field_name("property")) == "on")
    )


def _unremoved(
    source: SourceCode, call: Node, openings: list[ConnectionCall], imported: frozenset[str]
) -> UnremovedListener | None:
    function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
    given = arguments.named_children if arguments is not None else []
    event = string_value(given[0]) if given else None
    socket = text_of(function.child_by_field_name("object")) if function is not None else ""
    if event is None or not _SOCKET.match(socket):
        return None
    for context in contexts_of(source, call):
        if context.kind is not CallContext.EFFECT or context.function is None or context.via:
            return None
        if not _is_shared(source, socket, context, openings, imported) or _removes_listeners(source, context):
            return None
        row, column = call.start_point
        owner = owner_name(context.owner)
        return UnremovedListener(CodeLocation(source.path, row + 1, column + 1, owner), event, socket, owner)
    return None


def _is_shared(
    source: SourceCode, socket: str, context: Context, openings: list[ConnectionCall], imported: frozenset[str]
) -> bool:
    """Return whether `socket` is imported, or declared at module level and opened outside of the effect."""
    name = socket.split(".", maxsplit=1)[0].rstrip("?!")
    function = context.function
    assert function is not None
    if any(function.start_byte <= each.node.start_byte < function.end_byte for each in openings):
        return False
    if context.owner is not None and declares(context.owner, name):
        return False
    if name in imported:
        return True
    if source.suffix in (".vue", ".svelte"):
        return False  # a variable of the script belongs to one instance
    return declares(source.root, name, into_functions=False)


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
