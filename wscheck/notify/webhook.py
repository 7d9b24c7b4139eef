"""An HTTP POST for each change of an incident, as JSON or as the text format of Slack."""

import urllib.error
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

import msgspec

from wscheck import __version__
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.errors import UsageError
from wscheck.notify.delivery import DeliveryFailed, incident_json
from wscheck.notify.text import incident_summary
from wscheck.report.finding_text import fix_text

TIMEOUT_S = 10.0
RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_EMOJI = {
    IncidentState.OPENED: ":red_circle:",
    IncidentState.GREW: ":chart_with_upwards_trend:",
    IncidentState.RESOLVED: ":white_check_mark:",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A handler that follows no redirect, because a redirected POST becomes a GET without its body."""

    def redirect_request(self, *_: object) -> None:
        return None


class WebhookTarget:
    """The receiver at `url`. The URL can be a secret, so messages show only its host. `form`: "json" or "slack"."""

    def __init__(self, url: str, form: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("The webhook is not an http or https URL.", "Write --webhook https://example.org/hook.")
        self._url, self._form = url, form
        self.name = f"webhook {parts.hostname}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def compose(self, incident: Incident) -> bytes:
        """Return the request body."""
        if self._form == "slack":
            return msgspec.json.encode({"text": slack_text(incident)})
        return incident_json(incident)

    def deliver(self, message: bytes) -> None:
        """Send the request. Raises DeliveryFailed for any status but 2xx, with `retry` for temporary errors."""
        headers = {"Content-Type": "application/json", "User-Agent": f"wscheck/{__version__}"}
        request = urllib.request.Request(self._url, message, headers, method="POST")
        try:
            self._opener.open(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise DeliveryFailed(
                f"it answered {error.code}", retry=error.code in RETRY_STATUSES, pause_s=_retry_after(error)
            ) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise DeliveryFailed(f"it cannot be reached: {reason}") from None

    def abort(self) -> None:
        """Do nothing: the request ends with the process."""


def slack_text(incident: Incident) -> str:
    """Return the incident in Slack's markup, with text from the log escaped.

    Source: Slack API documentation, "Formatting text for app surfaces", escaping text.
    """
    summary = incident_summary(incident).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    lines = [f"{_EMOJI[incident.state]} *wscheck* {summary}"]
    if incident.state is not IncidentState.RESOLVED:
        lines.append(f"_Fix_: {fix_text(incident)}")
    return "\n".join(lines)


def _retry_after(error: urllib.error.HTTPError) -> float:
    """Return the seconds of the Retry-After header (RFC 9110, section 10.2.3), 0 for a date or without one."""
    value = error.headers.get("Retry-After", "") if error.headers else ""
    return float(value) if value.isdigit() else 0.0
