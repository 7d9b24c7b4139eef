"""Values of the URLs of connections, as far as the code states them, so that two expressions can be compared.

A value is the text of the URL. A part that comes from the environment is written as the name of the variable, such as
`{process.env.API}`. A part that another file defines is a reference to it, until `ModuleConstants` replaces it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from posixpath import normpath

import msgspec
from tree_sitter import Node

from wscheck.detect.code.connection_calls import Binding, ConnectionCall, imported_names
from wscheck.detect.code.syntax import SUFFIXES, SourceCode, node_text, string_value

MAX_STEPS = 8
"""Largest number of names that are followed from an expression to its value."""

MAX_LENGTH = 500
"""Largest number of characters of a value. Longer text is not the URL of a connection."""

_ENVIRONMENT = re.compile(r"^(?:process\.env|import\.meta\.env|\$env)\.[\w.]+$")
_ORIGIN = frozenset({"undefined", "window.location.origin", "location.origin", "window.location.host", "'/'", '"/"'})
_WRAPPERS = frozenset({"as_expression", "satisfies_expression", "non_null_expression", "parenthesized_expression"})
_REFERENCE = re.compile(r"\0([^\0#]*)#([^\0]*)\0")


class ModuleConstants(msgspec.Struct, frozen=True):
    """Constants of one module: a dict of each constant's name ("default" for the default export) to its value."""

    path: str
    values: dict[str, str] = {}


def url_value(source: SourceCode, call: ConnectionCall) -> str | None:
    """Return the value of the URL of a call, "" for the page's own origin, None if the value differs between runs."""
    if call.url is None:
        return ""
    value = _Evaluation(source).value(call.url)
    return value.rstrip("/") if value is not None else None


def module_constants(source: SourceCode) -> ModuleConstants:
    """Return the constants that a file declares at its top level or exports again from other files."""
    evaluation = _Evaluation(source)
    values = {name: evaluation.value(node) for name, node in evaluation.constants.items()}
    values |= dict(_exported(source, evaluation))
    return ModuleConstants(source.path, {name: value for name, value in values.items() if value is not None})


def references(value: str) -> Iterator[str]:
    """Yield the modules to which a value refers."""
    yield from (found.group(1) for found in _REFERENCE.finditer(value))


def resolved(value: str, file: str, lookup: Callable[[str, str], ModuleConstants | None], steps: int = 3) -> str:
    """Return a value in which constants of other modules replace the references, up to `steps` times.

    `lookup(file, module)` finds the constants. A reference to an unknown module becomes the last part of the module's
    path, so that two files may write the path differently.
    """

    def replaced(found: re.Match[str]) -> str:
        module, name = found.group(1), found.group(2)
        constants = lookup(file, module)
        known = constants.values.get(name) if constants is not None else None
        if constants is None or known is None or not steps:
            return f"{{{PurePosixPath(module).name}#{name}}}"
        return resolved(known, constants.path, lookup, steps - 1)

    return _REFERENCE.sub(replaced, value)


class ModuleIndex:
    """Index of the files of a tree by the names with which other files import them."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._by_end: dict[str, list[str]] = {}
        for path in paths:
            whole = PurePosixPath(path)
            stem = whole.parent if whole.stem == "index" else whole.with_suffix("")
            self._by_end.setdefault(stem.name, []).append(path)

    def find(self, file: str, module: str) -> str | None:
        """Return the path of the file that `file` imports as `module`, None if it is a package or is ambiguous."""
        target = PurePosixPath(module)
        name = target.stem if target.suffix in SUFFIXES else target.name
        relative = module.startswith(".")
        wanted = normpath(PurePosixPath(file).parent / module) if relative else module.lstrip("@~$/")
        ending = PurePosixPath(wanted).parent / name
        found = [path for path in self._by_end.get(name, ()) if _is_at(path, ending, relative)]
        return found[0] if len(found) == 1 else None


def _is_at(path: str, wanted: PurePosixPath, whole: bool) -> bool:
    stem = PurePosixPath(path).with_suffix("")
    stem = stem.parent if stem.name == "index" else stem
    return stem == wanted if whole else stem.parts[-len(wanted.parts) :] == wanted.parts


class _Evaluation:
    """Evaluation of expressions in one file."""

    def __init__(self, source: SourceCode) -> None:
        self._source = source
        self._imports: dict[str, Binding] = imported_names(source)
        self._known: dict[str, str | None] = {}
        self.constants = dict(_constants(source))

    def value(self, node: Node | None, steps: int = MAX_STEPS) -> str | None:
        """Return the value of an expression, None if the file does not state it."""
        if node is None or not steps:
            return None
        while node.type in _WRAPPERS and node.named_children:
            node = node.named_children[0]
        text, literal = re.sub(r"\s+", "", node_text(node)), string_value(node)
        if text in _ORIGIN or literal is not None:
            return "" if text in _ORIGIN else literal
        if _ENVIRONMENT.match(text):
            return f"{{{text}}}"
        if node.type == "template_string":
            return _joined([self._part(child, steps) for child in node.named_children])
        return self._operation(node, steps) if node.type == "binary_expression" else self._name(node, text, steps)

    def _part(self, node: Node, steps: int) -> str | None:
        if node.type != "template_substitution":
            return node_text(node)
        return self.value(node.named_children[0], steps - 1) if node.named_children else None

    def _operation(self, node: Node, steps: int) -> str | None:
        operator = node_text(node.child_by_field_name("operator"))
        sides = [self.value(node.child_by_field_name(side), steps - 1) for side in ("left", "right")]
        if operator == "+":
            return _joined(sides)
        return _joined([sides[0], operator, sides[1]]) if operator in ("||", "??") else None

    def _name(self, node: Node, text: str, steps: int) -> str | None:
        if node.type == "identifier":
            return self._named(text, steps)
        return self._member(text, steps) if node.type == "member_expression" else None

    def _named(self, name: str, steps: int) -> str | None:
        if name in self._imports:
            binding = self._imports[name]
            return f"\0{binding.module}#{binding.export}\0"
        if name not in self._known:
            self._known[name] = self.value(self.constants.get(name), steps - 1)
        return self._known[name]

    def _member(self, text: str, steps: int) -> str | None:
        """Return the value of `config.url`: a property of a constant or of an imported object."""
        name, _, path = text.partition(".")
        if name in self._imports and re.fullmatch(r"[\w.]+", path):
            binding = self._imports[name]
            exported = path if binding.export == "*" else f"{binding.export}.{path}"
            return f"\0{binding.module}#{exported}\0"
        holder = self.constants.get(name)
        for pair in holder.named_children if holder is not None and holder.type == "object" else ():
            if pair.type == "pair" and node_text(pair.child_by_field_name("key")).strip("'\"") == path:
                return self.value(pair.child_by_field_name("value"), steps - 1)
        return None


def _joined(parts: Sequence[str | None]) -> str | None:
    known = [part for part in parts if part is not None]
    text = "".join(known) if len(known) == len(parts) else None
    return text if text is not None and len(text) <= MAX_LENGTH else None


def _constants(source: SourceCode) -> Iterator[tuple[str, Node]]:
    """Yield the name and the value of each `const` at the top level."""
    for statement in source.root.named_children:
        inner = statement.child_by_field_name("declaration") if statement.type == "export_statement" else statement
        if inner is None or inner.type != "lexical_declaration" or not node_text(inner).startswith("const"):
            continue
        for declarator in inner.named_children:
            value = declarator.child_by_field_name("value")
            if value is not None:
                yield node_text(declarator.child_by_field_name("name")), value


def _exported(source: SourceCode, evaluation: _Evaluation) -> Iterator[tuple[str, str | None]]:
    """Yield the name and the value of each export that is a default, has an alias, or comes from another file.

    Also yield the properties of constant objects, as `config.url`.
    """
    for statement in source.root.named_children:
        if statement.type != "export_statement":
            continue
        origin = statement.child_by_field_name("source")
        module = string_value(origin) if origin is not None else None
        for clause in statement.named_children:
            for specifier in clause.named_children if clause.type == "export_clause" else ():
                name = node_text(specifier.child_by_field_name("name"))
                exported = node_text(specifier.child_by_field_name("alias")) or name
                if module is not None:
                    yield exported, f"\0{module}#{name}\0"
                elif exported != name:
                    yield exported, evaluation.value(specifier.child_by_field_name("name"))
        if (value := statement.child_by_field_name("value")) is not None:
            yield "default", evaluation.value(value)
            yield from _properties("default", value, evaluation)
    for name, value in evaluation.constants.items():
        yield from _properties(name, value, evaluation)


def _properties(name: str, value: Node, evaluation: _Evaluation) -> Iterator[tuple[str, str | None]]:
    while value.type in _WRAPPERS and value.named_children:
        value = value.named_children[0]
    for pair in value.named_children if value.type == "object" else ():
        if pair.type == "pair":
            key = node_text(pair.child_by_field_name("key")).strip("'\"")
            yield f"{name}.{key}", evaluation.value(pair.child_by_field_name("value"))
