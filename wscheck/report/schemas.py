"""The machine-readable contracts: a JSON Schema of everything wscheck writes as JSON.

`python -m wscheck.report.schemas DIRECTORY` writes them; `docs/schemas/` holds them and a test compares.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from wscheck.detect.incidents import Incident
from wscheck.model import comparison, load_report
from wscheck.model.comparison import ComparedMeasure, ComparedRun, CompareReport
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, RecordingHeader
from wscheck.model.findings import Cause, Finding
from wscheck.model.load_report import EventCounts, LoadReport, Second, ServerSide, Threshold
from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import (
    BrowserReport,
    BrowserTarget,
    ConnectionSummary,
    Control,
    EventSummary,
    HandlerSummary,
    LogsReport,
    LogUserSummary,
    MarkerSuggestion,
    PageSummary,
    ScenarioResult,
    VerifyReport,
)

DOCUMENTS: dict[str, tuple[Any, ...]] = {
    "wscheck.verify/1": (VerifyReport,),
    "wscheck.browser/1": (BrowserReport,),
    load_report.SCHEMA: (LoadReport,),
    comparison.SCHEMA: (CompareReport,),
    "wscheck.logs/1": (LogsReport,),
    "wscheck.incident/1": (Incident,),
    RECORDING_SCHEMA: (RecordingHeader, AnyEvent, Incident),
}
"""Schema name, as the `schema` field says it, to what a document (a line, for a recording) may be."""

_WHOLE = (
    VerifyReport,
    ScenarioResult,
    Control,
    BrowserReport,
    ConnectionSummary,
    EventSummary,
    HandlerSummary,
    PageSummary,
    BrowserTarget,
    LogsReport,
    LogUserSummary,
    MarkerSuggestion,
    Incident,
    Finding,
    Cause,
    RecordingHeader,
    *(LoadReport, Percentiles, EventCounts, Second, Threshold, ServerSide, CompareReport, ComparedRun, ComparedMeasure),
)
"""These are always written with every field, so a reader may rely on each; events leave out what is unknown."""


PUBLISHED_NAMES = {
    "AttemptOutcome": "Answered",
    "BrowserTarget": "Target",
    "CodeLocation": "Place",
    "ComparedMeasure": "Measured",
    "ComparedRun": "Side",
    "ConnectionEvent": "OnConnection",
    "ConnectionSummary": "SeenConnection",
    "EventSummary": "SeenEvent",
    "HandlerSummary": "SeenHandlers",
    "HandlersRegistered": "Registered",
    "HeartbeatStopped": "Silenced",
    "IncidentState": "State",
    "LogUserSummary": "Holdings",
    "MarkerSuggestion": "Suggested",
    "MeasureChange": "Change",
    "NotEvaluated": "Unjudged",
    "PageSummary": "SeenPage",
    "PhaseEnded": "Ended",
    "PhaseStarted": "Began",
    "ProcessStalled": "Lagged",
    "RecordingHeader": "Header",
    "ServerRestarted": "Restarted",
    "SourceStarted": "Watching",
}
"""Class name to the name of its definition in the published schemas, for each class that was renamed since."""


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of `name`. For a recording it is the schema of one line."""
    kinds = DOCUMENTS[name]
    documents, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for component in components.values():
        component.pop("description", None)  # prose is in the documents, and may change without changing the contract
    for kind in _WHOLE:
        if (component := components.get(kind.__name__)) is not None:
            component["required"] = list(component["properties"])
    if name == "wscheck.incident/1":
        _as_message(components["Incident"], name)
    body = documents[0] if len(documents) == 1 else {"anyOf": list(documents)}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **body, "$defs": components}
    published: dict[str, Any] = _with_published_names(schema)
    return published


def _with_published_names(node: Any) -> Any:
    """Return `node` with every class name replaced by its published name, in keys, titles and references."""
    if isinstance(node, dict):
        return {PUBLISHED_NAMES.get(key, key): _with_published_names(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_published_names(item) for item in node]
    if isinstance(node, str):
        prefix, slash, last = node.rpartition("/")
        return f"{prefix}{slash}{PUBLISHED_NAMES.get(last, last)}"
    return node


def _as_message(incident: dict[str, Any], name: str) -> None:
    """Told on its own, an incident says which schema it has instead of which type of line it is."""
    incident["properties"] = {"schema": {"const": name}, **incident["properties"]}
    incident["required"] = ["schema", *incident["required"]]
    del incident["properties"]["type"]
    incident["required"].remove("type")


def file_name(name: str) -> str:
    """wscheck.verify/1 -> wscheck.verify-1.json"""
    return name.replace("/", "-") + ".json"


def encode(name: str) -> bytes:
    """The schema as it is stored: indented, keys in the order of the fields."""
    return msgspec.json.format(msgspec.json.encode(json_schema(name)), indent=2) + b"\n"


def main(directory: Path) -> None:
    """Write every schema into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (directory / file_name(name)).write_bytes(encode(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
