"""Formatting of counts and times, and escaping."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.report import formatting

BIDI_CONTROLS = {"LRE", "LRO", "RLE", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0 s"),
        (0.0082, "8.2 ms"),
        (0.0421, "42 ms"),
        (0.0999, "0.1 s"),
        (0.42, "0.4 s"),
        (8.06, "8.1 s"),
        (59.6, "60 s"),
        (200, "3 min 20 s"),
        (240, "4 min"),
        (7_500, "2 h 5 min"),
        (90_000, "25 h"),
        (446_400, "5 d 4 h"),
    ],
)
def test_durations(value: float, expected: str) -> None:
    assert formatting.format_duration(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(3.58, "3.6/s"), (12.4, "12/s"), (0.05, "3/min")])
def test_rates(value: float, expected: str) -> None:
    assert formatting.format_rate(value) == expected


def test_counts() -> None:
    assert formatting.plural(1, "delivery", "deliveries") == "1 delivery"
    assert formatting.plural(1200, "connection") == "1,200 connections"


def test_times_are_utc() -> None:
    assert formatting.format_clock_time(1_795_000_000.1234) == "11:06:40.123"
    assert formatting.format_date_time(1_795_000_000) == "2026-11-18 11:06:40 UTC"


@given(st.text())
def test_escaped_text_contains_no_control_characters(text: str) -> None:
    left = set(formatting.escape_control(text)) - {"\t", "\n"}
    assert not [char for char in left if unicodedata.category(char) in ("Cc", "Cs")]
    assert not [char for char in left if unicodedata.bidirectional(char) in BIDI_CONTROLS]


def test_ordinary_text_is_unchanged() -> None:
    assert formatting.escape_control("Zoë 🔗 日本\tx\n") == "Zoë 🔗 日本\tx\n"
    assert formatting.one_line("a\n  b\tc") == "a b c"


def test_an_address_is_no_link_in_markdown() -> None:
    escaped = [formatting.escape_markdown(each) for each in ("http://a.b/", "WWW.a.b", ":bomb:", "at 10:20:30")]
    assert escaped == ["http\\://a.b/", "WWW\\.a.b", "\\:bomb:", "at 10:20:30"]
