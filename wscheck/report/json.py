"""Report as one JSON object, for scripts. Its fields are a public contract (docs/json.md)."""

from collections.abc import Sequence

from wscheck.model.events import AnyEvent
from wscheck.model.report import Report
from wscheck.report import json_text


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Return the report as indented JSON, with the fields in the order of docs/json.md. Events are not included."""
    return json_text.encode_document(report)
