"""One connection of a browser, of any protocol: turns what the protocol reports into events."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from wscheck.model import events as model_events
from wscheck.model.code_facts import OpenerCode
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.model.events import (
    AttemptOutcome,
    CodeLocation,
    Connected,
    Connecting,
    ConnectionEvent,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Refused,
    Unreadable,
    Upgraded,
)
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.redaction import UNKNOWN_USER, TrafficRedactor
from wscheck.protocols.protocol import (
    Accepted,
    Closing,
    Confidence,
    Ended,
    Identified,
    Malformed,
    Named,
    Protocol,
    Received,
    Rejected,
    Requested,
    Sent,
    Subscribed,
    Transport,
    TransportChanged,
    Unsubscribed,
    WireEvent,
    WireEvents,
)
from wscheck.protocols.reader import ConnectionReader, Restarted
from wscheck.protocols.socket_io_session import SocketIo

MAX_RECEIVED = 50_000
"""Received events that are recorded of one connection. A feed of prices sends hundreds per second."""

MAX_SENT = 50
"""Largest number of identifying texts that are stored of one connection."""


class Initiator(msgspec.Struct, frozen=True):
    """Page or worker that opened a connection, as the event source knows it.

    target_id  id of the page or worker in the event source; `TrafficDemux.on_target_closed` ends the connections of
               this id
    page       label of the tab ("tab 1"), or of a worker that several tabs share
    target     "page http://...", "worker ...", "shared_worker ...", "service_worker ...", "iframe ..."
    document   number of the document or worker that opened the connection, 0 if unknown; each load has its own
    raw_stack  stack trace of the opening, in the form of the event source; `ConnectionOrigin` is the resolved form
    """

    target_id: str = ""
    page: str = ""
    target: str = ""
    document: int = 0
    raw_stack: Any = None


class ConnectionOrigin(msgspec.Struct, frozen=True):
    """Call site that opened a connection, after source maps were applied.

    opener  call site in the application's code
    script  URL of the script that contains the opener
    client  URL of the script that contains the client library
    target  frame within the page that ran the scripts, empty for the main frame
    run     number of the evaluation of `script` within its document, from 1; 0 means unknown
    code    facts from the source code of the opener
    shared_key  key in the session storage of the tab whose value the client sent, and which another tab has too
    reconnects  id of the earlier connection of the same client, if the client library connected again by itself
    """

    opener: CodeLocation | None = None
    stack: tuple[CodeLocation, ...] = ()
    component: str | None = None
    script: str | None = None
    client: str | None = None
    target: str = ""
    run: int = 0
    code: OpenerCode | None = None
    shared_key: str | None = None
    reconnects: str | None = None


class _Channel(msgspec.Struct):
    """One channel of the connection, such as a Socket.IO namespace; the connection itself, if it has no channels.

    left          True if the client ended the channel by a message
    requested_at  time at which the client asked for the channel
    """

    sid: str | None = None
    user: str | None = None
    fingerprint: str | None = None
    ended: bool = False
    left: bool = False
    requested_at: float | None = None


class TrafficSession:
    """Recorder of one connection: turns the wire events of its protocol into events.

    Feed it in the order of time; call `events` at the end, when the user and the session id are known.

    reader     reader of the connection's protocol
    eio        id of the connection: for Socket.IO, the id of the Engine.IO session, None before the handshake; for
               other protocols, a number that wscheck gives it
    opened_at  time at which the first request was sent
    sent       texts that the client sent to identify itself; they may be secrets
    subscriptions  channel and id of each open subscription
    senders    dict of the time of a frame to its `senders`, the call stacks that `TrafficDemux.on_frame` received
    waiting    call stacks that found the connection connecting, in the order of time
    http       HTTP version of a stream, None for other transports
    """

    def __init__(
        self,
        at: float,
        *,
        url: str,
        reader: ConnectionReader,
        transport: Transport,
        source: str,
        initiator: Initiator,
        identity: IdentityRule,
        redactor: TrafficRedactor,
        number: str = "",
    ) -> None:
        self.source, self.initiator, self.url, self.reader = source, initiator, url, reader
        self.opened_at = at
        self.sent: set[str] = set()
        self.senders: dict[float, Sequence[object]] = {}
        self.waiting: Sequence[object] = ()
        self._first_transport, self._number = transport, number
        self._identity, self._redactor = identity, redactor
        self._user: str | None = None
        self._fingerprint: str | None = None
        self.http: str | None = None
        self._restart()
        self.process(reader.start())

    def _restart(self) -> None:
        self.transport = self._first_transport.value
        self.eio = self._number or None
        self._is_answered = self._is_ended = self._refused = False
        self._closing_at: float | None = None
        self._ended_at: float | None = None
        self._unused_from: float | None = None
        self._channels: dict[str, _Channel] = {}
        self._received_count = 0
        self.subscriptions: set[tuple[str, str]] = set()
        self._events: list[tuple[str, ConnectionEvent | Unreadable]] = []
        self._record(Connecting(at=self.opened_at, url=self.url))

    @property
    def sids(self) -> list[str]:
        """Ids of the connected channels; for Socket.IO, the socket ids."""
        return [channel.sid for channel in self._channels.values() if channel.sid is not None]

    @property
    def identified(self) -> bool:
        """True if the user is known."""
        return self._user is not None or any(channel.user is not None for channel in self._channels.values())

    @property
    def is_left_out(self) -> bool:
        """True if connections of this protocol are listed, but not evaluated."""
        return self.protocol.is_left_out

    @property
    def protocol(self) -> Protocol:
        """Protocol of the connection, as far as it is known."""
        return self.reader.recognition.protocol

    @property
    def endpoint(self) -> str:
        """URL of the connection without its query."""
        return self.url.partition("?")[0]

    @property
    def unread_count(self) -> int:
        """Number of received events that were not recorded, because there were too many."""
        return max(self._received_count - MAX_RECEIVED, 0)

    @property
    def is_answered(self) -> bool:
        """True if the server answered the handshake."""
        return self._is_answered

    @property
    def is_numbered(self) -> bool:
        """True if the protocol gives connections no ids, so that wscheck numbers them."""
        return bool(self._number)

    @property
    def opening(self) -> bool:
        """True if the response to the handshake or to the request for a channel is pending."""
        if self.ended or self.sids or self._refused:
            return False
        return not self._is_answered or any(not each.ended and not each.left for each in self._channels.values())

    @property
    def ended_at(self) -> float | None:
        """Time at which the connection ended, None while it is open."""
        return self._ended_at if self._ended_at is not None else self._closing_at

    @property
    def unused_from(self) -> float | None:
        """Time since which no channel is connected, None while a channel is connected.

        The transport may end later.
        """
        return min((at for at in (self._unused_from, self.ended_at) if at is not None), default=None)

    @property
    def ended(self) -> bool:
        """True if the connection ended, or the client announced its end."""
        return self._is_ended or self._closing_at is not None

    def has_delivered(self, name: str, since: float) -> bool:
        """Return whether the application event `name`, as reports show it, arrived at or after the time `since`."""
        events = (event for _, event in reversed(self._events) if isinstance(event, Delivered))
        return any(event.name == name and (event.at or 0.0) >= since for event in events)

    # --- input --------------------------------------------------------------------------------------------------

    def set_credentials(self, source: str, values: Mapping[str, Any]) -> None:
        """Process the values of a query, of cookies or of headers, which may contain the user.

        source  "query", "cookie" or "header", as in `IdentityRule`
        """
        # Learn the secrets before any text is stored: the identity rule may point at a secret.
        self._redactor.learn_all(values)
        self._remember(values)
        self._user = self._redactor.user_label(self._identity.extract_user(source, values)) or self._user
        if source == "query":
            self._fingerprint = self._redactor.fingerprint(values)

    def set_subprotocols(self, offered: Sequence[str]) -> None:
        """Process the subprotocols that the client offers. Some clients send a token as one of them."""
        values = {str(place): value for place, value in enumerate(offered)}
        for value in offered[1:]:
            self._redactor.learn_token(value)
        self.set_credentials("subprotocol", values)

    def name(self, eio: str) -> None:
        """Set the id of a connection whose handshake was not observed."""
        self.eio, self._is_answered = eio, True

    def process(self, events: WireEvents) -> None:
        """Process wire events: the events that the reader of the protocol found in the data of the connection."""
        for event in events:
            self._process_event(event)

    def refuse(self, at: float, reason: str, message: str = "") -> None:
        """Record that the connection could not be opened.

        Record nothing if it was open before, or if the client closed it itself.

        reason   short name of the cause, such as "unreachable" or "protocol"
        message  explanation from the server or the browser
        """
        self._refused = True
        if not self.sids and not self.ended and not any(each.left for each in self._channels.values()):
            url = self.url if self._number else None
            self._record(Refused(at=at, reason=reason, message=self._redactor.redact(message) or None, url=url))

    def end(self, at: float, reason: str = TRANSPORT_CLOSE, code: int | None = None) -> None:
        """End the transport, and with it every connected channel."""
        if not self._is_ended:
            self.process(self.reader.close(code, reason, at))

    # --- wire events --------------------------------------------------------------------------------------------

    def _process_event(self, event: WireEvent) -> None:
        if (handler := _HANDLERS.get(type(event))) is not None:
            handler(self, event)

    def _remember(self, values: Any) -> None:
        """Store in `sent` the texts that an object contains, at any depth, at most `MAX_SENT` texts."""
        waiting = [values]
        while waiting and len(self.sent) < MAX_SENT:
            value = waiting.pop()
            if isinstance(value, str):
                self.sent.add(value)
            elif isinstance(value, Mapping):
                waiting += list(value.values())[:MAX_SENT]
            elif isinstance(value, list | tuple):
                waiting += value[:MAX_SENT]

    def _announce_close(self, event: Closing) -> None:
        self._closing_at = event.at

    def _change_transport(self, event: TransportChanged) -> None:
        self.transport = event.transport.value
        self._record(Upgraded(at=event.at))

    def _identify(self, event: Identified) -> None:
        self._redactor.learn_all(event.values)
        self._remember(event.values)
        self._user = self._redactor.user_label(self._identity.extract_user(event.source, event.values)) or self._user
        self._fingerprint = self._redactor.fingerprint(event.values) or self._fingerprint

    def _request(self, event: Requested) -> None:
        self._redactor.learn_all(event.credentials)
        self._remember(event.credentials)
        self._unused_from = None
        self._channels[event.channel] = _Channel(
            user=self._redactor.user_label(self._identity.extract_user("auth", event.credentials)) or self._user,
            fingerprint=self._redactor.fingerprint(event.credentials) or self._fingerprint,
            requested_at=event.at,
        )

    def _accept(self, event: Accepted) -> None:
        self._is_answered = True
        channel = self._received_on(event.channel)
        channel.sid = event.id or self._number or None
        fingerprint = channel.fingerprint or (self._fingerprint if not event.channel else None)
        client_id = self._redactor.user_label(event.client_id)
        connected = Connected(at=event.at, fingerprint=fingerprint, url=self.url, http=self.http, client_id=client_id)
        self._record(connected, event.channel)

    def _reject(self, event: Rejected) -> None:
        if not event.channel:
            self.refuse(event.at, event.reason, event.message)
            return
        channel = self._received_on(event.channel)
        channel.ended = True
        message = self._redactor.redact(event.message)
        refused = Refused(
            at=event.at, reason=event.reason, message=message, fingerprint=channel.fingerprint, url=self.url
        )
        self._record(refused, event.channel)

    def _send(self, event: Sent) -> None:
        channel = self._channels.setdefault(event.channel, _Channel())
        user = self._identity.extract_user("event", event.arguments, event.name)
        channel.user = self._redactor.user_label(user) or channel.user
        self._record(Emitted(at=event.at, name=self._redactor.redact(event.name)), event.channel)

    def _receive(self, event: Received) -> None:
        self._received_on(event.channel)
        self._received_count += 1
        if self._received_count > MAX_RECEIVED:
            return
        identity = self._redactor.identify(event.payload, event.at, *event.attachments)
        self._record(Delivered(at=event.at, name=self._redactor.redact(event.name), **identity), event.channel)

    def _subscribe(self, event: Subscribed) -> None:
        self._received_on(event.channel)
        self.subscriptions.add((event.channel, event.id))
        name, same = self._redactor.redact(event.name), self._redactor.digest([event.name, event.same])
        self._record(
            model_events.Subscribed(at=event.at, subscription=self._redactor.redact(event.id), name=name, same=same),
            event.channel,
        )

    def _unsubscribe(self, event: Unsubscribed) -> None:
        self._received_on(event.channel)
        self.subscriptions.discard((event.channel, event.id))
        ended = model_events.Unsubscribed(
            at=event.at,
            subscription=self._redactor.redact(event.id),
            by_server=event.by_server,
            replaced=event.replaced,
        )
        self._record(ended, event.channel)

    def _received_on(self, name: str) -> _Channel:
        return self._channels.setdefault(name, _Channel(user=self._user))

    def _end(self, event: Ended) -> None:
        if not event.channel:
            self._is_ended, self._ended_at = True, event.at
        channel = self._channels.get(event.channel)
        if event.by_client:
            channel = self._channels.setdefault(event.channel, _Channel())
            channel.left = True
        elif channel is not None and event.reason == IO_SERVER_DISCONNECT:
            self._backdate_acceptance(event.channel, event.at, channel.requested_at)
        if channel is None or channel.sid is None or channel.ended:
            return
        channel.ended = True
        self._unused_from = event.at if all(each.ended for each in self._channels.values()) else None
        self._record(Disconnected(at=event.at, reason=event.reason), event.channel)

    def _backdate_acceptance(self, name: str, at: float, requested_at: float | None) -> None:
        """Set the time of the acknowledgement of the channel `name` to the time of the client's request.

        Call this only if one poll delivered both the acknowledgement and the disconnect, at the time `at`. The server
        sent the acknowledgement earlier. With the time of the poll, this connection could seem to open after the
        connection that replaced it.
        """
        for index, (channel, event) in enumerate(self._events):
            if channel == name and isinstance(event, Connected) and event.at == at and requested_at is not None:
                self._events[index] = (channel, msgspec.structs.replace(event, at=requested_at))

    # --- events -------------------------------------------------------------------------------------------------

    def _record(self, event: ConnectionEvent | Unreadable, channel: str | None = None) -> None:
        if isinstance(event, ConnectionEvent) and channel is not None:
            sid = self._channels[channel].sid
            event = msgspec.structs.replace(event, namespace=channel or None, sid=sid, transport=self.transport)
        self._events.append((channel or "", event))

    def events(
        self,
        origin: ConnectionOrigin,
        resolve: Callable[["TrafficSession", object], ConnectionOrigin] = lambda session, stack: ConnectionOrigin(),
    ) -> list[Event]:
        """Return all events, each with the session id, the user and the origin, even if these became known later.

        origin   call site that opened the connection
        resolve  returns the call site that sent a frame, from this session and a stack in `self.senders`
        """
        if self._closing_at is not None:
            self.end(self._closing_at)
        completed = [self._complete_event(name, event, origin) for name, event in self._events]
        return self._with_waiting([*self._with_subscribers(completed, resolve)], resolve)

    def _with_subscribers(
        self, events: Sequence[Event], resolve: Callable[["TrafficSession", object], ConnectionOrigin]
    ) -> Iterator[Event]:
        """Yield the events. Add to each `Subscribed` the call site that started the subscription.

        A frame may contain several subscriptions. If several call stacks are known for a frame, but not one for each
        subscription, the call sites stay unknown.
        """
        counts = Counter(event.at for event in events if isinstance(event, model_events.Subscribed))
        seen = Counter[float | None]()
        for event in events:
            stacks = self.senders.get(event.at or 0.0, ()) if isinstance(event, model_events.Subscribed) else ()
            if not stacks or len(stacks) not in (1, counts[event.at]):
                yield event
                continue
            found = resolve(self, stacks[seen[event.at] % len(stacks)])
            seen[event.at] += 1
            yield msgspec.structs.replace(event, subscriber=found.opener, code=found.code)

    def _with_waiting(
        self, events: list[Event], resolve: Callable[["TrafficSession", object], ConnectionOrigin]
    ) -> list[Event]:
        """Return the events, with the call sites of subscriptions that a client library stored until it was connected.

        The library read the state of the connection in each call that asked for a subscription; `waiting` contains the
        stacks of these calls. The library sends the stored subscriptions in the order of the calls. The call sites stay
        unknown unless there is one for each of these subscriptions, or a single one for all.
        """
        unknown = [
            at
            for at, event in enumerate(events)
            if isinstance(event, model_events.Subscribed) and event.subscriber is None
        ]
        if not unknown or not self.waiting or not self.protocol.reads_state:
            return events
        found = [origin for origin in (resolve(self, stack) for stack in self.waiting) if origin.opener is not None]
        places = [next(same) for _, same in groupby(found, key=lambda origin: origin.opener)]
        if len(places) == 1:
            places *= len(unknown)
        for at, origin in zip(unknown, places, strict=False) if len(places) == len(unknown) else ():
            events[at] = msgspec.structs.replace(events[at], subscriber=origin.opener, code=origin.code)
        return events

    def _complete_event(self, name: str, event: ConnectionEvent | Unreadable, origin: ConnectionOrigin) -> Event:
        channel = self._channels.get(name) or next(iter(self._channels.values()), None)
        user = (channel.user if channel is not None else None) or self._user
        if user is None and self.sids and self.initiator.page:
            # Connections of an unknown user are counted per page.
            user = UNKNOWN_USER.format(self.initiator.page)
        if isinstance(event, Unreadable):
            return msgspec.structs.replace(event, source=self.source, user=user)
        fields: dict[str, Any] = {"component": origin.component, "opener": origin.opener}
        if isinstance(event, Connecting | Connected | Refused):
            fields["stack"] = origin.stack
        if isinstance(event, AttemptOutcome):
            fields["target"] = origin.target or self.initiator.target or None
            fields |= {"script": origin.script, "client": origin.client, "run": origin.run, "code": origin.code}
            fields["shared_key"] = origin.shared_key
        if isinstance(event, Connected):
            fields["reconnects"] = origin.reconnects
        if isinstance(event, Connecting | Upgraded):
            fields["transport"] = self.transport if isinstance(event, Upgraded) else event.transport
        if isinstance(event, Upgraded):
            fields["sid"] = channel.sid if channel is not None else None
        fields |= {"source": self.source, "user": user, "eio": self.eio, "page": self.initiator.page or None}
        fields["document"] = self.initiator.document or None
        carried = self.reader.carried
        is_plain = carried is None or carried.confidence is Confidence.FALLBACK
        protocol = self.protocol if carried is None or is_plain else carried.protocol
        fields["protocol"] = protocol.id if protocol.id != SocketIo.id else None
        return msgspec.structs.replace(event, **fields)


_HANDLERS: dict[type[WireEvent], Callable[[TrafficSession, Any], object]] = {
    Restarted: lambda session, event: session._restart(),
    Named: lambda session, event: session.name(event.id),
    Identified: TrafficSession._identify,
    Requested: TrafficSession._request,
    Accepted: TrafficSession._accept,
    Rejected: TrafficSession._reject,
    Sent: TrafficSession._send,
    Received: TrafficSession._receive,
    Subscribed: TrafficSession._subscribe,
    Unsubscribed: TrafficSession._unsubscribe,
    Closing: TrafficSession._announce_close,
    Ended: TrafficSession._end,
    TransportChanged: TrafficSession._change_transport,
    Malformed: lambda session, event: session._record(Unreadable(at=event.at, reason=event.reason)),
}
