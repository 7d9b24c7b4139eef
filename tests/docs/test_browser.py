"""docs/browser.md names every step and every form of an identity rule that the code takes, and no other."""

import re
from pathlib import Path

from tests.docs.test_contracts import DOCS, first_cells, section
from wscheck.config.browser_steps import ACTIONS
from wscheck.config.loading import load_config
from wscheck.observe.traffic import IdentityRule


def test_every_step_has_its_row() -> None:
    assert first_cells(section("browser.md", "Journeys")) == set(ACTIONS)


def test_the_documented_steps_are_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", section("browser.md", "Journeys"), re.S)
    tmp_path.joinpath("wscheck.toml").write_text(example)
    steps = load_config({}, directory=tmp_path, environ={"BOT_PASSWORD": "x"}).steps
    assert [step.action for step in steps] == ["click", "fill", "wait_for", "tab", "tab", "reload"]


def test_every_documented_identity_rule_is_valid() -> None:
    rows = [
        row.split(" | ")[0] for row in section("browser.md", "Who the user is").splitlines() if row.startswith("| `")
    ]
    rules = [rule.replace("\\|", "|").replace("CLAIM", "sub") for row in rows for rule in re.findall(r"`([^`]+)`", row)]
    assert {IdentityRule.parse(rule).source for rule in rules} == {
        "auth",
        "query",
        "cookie",
        "header",
        "event",
        "subprotocol",
    }


def test_the_limits_of_har_files_are_documented() -> None:
    assert "no: it records no initiator" in (DOCS / "browser.md").read_text()
