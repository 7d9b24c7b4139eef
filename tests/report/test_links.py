"""Reports link each rule, cause and gap to its section of the documentation."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.report import runs
from wscheck.commands.fallback_report import write_on_abort
from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import RULE_DOCS
from wscheck.model.errors import ERROR_IDS, Unreachable
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Verdict
from wscheck.model.gaps import Gap
from wscheck.model.report import Report, VerifyReport
from wscheck.report import REPORTERS, links
from wscheck.report.formats import ReportOutput
from wscheck.run.documentation import documents

SITE = "https://wscheck.github.io/wscheck/"


def without_evidence(*gaps: Gap) -> VerifyReport:
    return VerifyReport(schema="wscheck.verify/1", target="http://x", verdict=Verdict.INCONCLUSIVE, gaps=list(gaps))


def rendered(format: str, report: Report, events: Sequence[AnyEvent]) -> str:
    text = REPORTERS[format]()(report, events)
    return text if isinstance(text, str) else text.decode()


@pytest.mark.parametrize(
    "address",
    [
        *map(links.rule_address, RULE_DOCS),
        *map(links.cause_address, CATALOGUE),
        links.gap_address(Gap(id="no-times", reason="")),
        *(links.gap_address(Gap(id=id, reason="")) for id in sorted(ERROR_IDS)),
    ],
)
def test_every_address_is_a_heading_of_a_document(address: str | None) -> None:
    assert address is not None
    page, _, heading = address.removeprefix(SITE).partition("/#")
    assert f"# {heading}\n" in Path(documents()[page]).read_text(encoding="utf-8")


@pytest.mark.parametrize("format", ["html", "markdown"])
def test_a_finding_links_to_its_rule(format: str) -> None:
    assert f"{SITE}rules/#multiple-connections" in rendered(format, *runs.failing())


def test_a_page_links_to_the_cause() -> None:
    assert f'<a href="{SITE}causes/#two-openers">' in rendered("html", *runs.failing())


@pytest.mark.parametrize("format", ["html", "markdown"])
def test_an_inconclusive_run_links_to_what_was_missing(format: str) -> None:
    report = without_evidence(Gap(id="no-times", reason="no event has a time"))
    assert f"{SITE}gaps/#no-times" in rendered(format, report, [])


@pytest.mark.parametrize("id", ["x](http://evil.example)", 'x" onclick="y', "../rules", ""])
def test_the_id_of_a_foreign_gap_is_no_part_of_an_address(id: str) -> None:
    report = without_evidence(Gap(id=id, reason="anything"))
    assert links.gap_address(report.gaps[0]) is None
    for format in ("html", "markdown"):
        assert SITE not in rendered(format, report, [])


def test_an_inconclusive_run_names_the_command_that_explains_it() -> None:
    report = without_evidence(Gap(id="no-times", reason="no event has a time"))
    assert rendered("terminal", report, []).endswith("  next  wscheck explain no-times\n")


def test_a_threshold_has_no_address() -> None:
    assert links.rule_address("max-p95") is links.cause_address("max-p95") is None


def test_a_report_without_results_links_to_the_error_that_ended_the_run(tmp_path: Path) -> None:
    def blank() -> VerifyReport:
        return VerifyReport(schema="wscheck.verify/1", target="http://x", verdict=Verdict.INCONCLUSIVE)

    output = ReportOutput("markdown", tmp_path / "report.md")
    with pytest.raises(Unreachable), write_on_abort([output], blank):
        raise Unreachable("Nothing listens at http://x.", "Start the server.")
    assert f"[unreachable]({SITE}errors/#unreachable)" in (tmp_path / "report.md").read_text(encoding="utf-8")
