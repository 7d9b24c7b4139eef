"""Tests of the logs of real loggers."""

import pytest

from tests.observe.logs.reading import read_log, said, true
from tests.observe.logs.samples import samples


@pytest.mark.parametrize("name", samples())
def test_a_real_logger_is_read(name: str) -> None:
    log, truth = samples()[name]
    extractor, events = read_log(log)
    assert [said(event) for event in events] == [true(event) for event in truth]
    assert truth
    assert extractor.levels == {"full": len(truth)}
