"""Logs of MQTT brokers: Mosquitto 1.4 to 2, EMQX 3 to 5 in text and JSON, and RabbitMQ 3.8 to 4 with its MQTT plugin.

A broker keeps one connection for each client id, so the client id is the user of its connections. Many clients may have
the same user name, for example all devices of a kind.

Mosquitto logs connects and ends. EMQX logs ends at the level info, and connects (as sent CONNACK packets) at debug;
EMQX 3 logs takeovers at warning. RabbitMQ logs both, and names the client id of an opening and of a takeover.

Sources: mosquitto.conf(5), log_type; EMQX documentation, "Logs", and the FAQ "Reasons for common logs"; RabbitMQ's
rabbit_mqtt_reader.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.model.disconnect_reasons import PING_TIMEOUT, TRANSPORT_CLOSE
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Refused, Replaced, ServerRestarted
from wscheck.observe.logs.formats.envelopes import decode_line, parse_json_object
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern

MAX_CLIENTS = 100_000
"""Maximum number of clients whose connections are stored."""

MAX_FOREIGN_LINES = 200
"""Number of lines without an event at the start of a log, after which the log counts as no broker's log."""

MAX_LINE = 1 << 14
"""Longest line that is read, in bytes. EMQX logs the content of messages at the level debug."""

PROTOCOL = "mqtt"

_STAMP_WITHIN = 80
_WORDS_WITHIN = 400
"""Length of the start of a line in which the words of a connection are, in front of the id of the client."""
_OLD_END_S = 3.0
"""Longest time from a takeover to a line about the end of the old connection (seconds)."""

_OPENING = lazy_pattern(
    rb"\bmosquitto version \S+ (?:starting|running)|: New connection from \S+ on port \d+\."
    rb"|\bNew client connected from \S+ as .{1,300} \((?:p\d, )?c[01], k\d+"
    rb"|\bClientid '[^'\n]{1,300}' conflict with <"
    rb"|\bclientid: [^,]{1,300}, msg: (?:terminate|client_connected|mqtt_packet_\w+), |\bmfa: (?:\{emqx_|emqx_\w+:)"
    rb"|\"msg\":\s?\"(?:terminate|mqtt_packet_(?:sent|received))\""
    rb"|\b[Aa]ccept(?:ed|ing) (?:Web )?MQTT connection [^\n]{0,120} -> |\bStarting RabbitMQ \d"
)
_RESTARTED = lazy_pattern(r"\bmosquitto version \S+ starting\s*$|\bStarting RabbitMQ \d\S* on Erlang\b")
_CONNECTED = lazy_pattern(
    r"\bNew (?:client|bridge) connected from (?P<peer>\S+) as (?P<client>.{1,300}) "
    r"\((?:p\d+, )?c[01], k\d+(?:, u'.{0,300}')?\)\.?\s*$"
)
_ENDED = lazy_pattern(
    r"^(?:.{0,200}?(?::\s|\s\|\s|\d\s))??Client (?P<client>.{1,300}?)(?: \[\S+\])?"
    r"(?P<what> already connected, closing old connection| closed its connection| has exceeded timeout, disconnecting"
    r"|,? disconnected(?:, not authori[sz]ed|,? due to [\w ,]++|: [\w ,]++)?"
    r"| has been disconnected by administrative action)"
    r"\.?\s*$"
)
_REPORTS_CONNECTION = lazy_pattern(rb"\bNew (?:client|bridge) connected from \S{1,100} as ")
_FAILED = lazy_pattern(
    r"\b(?:Socket error|Bad socket (?:read|write)(?:/write)?) on client (?P<client>[^,:]{1,300})(?:, |: )"
)

_PEER = r"(?:<<)?\"?(?:<[\d.]+> ?\()?(?P<peer>[^\s\"(]+:\d+) -> [^\s\",)]+"
"""Connection in a log of RabbitMQ: the addresses of both ends, perhaps in quotes or after the id of a process."""
_RABBIT_OPENED = lazy_pattern(
    rf"\b[Aa]ccept(?:ed|ing) (?:Web )?MQTT connection {_PEER}\"?,? (?:for )?"
    r"(?i:client id):? (?P<client>[^\")]{1,300})"
)
_RABBIT_TAKEN = lazy_pattern(
    rf"\bMQTT disconnecting (?:a )?client (?:{_PEER}\"?(?:>>)? )?with duplicate (?i:id) '(?P<client>[^']{{1,300}})'"
)
_RABBIT_ENDED = lazy_pattern(rf"(?:\bMQTT connection|\b[Cc]losing (?:Web )?MQTT connection) {_PEER}(?P<what>.*)")

_FIELD = lazy_pattern(
    r"(?:^|[ ,])(?P<name>clientid|peername|msg|packet|reason): (?P<value>\{[^}]*\}|\w+\([^)]*\)|[^,]*)"
)
_EMQX_4 = lazy_pattern(
    r"\[(?:debug|info|notice|warning|error)\] (?P<clientid>\S.{0,300})@(?P<peername>[\d.a-fA-F:\[\]]+:\d+) (?P<rest>.*)"
)
_CONFLICT = lazy_pattern(r"\bClientid '(?P<client>[^']{1,300})' conflict with <")
"""Takeover of a client id in EMQX 3, at the level warning."""
_CONNACK = lazy_pattern(r"\bCONNACK\([^)]{0,200}?ReasonCode=(?P<code>\d+)")
_REASON = lazy_pattern(r"(?:\{shutdown,\s?)?(?P<name>\w+)")

_EMQX_WORDS = ("CONNACK", "terminate", "client_connected")

_TAKEN_OVER = frozenset({"takenover", "takeovered", "discarded"})
_SILENT = frozenset({"keepalive_timeout"})


class _Ended(msgspec.Struct):
    """Latest takeover of a client id: the broker ended the client's old connection because of its new one.

    at      time of the takeover
    is_due  a line about the end of the old connection may still follow
    """

    at: float | None
    is_due: bool = True


def broker_line(log: bytes) -> int | None:
    """Return the offset in `log` of its first line that only an MQTT broker writes, None if there is no such line."""
    found = _OPENING.search(log)
    return None if found is None else log.rfind(b"\n", 0, found.start()) + 1


class BrokerLog:
    """Reader of one broker's log.

    events      events of the lines that were read since the last call of `take_events`, still without path and node
                (the name of the server process)
    unreadable  pairs (number of the line, text) of lines that report a connection and could not be read, since the
                last call of `take_unreadable`
    """

    def __init__(self, timestamps: TimestampParser) -> None:
        self._timestamps = timestamps
        self.events: list[Event] = []
        self.unreadable: list[tuple[int, str]] = []
        self._open = BoundedDict[str, str](MAX_CLIENTS)
        self._clients = BoundedDict[str, str](MAX_CLIENTS)
        self._taken_over = BoundedDict[str, _Ended](MAX_CLIENTS)

    def take_events(self) -> list[Event]:
        """Return the events of the lines that were read since the last call."""
        events, self.events = self.events, []
        return events

    def take_unreadable(self) -> list[tuple[int, str]]:
        """Return the lines that report a connection and could not be read since the last call."""
        lines, self.unreadable = self.unreadable, []
        return lines

    def read(self, data: bytes, line: int) -> None:
        """Add the events of the complete lines in `data` to `events`. The first line has the number `line`."""
        for number, raw in enumerate(data.split(b"\n"), start=line):
            if raw and len(raw) <= MAX_LINE:
                self._read_line(decode_line(raw), number)
            elif raw and _REPORTS_CONNECTION.search(raw, 0, _WORDS_WITHIN) is not None:
                self.unreadable.append((number, decode_line(raw[:_WORDS_WITHIN])))

    def _read_line(self, text: str, line: int) -> None:
        fields = parse_json_object(text) if text.startswith("{") else None
        if fields is not None:
            inner = fields.get("log") or fields.get("message") or fields.get("MESSAGE")
            if isinstance(inner, str) and "msg" not in fields:
                self._read_line(inner.rstrip("\n"), line)
            else:
                self._emqx(fields, self._timestamps.from_fields(fields), line)
        elif not ("MQTT " in text and self._rabbitmq(text, line)) and not self._mosquitto(text, line):
            self._emqx_text(text, line)

    def _time(self, text: str) -> float | None:
        return self._timestamps.find(text[:_STAMP_WITHIN])

    # --- Mosquitto ----------------------------------------------------------------------------------------------------

    def _mosquitto(self, text: str, line: int) -> bool:
        """Read a line of Mosquitto. Return whether the line reports a connection, its end, or a start of the broker."""
        if (opened := _CONNECTED.search(text)) is not None:
            self._connect(opened["client"], opened["peer"], self._time(text), line)
        elif (ended := _ENDED.search(text)) is not None:
            self._end(ended["client"], ended["what"], self._time(text), line)
        elif (failed := _FAILED.search(text)) is not None:
            self._disconnect(failed["client"], TRANSPORT_CLOSE, self._time(text), line)
        elif _RESTARTED.search(text) is not None:
            self._open.clear()
            self._clients.clear()
            self.events.append(ServerRestarted(at=self._time(text), source=SOURCE_SERVER_LOG, line=line))
        elif " connected from " in text and _REPORTS_CONNECTION.search(text[:_WORDS_WITHIN].encode()) is not None:
            self.unreadable.append((line, text))
        else:
            return False
        return True

    def _end(self, client: str, what: str, at: float | None, line: int) -> None:
        if "already connected" in what:
            self._replace(client, self._open.pop(client, None), at, line)
            self._taken_over.put(client, _Ended(at))
        elif "not authori" in what and client not in self._open:
            self._refuse(client, "not authorised", at, line)
        elif not self._is_about_old(client, at):
            self._disconnect(client, PING_TIMEOUT if "exceeded timeout" in what else TRANSPORT_CLOSE, at, line)

    def _is_about_old(self, client: str, at: float | None) -> bool:
        """Return whether a line about the end of a client's connection refers to the old connection of a takeover.

        The broker writes such a line only for WebSockets. It follows the line about the new connection, because the
        broker writes it when the old socket has closed.

        at  time of the line
        """
        taken = self._taken_over.get(client)
        if taken is None or not taken.is_due:
            return False
        taken.is_due = False
        return at is None or taken.at is None or at - taken.at <= _OLD_END_S

    # --- RabbitMQ -----------------------------------------------------------------------------------------------------

    def _rabbitmq(self, text: str, line: int) -> bool:
        """Read a line of RabbitMQ. Return whether the line reports a connection, its takeover or its end."""
        at = self._time(text)
        if (opened := _RABBIT_OPENED.search(text)) is not None:
            self._clients.put(opened["peer"], opened["client"].strip())
            self._connect(opened["client"].strip(), opened["peer"], at, line)
        elif (taken := _RABBIT_TAKEN.search(text)) is not None:
            # The line about the newer connection may precede this one.
            self._clients.pop(taken["peer"] or "", None)
            if self._open.get(taken["client"]) == taken["peer"]:
                del self._open[taken["client"]]
            self._replace(taken["client"], taken["peer"], at, line)
        elif (ended := _RABBIT_ENDED.search(text)) is not None:
            client = self._clients.pop(ended["peer"], None)
            if client is not None and self._open.get(client) == ended["peer"]:
                self._disconnect(client, PING_TIMEOUT if "keepalive" in ended["what"] else TRANSPORT_CLOSE, at, line)
        else:
            return False
        return True

    # --- EMQX ---------------------------------------------------------------------------------------------------------

    def _emqx_text(self, text: str, line: int) -> None:
        if "conflict with <" in text and (taken := _CONFLICT.search(text)) is not None:
            self._replace(taken["client"], self._open.pop(taken["client"], None), self._time(text), line)
        if not any(word in text for word in _EMQX_WORDS):
            return
        fields = {match["name"]: match["value"] for match in _FIELD.finditer(text)}
        old = _EMQX_4.search(text) if "clientid" not in fields else None
        if old is not None:
            fields |= {"clientid": old["clientid"], "peername": old["peername"]}
            fields.setdefault("packet", old["rest"])
        self._emqx(fields, self._time(text), line)

    def _emqx(self, fields: Mapping[str, Any], at: float | None, line: int) -> None:
        client, peer = fields.get("clientid"), fields.get("peername")
        if not isinstance(client, str) or not isinstance(peer, str) or not client:
            return
        if fields.get("msg") == "terminate":
            self._terminate(client, peer, str(fields.get("reason", "")), at, line)
        elif fields.get("msg") == "client_connected":
            self._connect(client, peer, at, line)
        elif (answer := _CONNACK.search(str(fields.get("packet", "")))) is not None:
            if answer["code"] == "0":
                self._connect(client, peer, at, line)
            else:
                self._refuse(client, f"reason code {answer['code']}", at, line)

    def _terminate(self, client: str, peer: str, reason: str, at: float | None, line: int) -> None:
        name = match["name"] if (match := _REASON.match(reason)) is not None else ""
        if self._open.get(client) == peer:
            del self._open[client]
        if name in _TAKEN_OVER:
            self._replace(client, peer, at, line)
        else:
            self._add_end(client, peer, PING_TIMEOUT if name in _SILENT else TRANSPORT_CLOSE, at, line)

    # --- both ---------------------------------------------------------------------------------------------------------

    def _connect(self, client: str, peer: str, at: float | None, line: int) -> None:
        if client in self._open and self._open[client] != peer:
            # The broker has at most one connection of a client: the end of the earlier one was not logged.
            self._disconnect(client, TRANSPORT_CLOSE, at, line)
        sid = peer if peer.rpartition(":")[2].isdigit() and not peer.endswith("::1") else f"{peer} in line {line}"
        self._open.put(client, sid)
        opened = Connected(
            at=at, source=SOURCE_SERVER_LOG, user=client, sid=sid, client_id=client, line=line, protocol=PROTOCOL
        )
        self.events.append(opened)

    def _disconnect(self, client: str, reason: str, at: float | None, line: int) -> None:
        self._add_end(client, self._open.pop(client, None), reason, at, line)

    def _replace(self, client: str, sid: str | None, at: float | None, line: int) -> None:
        source = SOURCE_SERVER_LOG
        self.events.append(Replaced(at=at, source=source, user=client, old_sid=sid, client_id=client, line=line))

    def _add_end(self, client: str, sid: str | None, reason: str, at: float | None, line: int) -> None:
        ended = Disconnected(
            at=at, source=SOURCE_SERVER_LOG, user=client, sid=sid, reason=reason, line=line, protocol=PROTOCOL
        )
        self.events.append(ended)

    def _refuse(self, client: str, message: str, at: float | None, line: int) -> None:
        refused = Refused(at=at, source=SOURCE_SERVER_LOG, user=client, reason="refused", message=message, line=line)
        self.events.append(msgspec.structs.replace(refused, protocol=PROTOCOL))
