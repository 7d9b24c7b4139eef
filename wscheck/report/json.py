"""The report as one JSON object: what scripts read. Its fields are a contract (docs/json.md)."""

from collections.abc import Sequence

import msgspec

from wscheck.model.events import AnyEvent
from wscheck.model.report import Report


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Indented by two spaces, in the order of docs/json.md, ending in a line feed. The events are not part of it."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"
