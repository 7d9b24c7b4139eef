"""Guards: conditions that keep code from opening a connection a second time, such as `if (socket) return socket`."""

import re
from collections.abc import Iterable, Iterator

from tree_sitter import Node

from wscheck.detect.code.call_context import DEFERRED, assigned_variable, receiver_name
from wscheck.detect.code.cleanups import STATE_SETTER
from wscheck.detect.code.syntax import (
    FUNCTIONS,
    SourceCode,
    ancestors,
    descendants,
    enclosing_function,
    function_name,
    node_text,
)


def is_guarded(call: Node) -> bool:
    """Return whether a check keeps `call` from opening a second connection.

    For example, `if (!socket) socket = io(url)`. The check tests something that the code sets when it opens the
    connection: the variable of the connection, a state that receives it, or a flag.
    """
    return bool(_guards(call))


def is_guarded_too_early(call: Node) -> bool:
    """Return whether the code checks for an earlier connection, then waits, and only then opens and stores one.

    Several calls pass such a check before the first of them has a connection.
    """
    guards = _guards(call, into_callbacks=True)
    function = enclosing_function(guards[-1]) if guards else None
    if function is None:
        return False
    checked_at = max(guard.end_byte for guard in guards)
    waits = [node.start_byte for node in descendants(function) if _is_wait_before(node, call)]
    waits_at = min((at for at in waits if at >= checked_at), default=None)
    if waits_at is None:
        return False
    return not any(
        checked_at <= node.start_byte < waits_at and any(_mentions(guard, (name,)) for guard in guards)
        for node, name in _settings(function)
    )


def waits_for_unguarded_helper(source: SourceCode, call: Node) -> bool:
    """Return whether the code waits, before `call`, for a helper that lets several callers create a connection.

    The helper is a function of the same file. It checks for an earlier connection, then waits, and stores a connection
    only after the wait. For example `const link = await getLink()`, where `getLink` is `if (link) return link; await
    load(); return setLink(new Link())` or `if (!link) { await load(); link = new Link(); } return link`. Callers that
    arrive during the wait each get a connection of their own.
    """
    around = enclosing_function(call)
    waits = [node for node in descendants(around) if _is_wait_before(node, call)] if around is not None else []
    helpers = [found for wait in waits if (found := _called_function(source, wait)) is not None]
    return any(_checks_before_a_wait(source, helper) for helper in helpers)


def _called_function(source: SourceCode, node: Node) -> Node | None:
    """Return the function of the file that the first call in `node` runs, None if it is not in the file."""
    calls = [each for each in (node, *descendants(node, into_functions=False)) if each.type == "call_expression"]
    name = node_text(calls[0].child_by_field_name("function")) if calls else ""
    return next((each for each in source.nodes(*FUNCTIONS) if name and function_name(each) == name), None)


def _checks_before_a_wait(source: SourceCode, helper: Node) -> bool:
    """Return whether a function checks what an earlier call stored, then waits, and stores only after the wait.

    If a connection is stored, the function returns it. Otherwise it waits, and then stores a new one.
    """
    waits = [node for node in descendants(helper, into_functions=False) if node.type == "await_expression"]
    stored = list(_settings(helper))
    for node in descendants(helper, into_functions=False):
        if node.type == "call_expression" and (called := _called_function(source, node)) is not None:
            stored += [(node, name) for _, name in _settings(called)]
    for check in descendants(helper, into_functions=False):
        condition, then = check.child_by_field_name("condition"), check.child_by_field_name("consequence")
        if check.type != "if_statement" or condition is None or then is None:
            continue
        kept = [node.start_byte for node, name in stored if _mentions(condition, (name,))]
        is_within = any(then.start_byte <= at < then.end_byte for at in kept)
        if not is_within and "return" not in node_text(then):
            continue
        since = then.start_byte if is_within else check.end_byte
        waits_at = min((wait.start_byte for wait in waits if wait.start_byte >= since), default=None)
        if waits_at is not None and kept and all(at > waits_at for at in kept):
            return True
    return False


def _is_wait_before(node: Node, call: Node) -> bool:
    """Return whether `node` delays `call`.

    `node` is an `await` before the call in the same function, or a deferred callback that contains the call, such as
    the argument of `then`.
    """
    if node.type == "await_expression":
        return node.end_byte <= call.start_byte and enclosing_function(node) == enclosing_function(call)
    is_around = node.type in FUNCTIONS and node.start_byte <= call.start_byte < node.end_byte
    return is_around and receiver_name(node) in DEFERRED


def _guards(call: Node, *, into_callbacks: bool = False) -> list[Node]:
    """Return the conditions that keep the code from opening a connection again, the innermost first.

    into_callbacks  also return the conditions around callbacks that contain the call, such as those of `then`
    """
    names = _set_with(call)
    guards, inner = [], call
    for outer in ancestors(call):
        if outer.type in FUNCTIONS and not (into_callbacks and receiver_name(outer) in DEFERRED):
            break
        guards += [each for each in _conditions(outer, inner) if each is not None and _mentions(each, names)]
        inner = outer
    return guards


def conditions_around(node: Node) -> Iterator[Node]:
    """Yield the conditions that decide whether `node` is evaluated, the innermost first."""
    inner = node
    for outer in ancestors(node):
        yield from (condition for condition in _conditions(outer, inner) if condition is not None)
        inner = outer


def _conditions(outer: Node, inner: Node) -> Iterator[Node | None]:
    """Yield the conditions in `outer` that decide whether `inner`, a node in it, is evaluated."""
    if outer.type in ("if_statement", "ternary_expression") and outer.child_by_field_name("condition") != inner:
        yield outer.child_by_field_name("condition")
    if outer.type in ("binary_expression", "augmented_assignment_expression"):
        yield outer.child_by_field_name("left")
    if outer.type == "statement_block":
        for statement in outer.named_children:
            ends = "return" in node_text(statement.child_by_field_name("consequence"))
            if statement.type == "if_statement" and statement.end_byte <= inner.start_byte and ends:
                yield statement.child_by_field_name("condition")


def _mentions(condition: Node, names: Iterable[str]) -> bool:
    """Return whether a condition, or the value of a variable in it, contains one of `names`.

    A name that begins with a dot is a property of any object.
    """
    text = " ".join([node_text(condition), *map(node_text, _values_of_variables(condition))])
    patterns = (re.escape(name) if name.startswith(".") else rf"(?<![\w.]){re.escape(name)}" for name in names)
    return any(re.search(rf"{pattern}(?!\w)", text) for pattern in patterns)


def _values_of_variables(condition: Node) -> Iterator[Node]:
    """Yield the initial values of the variables that a condition uses.

    Only variables that the same function declares before the condition are considered.
    """
    function = enclosing_function(condition)
    used = {node_text(each) for each in (condition, *descendants(condition)) if each.type == "identifier"}
    for node in descendants(function, into_functions=False) if function is not None else ():
        if node.type == "variable_declarator" and node.end_byte <= condition.start_byte:
            value = node.child_by_field_name("value")
            if value is not None and node_text(node.child_by_field_name("name")) in used:
                yield value


def _set_with(call: Node) -> frozenset[str]:
    """Return the names of the variables, properties and states that the function around `call` sets."""
    function = enclosing_function(call)
    settings = _settings(function) if function is not None else ()
    return frozenset({assigned_variable(call), *(name for _, name in settings)} - {""})


def _settings(function: Node) -> Iterator[tuple[Node, str]]:
    """Yield each assignment or setter call in a function, with the name that it sets.

    The name is "socket" for a variable or state, "this.socket" for a property, ".socket" for a property of a store, and
    "topics" for a collection that the call adds to (`topics.add(name)`).
    """
    for node in descendants(function):
        if node.type in ("assignment_expression", "augmented_assignment_expression"):
            yield node, node_text(node.child_by_field_name("left"))
        elif node.type == "call_expression":
            name = node_text(node.child_by_field_name("function"))
            if (collection := _COLLECTS.fullmatch(name)) is not None:
                yield node, collection["name"]
            if STATE_SETTER.match(name):
                yield node, name[3].lower() + name[4:]
            elif _STORE_SETTER.search(name):
                yield from ((node, f".{key}") for key in _keys_of_arguments(node))


_COLLECTS = re.compile(r"(?P<name>[\w$.#]+)\.(?:add|set|push)")
"""Methods that add something to a set, a map or a list."""

_STORE_SETTER = re.compile(r"(?:^|\.)(?:set|setState|patchState|\$patch)$")
"""Functions that set properties of a store: `set({ socket })`."""


def _keys_of_arguments(call: Node) -> Iterator[str]:
    arguments = call.child_by_field_name("arguments")
    for each in arguments.named_children if arguments is not None else ():
        for member in each.named_children if each.type == "object" else ():
            key = member if member.type == "shorthand_property_identifier" else member.child_by_field_name("key")
            if key is not None:
                yield node_text(key)
