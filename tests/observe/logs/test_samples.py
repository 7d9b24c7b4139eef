"""What real loggers wrote is read as it is, forgeries and near misses between it notwithstanding."""

import pytest

from tests.observe.logs.reading import reader_of, said, true
from tests.observe.logs.samples import samples


@pytest.mark.parametrize("name", samples())
def test_a_real_logger_is_read(name: str) -> None:
    log, truth = samples()[name]
    extractor, events = reader_of(log)
    assert [said(event) for event in events] == [true(event) for event in truth]
    assert truth
    assert extractor.levels == {"full": len(truth)}
