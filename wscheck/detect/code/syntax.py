"""Syntax trees of JavaScript and TypeScript, also of the scripts inside Vue, Svelte and HTML files.

The grammar is tree-sitter's for TypeScript and TSX, of which JavaScript and JSX are subsets. A file with syntax errors
has a tree too: the parser skips what it cannot read.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import islice
from pathlib import PurePath

import tree_sitter_typescript
from tree_sitter import Language, Node, Parser

from wscheck.detect.code.packages import Package

TYPESCRIPT_SUFFIXES = frozenset({".ts", ".mts", ".cts"})
SCRIPT_SUFFIXES = frozenset({".js", ".mjs", ".cjs", ".jsx", ".tsx"}) | TYPESCRIPT_SUFFIXES
MARKUP_SUFFIXES = frozenset({".vue", ".svelte", ".html", ".htm"})
SUFFIXES = SCRIPT_SUFFIXES | MARKUP_SUFFIXES

FUNCTIONS = frozenset(
    {
        "arrow_function",
        "function_expression",
        "function_declaration",
        "generator_function",
        "generator_function_declaration",
        "method_definition",
    }
)

_SCRIPT_ELEMENT = re.compile(rb"<script\b([^>]*+)(?:>(.*?)(?:(?P<end></script\s*+>)|\Z)|\Z)", re.S | re.I)
"""A script, or the rest of the file from a script without an end, which browsers do not run."""

_TYPE_ATTRIBUTE = re.compile(rb"""\btype\s*=\s*["']?([^"'\s>]+)""", re.I)
_SCRIPT_TYPES = frozenset({b"module", b"text/javascript", b"application/javascript", b"text/babel", b"text/typescript"})
_NOT_A_LINE_END = re.compile(rb"[^\r\n]")


_is_over: ContextVar[Callable[[], bool] | None] = ContextVar("_is_over", default=None)

SMALL_BYTES = 4_096
"""Largest file that is parsed without a limit: even text that the parser reads slowest takes a moment only."""


class TooComplex(Exception):
    """Error: the analysis of a source file took too long. Only generated text needs so many steps for its length."""


@contextmanager
def limited(is_over: Callable[[], bool]) -> Iterator[None]:
    """Limit the analysis in the `with` block: it raises TooComplex as soon as `is_over()` returns True."""
    token = _is_over.set(is_over)
    try:
        yield
    finally:
        _is_over.reset(token)


def _check_limit() -> None:
    is_over = _is_over.get()
    if is_over is not None and is_over():
        raise TooComplex


@dataclass(frozen=True)
class SourceCode:
    """Parsed source file.

    path            path of the file, as reports show it
    suffix          suffix of the file: ".tsx"
    root            root of the syntax tree; positions are those of the whole file
    typescript      the tree has the grammar of TypeScript, which has no JSX
    package         package that contains the file
    module_script   (first byte, last byte) of Svelte's module script, which runs once for all components
    markup          text of a markup file outside of its scripts, "" for other files
    """

    path: str
    suffix: str
    root: Node
    typescript: bool = False
    package: Package = field(default_factory=Package)
    module_script: tuple[int, int] | None = None
    markup: str = ""

    _by_type: dict[str, list[Node]] = field(default_factory=dict)
    _callers: dict[str, list[Node]] = field(default_factory=dict)

    def nodes(self, *types: str) -> list[Node]:
        """Return the named nodes of these types, in the order of the file."""
        if not self._by_type:
            self._by_type[self.root.type] = [self.root]
            for node in descendants(self.root):
                self._by_type.setdefault(node.type, []).append(node)
        found = [node for each in types for node in self._by_type.get(each, ())]
        return found if len(types) == 1 else sorted(found, key=lambda node: node.start_byte)

    def find_runners(self, name: str) -> list[Node]:
        """Return the places that run the function `name`: calls of the function, and calls to which it is passed.

        Examples: `name()`, `setTimeout(name)`, `socket.on("disconnect", name)`. The name of a method is `this.name`.
        """
        if not self._callers:
            for call in self.nodes("call_expression"):
                for runner in _run_by(call):
                    self._callers.setdefault(node_text(runner), []).append(runner)
            for value in self.nodes("jsx_expression"):
                for handler in value.named_children if value.parent and value.parent.type == "jsx_attribute" else ():
                    if handler.type in ("identifier", "member_expression"):
                        self._callers.setdefault(node_text(handler), []).append(handler)
        return self._callers.get(name, [])


def _run_by(call: Node) -> Iterator[Node]:
    """Yield the names of the functions and of the methods of `this` that a call runs, or that are passed to it."""
    arguments = call.child_by_field_name("arguments")
    for node in (call.child_by_field_name("function"), *(arguments.named_children if arguments is not None else ())):
        is_own_method = node is not None and node.type == "member_expression" and node_text(node).startswith("this.")
        if node is not None and (node.type == "identifier" or is_own_method):
            yield node


def parse_source(path: str, content: bytes, package: Package | None = None) -> SourceCode:
    """Parse the scripts of a file. Text outside of scripts is replaced by spaces, so that positions stay correct.

    Raises:
        TooComplex: It takes longer than the limit of the caller (`limited`).
    """
    suffix = PurePath(path).suffix.lower()
    typescript, module_script, markup = suffix in TYPESCRIPT_SUFFIXES, None, ""
    if suffix in MARKUP_SUFFIXES:
        markup = _SCRIPT_ELEMENT.sub(b" ", content).decode("utf-8", "replace")
        content, typescript, module_script = _scripts_only(content)
    parser, is_over = _parser(typescript), _is_over.get()
    if is_over is not None and len(content) > SMALL_BYTES:
        _try_parser(parser, content, is_over)
    root = parser.parse(content).root_node
    return SourceCode(path, suffix, root, typescript, package or Package(), module_script, markup)


def _try_parser(parser: Parser, content: bytes, is_over: Callable[[], bool]) -> None:
    """Parse a file and discard the tree, to raise TooComplex if parsing exceeds the limit `is_over`.

    The tree is not used, because its nodes would read their text from the callback that passes the file to the parser.
    """
    try:
        parser.parse(lambda at, _: content[at : at + 65_536], progress_callback=lambda at, has_error: is_over())
    except ValueError:
        parser.reset()
        raise TooComplex from None


def _scripts_only(content: bytes) -> tuple[bytes, bool, tuple[int, int] | None]:
    """Return the text of a markup file with spaces outside of its scripts, and two facts about the scripts.

    The facts are: whether a script is TypeScript, and the (first byte, last byte) of Svelte's module script, None if
    there is none.
    """
    parts, end, typescript, module_script = [], 0, False, None
    for element in _SCRIPT_ELEMENT.finditer(content):
        if element["end"] is None:
            break
        attributes, script = element.group(1), element.group(2)
        declared = _TYPE_ATTRIBUTE.search(attributes)
        if declared is not None and declared.group(1).lower() not in _SCRIPT_TYPES:
            continue
        parts += [_blank(content[end : element.start(2)]), script]
        end = element.end(2)
        typescript = typescript or re.search(rb"""\blang\s*=\s*["']?tsx?\b""", attributes) is not None
        if re.search(rb"""\bcontext\s*=\s*["']?module\b|\bmodule(?=\s|$)""", attributes):
            module_script = element.span(2)
    return b"".join([*parts, _blank(content[end:])]), typescript, module_script


def _blank(content: bytes) -> bytes:
    return _NOT_A_LINE_END.sub(b" ", content)


@cache
def _language(typescript: bool) -> Language:
    return Language(
        tree_sitter_typescript.language_typescript() if typescript else tree_sitter_typescript.language_tsx()
    )


@cache
def _parser(typescript: bool) -> Parser:
    return Parser(_language(typescript))


def node_text(node: Node | None) -> str:
    """Return the source text of a node, "" for None."""
    if node is None or node.text is None:
        return ""
    return node.text.decode("utf-8", "replace")


MAX_DEPTH = 400
"""Largest number of nodes around a node that are looked at. Code that people write is less deep."""


def ancestors(node: Node) -> Iterator[Node]:
    """Yield the parents of a node, the innermost first, at most `MAX_DEPTH` of them."""
    return islice(_all_ancestors(node), MAX_DEPTH)


def _all_ancestors(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent is not None:
        _check_limit()
        yield parent
        parent = parent.parent


def enclosing_function(node: Node) -> Node | None:
    """Return the innermost function that contains `node`, None at module level."""
    return next((each for each in ancestors(node) if each.type in FUNCTIONS), None)


def descendants(node: Node, into_functions: bool = True) -> Iterator[Node]:
    """Yield all named nodes inside `node` in the order of the file, optionally without those in nested functions."""
    waiting = node.named_children[::-1]
    while waiting:
        _check_limit()
        child = waiting.pop()
        yield child
        if into_functions or child.type not in FUNCTIONS:
            waiting += child.named_children[::-1]


CACHED_NODES = 64
"""Number of nodes whose search is remembered, because an effect may contain hundreds of calls that ask for it."""


@lru_cache(maxsize=CACHED_NODES)
def declares(around: Node, name: str, into_functions: bool = True) -> bool:
    """Return whether a node declares a variable or parameter `name`, also inside of a pattern."""
    declared = re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
    return any(
        node.type in ("variable_declarator", "formal_parameters")
        and declared.search(node_text(node.child_by_field_name("name") or node))
        for node in descendants(around, into_functions)
    )


def string_value(node: Node) -> str | None:
    """Return the text of a string literal or of a template without expressions, None for any other node."""
    if node.type == "string" or (
        node.type == "template_string" and all(child.type != "template_substitution" for child in node.named_children)
    ):
        return node_text(node)[1:-1]
    return None


def function_name(function: Node) -> str:
    """Return the name of a function, or of the variable, property or field to which it is assigned."""
    if (own := function.child_by_field_name("name")) is not None:
        return node_text(own)
    holder = function.parent
    while holder is not None and holder.type in (
        *("parenthesized_expression", "as_expression", "satisfies_expression", "arguments", "call_expression"),
    ):
        if holder.type == "call_expression" and node_text(holder.child_by_field_name("function")) not in WRAPPERS:
            return ""
        holder = holder.parent
    if holder is None:
        return ""
    for role in ("name", "key", "left"):
        named = holder.child_by_field_name(role) if holder.type in _NAMING else None
        if named is not None and named.type in ("identifier", "property_identifier", "private_property_identifier"):
            return node_text(named)
    return ""


WRAPPERS = frozenset(
    {"useCallback", "React.useCallback", "memo", "React.memo", "forwardRef", "React.forwardRef", "observer", "useEvent"}
)
"""Functions that return the function that they are given."""

_NAMING = frozenset({"variable_declarator", "pair", "public_field_definition", "assignment_expression"})
