"""Limits of reading source code that a page or a HAR file contains: any text may be there."""

from collections.abc import Callable

import pytest

from wscheck.detect.code.openings import opener_code
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
