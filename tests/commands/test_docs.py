"""`wscheck docs`: what help texts and errors point to is there, also where only the package is installed."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import wscheck
from wscheck.run.documentation import documents

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "wscheck"
NAMED = re.compile(r"wscheck docs ([\w.-]*\w)")


def texts() -> Iterator[tuple[str, str]]:
    """Every text of the package that is no docstring, those of the commands too, for they are help."""
    yield from ((path.name, path.read_text()) for path in PACKAGE.rglob("*.toml"))
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        kept = [n.body[0] for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in (path.stem, "rules")]
        told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and node not in kept}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
                yield path.name, node.value


def test_messages_refer_only_to_installed_documents() -> None:
    found = [(name, text.replace("main/docs/schemas", "")) for name, text in texts()]
    assert [(name, text) for name, text in found if "docs/" in text and name != "docs.py"] == []
    named = {document for _, text in found for document in NAMED.findall(text)}
    assert {"browser", "configuration", "load", "reference-backend"} <= named <= {*documents(), "NAME"}


def test_the_wheel_contains_the_documents() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["force-include"] == {"docs": "wscheck/docs"}


def test_documents_are_listed_with_their_titles() -> None:
    ran = wscheck("docs")
    listed = dict(line.split(maxsplit=1) for line in ran.out.splitlines() if "  " in line)
    assert ran.code == 0 and listed.keys() == documents().keys()
    assert listed["logs"] == "Logs" and listed["wscheck.logs-1"] == "a JSON schema"
    assert set(documents().values()) == {*ROOT.glob("docs/*.md"), *ROOT.glob("docs/schemas/*.json")}


@pytest.mark.parametrize("name", ["exit-codes", "exit-codes.md", "wscheck.logs-1", "wscheck.logs-1.json"])
def test_a_document_is_printed_unchanged(name: str) -> None:
    ran = wscheck("docs", name)
    assert (ran.code, ran.out) == (0, documents()[name.removesuffix(".md").removesuffix(".json")].read_text())


def test_an_unknown_document_is_rejected_with_a_suggestion() -> None:
    ran = wscheck("docs", "exitcodes")
    assert ran.code == 2 and "There is no document `exitcodes`." in ran.err and "`exit-codes`" in ran.err
