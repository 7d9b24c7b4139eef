"""docs/load.md names every profile, threshold and flag that the command has."""

import re
from pathlib import Path

import typer

from tests.docs.test_contracts import first_cells, section
from wscheck.cli import app
from wscheck.commands.load import FORMATS
from wscheck.config.load_profiles import LOAD_PROFILES
from wscheck.model.load_report import THRESHOLD_MEASURES
from wscheck.run.compare import LOAD_MEASURES

DOC = Path(__file__).parents[2] / "docs" / "load.md"


def flags() -> set[str]:
    command = typer.main.get_command(app).commands["load"]  # type: ignore[attr-defined]
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")} - {"--help"}


def test_every_profile_has_its_row() -> None:
    cells = section("load.md", "What users do")
    assert re.findall(r"^\| `([\w-]+)` \|", cells, re.M) == list(LOAD_PROFILES)


def test_every_threshold_has_its_row() -> None:
    assert re.findall(r"^\| `--([\w-]+)` \|", section("load.md", "Thresholds"), re.M) == list(THRESHOLD_MEASURES)
    assert first_cells(section("load.md", "What users do")) >= {"unified", "soak"}


def test_the_documented_comparison_is_the_real_one() -> None:
    shown = DOC.read_text().partition("```text\n")[2].partition("```")[0].partition("Checked: ")[0]
    names = [line.strip().split("  ")[0] for line in shown.splitlines() if line.startswith("  ")]
    assert [name for name in names if name] == ["before", "duplicated", *(row.name for row in LOAD_MEASURES)]


def test_every_flag_and_format_is_named() -> None:
    text = DOC.read_text()
    assert {flag for flag in flags() if flag not in text} == set()
    assert {name for name in FORMATS if f"`{name}`" not in text} == set()


def test_no_unknown_flag_is_documented() -> None:
    named = set(re.findall(r"`(--[\w-]+)", DOC.read_text())) - {"--headless"}
    assert named <= flags()
