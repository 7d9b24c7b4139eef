"""Context of a call: the part of the program that runs it, and what that part does with the connection.

The search starts at the call and goes outwards, function by function, until it reaches a function that the framework or
the browser runs for a known purpose, for example the function that is given to `useEffect`. This purpose is the role of
the function. A named function without a role of its own has the role of its callers in the same file.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.syntax import (
    CACHED_NODES,
    FUNCTIONS,
    WRAPPERS,
    SourceCode,
    ancestors,
    declares,
    descendants,
    enclosing_function,
    function_name,
    node_text,
)
from wscheck.model.code_facts import CallContext

MAX_CALLERS = 4
"""Largest number of functions between a call and its context."""

_EFFECTS = frozenset(
    {
        *(
            "useEffect",
            "useLayoutEffect",
            "useInsertionEffect",
            "useIsomorphicLayoutEffect",
            "useMount",
            "useEffectOnce",
        ),
        *("onMount", "createEffect", "createRenderEffect", "$effect", "$effect.pre"),
        *("onMounted", "onBeforeMount", "onActivated", "watch", "watchEffect", "watchPostEffect", "watchSyncEffect"),
        *("effect", "afterNextRender", "useVisibleTask$", "useFocusEffect", "useSyncExternalStore"),
    }
)
_MOUNTING_METHODS = frozenset(
    {
        *(
            "componentWillMount",
            "UNSAFE_componentWillMount",
            "componentDidMount",
            "componentDidUpdate",
            "connectedCallback",
            "firstUpdated",
        ),
        *("ngOnInit", "ngAfterViewInit", "ngOnChanges"),
    }
)
"""Methods of a class that run when an instance is mounted."""

_VUE_HOOKS = frozenset({"mounted", "created", "beforeMount", "activated"})
_EVENT_LISTENERS = frozenset({"addEventListener", "addListener", "on", "once", "subscribe"})
_ENDINGS = re.compile(r"^['\"`](?:disconnect|connect_error|close|error|reconnect_failed)['\"`]$")
DEFERRED = frozenset({"then", "catch", "finally", "setTimeout", "setInterval", "requestAnimationFrame", "nextTick"})
"""Functions that call later what they receive."""

_LATER = frozenset({*DEFERRED, "queueMicrotask", "startTransition", "untrack", "batch", "runOutsideAngular", "run"})
_ITERATION = frozenset({"forEach", "map", "reduce", "filter", "flatMap", "for"})
_VUE_MODULES = ("vue", "@vue", "vue-demi", "@vueuse", "pinia", "nuxt", "#imports", "#app")
"""Modules that code of Vue imports from: the framework, libraries for all of its versions, and Nuxt's aliases."""

_COMPONENT = re.compile(r"^[A-Z]")
_HOOK = re.compile(r"^use[A-Z0-9]")


class Context(NamedTuple):
    """Context of a call: the part of the program that runs it.

    kind          kind of this part: an effect, the body of a component, an event handler, a module, ...
    function      function that the framework or browser runs, None at module level
    owner         component, hook, class or named function around it, None at module level
    via           names of the functions between the context and the call
    effect        call that registers the effect, with its dependencies, None for other contexts
    after_await   an `await` or a callback precedes the call
    """

    kind: CallContext
    function: Node | None = None
    owner: Node | None = None
    via: tuple[str, ...] = ()
    effect: Node | None = None
    after_await: bool = False


def call_contexts(source: SourceCode, call: Node, max_callers: int = MAX_CALLERS) -> list[Context]:
    """Return the parts of the program that run `call`: one, or several if its function is called from several of them.

    `max_callers` is the largest number of functions between such a part and the call.
    """
    found = list(_contexts(source, call, (), False, set(), max_callers=max_callers))
    if found:
        return found
    function = enclosing_function(call)  # only functions that call each other lead to it
    return [Context(CallContext.FUNCTION, function, outermost_owner(function) if function is not None else None)]


def _contexts(
    source: SourceCode,
    node: Node,
    via: tuple[str, ...],
    after_await: bool,
    visited: set[tuple[int, int]],
    *,
    max_callers: int,
) -> Iterator[Context]:
    """Yield each context (effect, render, event handler, ...) in which `node` runs, or in which a caller of it runs.

    via          names of the functions that the context calls on the way to `node`
    after_await  whether the code waits (`await`) on this way before it reaches `node`
    visited      positions of the functions that the search has already followed
    """
    handler = _handler_that_receives(node)
    if handler is not None:
        kind, effect = handler
        yield Context(kind, enclosing_function(node), _owner_around(node), via, effect, after_await)
        return
    function = enclosing_function(node)
    if function is None:
        yield Context(_module_context(source, node), None, _enclosing_class(node), via, None, after_await)
        return
    after_await = after_await or follows_await(node, function)
    found = _role(source, function)
    if found is not None:
        kind, effect = found
        yield Context(kind, function, outermost_owner(function), via, effect, after_await)
        return
    if _runs_inline(function):
        deferred = receiver_name(function) in DEFERRED
        yield from _contexts(source, function, via, after_await or deferred, visited, max_callers=max_callers)
        return
    name = function_name(function)
    position = (function.start_byte, function.end_byte)
    if position in visited:
        return  # its callers were followed already
    visited.add(position)
    callers = _call_sites(source, name, function) if name and len(via) < max_callers else []
    if not callers:
        yield Context(CallContext.FUNCTION, function, outermost_owner(function), via, None, after_await)
    for caller in callers:
        yield from _contexts(source, caller, (name, *via), after_await, visited, max_callers=max_callers)


def _handler_that_receives(node: Node) -> tuple[CallContext, Node | None] | None:
    """Return the role (purpose) of a function whose name is passed on, as in `socket.on("disconnect", connect)`.

    `node` is the name, here `connect`. Return None if it is not passed on, or if the receiver runs it immediately.
    """
    if node.type not in ("identifier", "member_expression"):
        return None
    if node.parent is not None and node.parent.type == "jsx_expression":
        return CallContext.EVENT_HANDLER, None
    receiver = _receiver(node)
    if receiver is None or _runs_inline(node):
        return None
    # What else receives a function decides when it runs: it is not part of the code around.
    return _role_as_argument(node, receiver) or (CallContext.FUNCTION, None)


def _owner_around(node: Node) -> Node | None:
    function = enclosing_function(node)
    return outermost_owner(function) if function is not None else _enclosing_class(node)


def _module_context(source: SourceCode, node: Node) -> CallContext:
    if source.suffix in (".svelte", ".vue"):
        in_module_script = source.module_script is not None and (
            source.module_script[0] <= node.start_byte < source.module_script[1]
        )
        return CallContext.MODULE if in_module_script else CallContext.SETUP
    if any(each.type == "public_field_definition" for each in ancestors(node)):
        return CallContext.SETUP
    return CallContext.MODULE


def _enclosing_class(node: Node) -> Node | None:
    return next((each for each in ancestors(node) if each.type in ("class_declaration", "class")), None)


def _role(source: SourceCode, function: Node) -> tuple[CallContext, Node | None] | None:
    """Return the purpose of `function` (None if unknown), and if it is an effect, the call that registers it."""
    receiver = _receiver(function)
    if receiver is not None and node_text(receiver.child_by_field_name("function")) not in WRAPPERS:
        return _role_as_argument(function, receiver)
    if function.type == "method_definition":
        return _method_role(source, function)
    return _property_role(source, function) or _role_by_name(source, function)


def _property_role(source: SourceCode, function: Node) -> tuple[CallContext, Node | None] | None:
    """Return the role of a function that is the value of a JSX attribute, of a property `onclose`, or of a Vue hook."""
    holder = function.parent
    if holder is None:
        return None
    if holder.type == "jsx_expression":
        return CallContext.EVENT_HANDLER, None
    if holder.type == "assignment_expression":
        target = node_text(holder.child_by_field_name("left"))
        if re.search(r"\.on(?:close|error)$", target):
            return CallContext.DISCONNECT_HANDLER, None
        return (CallContext.EVENT_HANDLER, None) if re.search(r"\.on[a-z]+$", target) else None
    key = node_text(holder.child_by_field_name("key")) if holder.type == "pair" and source.suffix == ".vue" else ""
    return (CallContext.EFFECT, None) if key in _VUE_HOOKS else None


def _role_as_argument(function: Node, receiver: Node | None) -> tuple[CallContext, Node | None] | None:
    if receiver is None:
        return None
    name, last = node_text(receiver.child_by_field_name("function")), receiver_name(function)
    if name.removeprefix("React.") in _EFFECTS or last in ("useEffect", "useLayoutEffect"):
        return CallContext.EFFECT, receiver
    if last == "useState":
        return CallContext.STATE_INITIALISER, None
    if last in ("useMemo", "computed", "createMemo"):
        return CallContext.MEMO, None
    if last in _EVENT_LISTENERS:
        arguments = receiver.child_by_field_name("arguments")
        first = node_text(arguments.named_children[0]) if arguments is not None and arguments.named_children else ""
        return (CallContext.DISCONNECT_HANDLER if _ENDINGS.match(first) else CallContext.EVENT_HANDLER), None
    return None


def _method_role(source: SourceCode, method: Node) -> tuple[CallContext, Node | None] | None:
    name, holder = node_text(method.child_by_field_name("name")), method.parent
    if name == "constructor":
        return CallContext.CONSTRUCTOR, None
    if holder is not None and holder.type == "object":
        if name == "setup":
            return CallContext.SETUP, None
        return (CallContext.EFFECT, None) if name in _VUE_HOOKS and _looks_like_vue(source, holder) else None
    if name == "render" and holder is not None and "extends" in node_text(holder.parent)[:200]:
        return CallContext.RENDER, None
    return (CallContext.EFFECT, None) if name in _MOUNTING_METHODS else None


def _looks_like_vue(source: SourceCode, options: Node) -> bool:
    if source.suffix == ".vue":
        return True
    holder = options.parent
    function = node_text(holder.parent.child_by_field_name("function")) if holder is not None and holder.parent else ""
    return (
        holder is not None and holder.type == "arguments" and ("defineComponent" in function or "createApp" in function)
    )


def _role_by_name(source: SourceCode, function: Node) -> tuple[CallContext, Node | None] | None:
    """Return the role of `function` if its name shows that it is the body of a component or hook, None otherwise.

    The role is RENDER for React, whose components run at each render. It is SETUP for Vue and Solid, whose components
    run once per instance.
    """
    if enclosing_function(function) is not None:
        return None
    name = function_name(function)
    if _HOOK.match(name):
        is_composable = source.package.is_vue or _imports_from(source, _VUE_MODULES)
        return (CallContext.SETUP if is_composable else CallContext.RENDER), None
    is_default_export = not name and function.parent is not None and function.parent.type == "export_statement"
    if (_COMPONENT.match(name) or is_default_export) and renders_elements(function):
        framework_runs_once = _imports_from(source, ("solid-js",))
        return (CallContext.SETUP if framework_runs_once else CallContext.RENDER), None
    return None


def renders_elements(function: Node) -> bool:
    """Return whether `function` contains JSX, which shows that it is a component."""
    return any(
        node.type in ("jsx_element", "jsx_self_closing_element", "jsx_fragment") for node in descendants(function)
    )


def _imports_from(source: SourceCode, modules: tuple[str, ...]) -> bool:
    origins = (statement.child_by_field_name("source") for statement in source.nodes("import_statement"))
    names = [node_text(origin)[1:-1] for origin in origins]
    return any(name == module or name.startswith(f"{module}/") for name in names for module in modules)


def _receiver(function: Node) -> Node | None:
    """Return the call to which `function` is passed as an argument, None if there is none."""
    holder = function.parent
    while holder is not None and holder.type in ("parenthesized_expression", "as_expression"):
        holder = holder.parent
    if holder is None or holder.type != "arguments":
        return None
    call = holder.parent
    return call if call is not None and call.type == "call_expression" else None


def receiver_name(function: Node) -> str:
    """Return the name of the function or method to which `function` is passed as an argument, "" if there is none."""
    receiver = _receiver(function)
    called = receiver.child_by_field_name("function") if receiver is not None else None
    if called is None:
        return ""
    return node_text(called.child_by_field_name("property") if called.type == "member_expression" else called)


def _runs_inline(function: Node) -> bool:
    """Return whether `function` runs whenever the code around it runs, at once or deferred.

    Examples are `(async () => {...})()`, the executor of `new Promise(...)`, and callbacks of `forEach`, `then` or
    `setTimeout`.
    """
    name = receiver_name(function)
    if name in _LATER or name in _ITERATION:
        return True
    holder = function.parent
    while holder is not None and holder.type == "parenthesized_expression":
        holder = holder.parent
    if holder is not None and holder.type == "call_expression":
        return True  # (async () => { ... })()
    return (
        holder is not None
        and holder.type == "arguments"
        and holder.parent is not None
        and (
            holder.parent.type == "new_expression"
            and node_text(holder.parent.child_by_field_name("constructor")) == "Promise"
        )
    )


def follows_await(node: Node, function: Node) -> bool:
    """Return whether the same function contains an `await` in front of `node`."""
    first = _first_await(function)
    return first is not None and first <= node.start_byte


@lru_cache(maxsize=CACHED_NODES)
def _first_await(function: Node) -> int | None:
    """Return where the first `await` of a function ends, None if it contains none."""
    ends = (each.end_byte for each in descendants(function, into_functions=False) if each.type == "await_expression")
    return min(ends, default=None)


def _call_sites(source: SourceCode, name: str, function: Node) -> list[Node]:
    """Return the places in the file that run the function or method `name`.

    Recursive calls in the body of `function` are left out. Two kinds of places inside `function` are kept: calls in a
    handler that it registers, and the registration of `function` itself as a handler.
    """
    is_member = function.type == "method_definition" or (
        function.parent is not None and function.parent.type == "public_field_definition"
    )
    runners = source.find_runners(f"this.{name}" if is_member else name)
    return [
        node for node in runners if enclosing_function(node) != function or _handler_that_receives(node) is not None
    ]


def outermost_owner(function: Node) -> Node | None:
    """Return the outermost function or class around `function` that has a name: a component, hook or service."""
    around = [function, *ancestors(function)]
    named = [
        node
        for node in around
        if node.type in ("class_declaration", "class") or (node.type in FUNCTIONS and function_name(node))
    ]
    return named[-1] if named else None


def owner_name(owner: Node | None) -> str:
    """Return the name of a component, hook, class or function, "" for None."""
    if owner is None:
        return ""
    return node_text(owner.child_by_field_name("name")) if owner.type.startswith("class") else function_name(owner)


def effect_dependencies(effect: Node | None) -> tuple[str, ...] | None:
    """Return the dependencies of a React effect, None if the call has no list."""
    arguments = effect.child_by_field_name("arguments") if effect is not None else None
    given = arguments.named_children if arguments is not None else []
    if len(given) < 2 or given[1].type != "array":
        return None
    return tuple(node_text(each) for each in given[1].named_children)


def effect_name(context: Context) -> str:
    """Return the function or method that makes a context an effect, such as "onMounted", "" for another context."""
    if context.kind is not CallContext.EFFECT or context.function is None:
        return ""
    if context.effect is None:
        return function_name(context.function)
    return node_text(context.effect.child_by_field_name("function")).removeprefix("React.")


def is_returned(call: Node) -> bool:
    """Return whether the outermost function around a call returns the connection and keeps it in no other variable."""
    function, target = enclosing_function(call), assigned_variable(call)
    if function is None or outermost_owner(function) != function:
        return False
    if target and not declares(function, target.split(".")[0], into_functions=False):
        return False
    if function.child_by_field_name("body") == call:
        return True
    returned = (
        node.named_children[0]
        for node in descendants(function, into_functions=False)
        if node.type == "return_statement" and node.named_children
    )
    return any(
        each.start_byte <= call.start_byte < each.end_byte or (target and node_text(each) == target)
        for each in returned
    )


def assigned_variable(call: Node) -> str:
    """Return the variable or property to which the connection is assigned, "" if there is none."""
    for outer in ancestors(call):
        if outer.type == "variable_declarator":
            return node_text(outer.child_by_field_name("name"))
        if outer.type in ("assignment_expression", "augmented_assignment_expression"):
            return node_text(outer.child_by_field_name("left"))
        if outer.type in ("statement_block", "program", "arguments", *FUNCTIONS):
            return ""
    return ""
