"""Cleanups: the code that closes the connection of a component.

It runs when the component leaves (the framework unmounts or hides it), or before the effect of the component runs
again.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.call_context import (
    DEFERRED,
    Context,
    assigned_variable,
    effect_name,
    follows_await,
    owner_name,
    receiver_name,
)
from wscheck.detect.code.syntax import (
    FUNCTIONS,
    MARKUP_SUFFIXES,
    SourceCode,
    ancestors,
    declares,
    descendants,
    enclosing_function,
    function_name,
    node_text,
    string_value,
)
from wscheck.model.code_facts import CallContext, Cleanup

_LEAVING_METHODS = frozenset(
    {
        *("componentWillUnmount", "disconnectedCallback", "ngOnDestroy"),
        *("beforeUnmount", "unmounted", "beforeDestroy", "destroyed"),
    }
)
_LEAVING_HOOKS = frozenset(
    {"onUnmounted", "onBeforeUnmount", "onScopeDispose", "onWatcherCleanup", "onDestroy", "onCleanup", "onDeactivated"}
)
"""Functions that run what they receive when the component leaves."""

_KEPT_ALIVE = {"onActivated": "onDeactivated", "activated": "deactivated"}
"""Hook of a component that Vue keeps alive when it is not shown, to the hook that runs when it is hidden.

Vue unmounts such a component only with the place that keeps it, so its other hooks do not run when it is hidden.
"""

CLOSES = re.compile(
    r"\b(?:disconnect\w*|(?:close|destroy|terminate|dispose|shutdown|teardown|cleanup|unsubscribe|stop|leave|release"
    r"|deactivate)(?:(?=\w*(?:socket|connection|client|stream|source|channel|ws|all|everything))\w*)?)\b",
    re.I,
)
"""Names of functions that may close a connection. `closeModal` and `stopPropagation` close none."""


_RENDER_ONCE = frozenset({CallContext.STATE_INITIALISER, CallContext.MEMO})
_REACT_EFFECT = re.compile(r"(?:^|\.)use(?:Layout|Insertion)?Effect$")


def find_cleanup(source: SourceCode, call: Node, context: Context) -> Cleanup:
    """Return whether a cleanup closes the connection that `call` opens in `context`.

    CLOSES means that the cleanup of the effect, or a hook that runs when the component leaves, closes the connection.
    MISSING means that the code certainly does not close it. For MISSING, all of these conditions hold:

    - The effect returns no cleanup, one that closes nothing (it only removes listeners or clears timers), or one that
      closes the connection of an earlier run.
    - The component contains no name of a function that closes something, such as `disconnect`. Hooks that do not run
      when the component leaves are ignored.
    - No code outside of the component gets the connection.
    - The component is not the root component (`is_root`).

    In all other cases, the result is UNKNOWN.
    """
    returned = None
    if context.kind is CallContext.EFFECT and context.function is not None:
        returned, target = _returned_cleanup(context.function), assigned_variable(call)
    elif (kept := _variable_of_instance(source, call, context)) is not None:
        target = kept
    else:
        return Cleanup.UNKNOWN
    closes_earlier = returned is not None and _closes_earlier_state(returned, context, target)
    if returned is not None and not closes_earlier and CLOSES.search(_identifiers(returned)):
        return Cleanup.CLOSES
    hooks = _leaving_hooks(source, context)
    owner = context.owner
    by_effect = context.kind in _RENDER_ONCE and owner is not None and _effect_closes(owner, target)
    if by_effect or any(hook.runs and CLOSES.search(_identifiers(hook.body)) for hook in hooks):
        return Cleanup.CLOSES
    is_local = owner is not None and (target.startswith("this.") or declares(owner, target.split(".")[0]) or not target)
    if owner is None or source.suffix in MARKUP_SUFFIXES or not is_local:
        owner = source.root
    if is_root(source, context):
        return Cleanup.UNKNOWN
    is_harmless = closes_earlier or (
        returned is not None and returned.type in FUNCTIONS and only_harmless_calls(returned)
    )
    may_close = returned is not None and not is_harmless
    idle = tuple(hook.body for hook in hooks if not hook.runs)
    if returned is not None and closes_earlier:
        idle = (*idle, returned)
    if may_close or CLOSES.search(_identifiers(owner, without=idle)) or _leaves(owner, call, target):
        return Cleanup.UNKNOWN
    return Cleanup.MISSING


def _closes_earlier_state(cleanup: Node, context: Context, target: str) -> bool:
    """Return whether a cleanup closes only what a React state held before the effect put the new connection into it.

    For example `setSocket(next); return () => socket?.close();`. The function captures the value of `socket` from the
    render before, so the connection of each run stays open. `target` is the variable of the connection.
    """
    owner, function = context.owner, context.function
    if owner is None or function is None or cleanup.type not in FUNCTIONS or not target:
        return False
    set_here = {
        _state_of(node_text(call.child_by_field_name("function")))
        for call in descendants(function)
        if call.type == "call_expression" and node_text(call.child_by_field_name("arguments")) == f"({target})"
    }
    states = {_state_of(setter) for setter in state_setters(owner)}
    closings = [
        node_text(node.child_by_field_name("object"))
        for node in descendants(cleanup)
        if node.type == "member_expression" and CLOSES.fullmatch(node_text(node.child_by_field_name("property")))
    ]
    others = len(CLOSES.findall(_identifiers(cleanup))) - len(closings)
    return bool(closings) and not others and target not in states and set(closings) <= states & set_here


def _state_of(setter: str) -> str:
    """Return the state that a setter sets: "socket" for "setSocket"."""
    return setter[3:4].lower() + setter[4:]


def _variable_of_instance(source: SourceCode, call: Node, context: Context) -> str | None:
    """Return the variable that keeps a component's connection, for a call outside of an effect.

    The variable is a state or memo whose initialiser opens the connection, or a variable in the script of a Vue or
    Svelte file that the markup does not use. Return "" if no variable keeps the connection, None if this is not
    certain.
    """
    if context.kind is CallContext.SETUP and source.suffix in (".vue", ".svelte") and context.function is None:
        name = assigned_variable(call)
        is_used = name and re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", source.markup)
        return None if is_used else name
    initialiser = context.function
    if context.kind not in (CallContext.STATE_INITIALISER, CallContext.MEMO) or initialiser is None:
        return None
    if context.via or initialiser.child_by_field_name("body") != call:
        return None  # another value than the connection may be kept
    declarator = next((each for each in ancestors(initialiser) if each.type == "variable_declarator"), None)
    name_node = declarator.child_by_field_name("name") if declarator is not None else None
    if name_node is not None and name_node.type == "array_pattern" and name_node.named_children:
        name_node = name_node.named_children[0]
    return node_text(name_node) if name_node is not None and name_node.type == "identifier" else None


def late_cleanup(source: SourceCode, context: Context) -> str:
    """Return the hook that an effect calls after an `await` to close a connection, "" if there is none."""
    if context.kind is not CallContext.EFFECT:
        return ""
    late = (hook for hook in _leaving_hooks(source, context) if hook.is_late)
    return next((hook.name for hook in late if CLOSES.search(_identifiers(hook.body))), "")


class _LeavingHook(NamedTuple):
    """Code that a component registers with the framework, to run when the component leaves.

    body     the method, or the arguments of the call that registers the code
    is_late  the hook is called after an `await`, when the framework no longer knows the component
    runs     the framework runs the code when the component leaves, or when Vue hides a component that it keeps alive
    """

    name: str
    body: Node
    is_late: bool
    runs: bool


def _leaving_hooks(source: SourceCode, context: Context) -> list[_LeavingHook]:
    owner = source.root if source.suffix in MARKUP_SUFFIXES else context.owner
    needed = _KEPT_ALIVE.get(effect_name(context), "")
    found = []
    for node in descendants(owner) if owner is not None else ():
        is_late = False
        if node.type == "method_definition":
            name, body = node_text(node.child_by_field_name("name")), node
            is_hook = name in _LEAVING_METHODS or name == needed
        elif node.type == "call_expression":
            name = node_text(node.child_by_field_name("function"))
            is_hook, body = name in _LEAVING_HOOKS, node.child_by_field_name("arguments") or node
            is_late = is_hook and _is_called_late(node, name)
        else:
            continue
        if is_hook:
            found.append(_LeavingHook(name, body, is_late, not is_late and needed in ("", name)))
    return found


def _is_called_late(call: Node, name: str) -> bool:
    """Return whether the framework's hook `name` is called after an `await` or in a deferred callback.

    The framework ignores such a call. A parameter of the function with the same name, such as `onCleanup` in Vue's
    `watchEffect((onCleanup) => ...)`, works at any time, so its call is not late.
    """
    function = enclosing_function(call)
    if function is None:
        return False
    parameters = function.child_by_field_name("parameters") or function.child_by_field_name("parameter")
    if re.search(rf"\b{re.escape(name)}\b", node_text(parameters)):
        return False
    return follows_await(call, function) or receiver_name(function) in DEFERRED


def is_root(source: SourceCode, context: Context) -> bool:
    """Return whether a page certainly mounts the component only once.

    In Vue, Svelte and Angular, this is the component with the usual name of a root component, such as `App`. In React,
    the result is always False, because StrictMode mounts even the root component twice.
    """
    if source.suffix in MARKUP_SUFFIXES:
        return _ROOT_FILE.search(source.path) is not None
    name = node_text(context.function.child_by_field_name("name")) if context.function is not None else ""
    return name.startswith("ng") and owner_name(context.owner) in ("App", "AppComponent")


_ROOT_FILE = re.compile(r"(?:^|/)(?:[Aa]pp|\+layout|layouts/default)\.\w+$")


def only_harmless_calls(cleanup: Node) -> bool:
    """Return whether all calls in a cleanup close nothing: they are about listeners, timers, states or the console."""
    called = (node.child_by_field_name("function") for node in descendants(cleanup) if node.type == "call_expression")
    return all(_HARMLESS.match(node_text(each)) for each in called)


_HARMLESS = re.compile(
    r"^(?:console\.\w+|clear(?:Timeout|Interval)|set[A-Z]\w*"
    r"|[\w.?!]*\.(?:off|removeListener|removeAllListeners|emit|removeEventListener))$"
)


def _leaves(owner: Node, call: Node, target: str) -> bool:
    """Return whether code outside of the component may get the connection.

    It may if the connection is returned, passed to a function or put into an object. The setter of a state
    (`setSocket(socket)`) keeps it in the component, unless the component passes the state on. `target` is the variable
    that receives the connection, "" if there is none.
    """
    names, states = {target} if target else set(), state_setters(owner)
    setters = (each for each in descendants(owner) if each.type == "call_expression")
    for setter in setters:
        name, arguments = node_text(setter.child_by_field_name("function")), setter.child_by_field_name("arguments")
        if (
            name in states
            and arguments is not None
            and (node_text(arguments) == f"({target})" or arguments.start_byte <= call.start_byte < arguments.end_byte)
        ):
            names.add(name[3].lower() + name[4:])
    if not names:
        return call.parent is not None and call.parent.type in ("arguments", "return_statement", "arrow_function")
    return any(
        node_text(node) in names and _gives_away(node, states)
        for node in descendants(owner)
        if node.type in ("identifier", "shorthand_property_identifier", "member_expression")
    )


def state_setters(owner: Node) -> frozenset[str]:
    """Return the setters of the states that a component declares: `setSocket` of `const [socket, setSocket] = ...`."""
    patterns = (node for node in descendants(owner) if node.type == "array_pattern")
    names = (node_text(name) for pattern in patterns for name in pattern.named_children)
    return frozenset(name for name in names if STATE_SETTER.match(name))


def _gives_away(node: Node, states: frozenset[str]) -> bool:
    holder = node.parent
    if node.type == "shorthand_property_identifier" or holder is None:
        return node.type == "shorthand_property_identifier"
    if holder.type == "arguments" and holder.parent is not None:
        function = holder.parent.child_by_field_name("function")
        return not (node_text(function) in states or node_text(function).startswith("console."))
    if holder.type == "pair":
        return holder.child_by_field_name("value") == node
    return holder.type in ("return_statement", "jsx_expression", "spread_element")


STATE_SETTER = re.compile(r"^set[A-Z]\w*$")


def _identifiers(node: Node, without: tuple[Node, ...] = ()) -> str:
    """Return the identifiers of a node, separated by spaces. Strings, comments and the parts `without` are left out."""
    return " ".join(
        node_text(each)
        for each in descendants(node)
        if each.type
        in ("identifier", "property_identifier", "shorthand_property_identifier", "private_property_identifier")
        and not any(part.start_byte <= each.start_byte < part.end_byte for part in without)
    )


def closes_itself(call: Node) -> bool:
    """Return whether the function that opens a connection closes this connection when it is done.

    It does so after a wait, or in a handler of the connection's messages.
    """
    function, target = enclosing_function(call), assigned_variable(call)
    if function is None or not target:
        return False
    own = list(descendants(function, into_functions=False))
    waits = [node.end_byte for node in own if node.type == "await_expression" and node.start_byte >= call.end_byte]
    after_wait = (node for node in own if node.start_byte >= min(waits, default=node.end_byte))
    if any(_is_close_of(target, node) for node in after_wait):
        return True
    around = (each for each in (function, *ancestors(function)) if each.type in FUNCTIONS)
    if not any(declares(each, target) for each in around):
        return False  # a variable of the module or of an object, which other code may close
    return any(_is_close_of(target, node) and _is_in_handler(target, node) for node in descendants(function))


def _is_close_of(target: str, node: Node) -> bool:
    """Return whether a node is the name of a method that closes `target`, such as `socket.close`."""
    return (
        node.type == "member_expression"
        and node_text(node.child_by_field_name("object")) == target
        and CLOSES.fullmatch(node_text(node.child_by_field_name("property"))) is not None
    )


def _is_in_handler(target: str, node: Node) -> bool:
    """Return whether a node is in a handler of `target` for an event other than an error or the end."""
    for outer in ancestors(node):
        holder = outer.parent if outer.type in FUNCTIONS else None
        event = None
        if holder is not None and holder.type == "assignment_expression":
            name = node_text(holder.child_by_field_name("left"))
            event = name.removeprefix(f"{target}.on") if name.startswith(f"{target}.on") else None
        elif holder is not None and holder.type == "arguments":
            name = node_text(holder.prev_sibling)
            listens = name.startswith(f"{target}.") and _LISTENS.fullmatch(name, len(target) + 1)
            event = string_value(holder.named_children[0]) if listens else None
        if event is not None:
            return _FAILS.search(event) is None
    return False


_LISTENS = re.compile(r"on|once|addEventListener|addListener")
_FAILS = re.compile(r"error|close|disconnect|end$", re.I)


def reopens_after_cleanup(source: SourceCode, call: Node, contexts: Sequence[Context]) -> bool:
    """Return whether the cleanup of an effect closes a WebSocket whose close handler then certainly opens another.

    For example `socket.onclose = () => setTimeout(connect, 1000)` beside `return () => socket.close()`. It is certain
    if the code that connects again has no condition, and the cleanup only closes the connection: it removes no handler.

    `contexts` are those of `call`, which opens the connection.
    """
    names, opening = _names_of(call), enclosing_function(call)
    if opening is None or _is_conditional(call, opening):
        return False
    effects = [each for each in contexts if each.kind is CallContext.EFFECT and not is_root(source, each)]
    if not any(_only_closes(cleanup, names) for each in effects for cleanup in _cleanups_of(source, each)):
        return False
    for handler in contexts:
        function = handler.function
        if handler.kind is not CallContext.DISCONNECT_HANDLER or function is None:
            continue
        is_own = opening.start_byte <= function.start_byte < opening.end_byte
        between = [each for each in source.nodes(*FUNCTIONS) if function_name(each) in handler.via[:-1]]
        if is_own and _handles_close_of(names, function) and not any(map(_decides, (function, *between))):
            return True
    return False


def _cleanups_of(source: SourceCode, context: Context) -> Iterator[Node]:
    """Yield the code that runs when the component of an effect leaves, and the function that the effect returns."""
    returned = _returned_cleanup(context.function) if context.function is not None else None
    if returned is not None:
        yield returned
    yield from (hook.body for hook in _leaving_hooks(source, context) if hook.runs)


def _names_of(call: Node) -> frozenset[str]:
    """Return the variables with a connection: `a` and `this.b` for `const a = io(url); this.b = a`."""
    target, function = assigned_variable(call), enclosing_function(call)
    names = {target} - {""}
    for node in descendants(function) if function is not None and target else ():
        if node.type == "assignment_expression" and node_text(node.child_by_field_name("right")) == target:
            names.add(node_text(node.child_by_field_name("left")))
    return frozenset(names)


def _only_closes(cleanup: Node, names: Iterable[str]) -> bool:
    """Return whether a cleanup closes one of `names`, and calls nothing else that may detach a handler of it."""
    calls = [node.child_by_field_name("function") for node in descendants(cleanup) if node.type == "call_expression"]
    closing = [each for each in calls if each is not None and any(_is_close_of(name, each) for name in names)]
    others = [node_text(each) for each in calls if each not in closing]
    return (
        bool(closing)
        and "onclose" not in node_text(cleanup)
        and all(_HARMLESS.match(name) and "emove" not in name and not name.endswith(".off") for name in others)
    )


def _handles_close_of(names: Iterable[str], function: Node) -> bool:
    """Return whether a function is the close handler of the connection with one of `names`."""
    holder = function.parent
    if holder is not None and holder.type == "assignment_expression":
        return node_text(holder.child_by_field_name("left")) in {f"{name}.onclose" for name in names}
    if holder is None or holder.type != "arguments" or not holder.named_children:
        return False
    listens = node_text(holder.prev_sibling) in {f"{name}.addEventListener" for name in names}
    return listens and string_value(holder.named_children[0]) == "close"


def _is_conditional(call: Node, function: Node) -> bool:
    """Return whether a condition in `function` decides whether its part `call` runs."""
    around = [each for each in ancestors(call) if each.start_byte > function.start_byte]
    before = (each for each in descendants(function, into_functions=False) if each.end_byte <= call.start_byte)
    return any(_is_decision(each) for each in around) or any(
        _is_decision(each) and re.search(r"\b(?:return|throw)\b", node_text(each)) for each in before
    )


def _decides(function: Node) -> bool:
    return any(_is_decision(node) for node in descendants(function))


def _is_decision(node: Node) -> bool:
    is_logical = node.type == "binary_expression" and node_text(node.child_by_field_name("operator")) in _LOGICAL
    return is_logical or node.type in ("if_statement", "ternary_expression", "switch_statement")


_LOGICAL = ("&&", "||", "??")


def _effect_closes(component: Node, variable: str) -> bool:
    """Return whether an effect of a React component or hook has a cleanup that closes the connection in `variable`."""
    for call in descendants(component):
        if call.type != "call_expression" or not _REACT_EFFECT.search(node_text(call.child_by_field_name("function"))):
            continue
        effect = next((each for each in descendants(call) if each.type in FUNCTIONS), None)
        returned = _returned_cleanup(effect) if effect is not None else None
        if returned is not None and variable in (names := _identifiers(returned)).split() and CLOSES.search(names):
            return True
    return False


def _returned_cleanup(function: Node) -> Node | None:
    body = function.child_by_field_name("body")
    if body is not None and body.type != "statement_block":
        return body if body.type in FUNCTIONS else None
    for node in descendants(function, into_functions=False):
        if (
            node.type == "return_statement"
            and node.named_children
            and node_text(node.named_children[0]) not in ("null", "undefined")
        ):
            return node.named_children[0]
    return None
