"""docs/origin.md leads from the origin to things that are there: every id, metric, file and command that it names."""

import re
import shlex
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer.main

from wscheck.cli import app
from wscheck.config.event_contract import DOCUMENTED_CONTRACT as CONTRACT
from wscheck.config.settings import NEXT_PUBLIC_VARIABLE
from wscheck.detect.causes import CATALOGUE
from wscheck.detect.rules import DOCUMENTED as ALERTS
from wscheck.detect.rules import REGISTRY as RULES
from wscheck.observe.client.simulated_page import EventHandlers
from wscheck.run.compare import LOAD_MEASURES
from wscheck.scenarios import DOCUMENTED_SCENARIOS as TESTS
from wscheck.scenarios import SCENARIOS

ROOT = Path(__file__).parents[2]
ROWS = re.findall(
    r"^\| (?!the document says|---)(.+?) \| (.+) \|$", (ROOT / "docs" / "origin.md").read_text(encoding="utf-8"), re.M
)
NAMED = {name for _, answer in ROWS for name in re.findall(r"`([^`]+)`", answer)}
COMMAND: Any = typer.main.get_command(app)
METRICS = set(re.findall(r"^\| `(wscheck_\w+)`", (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"), re.M))

HANDLERS = {field.name for field in fields(EventHandlers)} - {"on_event"}
EVENTS = {event.name for event in CONTRACT.events}
KNOWN = {
    *RULES,
    *CATALOGUE,
    *SCENARIOS,
    *METRICS,
    *HANDLERS,
    *EVENTS,
    *(row.id for row in LOAD_MEASURES),
    NEXT_PUBLIC_VARIABLE,
}


def understood(line: str) -> bool:
    """Whether the command line takes it."""
    _, name, *arguments = shlex.split(line)
    command = COMMAND.commands[name]
    return command.make_context(name, arguments) is not None


@pytest.mark.parametrize("name", sorted(NAMED))
def test_every_named_check_exists(name: str) -> None:
    if name.startswith("wscheck "):
        assert understood(name)
    elif "/" in name:
        assert (ROOT / name).is_file(), name
    else:
        assert name in KNOWN, name


@pytest.mark.parametrize("kind", ["rule", "scenario", "cause"])
def test_every_id_is_of_the_kind_that_the_text_names(kind: str) -> None:
    known = {"rule": set(RULES), "scenario": set(SCENARIOS), "cause": set(CATALOGUE)}[kind]
    called = {
        name
        for _, answer in ROWS
        for told in re.findall(rf"{kind}s? ((?:`[\w-]+`(?:, | and )?)+)", answer)
        for name in re.findall(r"`([\w-]+)`", told)
    }
    assert called and called <= known


@pytest.mark.parametrize(
    "promised",
    [
        lambda: {rule.id for rule in ALERTS},
        lambda: {scenario.id for scenario in TESTS},
        lambda: HANDLERS,
        lambda: EVENTS,
        lambda: {row.id for row in LOAD_MEASURES},
    ],
    ids=["alerts", "tests", "handlers", "events", "benefits"],
)
def test_every_promise_has_a_check(promised: Callable[[], set[str]]) -> None:
    assert promised() <= NAMED


def test_every_row_has_an_answer() -> None:
    assert len(ROWS) > 30
    assert [says for says, answer in ROWS if "`" not in answer] == []
