"""Limits of reading source code that a page or a HAR file contains: any text may be there."""

import time
from collections.abc import Callable

import pytest

from tests.counted_calls import counted_calls
from wscheck.detect.code.cleanups import CLOSES
from wscheck.detect.code.openings import opener_code
from wscheck.detect.code.source_tree import file_facts
from wscheck.detect.code.syntax import TooComplex, limited, parse_source
from wscheck.model.events import CodeLocation

# What the parser reads in quadratic time, and trees in which every node is inside of all nodes before.
SLOW_TO_PARSE = ["=/[" * 4_000, "a=/[/*" * 2_000]
DEEP = ["return <a>" * 2_000, "/*" * 3_000]


def over_after(checks: int) -> Callable[[], bool]:
    """A limit that is over after this many checks, whatever the speed of the machine."""
    counted = iter(range(checks))
    return lambda: next(counted, None) is None


@pytest.mark.parametrize("text", SLOW_TO_PARSE)
def test_the_parser_ends_at_the_limit_and_parses_the_next_file(text: str) -> None:
    with limited(over_after(100)), pytest.raises(TooComplex):
        parse_source("a.ts", text.encode())
    with limited(over_after(100)):
        assert parse_source("b.ts", b"io('/x')").nodes("call_expression")


@pytest.mark.parametrize("text", DEEP)
def test_the_search_for_facts_ends_at_the_limit(text: str) -> None:
    source = parse_source("a.ts", text.encode())
    with limited(over_after(20_000)), pytest.raises(TooComplex):
        opener_code([(CodeLocation("a.ts", 1, 10), source)])


def test_written_code_stays_below_the_limit() -> None:
    text = b"function feed() {\n  if (!socket) socket = io('/x');\n  return socket;\n}\n" * 20
    with limited(over_after(20_000)):
        assert opener_code([(CodeLocation("a.ts", 2, 25), parse_source("a.ts", text))]) is not None


@pytest.mark.parametrize(
    ("before", "each", "after"),
    [
        ("useEffect(() => {", "socket.on('e{}', () => {{}});", "}, []);"),
        ("", "useEffect(() => {{ socket.on('e{}', () => {{}}); }}, []);", ""),
        ("useEffect(async () => {", "await load(); socket.on('e{}', show);", "}, []);"),
    ],
)
def test_the_code_around_many_listeners_is_searched_once(before: str, each: str, after: str) -> None:
    calls = dict[int, int]()
    for many in (40, 160):
        body = "\n".join(each.format(number) for number in range(many))
        text = f"import {{socket}} from './s';\nexport function A() {{ {before}\n{body}\n{after} return <a/>; }}\n"
        with counted_calls() as count:
            file_facts("a.jsx", text.encode())
        calls[many] = count.calls
    assert calls[160] < 6 * calls[40]


def test_no_name_makes_the_search_for_a_closing_function_slow() -> None:
    began = time.process_time()
    assert CLOSES.fullmatch("shutdown" + "socket" * 100_000 + "$") is None
    assert time.process_time() - began < 5
