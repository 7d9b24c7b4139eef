"""Errors name settings and options; the command line shows their flags."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main

import wscheck
from tests.cli import wscheck as run_wscheck
from wscheck import cli
from wscheck.config.settings import OPTIONS, SETTINGS, with_flags
from wscheck.model import errors

PACKAGE = Path(wscheck.__file__).parent
OWN_FLAGS = ("commands", "loadgen")
"""Packages that run only where options are flags."""

ERROR_TYPES = {
    name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, errors.WscheckError)
}
NAME = re.compile(r"`([a-z]+\.\w+)(?:=[^`]*)?`")
SHELL_COMMAND = re.compile(r"`(?:wscheck|locust|pip|apt-get) [^`]*`")
TEXT = ast.Constant | ast.JoinedStr | ast.BinOp | ast.IfExp
FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")


def modules() -> list[Path]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return [path for path in paths if path.relative_to(PACKAGE).parts[0] not in (*OWN_FLAGS, "cli.py", "locust.py")]


def texts(node: ast.AST) -> Iterator[str]:
    """Yield the literals of an expression, an f-string as one text with {} for each value."""
    if isinstance(node, ast.Constant):
        yield from [node.value] if isinstance(node.value, str) else []
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        for part in node.values:
            yield from texts(part) if isinstance(part, ast.FormattedValue) else []
    else:
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


class Module:
    """Source of a module: the texts of its errors, with those of the variables and functions that they use."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.definitions: dict[str, list[ast.AST]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    for name in ast.walk(target):
                        if isinstance(name, ast.Name) and isinstance(node.value, TEXT):
                            self.definitions.setdefault(name.id, []).append(node.value)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                returned = [
                    each.value
                    for each in ast.walk(node)
                    if isinstance(each, ast.Return) and isinstance(each.value, TEXT)
                ]
                self.definitions.setdefault(node.name, []).extend(returned)

    def error_texts(self) -> set[str]:
        found = set[str]()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and self._makes_error(node):
                for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                    found |= set(self._texts(argument))
        return found

    def _makes_error(self, call: ast.Call) -> bool:
        if isinstance(call.func, ast.Name):
            return call.func.id in ERROR_TYPES
        # super().__init__("...") in a class of an error
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "__init__":
            return False
        classes = (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))
        return any(
            call in ast.walk(node) and any(isinstance(base, ast.Name) and base.id in ERROR_TYPES for base in node.bases)
            for node in classes
        )

    def _texts(self, argument: ast.AST) -> Iterator[str]:
        yield from texts(argument)
        for name in ast.walk(argument):
            if isinstance(name, ast.Name):
                for definition in self.definitions.get(name.id, ()):
                    yield from texts(definition)


@cache
def error_texts() -> dict[Path, set[str]]:
    """Return the texts of the errors per module. Only modules that name a type of error are parsed."""
    sources = {path: path.read_text(encoding="utf-8") for path in modules()}
    raising = {path: source for path, source in sources.items() if any(name in source for name in ERROR_TYPES)}
    return {path: Module(source).error_texts() for path, source in raising.items()}


def all_error_texts() -> Iterator[tuple[Path, str]]:
    yield from ((path, text) for path, found in error_texts().items() for text in found)


@cache
def command_line_flags() -> set[str]:
    commands = typer.main.get_group(cli.app).commands.values()
    return {flag for command in commands for option in command.params for flag in option.opts if flag.startswith("--")}


def test_the_texts_of_errors_are_found() -> None:
    found = set[str]().union(*error_texts().values())
    assert len(found) > 200
    assert "Add `verify.server_log=PATH`." in found, "an argument"
    assert "Run again; if it crashes, try `browser.browser=PATH`." in found, "an error's own constructor"
    assert "Set `identity.token` and `identity.user_id` to credentials that the server accepts." in found, "a constant"
    assert (
        "Leave it out. Pass a namespace as `target.namespace=/{}`, the client's option `path` as `target.path=/{}`; "
        "for another protocol, pass `target.protocol=websocket` or sse." in found
    )


def test_errors_contain_no_flag_of_the_command_line() -> None:
    found = [(path.name, text, FLAG.findall(SHELL_COMMAND.sub("", text))) for path, text in all_error_texts()]
    assert [each for each in found if command_line_flags().intersection(each[2])] == []


def test_every_name_in_an_error_is_a_setting_or_an_option() -> None:
    named = {name for _, text in all_error_texts() for name in NAME.findall(text)}
    assert named - {"tool.wscheck"} <= {*SETTINGS, *OPTIONS}


def test_every_option_exists_and_is_used() -> None:
    named = " ".join(path.read_text(encoding="utf-8") for path in modules())
    for name, flag in OPTIONS.items():
        assert flag in command_line_flags() or flag == "--", name
        assert len(re.findall(re.escape(name), named)) > 1, f"no error names {name}"
        assert name not in SETTINGS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Add `verify.server_log=PATH`.", "Add --server-log PATH."),
        ("Use `target.transports=websocket`, or", "Use --transports websocket, or"),
        ("`target.url`: 'x' is not a URL", "URL: 'x' is not a URL"),
        ("Set `identity.token` and `identity.user_id`.", "Set WSCHECK_TOKEN (or --token-file) and --user-id."),
        ("`logs.markers` connected: this", "--marker connected: this"),
        ("Give `browser.command=COMMAND`.", "Give -- COMMAND."),
        ("at most `load.max_connect_p95=1s`", "at most --max-connect-p95 1s"),
        ("`tool.wscheck` must be a table.", "`tool.wscheck` must be a table."),
        ("unknown key `keys`, `wscheck load --help`", "unknown key `keys`, `wscheck load --help`"),
    ],
)
def test_the_command_line_shows_flags(text: str, shown: str) -> None:
    assert with_flags(text) == shown


def test_an_error_of_a_command_shows_flags_on_stderr_and_in_its_report(tmp_path: Path) -> None:
    ran = run_wscheck("verify", "--marker", "connected=x", "--format", "json=out.json", cwd=tmp_path)
    assert ran.code == 2
    assert ran.err.endswith(
        "wscheck: --marker and --key describe a log, and none was given.\n  next: Add --server-log PATH.\n"
    )
    assert "Add --server-log PATH." in (tmp_path / "out.json").read_text(encoding="utf-8")


def test_an_error_of_the_api_names_settings(tmp_path: Path) -> None:
    with pytest.raises(wscheck.UsageError, match=r"`identity\.second_user_id` is the first user"):
        wscheck.check(config={"identity.second_user_id": "user_123"})
    with pytest.raises(wscheck.UsageError, match=r"^`logs\.markers` opened: it does not have the form KIND=TEXT"):
        wscheck.read_log([], markers=["opened"])
