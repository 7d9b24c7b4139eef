"""JSON Schemas of every JSON document that wscheck writes.

`python -m wscheck.report.schemas docs/schemas` writes them. A test compares the stored schemas with these.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from wscheck.detect.incidents import Incident
from wscheck.model import comparison, load_report
from wscheck.model.code_facts import OpeningCall
from wscheck.model.comparison import ComparedMeasure, ComparedRun, CompareReport
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, RecordingHeader
from wscheck.model.findings import AllowNote, Cause, Finding
from wscheck.model.gaps import Gap
from wscheck.model.load_report import EventCounts, LoadReport, Second, ServerSide, Threshold
from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import (
    AccessClient,
    ActionSummary,
    AssumedSentence,
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
    RoundCounts,
    ScanReport,
    ScenarioResult,
    Scope,
    VerifyReport,
)
from wscheck.report.tool_result import (
    CHECK_SCHEMA,
    EXPLANATION_SCHEMA,
    CheckedFinding,
    CheckedOpening,
    CheckedPlace,
    CheckResult,
    ExplainedFact,
    ExplainedId,
    ExplanationResult,
)

DOCUMENTS: dict[str, tuple[Any, ...]] = {
    "wscheck.verify/1": (VerifyReport,),
    "wscheck.browser/1": (BrowserReport,),
    load_report.SCHEMA: (LoadReport,),
    comparison.SCHEMA: (CompareReport,),
    "wscheck.logs/1": (LogsReport,),
    "wscheck.scan/1": (ScanReport,),
    "wscheck.incident/1": (Incident,),
    CHECK_SCHEMA: (CheckResult,),
    EXPLANATION_SCHEMA: (ExplanationResult,),
    RECORDING_SCHEMA: (RecordingHeader, AnyEvent, Incident),
}
"""Value of the field `schema` to the type of the document; for a recording, to the types of its lines."""

_ALWAYS_COMPLETE = (
    VerifyReport,
    ScenarioResult,
    Control,
    BrowserReport,
    ConnectionSummary,
    EventSummary,
    HandlerSummary,
    PageSummary,
    BrowserTarget,
    RoundCounts,
    ActionSummary,
    LogsReport,
    LogUserSummary,
    AccessClient,
    AssumedSentence,
    MarkerSuggestion,
    ScanReport,
    OpeningCall,
    Incident,
    Gap,
    Scope,
    Finding,
    AllowNote,
    Cause,
    RecordingHeader,
    *(CheckResult, CheckedFinding, CheckedOpening, CheckedPlace, ExplanationResult, ExplainedId, ExplainedFact),
    *(LoadReport, Percentiles, EventCounts, Second, Threshold, ServerSide, CompareReport, ComparedRun, ComparedMeasure),
)
"""Types whose JSON contains every field, so that readers may rely on all fields. Events omit unknown fields."""

PUBLISHED_NAMES = {
    "AttemptOutcome": "Answered",
    "BrowserTarget": "Target",
    "CodeLocation": "Place",
    "ComparedMeasure": "Measured",
    "ComparedRun": "Side",
    "ConnectionEvent": "OnConnection",
    "ConnectionExpired": "Expired",
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
"""Class name to the name of its definition in the published schemas, for classes that were renamed later."""


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the document `name`. The schema of a recording describes one line."""
    kinds = DOCUMENTS[name]
    documents, components = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    for component in components.values():
        component.pop("description", None)  # the documentation has the text, which may change within a version
    for kind in _ALWAYS_COMPLETE:
        if (component := components.get(kind.__name__)) is not None:
            component["required"] = list(component["properties"])
    if name == "wscheck.incident/1":
        _as_document(components["Incident"], name)
    body = documents[0] if len(documents) == 1 else {"anyOf": list(documents)}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **body, "$defs": components}
    published: dict[str, Any] = _with_published_names(schema)
    return published


def _with_published_names(node: Any) -> Any:
    """Replace class names by published names in the schema `node`: in its keys, titles and references."""
    if isinstance(node, dict):
        return {PUBLISHED_NAMES.get(key, key): _with_published_names(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_published_names(item) for item in node]
    if isinstance(node, str):
        prefix, slash, last = node.rpartition("/")
        return f"{prefix}{slash}{PUBLISHED_NAMES.get(last, last)}"
    return node


def _as_document(incident: dict[str, Any], name: str) -> None:
    """Turn `incident`, the schema of a line in a recording, into the schema of a separate document.

    The field `type` of a line is replaced by the field `schema` of a document.
    """
    incident["properties"] = {"schema": {"const": name}, **incident["properties"]}
    incident["required"] = ["schema", *incident["required"]]
    del incident["properties"]["type"]
    incident["required"].remove("type")


def file_name(name: str) -> str:
    """Return the file name of a schema: `wscheck.verify-1.json` for `wscheck.verify/1`."""
    return name.replace("/", "-") + ".json"


def encode(name: str) -> bytes:
    """Return the schema of the document `name` as indented JSON text, exactly as the stored file contains it."""
    return msgspec.json.format(msgspec.json.encode(json_schema(name)), indent=2) + b"\n"


def main(directory: Path) -> None:
    """Write all schemas to `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in DOCUMENTS:
        (directory / file_name(name)).write_bytes(encode(name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
