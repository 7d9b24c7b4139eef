"""The JSON Schema of wscheck.toml accepts what wscheck reads, and rejects what it does not."""

import json
import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.config.test_loading import INVALID_EVENTS, INVALID_FILES, uncommented
from wscheck.run.config_schema import FILE_NAME, encode

DOCS = Path(__file__).parents[2] / "docs"
STARTER = files("wscheck.config").joinpath("starter.toml").read_text()

NO_TOML = ("is not valid TOML", "is not UTF-8 text")

BEYOND_A_SCHEMA = ("is described twice",)
"""Errors that compare one table with another."""

INVALID = [
    str(toml)
    for toml, problem, *_ in (*INVALID_FILES, *INVALID_EVENTS)
    if not any(words in problem for words in (*NO_TOML, *BEYOND_A_SCHEMA))
]

DOCUMENTED = [
    tomllib.loads(block)
    for path in sorted(DOCS.glob("*.md"))
    for block in re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    if "[tool." not in block
]


@cache
def validator() -> Any:
    schema = json.loads((DOCS / "schemas" / FILE_NAME).read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(tables: Any) -> list[str]:
    # JSON has no dates: an editor passes them as texts.
    return [error.message for error in validator().iter_errors(json.loads(json.dumps(tables, default=str)))]


def test_the_stored_schema_matches_the_settings() -> None:
    assert (DOCS / "schemas" / FILE_NAME).read_bytes() == encode(), (
        "run: python -m wscheck.run.config_schema docs/schemas"
    )


@pytest.mark.parametrize("text", [STARTER, uncommented(STARTER)], ids=["as written", "uncommented"])
def test_the_starter_file_is_accepted(text: str) -> None:
    assert problems(tomllib.loads(text)) == []


def test_the_documented_files_are_accepted() -> None:
    assert len(DOCUMENTED) > 5
    assert [found for tables in DOCUMENTED if (found := problems(tables))] == []


@pytest.mark.parametrize("toml", INVALID)
def test_an_invalid_file_is_rejected(toml: str) -> None:
    assert problems(tomllib.loads(toml))


def test_a_step_without_action_is_rejected() -> None:
    assert problems({"browser": {"step": [{"within": "1s"}]}}) and problems({"connect": {"step": [{"ack": True}]}})


def test_the_starter_file_names_the_schema() -> None:
    assert STARTER.startswith("#:schema ") and STARTER.splitlines()[0].endswith(FILE_NAME)
