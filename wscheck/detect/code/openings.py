"""Facts about the code that opens a connection: from a call in a source file, or from the frames of a stack.

The frames of a stack show which callers ran the call. In a source file alone, only callers in the same file are known.
"""

import re
from collections.abc import Iterable, Sequence

from tree_sitter import Node

from wscheck.detect.code.call_context import (
    Context,
    assigned_variable,
    call_contexts,
    effect_dependencies,
    effect_name,
    owner_name,
    renders_elements,
)
from wscheck.detect.code.cleanups import CLOSES, closes_itself, find_cleanup, late_cleanup
from wscheck.detect.code.connection_calls import ConnectionCall, connection_calls
from wscheck.detect.code.guards import is_guarded, is_guarded_too_early, waits_for_unguarded_helper
from wscheck.detect.code.syntax import (
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
from wscheck.model.code_facts import Api, CallContext, Cleanup, OpenerCode, OpeningCall
from wscheck.model.events import CodeLocation
from wscheck.model.secrets import redact_source_code

_LIBRARY_HOOK = re.compile(r"^use[A-Z]\w*$")
_OF_REACT = frozenset(
    {
        *("useState", "useEffect", "useLayoutEffect", "useInsertionEffect", "useMemo", "useCallback", "useRef"),
        *("useContext", "useReducer", "useId", "useTransition", "useDeferredValue", "useSyncExternalStore"),
        *("useImperativeHandle", "useDebugValue", "useOptimistic", "useActionState", "useEffectEvent"),
    }
)
_ELEMENTS = ("jsx_opening_element", "jsx_self_closing_element")

MAX_URL_LENGTH = 120
_FORCES_NEW = re.compile(r"\bforceNew\s*:\s*true\b|\bmultiplex\s*:\s*false\b|\"force new connection\"\s*:\s*true")

# The context that explains most comes first, for a function that several contexts call.
_ORDER = (
    CallContext.RENDER,
    CallContext.DISCONNECT_HANDLER,
    CallContext.EFFECT,
    CallContext.STATE_INITIALISER,
    CallContext.MEMO,
    CallContext.SETUP,
    CallContext.CONSTRUCTOR,
    CallContext.EVENT_HANDLER,
    CallContext.MODULE,
    CallContext.FUNCTION,
)

_OPENS_LATER = re.compile(r"\bautoConnect\s*(?::\s*(?!true\b)|[,}])|\bstartClosed\s*:\s*true\b|\bstart\s*:\s*false\b")

MAX_FRAMES = 12
MAX_TEXT, MAX_DEPENDENCIES = 80, 20
"""Longest name, and largest number of dependencies, that are taken over from the source."""

_NAME = re.compile(r"[A-Za-z_$][\w$.]{0,59}")
_ENDS = re.compile(r"\.end(?:Async)?\(")
"""Method that closes the connection of an MQTT client. Other clients have a method with a more telling name."""

_CALLS = ("call_expression", "new_expression")
_HOOK = re.compile(r"^use[A-Z0-9]")
_PROVIDES = re.compile(r"(?:^|\.)(?:provide|setContext)$")
_ELEMENT = re.compile(r"\b(?:HTMLElement|LitElement|ReactiveElement)\b")

_NAMES = frozenset({"identifier", "property_identifier"})
_HAVE_CALLERS = frozenset({CallContext.FUNCTION, CallContext.CONSTRUCTOR})
_CALLED_ANY_TIME = frozenset({CallContext.FUNCTION, CallContext.EVENT_HANDLER})
_OF_AN_INSTANCE = frozenset(
    {
        *(CallContext.EFFECT, CallContext.RENDER, CallContext.STATE_INITIALISER, CallContext.MEMO),
        *(CallContext.SETUP, CallContext.CONSTRUCTOR),
    }
)
"""Contexts that run for each instance of a component or class, which has variables of its own."""


def opening_call(source: SourceCode, call: ConnectionCall) -> OpeningCall:
    """Return the facts about one call that opens a connection in a parsed file."""
    context = most_telling(call_contexts(source, call.node))
    cleanup = find_cleanup(source, call.node, context)
    if cleanup is Cleanup.MISSING and call.api is Api.MQTT and _ENDS.search(node_text(source.root)):
        cleanup = Cleanup.UNKNOWN
    if cleanup is Cleanup.MISSING and not opens_at_once(call):
        cleanup = Cleanup.UNKNOWN
    row, byte_column = call.node.start_point
    options = " ".join(node_text(argument) for argument in call.arguments[1:])
    return OpeningCall(
        location=CodeLocation(source.path, row + 1, byte_column + 1, owner_name(context.owner)),
        api=call.api,
        constructor=_constructor(call),
        library=call.library,
        url=_url(call),
        context=CallContext.EFFECT if call.managed else context.kind,
        owner=owner_name(context.owner),
        via=context.via,
        dependencies=effect_dependencies(context.effect),
        cleanup=Cleanup.CLOSES if call.managed else cleanup,
        after_await=context.after_await,
        guarded=is_guarded(call.node),
        forces_new=forces_new_connection(options),
        reconnects=_reconnects(call),
    )


def _constructor(call: ConnectionCall) -> str:
    named = call.node.child_by_field_name("constructor")
    is_name = named is not None and named.type in ("identifier", "member_expression")
    return node_text(named) if is_name and _NAME.fullmatch(node_text(named)) else ""


def opens_at_once(call: ConnectionCall) -> bool:
    """Return whether the call opens the connection immediately, not only when a method such as `connect` is called."""
    options = (node_text(each) for each in call.arguments if each.type == "object")
    return call.api.opens_at_once and not call.managed and not any(_OPENS_LATER.search(text) for text in options)


def most_telling(contexts: Iterable[Context]) -> Context:
    """Return the most specific of a call's contexts, for example an effect rather than a plain function."""
    return min(contexts, key=lambda each: _ORDER.index(each.kind))


def forces_new_connection(options: str) -> bool:
    """Return whether the options, as source text, keep the call from sharing an existing connection."""
    return _FORCES_NEW.search(options) is not None


def _reconnects(call: ConnectionCall) -> bool | None:
    """Return whether the client reconnects automatically, None if the options of the call do not say."""
    if call.api is not Api.SOCKET_IO:
        return call.api is Api.EVENT_SOURCE
    options = [argument for argument in call.arguments if argument.type == "object"]
    if any(re.search(r"\breconnection\s*:\s*false", node_text(each)) for each in options):
        return False
    unknown = len(call.arguments) > 1 and not options
    return None if unknown or any("..." in node_text(each) for each in options) else True


def _url(call: ConnectionCall) -> str:
    first = call.url
    if first is None:
        return ""  # io() and io({ ... }) connect to the page's own origin
    literal = string_value(first)
    text = re.sub(r"\s+", " ", node_text(first)) if literal is None else literal
    if call.api is Api.SOCKET_IO and text in ("undefined", "window.location.origin", "location.origin"):
        return ""
    return redact_source_code(text)[:MAX_URL_LENGTH]


def opener_code(frames: Sequence[tuple[CodeLocation, SourceCode]]) -> OpenerCode | None:
    """Return the facts about the connection that the innermost frame opened.

    Return None if the source of the frame contains no call that opens a connection.

    frames  the application's frames that called each other, the innermost first, each with its source
    """
    if not frames or (opening := call_at(frames[0][1], frames[0][0])) is None:
        return None
    source, node, context = frames[0][1], opening, _frame_context(frames[0][1], opening)
    after_await, guarded = context.after_await, is_guarded(opening)
    of_instance = context.kind in _OF_AN_INSTANCE
    count = 1
    for location, outer in frames[1:MAX_FRAMES]:
        if context.kind not in _HAVE_CALLERS or (caller := call_at(outer, location)) is None:
            break
        source, node, context = outer, caller, _frame_context(outer, caller)
        after_await, guarded = after_await or context.after_await, guarded or is_guarded(caller)
        count += 1
    if context.kind is CallContext.FUNCTION:
        # Without further frames, the callers in the same file are the best evidence.
        context = most_telling(call_contexts(source, node))
        after_await = after_await or context.after_await
    owner, cleanup = context.owner, find_cleanup(source, node, context)
    return OpenerCode(
        context=context.kind,
        owner=owner_name(owner)[:MAX_TEXT],
        holder=_owner_kind(owner),
        effect=effect_name(context)[:MAX_TEXT],
        dependencies=_shortened(effect_dependencies(context.effect)),
        cleanup=Cleanup.CLOSES if context.kind in _CALLED_ANY_TIME and closes_itself(opening) else cleanup,
        late_cleanup=late_cleanup(source, context)[:MAX_TEXT],
        after_await=after_await,
        guarded=guarded,
        races=not of_instance and (is_guarded_too_early(opening) or waits_for_unguarded_helper(frames[0][1], opening)),
        overwrites=not (guarded or of_instance or context.kind in _OF_AN_INSTANCE) and _overwrites(opening),
        forces_new=forces_new_connection(_arguments(opening)),
        provides=owner is not None and _provides(source, owner),
        of_render=_client_of_render(frames[0][1], opening, context)[:MAX_TEXT],
        assigned_to=_assigned_to(node, opening, context)[:MAX_TEXT],
        dropped_at=_dropped_at(frames[0][1], opening),
        frames=count,
    )


def _client_of_render(source: SourceCode, opening: Node, context: Context) -> str:
    """Return the variable of the client on which an effect calls a method, if the component creates it at each render.

    For example "client" for `const client = createClient()` in the component's body and `client.channel(name)` in the
    effect. A hook may return the same client each time, so its result does not count. Return "" if there is none.
    """
    component, effect = context.owner, context.function
    if (
        context.kind is not CallContext.EFFECT
        or component is None
        or effect is None
        or source.suffix in MARKUP_SUFFIXES
    ):
        return ""
    name = _root_name(opening)
    for around in (effect, component):
        declared = (each for each in descendants(around, into_functions=False) if each.type == "variable_declarator")
        values = {node_text(each.child_by_field_name("name")): each.child_by_field_name("value") for each in declared}
        for _ in range(MAX_FRAMES):
            value = values.get(name)
            if value is None:
                break
            if around == component and enclosing_function(value) == component:
                return name if _creates(value) else ""
            name = _root_name(value)
    return ""


def _root_name(node: Node) -> str:
    """Return the variable with which a chain of calls begins: "client" for `client.channel(a).on(b)`."""
    while node.type in ("call_expression", "member_expression", "await_expression", "non_null_expression"):
        inner = node.child_by_field_name("function") or node.child_by_field_name("object")
        if inner is None:
            inner = node.named_children[0] if node.named_children else None
        if inner is None:
            return ""
        node = inner
    return node_text(node) if node.type == "identifier" else ""


def _creates(value: Node) -> bool:
    """Return whether a value is new at each evaluation: `new Client()`, or the result of a function named for that."""
    if value.type == "new_expression":
        return True
    called = (
        node_text(value.child_by_field_name("function")).rpartition(".")[2] if value.type == "call_expression" else ""
    )
    return _CREATES.match(called) is not None


_CREATES = re.compile(r"(?:create|make|new|build|open|connect|init)(?:[A-Z_]\w*)?$")


def _shortened(texts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if texts is None else tuple(text[:MAX_TEXT] for text in texts[:MAX_DEPENDENCIES])


def call_at(source: SourceCode, location: CodeLocation) -> Node | None:
    """Return the call at a location, preferably one that opens a connection; None if there is no call.

    A stack frame may contain the column of the callee, of the last name in the callee, or of the argument list.
    """
    row, column = location.line - 1, max(location.column - 1, 0)
    openings = [call.node for call in connection_calls(source)]
    for calls in (openings, source.nodes(*_CALLS)):
        on_line = [(abs(at[1] - column), node) for node in calls if (at := _anchor(node))[0] == row]
        if on_line:
            return min(on_line, key=lambda each: each[0])[1]
    if row > source.root.end_point[0]:
        return None
    return source.root.named_descendant_for_point_range((row, column), (row, column))


def _anchor(call: Node) -> tuple[int, int]:
    """Return the row and column that a stack frame contains for a call: those of the last name of the callee."""
    callee = call.child_by_field_name("function") or call
    if callee.type == "member_expression":
        callee = callee.child_by_field_name("property") or callee
    return callee.start_point[0], callee.start_point[1]


def _frame_context(source: SourceCode, node: Node) -> Context:
    """Return the context that the code of one stack frame shows.

    The callers of its function are not searched, because the other frames of the stack contain them.
    """
    return most_telling(call_contexts(source, node, max_callers=0))


def _arguments(call: Node) -> str:
    arguments = call.child_by_field_name("arguments")
    return node_text(arguments)


def _owner_kind(owner: Node | None) -> str:
    if owner is None:
        return ""
    if owner.type.startswith("class"):
        heritage = next((node_text(each) for each in owner.children if each.type == "class_heritage"), "")
        if _ELEMENT.search(heritage) or "connectedCallback" in node_text(owner):
            return "element"
        return "component" if "Component" in heritage else "class"
    if _HOOK.match(owner_name(owner)):
        return "hook"
    return "component" if renders_elements(owner) else "function"


def _provides(source: SourceCode, owner: Node) -> bool:
    """Return whether a component is a provider: it gives a value to the components below it, such as a context."""
    contexts = {
        node_text(node.child_by_field_name("name"))
        for node in source.nodes("variable_declarator")
        if "createContext(" in node_text(node.child_by_field_name("value"))[:40]
    }
    for node in descendants(owner):
        if node.type in ("jsx_opening_element", "jsx_self_closing_element"):
            name = node_text(node.child_by_field_name("name"))
            if name.endswith(".Provider") or name in contexts:
                return True
        elif node.type == "call_expression" and _PROVIDES.search(node_text(node.child_by_field_name("function"))):
            return True
    return False


def _assigned_to(node: Node, opening: Node, context: Context) -> str:
    """Return the variable that receives the connection, "" if there is none.

    `opening` is the call that opens the connection, and `node` is the call in `context` that leads to it. If `context`
    belongs to an instance of a component or class, only the variable that `node` is assigned to counts: a variable at
    `opening` may belong to a service.
    """
    return assigned_variable(node) or (assigned_variable(opening) if context.kind not in _OF_AN_INSTANCE else "")


def _dropped_at(source: SourceCode, call: Node) -> str:
    """Return where another function sets the connection's variable to null and does not close it, "" if none does."""
    target, own = assigned_variable(call), enclosing_function(call)
    for assignment in source.nodes("assignment_expression") if target else ():
        function = enclosing_function(assignment)
        if function is None or function == own or node_text(assignment.child_by_field_name("left")) != target:
            continue
        is_null = node_text(assignment.child_by_field_name("right")) in ("null", "undefined")
        if is_null and not any(
            node.type in _NAMES and CLOSES.search(node_text(node)) for node in descendants(function)
        ):
            return f"{source.path}:{assignment.start_point[0] + 1}"
    return ""


def _overwrites(call: Node) -> bool:
    """Return whether a call may overwrite an open connection.

    It may if the variable of the connection outlives the function, and the function closes nothing before the call.
    """
    target, function = assigned_variable(call), enclosing_function(call)
    name = target.split(".")[0]
    if not target or function is None or (name != "this" and declares(function, name, into_functions=False)):
        return False
    before = (node for node in descendants(function) if node.end_byte <= call.start_byte)
    return not any(node.type in _NAMES and CLOSES.search(node_text(node)) for node in before)


def rendered_hook(source: SourceCode, place: CodeLocation) -> CodeLocation | None:
    """Return the location of the hook call that opens the connection of the component rendered at `place`.

    The hook of a library opens the connection in an effect of its own. React runs the effect, so the stack contains no
    frame of the component. In a development build of React 19, the stack contains the place that rendered the
    component, such as `<Bell />`, from which the call of the hook is found.

    Return None if the file does not define the component, or if it is not clear which hook opens the connection.
    """
    element = _element_at(source, place)
    name = node_text(element.child_by_field_name("name")) if element is not None else ""
    component = next((each for each in _all_functions(source) if name and function_name(each) == name), None)
    if component is None:
        return None
    known = [call.node for call in connection_calls(source) if enclosing_function(call.node) == component]
    hooks = known or [call for call in descendants(component, into_functions=False) if _is_library_hook(call)]
    if len(hooks) != 1:
        return None
    row, column = hooks[0].start_point
    return CodeLocation(place.file, row + 1, column + 1, name)


def _element_at(source: SourceCode, place: CodeLocation) -> Node | None:
    point = (place.line - 1, max(place.column - 1, 0))
    if point[0] > source.root.end_point[0]:
        return None
    node = source.root.named_descendant_for_point_range(point, point)
    around = (node, *ancestors(node)) if node is not None else ()
    return next((each for each in around if each.type in _ELEMENTS and tuple(each.start_point) == point), None)


def _all_functions(source: SourceCode) -> list[Node]:
    return source.nodes("function_declaration", "function_expression", "arrow_function")


def _is_library_hook(node: Node) -> bool:
    name = node_text(node.child_by_field_name("function")) if node.type == "call_expression" else ""
    return _LIBRARY_HOOK.match(name) is not None and name not in _OF_REACT
