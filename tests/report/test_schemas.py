"""Stored JSON Schemas match the code, and outputs match the schemas."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.report import runs
from wscheck.model.events import RECORDING_SCHEMA
from wscheck.report import json as json_reporter
from wscheck.report import recording
from wscheck.report.schemas import DOCUMENTS, encode, file_name
from wscheck.run import config_schema

STORED = Path(__file__).parents[2] / "docs" / "schemas"
RUNS = (runs.passing, runs.failing, runs.looping)


@cache
def validator(name: str) -> Any:
    schema = json.loads((STORED / file_name(name)).read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_stored_schema_matches_the_code(name: str) -> None:
    again = "run: python -m wscheck.report.schemas docs/schemas"
    assert (STORED / file_name(name)).read_bytes() == encode(name), again


def test_no_stored_schema_is_obsolete() -> None:
    assert sorted(path.name for path in STORED.iterdir()) == sorted(
        [*map(file_name, DOCUMENTS), config_schema.FILE_NAME]
    )


@pytest.mark.parametrize("run", RUNS)
def test_a_report_matches_its_schema(run: Any) -> None:
    validator("wscheck.verify/1").validate(json.loads(json_reporter.render(*run())))


@pytest.mark.parametrize("run", RUNS)
def test_every_line_of_a_recording_matches_its_schema(run: Any) -> None:
    lines = recording.render(*run()).splitlines()
    for line in [*lines[:12], *lines[-2:]]:
        validator(RECORDING_SCHEMA).validate(json.loads(line))


def test_the_schema_rejects_an_invalid_document() -> None:
    text = json.loads(json_reporter.render(*runs.failing()))
    del text["findings"][0]["count"]
    assert not validator("wscheck.verify/1").is_valid(text)
    assert not validator(RECORDING_SCHEMA).is_valid({"type": "teleported"})
