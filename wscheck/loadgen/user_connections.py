"""Connections of one user: how many are open at once, which were replaced, and which events arrived twice."""

import time
from typing import TYPE_CHECKING

from wscheck.loadgen.connection import Connection, ConnectionState
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.model.replacement import CROSSING_S, REPLACED_WITHIN_S

if TYPE_CHECKING:
    from wscheck.loadgen.endpoint import UserIdentity
    from wscheck.loadgen.generator import LoadGenerator

GREETING_S = 1.0
"""Seconds after the opening of a connection in which an event counts as a greeting (sent to each new connection)."""

DUPLICATE_WITHIN_S = 2.0
"""Longest time, in seconds, between two deliveries of a payload that count as deliveries of the same event."""

_UNANSWERED = (ConnectionState.CONNECT_SENT, ConnectionState.STEPS)

MAX_PAYLOADS = 64
"""Largest number of payloads per user that are compared, to limit the memory."""


class _Payload:
    """Deliveries of one payload of an event.

    first_at    time of the first delivery (monotonic seconds)
    deliveries  dict of socket id to the number of deliveries on this connection
    """

    __slots__ = ("deliveries", "first_at")

    def __init__(self, first_at: float) -> None:
        self.first_at = first_at
        self.deliveries: dict[str | None, int] = {}


class UserConnections:
    """Connections of one user. What is counted about them is added to the counters of the process.

    `active` contains each connection from its CONNECT to its end. The peak (the most connections that the user had at
    once) includes a connection from its CONNECT until it ended or the page closed it. A connection that the server
    never acknowledged does not count.

    A server replaces a connection by ending it. Its DISCONNECT may be read before or after the acknowledgement of the
    newer connection, because the two travel on different transports. An end can be classified as a replacement or not
    only when the server has answered all CONNECTs that were sent before that end. The same applies
    to a connection that the server ended during the steps after connecting (such as a login): it was replaced if a
    newer one opens, and otherwise refused.
    """

    __slots__ = (
        "_ended_in_steps",
        "_generator",
        "_has_connected",
        "_most_at_once",
        "_recent_payloads",
        "_recently_opened",
        "_unacknowledged_peaks",
        "_unexplained_ends",
        "active",
        "identity",
        "user",
    )

    def __init__(self, generator: "LoadGenerator", user: str, identity: "UserIdentity") -> None:
        self._generator, self.user, self.identity = generator, user, identity
        self.active: list[Connection] = []
        self._most_at_once, self._has_connected = 0, False
        # Connections that raised `_most_at_once` and are not acknowledged yet.
        self._unacknowledged_peaks: tuple[Connection, ...] = ()
        # Tuples, because most are empty: an empty list takes 56 bytes more.
        self._recently_opened: tuple[Connection, ...] = ()
        self._unexplained_ends: tuple[tuple[Connection, float], ...] = ()
        self._ended_in_steps: tuple[tuple[Connection, float, str], ...] = ()
        self._recent_payloads: dict[str, _Payload] | None = None

    def connect_sent(self, connection: Connection) -> None:
        """Count the connection, because the server may count it from now on."""
        self.active.append(connection)
        most = self._most_at_once
        if len(self.active) <= most or sum(not each.is_closing for each in self.active) <= most:
            return
        self._unacknowledged_peaks = (*self._unacknowledged_peaks, connection)
        self._set_most_at_once(most + 1)
        if not self._has_connected:
            self._has_connected = True
            self._generator.counters.current.users += 1
            self._generator.counters.users += 1

    def opened(self, connection: Connection) -> None:
        """Count the opening of `connection`, and the replacements that this opening caused.

        Each connection that ended after the CONNECT of `connection` was sent counts as replaced.
        """
        counters, at = self._generator.counters, connection.opened_at
        self._confirm_peak(connection)
        counters.current.connects += 1
        counters.current.connect.add((at - connection.started_at) * 1000)
        counters.connection_opened()
        recent = [each for each in self._recently_opened if at - each.opened_at <= REPLACED_WITHIN_S]
        self._recently_opened = (*recent, connection)
        self._explain_ends(connection)
        self._drop_inexplicable_ends()

    def _explain_ends(self, connection: Connection) -> None:
        """Count a replacement for each connection that ended after the CONNECT of `connection` was sent."""
        ends, self._unexplained_ends = self._unexplained_ends, ()
        for older, ended_at in ends:
            if connection.connect_sent_at <= ended_at:
                self._count_replacement()
            else:
                self._unexplained_ends = (*self._unexplained_ends, (older, ended_at))
        in_steps, self._ended_in_steps = self._ended_in_steps, ()
        for older, ended_at, kind in in_steps:
            if _may_replace(connection.connect_sent_at, older, ended_at):
                self._count_replacement_in_steps(older, ended_at)
            else:
                self._ended_in_steps = (*self._ended_in_steps, (older, ended_at, kind))

    def _count_replacement_in_steps(self, connection: Connection, ended_at: float) -> None:
        """Count a connection that the server ended during the steps after connecting as opened and as replaced."""
        counts, acknowledged_at = self._generator.counters.current, connection.acknowledged_at
        self._confirm_peak(connection)
        counts.connects += 1
        counts.connect.add((acknowledged_at - connection.started_at) * 1000)
        reason = connection.end_during_steps
        counts.disconnects[reason] = counts.disconnects.get(reason, 0) + 1
        counts.lifetime.add((ended_at - acknowledged_at) * 1000)
        self._count_replacement()
        self._explain_ends(connection)

    def refused(self, connection: Connection, kind: str) -> None:
        """Count the refusal, or the replacement if the server ended the connection for a newer one."""
        at = time.monotonic()
        if not connection.end_during_steps:
            self._count_refusal(connection, kind)
        elif any(_may_replace(each.connect_sent_at, connection, at) for each in self._newer_than(connection, at)):
            self._count_replacement_in_steps(connection, at)
        else:
            self._ended_in_steps = (*self._ended_in_steps, (connection, at, kind))
        self._remove(connection)

    def _count_refusal(self, connection: Connection, kind: str) -> None:
        refused = self._generator.counters.current.refused
        refused[kind] = refused.get(kind, 0) + 1
        self._withdraw_peak(connection)

    def abandoned(self, connection: Connection) -> None:
        """Stop counting a connection that the page closed before it was open."""
        self._withdraw_peak(connection)
        self._remove(connection)

    def ended(self, connection: Connection, reason: str) -> None:
        """Count the end of an open connection. If a newer connection replaced it, also count a replacement."""
        counters, at = self._generator.counters, time.monotonic()
        counters.open -= 1
        counters.current.disconnects[reason] = counters.current.disconnects.get(reason, 0) + 1
        counters.current.lifetime.add((at - connection.opened_at) * 1000)
        if reason in (IO_SERVER_DISCONNECT, TRANSPORT_CLOSE):
            if self._was_replaced(connection, at):
                self._count_replacement()
            else:
                self._unexplained_ends = (*self._unexplained_ends, (connection, at))
        self._remove(connection)

    def user_stopped(self) -> None:
        """Stop counting the user, and forget the user's peak (the most connections at once)."""
        if self._has_connected:
            self._generator.counters.users -= 1
            self._most_at_once, self._has_connected, self._unacknowledged_peaks = 0, False, ()

    def _set_most_at_once(self, most: int) -> None:
        counts = self._generator.counters.current
        counts.sum_of_user_peaks += most - self._most_at_once
        counts.users_multiple += (most > 1) - (self._most_at_once > 1)
        for peak, change in ((self._most_at_once, -1), (most, 1)):
            if peak:
                counts.user_peaks[peak] = counts.user_peaks.get(peak, 0) + change
        self._most_at_once = most

    def _confirm_peak(self, connection: Connection) -> None:
        if self._unacknowledged_peaks:
            self._unacknowledged_peaks = tuple(each for each in self._unacknowledged_peaks if each is not connection)

    def _withdraw_peak(self, connection: Connection) -> None:
        """Lower the user's peak (the most connections at once) if it included this connection, which never opened."""
        if connection in self._unacknowledged_peaks:
            self._confirm_peak(connection)
            self._set_most_at_once(self._most_at_once - 1)

    def _was_replaced(self, older: Connection, at: float) -> bool:
        """Return whether a newer connection replaced `older`, which ended at time `at`."""
        return bool(self._newer_than(older, at))

    def _newer_than(self, older: Connection, at: float) -> list[Connection]:
        """Return the connections that may have replaced `older`, which ended at the time `at`.

        They opened after the CONNECT of `older` was sent, and at most `REPLACED_WITHIN_S` seconds before `at`.
        """
        return [
            each
            for each in self._recently_opened
            if each is not older
            and each.opened_at >= older.connect_sent_at
            and at - each.opened_at <= REPLACED_WITHIN_S
        ]

    def _count_replacement(self) -> None:
        counts = self._generator.counters.current
        counts.replaced += 1
        counts.last_replaced_at = time.time()
        counts.first_replaced_at = counts.first_replaced_at or counts.last_replaced_at

    def _remove(self, connection: Connection) -> None:
        if connection in self.active:
            self.active.remove(connection)
        self._drop_inexplicable_ends()

    def _drop_inexplicable_ends(self) -> None:
        """Forget ended connections that can no longer turn out to have been replaced.

        An ended connection may still turn out to be replaced if a newer connection sent its CONNECT before that end and
        has not received the answer yet. All other ended connections are forgotten; those that ended during the steps
        after connecting are counted as refused.
        """
        if not self._unexplained_ends and not self._ended_in_steps:
            return
        sent = [each.connect_sent_at for each in self.active if each.state in _UNANSWERED]
        in_steps, self._ended_in_steps = self._ended_in_steps, ()
        for connection, ended_at, kind in reversed(in_steps):  # the newest first: it may explain an older one
            if any(_may_replace(at, connection, ended_at) for at in sent):
                self._ended_in_steps = ((connection, ended_at, kind), *self._ended_in_steps)
                sent.append(connection.connect_sent_at)
            else:
                self._count_refusal(connection, kind)
        self._unexplained_ends = tuple(end for end in self._unexplained_ends if any(at <= end[1] for at in sent))

    # --- events ---------------------------------------------------------------------------------------------------

    @property
    def compares_events(self) -> bool:
        """True if events must be compared, because several connections of the user may receive the same one."""
        return len(self.active) > 1 or self._recent_payloads is not None

    def events_received(self, connection: Connection, count: int) -> None:
        """Count `count` events as greetings (events for each new connection) if the connection is new.

        A connection is new until it has been open for `GREETING_S` seconds or has sent an event.

        The events are not compared with those of the user's other connections.
        """
        connection.is_young = _is_greeted(connection, time.monotonic())
        if connection.is_young:
            self._generator.counters.current.greetings += count

    def event_received(self, connection: Connection, text: str) -> None:
        """Count the event as duplicated if another connection of the user received the same packet.

        Otherwise count it as a greeting (an event for each new connection) if the connection has just opened and has
        not requested anything.
        """
        at = time.monotonic()
        if _is_greeted(connection, at):
            self._generator.counters.current.greetings += 1
        if len(self.active) < 2 and self._recent_payloads is None:  # compares_events; a call per event is slow
            return
        payloads = self._recent_payloads = self._payloads_since(at - DUPLICATE_WITHIN_S)
        payload = payloads.get(text)
        if payload is None and len(self.active) < 2:
            self._recent_payloads = payloads or None
            return
        if payload is None:
            if len(payloads) >= MAX_PAYLOADS:
                del payloads[next(iter(payloads))]
            payload = payloads[text] = _Payload(at)
        deliveries = payload.deliveries
        count = deliveries[connection.sid] = deliveries.get(connection.sid, 0) + 1
        if any(other_count >= count for sid, other_count in deliveries.items() if sid != connection.sid):
            self._generator.counters.current.duplicated += 1
            if _is_greeted(connection, at):
                self._generator.counters.current.greetings -= 1

    def _payloads_since(self, since: float) -> dict[str, _Payload]:
        """Return the recent payloads that were first delivered at or after `since` (monotonic seconds).

        Forget the older payloads: if one of them arrives again, it is a new event and no duplicate.
        """
        payloads = self._recent_payloads if self._recent_payloads is not None else {}
        while payloads:
            text, oldest = next(iter(payloads.items()))
            if oldest.first_at >= since:
                break
            del payloads[text]
        return payloads


def _may_replace(sent_at: float, ended: Connection, ended_at: float) -> bool:
    """Return whether a connection that sent its CONNECT at `sent_at` may have replaced the connection `ended`.

    `ended` is a connection that the server ended during the steps after connecting, at the time `ended_at`. A server
    may read two CONNECTs of almost the same time in either order.
    """
    return ended.connect_sent_at - CROSSING_S <= sent_at <= ended_at


def _is_greeted(connection: Connection, at: float) -> bool:
    """Return whether an event that arrives at the time `at` is a greeting (an event for each new connection).

    It is one if the connection is not open yet, or if it opened less than `GREETING_S` seconds ago and the client has
    emitted nothing since.
    """
    return not connection.has_emitted and (not connection.opened_at or at - connection.opened_at < GREETING_S)
