"""Mutation test of `wscheck/detect`: the share of small faults in its functions that `tests/detect` finds.

60 mutants are drawn with a fixed seed from standard mutations of the syntax tree: comparison operators, boolean
operators, arithmetic, constants, negated conditions, removed statements and return values. An edit of the code changes
only the mutants of the edited expressions. Each mutant runs in its own copy of the package against
`pytest tests/detect`, which stops at the first failure. A mutant that behaves like the original is listed in
`EQUIVALENT` with the reason, and another one is drawn in its place.
"""

import ast
import copy
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "wscheck/detect"

SEED = 20260
COUNT = 60
TIMEOUT_S = 300.0

TEST_SUPPORT = ("tests/__init__.py", "tests/conftest.py", "tests/conversation.py", "pyproject.toml")
PYTEST = ("-m", "pytest", "-x", "-p", "no:cacheprovider", "--hypothesis-seed=0", "tests/detect")

EQUIVALENT: dict[str, str] = {}
"""Mutants that behave like the original, as `file: original -> change`, and the reason."""

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


class Mutant(NamedTuple):
    """One change of one file: `replacement` stands in place of the node with the number `position` of `ast.walk`."""

    file: str
    line: int
    change: str
    position: int
    replacement: ast.AST

    @property
    def key(self) -> str:
        """The change as `EQUIVALENT` names it."""
        return f"{self.file}: {self.change}"

    def apply(self, root: Path) -> str:
        """Return the mutated text of the file in the folder `root`."""
        tree = ast.parse((root / self.file).read_text(encoding="utf-8"))
        old = list(ast.walk(tree))[self.position]
        return ast.unparse(ast.fix_missing_locations(_Replacer(old, self.replacement).visit(tree)))


class _Replacer(ast.NodeTransformer):
    """Replacement of one node of a tree."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else super().visit(node)


def run() -> None:
    """Print whether each mutant was killed or survived, and the numbers of both."""
    with tempfile.TemporaryDirectory(prefix="wscheck-mutants-") as name:
        original = Path(name)
        for part in ("wscheck", "tests/detect", *TEST_SUPPORT):
            _copy(ROOT / part, original / part)
        if not passes_tests(None, original):
            raise SystemExit("tests/detect fails without a mutant")
        mutants = draw_mutants(original)
        killed = 0
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            for mutant, passed in zip(
                mutants, pool.map(lambda each: passes_tests(each, original), mutants), strict=True
            ):
                print(f"{'SURVIVED' if passed else 'killed  '}  {mutant.file}:{mutant.line}  {mutant.change}")
                killed += not passed
        print(f"\nkilled {killed} of {len(mutants)}, survived {len(mutants) - killed}")


def draw_mutants(root: Path) -> list[Mutant]:
    """Return the mutants of the run, in the order of the files."""
    files = sorted((root / PACKAGE).rglob("*.py"))
    candidates = [mutant for path in files for mutant in mutants_of_file(path, str(path.relative_to(root)))]
    drawn = sorted((mutant for mutant in candidates if mutant.key not in EQUIVALENT), key=_draw_number)[:COUNT]
    return sorted(drawn, key=lambda mutant: (mutant.file, mutant.line))


def _draw_number(mutant: Mutant) -> bytes:
    return hashlib.sha256(f"{SEED} {mutant.key}".encode()).digest()


def passes_tests(mutant: Mutant | None, original: Path) -> bool:
    """Return whether all tests pass with `mutant`. A run that does not end does not pass."""
    with tempfile.TemporaryDirectory(prefix="wscheck-mutant-") as name:
        folder = Path(name) / "copy"
        _copy(original, folder)
        if mutant is not None:
            (folder / mutant.file).write_text(mutant.apply(original), encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, *PYTEST]
        try:
            ran = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return ran.returncode == 0


def mutants_of_file(path: Path, name: str) -> Iterator[Mutant]:
    """Yield every mutant of the functions of the file at `path`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    inside = {id(node) for function in functions for statement in function.body for node in ast.walk(statement)}
    for position, node in enumerate(ast.walk(tree)):
        for replacement in _replacements(node) if id(node) in inside else ():
            change = f"{_shown(node)} -> {_shown(replacement)}"
            yield Mutant(name, getattr(node, "lineno", 0), change, position, replacement)


def _replacements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in place of `node`."""
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in _COMPARISONS:
            yield _with(node, ops=[_COMPARISONS[type(operator)]()])
        case ast.BoolOp(op=operator):
            yield _with(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.BinOp(op=operator) if type(operator) in _ARITHMETIC and not _is_annotation(node):
            yield _with(node, op=_ARITHMETIC[type(operator)]())
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            yield _with(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=ast.AST() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Assign() | ast.AugAssign() | ast.Delete():
            yield ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _is_none(value: ast.AST) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_annotation(node: ast.BinOp) -> bool:
    """Return whether `node` is a union of types, as `str | None`."""
    return isinstance(node.op, ast.BitOr) and any(
        _is_none(side) or (isinstance(side, ast.Name) and side.id[:1].isupper()) for side in (node.left, node.right)
    )


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _shown(node: ast.AST) -> str:
    """Return the first line of the code of `node`."""
    return ast.unparse(node).partition("\n")[0]
