"""Tests of the corpus: every record with its ids and line, and the connections at the end."""

import random

import pytest

from tests.observe.logs.corpus import corpus, names
from tests.observe.logs.reading import connections_by_user, read, read_log, said, true
from wscheck.model.events import Unreadable


@pytest.mark.parametrize("name", names("server"))
def test_each_record_is_read_with_its_ids_and_line(name: str) -> None:
    log, truth = corpus()[name]
    extractor, events = read_log(log)
    assert [said(event) for event in events] == [true(event) for event in truth["events"]]
    assert extractor.levels == {"full": len(events)}
    assert extractor.lines == truth["lines"]
    assert extractor.unreadable == 0
    if "prettyprint" not in name:  # there a record begins before its marker
        assert [event.line for event in events] == [event["firstLine"] for event in truth["events"]]


@pytest.mark.parametrize("name", names("server"))
def test_the_ledger_has_the_expected_connections(name: str) -> None:
    log, truth = corpus()[name]
    assert connections_by_user(read(log)) == truth["users"]


@pytest.mark.parametrize("name", names("server"))
def test_the_size_of_pieces_makes_no_difference(name: str) -> None:
    log, _ = corpus()[name]
    draw = random.Random(name)
    pieces = [draw.choice((1, 2, 7, 100, 3000)) for _ in range(400)]
    whole, in_pieces = read_log(log), read_log(log, *pieces)
    assert in_pieces[1] == whole[1]
    assert in_pieces[0].lines == whole[0].lines
    assert in_pieces[0].offset == whole[0].offset == len(log)


@pytest.mark.parametrize("name", names("server", decidable=False))
def test_undecidable_ids_are_reported(name: str) -> None:
    log, truth = corpus()[name]
    extractor, events = read_log(log)
    records = [said(event) for event in events if not isinstance(event, Unreadable)]
    expected = [true(event) for event in truth["events"]]
    assert [kind for kind, *_ in records] == [kind for kind, *_ in expected]
    assert extractor.levels["ambiguous"] == extractor.unreadable > 0
    # What is said for certain is true, and what is uncertain is not said.
    for record, want in zip(records, expected, strict=True):
        assert all(got in {None, value} for got, value in zip(record, want, strict=True))
