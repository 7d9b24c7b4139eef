"""The call of a library's hook in the component that is rendered at a place."""

import pytest

from wscheck.detect.code.openings import rendered_hook
from wscheck.detect.code.syntax import parse_source
from wscheck.model.code_facts import CodeLocation

RENDER = "render(<><Bell /><List name='x'>text</List></>);"


def hook(code: str, element: str = "<Bell") -> str | None:
    """Return "LINE:COLUMN NAME" of the hook of the element."""
    text = f"{code}\n{RENDER}\n"
    lines = text.splitlines()
    line = next(number for number, each in enumerate(lines, 1) if "render(<" in each)
    place = CodeLocation("src/app.jsx", line, lines[line - 1].index(element) + 1)
    found = rendered_hook(parse_source("src/app.jsx", text.encode()), place)
    return f"{found.line}:{found.column} {found.function}" if found is not None else None


IMPORT = 'import useWebSocket from "react-use-websocket";\n'


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (IMPORT + "function Bell() {\n  const { lastMessage } = useWebSocket(url);\n}", "3:27 Bell"),
        (IMPORT + "const Bell = () => { useState(0); useWebSocket(url); };", "2:35 Bell"),
        (IMPORT + "const Bell = memo(() => { useOrders(); useWebSocket(url); });", "2:40 Bell"),
        ("const useLive = lib.default;\nfunction Bell() {\n  return useLive(url);\n}", "3:10 Bell"),
        ("function Bell() {\n  useEffect(() => { useLive(url); });\n}", None),
        ("function Bell() {\n  useLive(url); useOther(url);\n}", None),
        ("function Bell() {\n  useState(0);\n}", None),
        ("function Other() {\n  useLive(url);\n}", None),
    ],
)
def test_the_hook_of_a_component_is_found_if_it_is_certain(code: str, found: str | None) -> None:
    assert hook(code) == found


def test_an_element_with_children_has_a_hook_too() -> None:
    assert hook("function List() {\n  return useLive(url);\n}", "<List") == "2:10 List"


@pytest.mark.parametrize(("line", "column"), [(1, 1), (99, 1), (2, 500)])
def test_another_place_has_no_hook(line: int, column: int) -> None:
    source = parse_source("a.jsx", f"function Bell() {{ useLive(url); }}\n{RENDER}".encode())
    assert rendered_hook(source, CodeLocation("a.jsx", line, column)) is None
