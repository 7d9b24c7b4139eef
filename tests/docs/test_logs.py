"""docs/logs.md describes every option and field, and its example is valid."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import typer.main

from wscheck.cli import app
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.notify import delivery
from wscheck.observe.tailing.follower import LATE_WRITER_S

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "logs.md").read_text()
COMMAND: Any = typer.main.get_command(app)
TAIL_LOGS = COMMAND.commands["tail-logs"]


def section(heading: str) -> str:
    return re.split(r"\n##+ ", DOCUMENT.split(f"# {heading}\n")[1])[0]


def named(text: str) -> set[str]:
    """Return the names in back quotes in the first column of a table."""
    rows = re.findall(r"^\| (`.*?) \|", text, re.M)
    return {name for row in rows for name in re.findall(r"`(-*[\w-]+)`", row)}


def test_exactly_the_known_options_are_documented() -> None:
    options = {name for param in TAIL_LOGS.params for name in param.opts if name.startswith("--")}
    assert named(section("Watching")) == options - {"--help"}


def test_exactly_the_fields_of_an_incident_are_documented() -> None:
    assert named(section("Incidents")) == {"schema", *Incident.__struct_fields__}
    for state in IncidentState:
        assert f"`{state}`" in section("Incidents")


def test_the_documented_incident_is_valid() -> None:
    [example] = re.findall(r"```json\n(.*?)\n```", DOCUMENT, re.S)
    schema = json.loads((ROOT / "docs" / "schemas" / "wscheck.incident-1.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(json.loads(example))
    assert set(json.loads(example)) == {"schema", *Incident.__struct_fields__}


def test_documented_numbers_match_the_code() -> None:
    told = section("Webhook")
    assert delivery.MAX_ATTEMPTS == 6 and "six times in" in told
    assert (delivery.FIRST_PAUSE_S, delivery.LONGEST_PAUSE_S) == (0.5, 30.0)
    assert f"{delivery.MAX_QUEUED:,} messages wait" in told
    assert f"no answer within {delivery.REQUEST_TIMEOUT_S:.0f} s" in told
    assert f"at most {delivery.COMMAND_TIMEOUT_S:.0f} s" in section("A program")
    assert LATE_WRITER_S == 60.0 and "quiet for a minute" in section("Rotation")


def test_every_log_collector_has_a_recipe() -> None:
    for tool in ("docker logs", "docker compose", "journalctl", "kubectl", "pm2", "jq"):
        assert tool in section("Recipes")
