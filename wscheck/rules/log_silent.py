"""The server's log does not show what the client saw."""

from collections.abc import Mapping

from wscheck.events import Connected, Watching
from wscheck.findings import Severity
from wscheck.rules.rule import Handler, Rule


class LogSilent(Rule):
    id = "log-silent"
    severity = Severity.ERROR
    title = "The server's log is silent about connections that were made"
    meaning = (
        "wscheck connected and the log that was given shows none of it: whoever monitors that log would see no "
        "replacement either. A quiet log is then no evidence of health."
    )
    fix = (
        "Log connects, replacements and disconnects as documented; or point --server-log at the right file, or name "
        "the server's own words in [logs.markers] of wscheck.toml."
    )
    source = "documented behaviour, Monitoring"

    def watches(self) -> Mapping[type, Handler]:
        self._watching: Watching | None = None
        self._mine: dict[str, Connected] = {}
        self._logged: set[str] = set()
        return {Watching: self._watch, Connected: self._connected}

    def _watch(self, event: Watching) -> None:
        if event.source == "server-log":
            self._watching = event

    def _connected(self, event: Connected) -> None:
        key = event.sid or event.user
        if key is None:
            return
        if event.source == "server-log":
            self._logged.update(k for k in (event.sid, event.user) if k is not None)
        else:
            self._mine[key] = event

    def conclude(self, at: float | None) -> None:
        if self._watching is None or not self._mine:
            return
        unseen = [e for sid, e in self._mine.items() if sid not in self._logged and e.user not in self._logged]
        if unseen:
            message = f"the server's log shows nothing of {len(unseen)} of {len(self._mine)} connections"
            self.sighted(unseen[0].user, message, at, *unseen[:3])
