"""Library hooks that open a connection for the component that calls them.

Such a hook opens the connection in an effect of its own. React runs the effect, so the stack contains no frame of the
component. In a development build of React 19, the stack contains the place that rendered the component, such as `<Bell
/>`, from which the call of the hook is found.
"""

import re

from tree_sitter import Node

from wscheck.detect.code.connection_calls import connection_calls
from wscheck.detect.code.syntax import SourceCode, ancestors, descendants, enclosing_function, function_name, node_text
from wscheck.model.code_facts import CodeLocation

_HOOK = re.compile(r"^use[A-Z]\w*$")
_OF_REACT = frozenset(
    {
        *("useState", "useEffect", "useLayoutEffect", "useInsertionEffect", "useMemo", "useCallback", "useRef"),
        *("useContext", "useReducer", "useId", "useTransition", "useDeferredValue", "useSyncExternalStore"),
        *("useImperativeHandle", "useDebugValue", "useOptimistic", "useActionState", "useEffectEvent"),
    }
)
_ELEMENTS = ("jsx_opening_element", "jsx_self_closing_element")


def rendered_hook(source: SourceCode, place: CodeLocation) -> CodeLocation | None:
    """Return the location of the hook call that opens the connection of the component rendered at `place`.

    Return None if the file does not define the component, or if it is not clear which hook opens the connection.
    """
    element = _element_at(source, place)
    name = node_text(element.child_by_field_name("name")) if element is not None else ""
    component = next((each for each in _functions(source) if name and function_name(each) == name), None)
    if component is None:
        return None
    known = [call.node for call in connection_calls(source) if enclosing_function(call.node) == component]
    hooks = known or [call for call in descendants(component, into_functions=False) if _is_hook(call)]
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


def _functions(source: SourceCode) -> list[Node]:
    return source.nodes("function_declaration", "function_expression", "arrow_function")


def _is_hook(node: Node) -> bool:
    name = node_text(node.child_by_field_name("function")) if node.type == "call_expression" else ""
    return _HOOK.match(name) is not None and name not in _OF_REACT
