"""An HTTP POST for each change of an incident: as JSON, or as the text that Slack and its kin take."""

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
from wscheck.report import story

TIMEOUT_S = 10.0
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_MARK = {
    IncidentState.OPENED: ":red_circle:",
    IncidentState.GREW: ":chart_with_upwards_trend:",
    IncidentState.RESOLVED: ":white_check_mark:",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would arrive as a GET without its body."""

    def redirect_request(self, *_: object) -> None:
        return None


class WebhookTarget:
    """Posts to `url`, which may itself be a secret: only its host is ever shown. `form`: "json" or "slack"."""

    def __init__(self, url: str, form: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError("The webhook is not an http or https URL.", "Write --webhook https://example.org/hook.")
        self._url, self._form = url, form
        self.name = f"webhook {parts.hostname}"
        self._opener = urllib.request.build_opener(_NoRedirect)

    def compose(self, incident: Incident) -> bytes:
        """The body."""
        return msgspec.json.encode({"text": slack_text(incident)}) if self._form == "slack" else incident_json(incident)

    def deliver(self, message: bytes) -> None:
        """POST it; anything but a 2xx fails, for good when trying again cannot help."""
        headers = {"Content-Type": "application/json", "User-Agent": f"wscheck/{__version__}"}
        request = urllib.request.Request(self._url, message, headers, method="POST")
        try:
            self._opener.open(request, timeout=TIMEOUT_S).close()
        except urllib.error.HTTPError as error:
            error.close()
            raise DeliveryFailed(
                f"it answered {error.code}", again=error.code in PASSING, pause_s=_asked(error)
            ) from None
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise DeliveryFailed(f"it cannot be reached: {reason}") from None

    def abandon(self) -> None:
        """A request ends with us."""


def slack_text(incident: Incident) -> str:
    """Slack's own markup; what comes from the log is escaped as Slack asks."""
    told = incident_summary(incident).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    lines = [f"{_MARK[incident.state]} *wscheck* {told}"]
    if incident.state is not IncidentState.RESOLVED:
        lines.append(f"_Fix_: {story.fix_text(incident)}")
    return "\n".join(lines)


def _asked(error: urllib.error.HTTPError) -> float:
    """The seconds of a Retry-After header, 0 without one."""
    value = error.headers.get("Retry-After", "") if error.headers else ""
    return float(value) if value.isdigit() else 0.0
