"""Patches that add the missing cleanup to an effect, as its framework expects it.

A patch exists only if there is one way to add the cleanup. It inserts text and keeps the rest of the
file byte for byte. Indentation, line ends and semicolons are those of the code around it.
"""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from tree_sitter import Node

from wscheck.detect.code.call_context import Context
from wscheck.detect.code.cleanups import state_setters
from wscheck.detect.code.connection_calls import ConnectionCall, imported_names
from wscheck.detect.code.syntax import (
    CACHED_NODES,
    FUNCTIONS,
    SourceCode,
    ancestors,
    declares,
    descendants,
    enclosing_function,
    node_text,
    string_value,
)
from wscheck.model.code_facts import Api, Patch, Replacement
from wscheck.model.secrets import redact_source_code

_CLEANUP_RETURNED = frozenset(
    {
        *("useEffect", "useLayoutEffect", "useInsertionEffect", "useIsomorphicLayoutEffect", "useEffectOnce"),
        *("React.useEffect", "React.useLayoutEffect", "useSyncExternalStore", "$effect", "$effect.pre"),
    }
)
"""Functions that call, as the cleanup, what the function given to them returns. Svelte's `onMount` does so too."""

_HOOKS = {
    ("vue", "onMounted"): "onUnmounted",
    ("vue", "onBeforeMount"): "onUnmounted",
    ("vue", "onActivated"): "onDeactivated",
    ("svelte", "onMount"): "onDestroy",
}
"""(module, function for a component that mounts) to the function of the module for a component that unmounts."""

_CLOSING_METHODS = {
    Api.SOCKET_IO: "disconnect()",
    Api.PUSHER: "disconnect()",
    Api.ECHO: "disconnect()",
    Api.MQTT: "end()",
    Api.WEBSOCKET: "close()",
    Api.EVENT_SOURCE: "close()",
}

_METHODS = {
    "componentDidMount": ("componentWillUnmount",),
    "connectedCallback": ("disconnectedCallback",),
    "ngOnInit": ("ngOnDestroy",),
    "ngAfterViewInit": ("ngOnDestroy",),
}
_OPTIONS = {2: ("beforeDestroy", "destroyed"), 3: ("unmounted", "beforeUnmount")}
"""Vue's major version to the methods for a component that unmounts. The first one is added if none exists."""

_MEMBER = re.compile(r"[\w$]+(?:\.[\w$]+)*")
_WRAPPERS = frozenset({"as_expression", "satisfies_expression", "non_null_expression", "parenthesized_expression"})


class Edit(NamedTuple):
    """Replacement of the bytes from `start` to `end` by `text`."""

    start: int
    end: int
    text: str


class _Fault(NamedTuple):
    """Connection that no cleanup closes, or listener that no cleanup removes.

    statement  statement that contains the opening call or the registration
    undo       expression that closes or removes it
    name       variable in `undo`: the connection that the statement declares, or a handler that has no name yet
    value      expression to which the patch gives the name `name`, None for a connection that has a name
    type       TypeScript type of the connection, "" if it is not known
    """

    statement: Node
    undo: str
    name: str = ""
    value: Node | None = None
    type: str = ""


def patched(content: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the content of a file after edits that do not overlap."""
    for edit in sorted(edits, key=lambda each: (each.start, each.end), reverse=True):
        content = content[: edit.start] + edit.text.encode() + content[edit.end :]
    return content


def make_patch(path: str, content: bytes, edits: Sequence[Edit]) -> Patch:
    """Return the edits of a file as a patch."""
    replacements = [_replacement(content, edit) for edit in sorted(edits)]
    diff = redact_source_code(unified_diff(path, content, patched(content, edits)))
    return Patch(file=path, replacements=replacements, diff=diff)


def _replacement(content: bytes, edit: Edit) -> Replacement:
    (line, column), (end_line, end_column) = _position(content, edit.start), _position(content, edit.end)
    return Replacement(
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        start=edit.start,
        end=edit.end,
        text=edit.text,
    )


def _position(content: bytes, offset: int) -> tuple[int, int]:
    """Return the 1-based line and column of a byte, the column in UTF-16 code units."""
    before = content[content.rfind(b"\n", 0, offset) + 1 : offset].decode("utf-8", "replace")
    return content.count(b"\n", 0, offset) + 1, len(before.encode("utf-16-le")) // 2 + 1


def unified_diff(path: str, before: bytes, after: bytes) -> str:
    """Return the difference between two versions of a file, as `git apply` reads it."""
    old, new = (re.findall(r"[^\n]*\n|[^\n]+\Z", version.decode("utf-8", "replace")) for version in (before, after))
    names = (path, path) if PurePosixPath(path).is_absolute() else (f"a/{path}", f"b/{path}")
    lines = difflib.unified_diff(old, new, *names)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def cleanup_edits(
    source: SourceCode,
    content: bytes,
    context: Context,
    openings: Sequence[ConnectionCall],
    listeners: Sequence[Node],
) -> list[Edit] | None:
    """Return the edits that close the connections and remove the listeners of an effect, None if no edit is certain.

    `openings` and `listeners` are the calls in the function of `context` that no cleanup undoes.
    """
    if context.function is None or context.via:
        return None
    effect = _Effect(source, content, context, context.function)
    faults = [*map(effect.opening_fault, openings), *map(effect.listener_fault, listeners)]
    known = sorted((fault for fault in faults if fault is not None), key=lambda fault: fault.statement.start_byte)
    if not known or len(known) < len(faults) or len({fault.name or fault.undo for fault in known}) < len(known):
        return None
    return effect.edits(known)


@dataclass(frozen=True)
class _Effect:
    """Function of an effect, in the file that a patch changes."""

    source: SourceCode
    content: bytes
    context: Context
    function: Node

    def edits(self, faults: Sequence[_Fault]) -> list[Edit] | None:
        """Return the edits that add a cleanup of all `faults`, in the form that the framework expects.

        Return None if this form is unknown, or if no edit is certain.
        """
        if self.context.effect is None:
            return self._method_edits(faults) if self.function.type == "method_definition" else None
        module, name = self._registered_by()
        returns = name in _CLEANUP_RETURNED or (module, name) == ("svelte", "onMount")
        if returns and not _is_asynchronous(self.function):
            return self._returned(faults)
        return self._registered(faults, module, name) if (module, name) in _HOOKS else None

    # Style of the code

    def indent(self, node: Node) -> str:
        """Return the white space in front of the line of a node."""
        line = self.content[self.content.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte]
        return line[: len(line) - len(line.lstrip(b" \t"))].decode()

    def unit(self, statement: Node) -> str:
        """Return the indentation of a statement relative to the block around it."""
        block = statement.parent
        outer, inner = self.indent(block) if block is not None else "", self.indent(statement)
        return inner[len(outer) :] if inner.startswith(outer) and len(inner) > len(outer) else "  "

    @property
    def line_end(self) -> str:
        return "\r\n" if b"\r\n" in self.content[: self.function.end_byte] else "\n"

    @staticmethod
    def semicolon(statement: Node) -> str:
        return ";" if node_text(statement).endswith(";") else ""

    # What the effect does

    def opening_fault(self, call: ConnectionCall) -> _Fault | None:
        """Return the connection that `call` opens and nothing closes, with the code to close it.

        Return None if it is not certain how to close the connection.
        """
        statement = _statement_around(call.node, self.function)
        is_manager = call.api is Api.SOCKET_IO and call.node.type == "new_expression"
        is_fetch = call.api is Api.EVENT_SOURCE and call.node.type == "call_expression"
        if statement is None or is_manager or is_fetch or call.api not in _CLOSING_METHODS:
            return None  # a Manager, and what fetchEventSource() returns, have no method that closes the connection
        expression = call.node
        while expression.parent is not None and expression.parent.type in _WRAPPERS:
            expression = expression.parent
        holder, close = expression.parent, _CLOSING_METHODS[call.api]
        if holder is not None and holder.type == "variable_declarator" and len(statement.named_children) == 1:
            name = node_text(holder.child_by_field_name("name"))
            fault = _Fault(statement, f"{name}.{close}", name, None, _variable_type(holder, call.node))
            return fault if name.isidentifier() else None
        if holder is not None and holder.type == "assignment_expression" and holder.parent == statement:
            target = node_text(holder.child_by_field_name("left"))
            dot = "." if statement.parent == self.function.child_by_field_name("body") and not self._is_typed else "?."
            return _Fault(statement, f"{target}{dot}{close}") if _MEMBER.fullmatch(target) else None
        name = self._free_name("socket", "connection")
        states = state_setters(self.context.owner or self.source.root)
        if not name or not (holder == statement or _is_setter_argument(expression, statement, states)):
            return None
        return _Fault(statement, f"{name}.{close}", name, expression)

    def listener_fault(self, listener: Node) -> _Fault | None:
        """Return the listener that `socket.on("event", handler)` adds and nothing removes, with the code to remove it.

        Return None if it is not certain how to remove the listener.
        """
        statement = _statement_around(listener, self.function)
        called, arguments = listener.child_by_field_name("function"), listener.child_by_field_name("arguments")
        if statement is None or listener.parent != statement or called is None or arguments is None:
            return None
        given = [each for each in arguments.named_children if each.type != "comment"]
        event = string_value(given[0]) if given else None
        if event is None or len(given) != 2:
            return None
        off, handler = _registration(listener, "off", given[0]), given[1]
        if _MEMBER.fullmatch(node_text(handler)):
            return _Fault(statement, f"{off}{node_text(handler)})")
        words = [word for word in re.split(r"\W+|_", event) if word]
        name = self._free_name("on" + "".join(word[0].upper() + word[1:] for word in words)) if words else ""
        if handler.type not in FUNCTIONS or not name or (self._is_typed and not _states_its_types(handler)):
            return None
        return _Fault(statement, f"{off}{name})", name, handler)

    @property
    def _is_typed(self) -> bool:
        return self.source.typescript or self.source.suffix == ".tsx"

    def _free_name(self, *names: str) -> str:
        """Return the first of `names` that the code around the effect does not use, "" if it uses all."""
        used = _used_names(self.context.owner or self.source.root)
        return next((name for name in names if name not in used), "")

    def _registered_by(self) -> tuple[str, str]:
        """Return the module and the exported name of the function that registers the effect.

        The file may give another name to this function.
        """
        assert self.context.effect is not None
        name = node_text(self.context.effect.child_by_field_name("function"))
        binding = imported_names(self.source).get(name)
        if binding is not None:
            return binding.module, binding.export
        return "vue" if self.source.suffix == ".vue" or self.source.package.is_vue else "", name

    # Cleanup that the effect returns

    def _returned(self, faults: Sequence[_Fault]) -> list[Edit] | None:
        block = faults[0].statement.parent
        if block is None or any(fault.statement.parent != block for fault in faults):
            return None
        if (cleanup := self._cleanup_after(faults[-1].statement)) is not None:
            return [*self._namings(faults), self._into(cleanup, faults)]
        if self._ends_early(faults):
            return None
        if not _ends_function(block, self.function):
            return None
        return [*self._namings(faults), self._at_end(block, faults[0].statement, [fault.undo for fault in faults])]

    def _cleanup_after(self, statement: Node) -> Node | None:
        """Return the body of the cleanup function that the block around a statement returns.

        Return None if the block does not end with such a `return`.
        """
        block = statement.parent
        returned = block.named_children[-1] if block is not None else None
        if returned is None or returned.type != "return_statement" or not returned.named_children:
            return None
        body = returned.named_children[0].child_by_field_name("body")
        return body if body is not None and body.type == "statement_block" and body.named_children else None

    def _into(self, cleanup: Node, faults: Sequence[_Fault]) -> Edit:
        """Return the edit that adds the statements which undo the faults to the end of an existing cleanup."""
        last = cleanup.named_children[-1]
        if cleanup.start_point[0] == cleanup.end_point[0]:
            at = len(self.content[: cleanup.end_byte - 1].rstrip())
            start = "" if self.content[:at].endswith((b";", b"}")) else ";"
            return Edit(at, at, start + "".join(f" {fault.undo};" for fault in faults))
        lines = (f"{self.indent(last)}{fault.undo}{self.semicolon(fault.statement)}{self.line_end}" for fault in faults)
        at = self.content.rfind(b"\n", 0, cleanup.end_byte - 1) + 1
        return Edit(at, at, "".join(lines))

    def _namings(self, faults: Sequence[_Fault]) -> list[Edit]:
        return [edit for fault in faults if fault.value is not None for edit in self._naming(fault, fault.value)]

    def _naming(self, fault: _Fault, value: Node) -> list[Edit]:
        """Return the edits that assign an expression to the variable `fault.name`.

        The assignment is inserted before the statement that contains the expression, and the statement then uses the
        variable.
        """
        statement, end = (
            fault.statement,
            f"{self.semicolon(fault.statement)}{self.line_end}{self.indent(fault.statement)}",
        )
        if value.parent == statement:
            return [Edit(statement.start_byte, statement.start_byte, f"const {fault.name} = ")]
        head, tail = self._text(statement.start_byte, value.start_byte), self._text(value.end_byte, statement.end_byte)
        if value.type in FUNCTIONS:
            call = value.parent.parent if value.parent is not None else None
            assert call is not None
            arguments = call.child_by_field_name("arguments")
            assert arguments is not None
            event = next(each for each in arguments.named_children if each.type != "comment")
            head = _registration(call, "on", event)
            tail = f"){self.semicolon(statement)}"
        return [
            Edit(statement.start_byte, value.start_byte, f"const {fault.name} = "),
            Edit(value.end_byte, statement.end_byte, f"{end}{head}{fault.name}{tail}"),
        ]

    def _text(self, start: int, end: int) -> str:
        return self.content[start:end].decode("utf-8", "replace")

    def _ends_early(self, faults: Sequence[_Fault]) -> bool:
        """Return whether the effect contains a `return` after its first fault, or a `return` with a value.

        Adding a cleanup function at the end of the effect is then not safe.
        """
        first = faults[0].statement.start_byte
        return any(
            node.type == "return_statement" and (node.end_byte > first or node.named_children)
            for node in descendants(self.function, into_functions=False)
        )

    def _at_end(self, block: Node, statement: Node, undone: Sequence[str]) -> Edit:
        """Return the edit that adds `return () => {...}` at the end of a block: a cleanup that consists of `undone`.

        The new lines get the indentation and the semicolons of `statement`, a statement of the block.
        """
        end, semicolon = block.end_byte - 1, self.semicolon(statement)
        closing = self._text(self.content.rfind(b"\n", 0, end) + 1, end)
        if closing.strip():  # the last statement is in the line of the bracket
            before = self.content[:end].rstrip()
            start = "" if before.endswith((b";", b"}", b"{")) else ";"
            at = len(before)
            return Edit(at, at, f"{start} return () => {{ {'; '.join(undone)}; }};")
        last = [child for child in block.named_children if child.type != "comment"][-1]
        line = self.content.find(b"\n", last.end_byte, end) + 1
        is_free = line and not self.content[last.end_byte : line].strip()
        at = line if is_free else end - len(closing.encode())  # a comment for a linter stays at the bracket
        inner, unit = self.indent(statement), self.unit(statement)
        body = [f"{inner}{unit}{each}{semicolon}" for each in undone]
        lines = [f"{inner}return () => {{", *body, f"{inner}}}{semicolon}"]
        return Edit(at, at, "".join(f"{line}{self.line_end}" for line in lines))

    # Cleanup in a hook of its own

    def _registered(self, faults: Sequence[_Fault], module: str, name: str) -> list[Edit] | None:
        effect = self.context.effect
        registration, body = effect.parent if effect is not None else None, self.function.child_by_field_name("body")
        scope = registration.parent if registration is not None else None
        if registration is None or registration.type != "expression_statement" or scope is None or body is None:
            return None
        if any(fault.statement.parent != body for fault in faults) or self._ends_early(faults):
            return None
        hook = _HOOKS[module, name]
        imports = self._import(name, hook)
        if imports is None:
            return None
        edits, indent = list(imports), self.indent(registration)
        undone: list[str] = []
        semicolon, line_end = self.semicolon(registration), self.line_end
        for fault in faults:
            hoisted = self._hoisted(fault, scope, registration)
            if hoisted is None:
                return None
            edits += hoisted
            undo = fault.undo.replace(".", "?.", 1) if fault.name else fault.undo
            undone.append(f"{undo}{self.semicolon(fault.statement)}")
        unit = self.unit(faults[0].statement)
        lines = [f"{hook}(() => {{", *(f"{unit}{each}" for each in undone), f"}}){semicolon}"]
        after = "".join(f"{line_end}{indent}{line}" for line in lines)
        return [*edits, Edit(registration.end_byte, registration.end_byte, after)]

    def _hoisted(self, fault: _Fault, scope: Node, registration: Node) -> list[Edit] | None:
        """Return the edits that declare the variable `fault.name` before the effect instead of inside it.

        `registration` is the statement that registers the effect, `scope` the node around this statement. Return [] if
        nothing needs to be moved, None if it is not certain that the code can be moved.
        """
        if not fault.name:
            used = re.findall(r"(?<![\w.$])[A-Za-z_$][\w$]*", re.sub(r"(['\"`]).*?\1", "", fault.undo))
            return None if any(declares(self.function, name) for name in used) else []
        if fault.value is not None or declares(scope, fault.name, into_functions=False):
            return None  # a function without a name may use variables of the effect
        end, indent = f"{self.semicolon(fault.statement)}{self.line_end}", self.indent(registration)
        if self._is_typed and not fault.type:
            return None
        of_type = f": {fault.type}" if self._is_typed else ""
        declarator = fault.statement.named_children[0]
        named = declarator.child_by_field_name("type") or declarator.child_by_field_name("name")
        assert named is not None
        return [
            Edit(registration.start_byte, registration.start_byte, f"let {fault.name}{of_type}{end}{indent}"),
            Edit(fault.statement.start_byte, named.end_byte, fault.name),
        ]

    def _import(self, beside: str, added: str) -> list[Edit] | None:
        """Return the edit that adds the name `added` to the import statement which imports `beside`.

        Return [] if no edit is needed, None if there is no such statement.
        """
        names = imported_names(self.source)
        if any(binding.export == added for binding in names.values()):
            return [] if added in names else None
        for specifier in self.source.nodes("import_specifier"):
            if node_text(specifier.child_by_field_name("name")) == beside:
                return [Edit(specifier.end_byte, specifier.end_byte, f", {added}")]
        return [] if self.source.suffix == ".vue" or self.source.package.is_vue else None

    # Cleanup in a method

    def _method_edits(self, faults: Sequence[_Fault]) -> list[Edit] | None:
        method, holder = self.function, self.function.parent
        if holder is None or any(fault.name for fault in faults):
            return None  # a variable of the method is not there in another one
        name = node_text(method.child_by_field_name("name"))
        counterparts = _METHODS.get(name, ()) if holder.type == "class_body" else self._option_methods(name)
        used = {word for fault in faults for word in re.findall(r"(?<![\w.$])[A-Za-z_$][\w$]*", fault.undo)}
        if not counterparts or any(declares(method, each) for each in used - {"this"}):
            return None
        undone = [f"{fault.undo}{self.semicolon(fault.statement)}" for fault in faults]
        indent, unit, line_end = self.indent(method), self.unit(method), self.line_end
        inner = f"{line_end}{indent}{unit}"
        for member in holder.named_children:
            if node_text(member.child_by_field_name("name") or member.child_by_field_name("key")) in counterparts:
                body = member.child_by_field_name("body") if member.type == "method_definition" else None
                if body is None:
                    return None
                at = body.start_byte + 1
                return [Edit(at, at, "".join(f"{inner}{each}" for each in undone))]
        if f"super.{name}(" in node_text(method):
            undone = [f"super.{counterparts[0]}(){self.semicolon(faults[0].statement)}", *undone]
        separator = f"{line_end}{line_end}" if holder.type == "class_body" else f",{line_end}"
        body_text = "".join(f"{inner}{each}" for each in undone)
        text = f"{separator}{indent}{counterparts[0]}() {{{body_text}{line_end}{indent}}}"
        return [Edit(method.end_byte, method.end_byte, text)]

    def _option_methods(self, name: str) -> tuple[str, ...]:
        """Return the Vue options that can contain the cleanup for the option `name`.

        For "mounted" and the other options that run at the start, these are the options that run when the component is
        unmounted. Return () for any other option, or if the version of Vue is unknown.
        """
        is_option = name in ("mounted", "created", "beforeMount")
        return _OPTIONS.get(self.source.package.vue_version or 0, ()) if is_option else ()


def _is_asynchronous(function: Node) -> bool:
    return any(child.type == "async" for child in function.children)


@lru_cache(maxsize=CACHED_NODES)
def _used_names(around: Node) -> frozenset[str]:
    names = (node for node in descendants(around) if node.type.endswith(("identifier", "_pattern")))
    return frozenset(map(node_text, names))


def _statement_around(node: Node, function: Node) -> Node | None:
    """Return the statement of `function` that contains `node`, None if a nested function contains `node`."""
    if enclosing_function(node) != function:
        return None
    inner = node
    for outer in ancestors(node):
        if outer.type == "statement_block":
            return (
                inner if inner.type in ("expression_statement", "lexical_declaration", "variable_declaration") else None
            )
        if outer == function:
            return None
        inner = outer
    return None


def _ends_function(block: Node, function: Node) -> bool:
    """Return whether no code of `function` can run after `block`.

    The block is the body of the function, or belongs to an `if` that is the last statement of such a block.
    """
    if block.parent == function:
        return True
    condition = block.parent
    if condition is None or condition.type != "if_statement" or condition.child_by_field_name("consequence") != block:
        return False
    outer = condition.parent
    if outer is None or outer.type != "statement_block":
        return False
    statements = [each for each in outer.named_children if each.type != "comment"]
    return statements[-1] == condition and _ends_function(outer, function)


def _variable_type(declarator: Node, call: Node) -> str:
    """Return the TypeScript type of a variable that receives the connection, "" if it is not known."""
    stated = declarator.child_by_field_name("type")
    if stated is not None:
        return node_text(stated).removeprefix(":").strip()
    if call.type == "new_expression":
        return node_text(call.child_by_field_name("constructor"))
    called = node_text(call.child_by_field_name("function"))
    return f"ReturnType<typeof {called}>" if re.fullmatch(r"[\w.]+", called) else ""


def _states_its_types(function: Node) -> bool:
    """Return whether each parameter of a function has an explicit type, so that the function can be moved."""
    parameters = function.child_by_field_name("parameters")
    given = parameters.named_children if parameters is not None else []
    return function.child_by_field_name("parameter") is None and all(
        each.child_by_field_name("type") is not None for each in given if each.type != "comment"
    )


def _is_setter_argument(expression: Node, statement: Node, states: frozenset[str]) -> bool:
    """Return whether `statement` only passes `expression` to the setter of a state, as in `setSocket(io(url))`.

    `states` are the names of these setters.
    """
    arguments = expression.parent
    setter = arguments.parent if arguments is not None and arguments.type == "arguments" else None
    return (
        setter is not None
        and arguments is not None
        and len(arguments.named_children) == 1
        and setter.parent == statement
        and node_text(setter.child_by_field_name("function")) in states
    )


def _registration(call: Node, method: str, event: Node) -> str:
    """Return the beginning of a call that adds or removes a listener, for example `socket.off("event", `.

    It has the object of `call`, the method `on` or `off`, and the event.
    """
    called, types = call.child_by_field_name("function"), node_text(call.child_by_field_name("type_arguments"))
    assert called is not None
    operator = "?." if any(child.type == "optional_chain" for child in called.children) else "."
    return f"{node_text(called.child_by_field_name('object'))}{operator}{method}{types}({node_text(event)}, "
