"""Test that no format of any command contains a secret, wherever it stands in a report."""

from pathlib import Path

import pytest

from tests import hostile, planted
from wscheck.model.secrets import Redactor, Secret
from wscheck.report import REPORTERS
from wscheck.report.formats import ReportOutput, write_outputs


@pytest.mark.parametrize("shift", [0, 23])
def test_no_format_contains_a_secret(tmp_path: Path, shift: int) -> None:
    texts = planted.written()
    redactor = Redactor(map(Secret, planted.KNOWN))
    for number, (report, events) in enumerate(hostile.reports((*texts[shift:], *texts[:shift]), own_ids=True)):
        outputs = [ReportOutput(name, tmp_path / f"{number}.{name}") for name in REPORTERS]
        write_outputs(outputs, report, events, redactor=redactor, environ={})
        for output in outputs:
            assert output.path is not None
            content = output.path.read_text(encoding="utf-8")
            assert "hidden-" in content and planted.found_in(content) == [], output.path.name


def test_the_search_finds_each_secret() -> None:
    assert len({*planted.SECRETS}) == 40
    for secret in planted.SECRETS:
        assert any(planted.found_in(text, [secret]) for text in planted.written())
