"""A run that ends before it has a report: the files it was asked for say why, and nothing of an earlier run is left."""

import json
import socket
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from tests.cli import Ran, wscheck

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
EARLIER = "a green report of yesterday"

ENDS = {
    "verify": (["verify", "URL"], 3, "verify-1", "Nothing answers at http://127.0.0.1"),
    "verify a recording": (["verify", "--from", "none.ndjson"], 3, "verify-1", "none.ndjson cannot be read"),
    "verify as nobody can": (["verify", "--client", "no"], 2, "verify-1", "'no' is not one of unified, per-component"),
    "browser": (["browser", "URL", "--browser", "/none/chromium"], 2, "browser-1", "/none/chromium"),
    "har": (["har", "none.har"], 3, "browser-1", "none.har cannot be read"),
    "load": (["load", "URL", "--run-time", "1s"], 3, "load-1", "Nothing answers at http://127.0.0.1"),
    "compare": (["compare", "a.json", "b.json"], 3, "compare-1", "a.json cannot be read"),
    "tail-logs": (["tail-logs", "--no-follow", "none.log"], 3, "logs-1", "There is no log none.log"),
}
TEXTS = ("html", "markdown", "github", "terminal")


@pytest.fixture
def nowhere() -> str:
    """A URL at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://user:secret@127.0.0.1:{free.getsockname()[1]}"


def ended(directory: Path, arguments: list[str], *formats: str) -> Ran:
    for name in formats:
        (directory / name).write_text(EARLIER)
    return wscheck(*arguments, *(f"--format={name}={name}" for name in formats), cwd=directory)


@pytest.mark.parametrize("command", ENDS)
def test_every_format_contains_the_reason(command: str, tmp_path: Path, nowhere: str) -> None:
    arguments, code, schema, why = ENDS[command]
    ran = ended(tmp_path, [nowhere if a == "URL" else a for a in arguments], "json", "junit", *TEXTS)
    assert ran.code == code and why in ran.err and "secret" not in ran.said, ran.said
    told = json.loads((tmp_path / "json").read_bytes())
    jsonschema.validate(told, json.loads((SCHEMAS / f"wscheck.{schema}.json").read_bytes()))
    assert told["verdict"] == "inconclusive" and why in told["reason"] and told["started_at"] > 0
    error = ET.parse(tmp_path / "junit").find(".//testcase/error")
    assert error is not None and why in error.attrib["message"]
    for name in TEXTS:
        text = " ".join((tmp_path / name).read_text().replace("<wbr>", "").split())
        assert "inconclusive" in text.lower() and EARLIER not in text and "secret" not in text
        assert "connections per user" not in text, "figures of a run that never began"


def test_stdout_has_the_chosen_format_and_the_terminal_one_message(nowhere: str) -> None:
    ran = wscheck("verify", nowhere, "--format", "json")
    assert json.loads(ran.out)["verdict"] == "inconclusive"
    ran = wscheck("verify", nowhere)
    assert ran.out == "" and ran.err.count("Nothing answers") == 1


@pytest.mark.parametrize("written", ["before.json", "./before.json"])
def test_an_input_file_is_not_overwritten(tmp_path: Path, written: str) -> None:
    (tmp_path / "before.json").write_text("no report")
    ran = wscheck("compare", "before.json", "after.json", "--format", f"json={written}", cwd=tmp_path)
    assert ran.code == 2 and (tmp_path / "before.json").read_text() == "no report"


def test_an_unwritable_file_hides_neither_the_error_nor_other_files(tmp_path: Path, nowhere: str) -> None:
    ran = ended(tmp_path, ["verify", nowhere, "--format=html=/dev/full"], "json")
    assert ran.code == 3 and "Nothing answers" in ran.err
    assert "Nothing answers" in (tmp_path / "json").read_text()
