"""Rule: a user has more than one connection, or one page opened more than one."""

from collections import Counter, OrderedDict, deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, starmap

from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange, SurvivedChange
from wscheck.detect.connection_policy import apply_policy
from wscheck.detect.ledger import Ledger
from wscheck.detect.restarts import MIN_RETURNED, ReturnWave, is_older
from wscheck.detect.rules.rule import (
    EventHandler,
    Rule,
    RuleOptions,
    are_separate_connections,
    distinct_openers,
    opener_label,
)
from wscheck.detect.socket_ids import is_logged
from wscheck.model.disconnect_reasons import (
    EXPIRED_LIKELY_RESTART,
    EXPIRED_SERVER_RESTART,
    EXPIRED_STALE,
    EXPIRED_UNANNOUNCED,
    SERVER_SHUTTING_DOWN,
    reports_silent_client,
)
from wscheck.model.events import AttemptOutcome, Connected, Event, Refused, Replaced
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap

NOT_USED_UNTIL_THE_END = frozenset(
    {EXPIRED_SERVER_RESTART, EXPIRED_LIKELY_RESTART, SERVER_SHUTTING_DOWN, EXPIRED_STALE, EXPIRED_UNANNOUNCED}
)
"""Disconnect reasons that do not prove that the connection was in use until its end."""

HOW_TO_CLOSE = (
    "did that process stop? A log line that it started again (--marker restarted=TEXT), or --stale-after, closes its "
    "connections"
)

RECONNECT_WITHIN_S = 5.0
"""Longest time for the clients of a killed process to reconnect to another process (seconds)."""

MAX_PING_TIMEOUT_S = 60.0
"""Longest time for a server to notice that a client lost its network (seconds): 45 s with Socket.IO's defaults."""

MAX_NAMED_OPENERS = 3

MIN_WITHOUT_TIMES = 3
"""Smallest number of connections at once that the order of a log's lines shows, if its lines have no times: of two, one
may be the other's replacement."""

MANY, MANY_GROWTH = 200, 1.02
"""Number of connections of one user from which on not each further one is evaluated completely, and the growth of their
number after which the next one is."""


class NodeLiveness:
    """Server processes that may have stopped, with the users who have connections to them.

    A process that was killed logs no ends, so its connections look open. If a user opens a newer connection and the
    process of the older one logs nothing from then on, the process is suspected of having stopped. Its next log line
    ends the suspicion.

    suspects  dict of user to the process that has logged nothing since the user opened a newer connection
    """

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}
        self._since: dict[str, dict[str, float]] = {}
        self.suspects: dict[str, str] = {}

    def observe(self, event: Event) -> dict[str, float]:
        """Record that the process of `event` logged something, and end the suspicion against it.

        Return the users for whom it was suspect, each with the start of the overlap (epoch seconds).
        """
        node, at = event.node, event.at
        if node is None or at is None:
            return {}
        self._logged_at[node] = at
        cleared = self._since.pop(node, None)
        for user in cleared or ():
            del self.suspects[user]
        return cleared or {}

    def mark_suspect(self, user: str, since: float, nodes: Sequence[str | None]) -> bool:
        """Suspect the user's first silent process of having stopped. Return whether a process is suspected.

        No process is suspected if none of `nodes` is silent, or if more than one is not silent.

        A process is silent if it has logged nothing since `since` (epoch seconds), the start of the user's overlap.

        `nodes` are the processes of the user's open connections, None for a connection that a client reported.
        """
        silent = [node for node in nodes if node is not None and self._logged_at.get(node, since) < since]
        if not silent or len(nodes) - len(silent) > 1:
            return False
        self.suspects[user] = silent[0]
        self._since.setdefault(silent[0], {})[user] = since
        return True

    def clear(self, user: str) -> float | None:
        """End the suspicion for `user`. Return the start of the overlap (epoch seconds), None without a suspicion."""
        node = self.suspects.pop(user, None)
        if node is None:
            return None
        since = self._since[node].pop(user)
        if not self._since[node]:
            del self._since[node]
        return since

    def sole_suspects(self, before: float) -> list[str]:
        """Return the users who are each the only user of a suspected process to have since connected elsewhere.

        The overlap of the user's two connections must have started before `before` (epoch seconds). If the process had
        been killed, its other users would have left it too, and reconnected to other processes at once.
        """
        sole = (next(iter(users.items())) for users in self._since.values() if len(users) == 1)
        return [user for user, since in sole if since < before]

    def silent(self) -> dict[str, dict[str, float]]:
        """Return the server processes that may have died, with the users who have since connected to another process.

        A process may have died if it has logged nothing since that connection. The result is a dict of process to a
        dict of user to the time from which the user had a connection to both processes (epoch seconds).
        """
        return {node: dict(users) for node, users in self._since.items()}


class BriefStrangers:
    """Connections without a known user that ended within the grace period, such as those of a health check.

    Such a connection is too short to count as a user's second one. `count` is their number. It is 0 if they opened as
    often as in a loop, because one user may then have opened them all.
    """

    def __init__(self, options: RuleOptions) -> None:
        self._options, self._count, self._are_frequent = options, 0, False
        self._opened = deque[float](maxlen=options.max_attempts + 1)

    @property
    def count(self) -> int:
        return 0 if self._are_frequent else self._count

    def closed(self, opening: Connected, event: Event) -> None:
        """Count the connection if it was brief."""
        if opening.at is None or event.at is None:
            return
        if event.at - opening.at + event.resolution <= self._options.grace_s:
            self._count += 1
            self._opened.append(opening.at)
            is_full = len(self._opened) == self._opened.maxlen
            if is_full and max(self._opened) - min(self._opened) <= self._options.attempts_window_s:
                self._are_frequent = True


class MultipleConnections(Rule):
    """Rule: a user has two connections for longer than the grace period, or one page makes two attempts.

    A page's second connection may make the server close the first one, or may be refused because of the first one. The
    two then never overlap for long, so each such attempt is reported by itself. Each further connection of a user is
    another occurrence. Whether a user may have several connections on several pages is decided by the policy.

    Two sockets in a log may be namespaces of one connection. The confidence is therefore high only if the log contains
    the namespaces, or if the sockets belong to different processes.
    """

    id = "multiple-connections"
    severity = Severity.ERROR
    title = "A user has more than one connection"
    meaning = (
        "The same user has, or one page opened, several connections to the same backend. Every event is then handled "
        "by several connections, or only by the one that the server happened to keep."
    )
    fix = "Open the connection in one module or provider and let every component use that one."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 1: same user with multiple WebSocket connections'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._reported_count: dict[str, int] = {}
        self._evaluated: dict[str, _Evaluated] = {}
        self._overlap_since: OrderedDict[str, float] = OrderedDict()
        self._untimed_users: set[str] = set()
        self._latest_lines = dict[str, int]()
        self._nodes, self._ended = NodeLiveness(), dict[str, Connected | None]()
        self._wave, self._uncounted = ReturnWave(), dict[str, float]()
        self._recently_ended = deque[tuple[Event, Connected]](maxlen=16)
        self._is_coarse, self._strangers = False, BriefStrangers(self.options)
        self.pending, self.on_node_event = self._overlap_since, self._node_event
        return {
            OpenedChange: self._opened,
            ClosedChange: self._closed,
            ReplacedChange: self._replaced,
            SurvivedChange: self._survived,
            Refused: self._refused,
        }

    def _opened(self, change: OpenedChange) -> None:
        if change.event.at is None:
            self._opened_without_time(change)
        if not change.others:
            return
        if (evaluated := self._evaluated.get(change.user)) is not None:
            evaluated.opened(self.ledger.opening_event(change.sid))
        if change.event.at is None:
            self._untimed_users.add(change.user)
            return
        self._is_coarse = self._is_coarse or change.event.resolution > 0
        if change.user not in self._overlap_since and change.user not in self._nodes.suspects:
            # A timestamp in whole seconds may be up to a second too early: the latest possible start counts.
            self._overlap_since[change.user] = change.event.at + change.event.resolution

    def _opened_without_time(self, change: OpenedChange) -> None:
        """Report the connections of a user who already has several and opens one more, by the order of a log's lines.

        Another user must have connected since the first of them opened. Otherwise the connections may be namespaces of
        one connection, or the server may be replacing one.
        """
        self._latest_lines[change.user] = change.event.line or 0
        if len(self._latest_lines) > 2:
            del self._latest_lines[min(self._latest_lines, key=self._latest_lines.__getitem__)]
        openings = self._openings(change.user)
        if len(openings) < MIN_WITHOUT_TIMES or len(openings) <= self._reported_count.get(change.user, 0):
            return
        first = openings[0]
        is_one_log = all(one is not None and is_logged(one) and one.path == change.event.path for one in openings)
        others = [line for user, line in self._latest_lines.items() if user != change.user]
        if is_one_log and first is not None and any(line > (first.line or 0) for line in others):
            self._report_overlap(change.user, None, Confidence.MEDIUM)

    def _refused(self, event: Refused) -> None:
        # Attempts with a `credential` are a scenario's, refused on purpose.
        first = same_page_connection(event, self.ledger) if event.credential is None else None
        if first is not None:
            message = f"{_opened_by_one_page(first, event)}; the server refused the second"
            self.report(event.user, message, event.at, first, event)

    def _node_event(self, event: Event) -> None:
        """Report the overlaps with connections of the process that logged `event`.

        The process was suspected of having stopped. The event shows that it runs, so its connections are open.
        """
        for user, since in self._nodes.observe(event).items():
            self._report_overlap(user, since, Confidence.HIGH, self._ended.pop(user, None))
        if self._nodes.suspects and event.at is not None:
            self._report_sole_suspects(event.at)

    def _closed(self, change: ClosedChange) -> None:
        if (evaluated := self._evaluated.get(change.user or "")) is not None:
            evaluated.closed(change.opening)
        if change.user is None and change.opening is not None:
            self._strangers.closed(change.opening, change.event)
        if change.reason not in NOT_USED_UNTIL_THE_END:
            self._remember_end(change.event, change.opening)
        if self._nodes.suspects:
            self._closed_while_suspect(change)
        if self._wave.overlaps:
            self._closed_in_wave(change)
        if self._uncounted and self.ledger.counts_user_only_lines:
            self._count_user_only_lines(change)
        self._fewer(change)

    def _survived(self, change: SurvivedChange) -> None:
        """Report the overlap with a connection that was believed to have ended with its server process, but had not."""
        newer = change.newer
        if newer is None or newer.at is None or change.until is None:
            return
        if change.until - newer.at - newer.resolution > self.options.grace_s:
            worst = Severity.WARNING if _was_lost_by_network(change, newer.at) else Severity.ERROR
            openings = [change.opening, newer]
            self._apply_policy(change.user, openings, newer.at, Confidence.HIGH, change.event, worst=worst)

    def _closed_in_wave(self, change: ClosedChange) -> None:
        """Report the overlaps of users who connected again at the same time, if an earlier connection ended by itself.

        Until then, a restart of the server may explain the overlaps. Such an end shows that the server is alive.
        """
        user, opening = change.user, change.opening
        if opening is None or change.reason in NOT_USED_UNTIL_THE_END:
            return
        if user is not None and user in self._wave.overlaps:
            self._ended[user] = opening
        if is_older(opening, self._wave.started_at):
            self._report_delayed(self._wave.take())

    def _replaced_in_wave(self, change: ReplacedChange) -> None:
        """Forget the overlap of the user whose older connection the server replaced.

        The user is one of many who connected again at about the same time (a wave).
        """
        if change.user is not None:
            self._wave.overlaps.pop(change.user, None)

    def _remember_end(self, event: Event, opening: Connected | None) -> None:
        """Store the end of a connection.

        It shows that the server process did not restart between the opening of this connection and its end.
        """
        if event.at is not None and opening is not None:
            self._recently_ended.append((event, opening))

    def _is_alive_since(self, started: float, returned: Iterable[Connected]) -> bool:
        """Return whether the server process logged the end of an older connection after the users began to return.

        The process was alive then, so it did not restart. `started` is the time at which many users began to connect
        again, and `returned` contains their new connections. If two times are equal, as in a log with whole seconds,
        the order of the lines decides.
        """
        first = min(returned, key=lambda one: (one.at or started, one.line or 0))
        nodes = {one.node for one in returned}
        return any(
            opening.node in nodes
            and is_older(opening, started)
            and (event.at or 0.0, event.line or 0) > (first.at, first.line)
            for event, opening in self._recently_ended
        )

    def _report_delayed(self, overlaps: Mapping[str, float]) -> None:
        for user, since in overlaps.items():
            ended = self._ended.pop(user, None)
            if ended is not None or len(self.ledger.open_connections(user)) > 1:
                self._report_overlap(user, since, self._confidence(user), ended)

    def _decide_wave(self) -> None:
        """Report the overlaps of users who connected again at about the same time.

        If they are so many that their server probably restarted, count its earlier connections as ended instead.
        """
        started, overlaps = self._wave.started_at, self._wave.take()
        earlier = self._opened_before(started, overlaps) if len(overlaps) >= MIN_RETURNED else {}
        returned = {sid: opening for user in overlaps for sid, opening in self._opened_since(started, user)}
        is_minority = 2 * len(overlaps) < len(set(earlier.values()))
        if not returned or not earlier or is_minority or self._is_alive_since(started, list(returned.values())):
            self._report_delayed(overlaps)
            return
        for change in self.ledger.presume_restart(list(earlier), next(iter(returned.values()))):
            if isinstance(change, ClosedChange):
                self._fewer(change)
        for sid, opening in returned.items():
            self._ended.pop(opening.user or "", None)
            self.ledger.presumed_ends.returned(opening.user or "", sid, opening)

    def _opened_since(self, at: float, user: str) -> Iterator[tuple[str, Connected]]:
        """Yield the socket id and the opening of each connection that a user opened at or after `at` and still has."""
        for sid in self.ledger.open_connections(user):
            opening = self.ledger.opening_event(sid)
            if opening is not None and opening.at is not None and opening.at >= at:
                yield sid, opening

    def _opened_before(self, at: float, users: Container[str]) -> dict[str, str | None]:
        """Return the connections that opened before `at` on the server processes that `users` used: socket id to user.

        A connection whose opening is no longer stored has no time, and counts as older.
        """
        open_now = self.ledger.open_items()
        earlier = {sid: one for sid, one in open_now if one.at is None or is_older(one, at)}
        nodes = {one.node for one in earlier.values() if one.user in users}
        return {sid: one.user for sid, one in earlier.items() if one.node in nodes}

    def _count_user_only_lines(self, change: ClosedChange) -> None:
        """Report the overlaps of users whose connections could not be counted until now.

        `change` shows that the log reports ends by user, so connections without a socket id can be counted.
        """
        uncounted, self._uncounted = self._uncounted, {}
        for user, since in uncounted.items():
            ended = change.opening if user == change.user else None
            if ended is not None or len(self.ledger.open_connections(user)) > 1:
                self._report_overlap(user, since, Confidence.MEDIUM, ended)

    def _closed_while_suspect(self, change: ClosedChange) -> None:
        user, opening = change.user, change.opening
        suspect = self._nodes.suspects.get(user or "")
        if user is not None and suspect is not None and opening is not None:
            if opening.node != suspect:
                self._ended[user] = opening
            elif (since := self._clear_suspicion(user)) is not None and self._was_used_until(change, since):
                self._report_overlap(user, since, Confidence.HIGH, opening)

    def _was_used_until(self, change: ClosedChange, since: float) -> bool:
        """Return whether the ended connection was used after `since`, which shows that its process did not stop."""
        at = change.event.at
        return at is not None and at - since > self.options.grace_s and change.reason not in NOT_USED_UNTIL_THE_END

    def _clear_suspicion(self, user: str) -> float | None:
        self._ended.pop(user, None)
        return self._nodes.clear(user)

    def _replaced(self, change: ReplacedChange) -> None:
        if change.explicit and (evaluated := self._evaluated.get(change.user or "")) is not None:
            evaluated.closed(change.old)
        if isinstance(change.event, Replaced):
            self._remember_end(change.event, change.old)
        if change.user is not None and change.old and change.new and _belong_to_one_page(change.old, change.new):
            self.report(
                change.user,
                _opened_by_one_page(change.old, change.new),
                change.event.at,
                change.old,
                change.new,
                change.event,
                confidence=change.confidence,
            )
        if self._nodes.suspects and change.user is not None:
            self._clear_suspicion(change.user)
        if self._wave:
            self._replaced_in_wave(change)
        self._fewer(change)

    def _fewer(self, change: ReplacedChange | ClosedChange) -> None:
        user, count = change.user, len(change.remaining)
        if user is None:
            return
        if user in self._overlap_since and count <= self._reported_count.get(user, 1):
            del self._overlap_since[user]
        if count < 2:
            self._reported_count.pop(user, None)
            self._evaluated.pop(user, None)
            self._untimed_users.discard(user)

    def on_time(self, at: float) -> None:
        # The overlaps are in the order of their start, so the search ends with the first within the grace period.
        while self._overlap_since:
            user, since = next(iter(self._overlap_since.items()))
            if at - since <= self.options.grace_s:
                break
            del self._overlap_since[user]
            if self._wave.is_over(since):
                self._decide_wave()
            self._judge_overlap(user, since)
        if self._wave.is_over(at):
            self._decide_wave()
        if self._nodes.suspects:
            self._report_sole_suspects(at)

    def _judge_overlap(self, user: str, since: float) -> None:
        """Report an overlap that exceeds the grace period.

        Do not report it yet if a process may have stopped or restarted, or if connections cannot be counted.
        """
        if self._is_one_of_many(user):
            self._report_one_of_many(user, since)
            return
        if self._is_further_uncounted(user):
            self._uncounted[user] = since
            return
        openings = self._openings(user)
        resolution = max((one.resolution for one in openings if one is not None), default=0.0)
        if self._nodes.mark_suspect(user, since, [_node_if_only_logged(one) for one in openings]):
            return
        if not self.ledger.counts_user_only_lines and any(one is not None and one.sid is None for one in openings):
            self._uncounted[user] = since - resolution
            return
        is_new = user not in self._reported_count
        if (
            is_new
            and self.ledger.user_count >= MIN_RETURNED
            and self._wave.add_overlap(user, since - resolution, openings)
        ):
            return
        self._report_overlap(user, since - resolution, self._confidence(user))

    def _is_one_of_many(self, user: str) -> bool:
        """Return whether the last complete evaluation of the user still applies, so that no new one is necessary.

        It applies if the user has nearly as many connections now as then, and if no connection that has opened or
        ended since then may change the result.

        A complete evaluation reads all connections of the user. To evaluate each of thousands completely would take
        quadratic time.
        """
        last = self._evaluated.get(user)
        if last is None or last.is_outdated:
            return False
        count, limit = len(self.ledger.open_connections(user)), self.options.policy.limit
        is_exceeded = not last.are_all and limit is not None and count > limit
        return not is_exceeded and last.open <= count * MANY_GROWTH and count <= last.open * MANY_GROWTH

    def _is_further_uncounted(self, user: str) -> bool:
        """Return whether the user has many connections, and they cannot be counted because no line names a socket."""
        is_uncounted = user in self._uncounted and not self.ledger.counts_user_only_lines
        return is_uncounted and len(self.ledger.open_connections(user)) >= MANY

    def _report_one_of_many(self, user: str, since: float) -> None:
        """Report one more connection of a user who has many, with the result of the last complete evaluation."""
        last, open_now = self._evaluated[user], self.ledger.open_connections(user)
        if last.severity is None:
            return
        newest = self.ledger.opening_event(open_now[-1])
        count = last.violating + len(open_now) - last.open if last.are_all else last.pages[last.page]
        self._reported_count[user] = count
        at = since - newest.resolution if newest is not None else since
        # A message that names openers keeps the numbers of the complete evaluation.
        connections = None if last.openers else count
        message = f"holds {count} connections at once"
        evidence = newest if last.are_all or (newest is not None and newest.page == last.page) else None
        self.report(
            user, message, at, evidence, confidence=last.confidence, severity=last.severity, connections=connections
        )

    def _report_sole_suspects(self, at: float) -> None:
        for user in self._nodes.sole_suspects(at - RECONNECT_WITHIN_S):
            ended, since = self._ended.get(user), self._clear_suspicion(user)
            self._report_overlap(user, since, Confidence.MEDIUM, ended)

    def _openings(self, user: str) -> list[Connected | None]:
        return [self.ledger.opening_event(sid) for sid in self.ledger.open_connections(user)]

    def _confidence(self, user: str) -> Confidence:
        openings = filter(None, self._openings(user))
        is_certain = any(starmap(are_separate_connections, pairwise(openings)))
        return Confidence.HIGH if is_certain else Confidence.MEDIUM

    def _report_overlap(
        self, user: str, at: float | None, confidence: Confidence, ended: Connected | None = None
    ) -> None:
        """Report the open connections of the user, and `ended` if it was open until now, if they violate the policy."""
        openings = [*([ended] if ended is not None else []), *self._openings(user)]
        self._evaluated.pop(user, None)
        if violating := self._apply_policy(user, openings, at, confidence):
            self._reported_count[user] = violating

    def _apply_policy(
        self,
        user: str | None,
        openings: Sequence[Connected | None],
        at: float | None,
        confidence: Confidence,
        *evidence: Event,
        worst: Severity = Severity.ERROR,
    ) -> int:
        """Report the connections among `openings` that violate the policy, and return their number.

        The finding is at most as severe as `worst`. `evidence` contains further events that prove it.
        """
        result = apply_policy(openings, self.options.policy)
        if result.gap is not None:
            self.gaps[result.gap] = None
        if result.severity is None:
            if user is not None and len(openings) >= MANY and self.options.policy.is_set:
                self._evaluated[user] = _Evaluated(openings, (), "", None, confidence)
            return 0
        violating = result.connections
        count, message = len(violating), _open_at_once(len(violating), violating)
        severity = min(result.severity, worst, key=lambda severity: severity.rank)
        self.report(
            user, message, at, *violating, *evidence, confidence=confidence, severity=severity, connections=count
        )
        if user is not None and len(openings) >= MANY:
            openers = message.removeprefix(f"holds {count} connections at once")
            self._evaluated[user] = _Evaluated(openings, violating, openers, severity, confidence)
        return count

    def finish(self, at: float | None) -> None:
        """Report overlaps that exist at the end of the evidence, and add a gap for one within the grace period.

        If no event has a time, an overlap that ended may have been short, so only overlaps that did not end are
        reported. If all users of a server process have since connected to other processes, that process may have
        stopped, and their old connections with it: that is a gap in the evidence and no finding.
        """
        if self._wave:
            self._decide_wave()
        for user in self._untimed_users:
            if user not in self._reported_count and not self._has_uncounted(user):
                self._report_overlap(user, None, Confidence.MEDIUM)
        self._add_gaps()
        for node, users in self._nodes.silent().items():
            if self._has_lost_its_users(node, users):
                elsewhere = f"its {len(users)} users connected to other processes"
                reason = f"{node} logged nothing after {elsewhere}: {HOW_TO_CLOSE}"
                self.gaps[Gap(id="process-silent", reason=reason, closes_with="--stale-after", rules=(self.id,))] = None
                continue
            for user, since in users.items():
                self._report_overlap(user, since, Confidence.MEDIUM, self._ended.get(user))
        for user in self._overlap_since:
            self._add_unsettled(user)

    def _add_unsettled(self, user: str) -> None:
        """Add a gap (missing evidence) for a user whose connections overlap at the end of the evidence.

        The overlap is shorter than the grace period, and would violate the policy if it lasted longer.
        """
        openings = self._openings(user)
        if apply_policy(openings, self.options.policy).severity is not None:
            reason = (
                f"the evidence ends while {user} holds {len(openings)} connections, too early to decide whether one of "
                "them is being replaced"
            )
            self.gaps[Gap(id="evidence-ends-early", reason=reason, rules=(self.id,))] = None

    def _has_uncounted(self, user: str) -> bool:
        """Return whether the user's connections cannot be counted yet, and if so, store the user.

        They cannot if lines without socket ids opened some of them, and the log has not reported an end by user.
        """
        if self.ledger.counts_user_only_lines or not any(o is not None and o.sid is None for o in self._openings(user)):
            return False
        self._uncounted[user] = 0.0
        return True

    def _add_gaps(self) -> None:
        """Add gaps (missing evidence) that limit the counts of connections.

        Their causes are assumed restarts, lines without a socket id, times in whole seconds, and connections without a
        known user.
        """
        gaps = [restart.gap((self.id,)) for restart in self.ledger.presumed_ends.restarts]
        if self.ledger.user_only_lines.has_openings and not self.ledger.counts_user_only_lines:
            reason = (
                "connections could not be counted for any user: lines report openings without a socket id, and no line "
                "reports an end with the user"
            )
            gaps.append(Gap(id="sid-unknown", reason=reason, closes_with="--key sid=NAME", rules=(self.id,)))
        if (unclear := self.ledger.user_only_lines.unclear_ends) > 0:
            lines = "1 line reports" if unclear == 1 else f"{unclear} lines report"
            reason = (
                f"{lines} the end of a connection by its user, who has several: which of them ended, and whether it "
                "was replaced, is unknown"
            )
            gaps.append(
                Gap(
                    id="sid-unknown",
                    reason=reason,
                    closes_with="--key sid=NAME",
                    rules=(self.id, "connection-replaced"),
                )
            )
        if self._is_coarse:
            shortest = self.options.grace_s + 1
            reason = f"the log prints whole seconds: an overlap is certain only if it is longer than {shortest:g} s"
            gaps.append(Gap(id="whole-seconds", reason=reason, blocks=False, rules=(self.id,)))
        if brief := self._strangers.count:
            self.ledger.unattributed_and_brief = brief
            connections = "1 connection" if brief == 1 else f"{brief} connections"
            reason = f"{connections} without a known user lasted at most {self.options.grace_s:g} s and are left out"
            gaps.append(Gap(id="connections-unattributed", reason=reason, blocks=False, rules=(self.id,)))
        self.gaps.update((gap, None) for gap in gaps if gap is not None)

    def _has_lost_its_users(self, node: str, users: Mapping[str, float]) -> bool:
        """Return whether a process had several users and all of them are now connected to other processes."""
        openings = self.ledger.opening_events()
        return len(users) > 1 and all(one.node != node or one.user in users for one in openings)


class _Evaluated:
    """Last complete evaluation of a user with many connections.

    open         number of open connections
    violating    number of connections that violate the policy
    page         the page that opened all violating connections, None if they belong to several or unknown pages
    openers      addition to the message that names the openers
    severity     None if no connection violates the policy
    pages        number of open connections of each page, or of each device whose page is unknown
    is_outdated  a later opening or end may change the result
    """

    def __init__(
        self,
        openings: Sequence[Connected | None],
        violating: Sequence[Connected | None],
        openers: str,
        severity: Severity | None,
        confidence: Confidence,
    ) -> None:
        self.open, self.violating, self.openers = len(openings), len(violating), openers
        self.severity, self.confidence = severity, confidence
        pages = {one.page if one is not None else None for one in violating}
        self.page = pages.pop() if len(pages) == 1 else None
        self.pages = Counter(map(_page_or_device, openings))
        self._known = set(map(_known_names, openings))
        # The result for one of several endpoints stands for further connections only if it concerns many.
        self.is_outdated = severity is not None and self.page is None and self.violating < MANY

    @property
    def are_all(self) -> bool:
        """True if each connection beyond the permitted number violates the policy, whatever page opened it."""
        return self.severity is not None and self.page is None

    def opened(self, opening: Connected | None) -> None:
        """Add a connection. Set `is_outdated` if a page other than `page` now has several connections, and clearly
        more than `page`.

        Also set it if the evaluation contained no connection of this kind (page known or not, device known or not).
        """
        page = _page_or_device(opening)
        self.pages[page] += 1
        most = self.pages[self.page] if self.page is not None else 1
        has_more = page is not None and page != self.page and self.pages[page] > max(1, most * MANY_GROWTH)
        self.is_outdated = self.is_outdated or has_more or _known_names(opening) not in self._known

    def closed(self, opening: Connected | None) -> None:
        """Remove a connection. Set `is_outdated` if fewer than two connections of `page` remain."""
        page = _page_or_device(opening)
        self.pages[page] -= 1
        self.is_outdated = self.is_outdated or (page is not None and page == self.page and self.pages[page] < 2)


def _page_or_device(opening: Connected | None) -> str | None:
    return (opening.page or opening.device) if opening is not None else None


def _known_names(opening: Connected | None) -> tuple[bool, bool]:
    """Return two values: True if the page of a connection is known, and True if its device is known."""
    return (opening is not None and opening.page is not None, opening is not None and opening.device is not None)


def _node_if_only_logged(opening: Connected | None) -> str | None:
    """Return the server process that logged a connection, or None if a client observed the connection too."""
    return opening.node if opening is not None and (opening.page is None or is_logged(opening)) else None


def _was_lost_by_network(change: SurvivedChange, returned_at: float) -> bool:
    """Return whether a connection was already dead when its user returned, and the server noticed this later.

    The disconnect reason reports a silent client. If the log gives no reason, the evidence is that many users returned
    together. In both cases, the connection must end within `MAX_PING_TIMEOUT_S` of the return, the longest time that a
    server needs to notice a silent client.
    """
    at, reason = change.event.at, getattr(change.event, "reason", None)
    if at is None or at - returned_at > MAX_PING_TIMEOUT_S:
        return False
    return reports_silent_client(reason) or (reason is None and change.returned >= MIN_RETURNED)


def same_page_connection(event: Refused, ledger: Ledger) -> Connected | None:
    """Return the open connection of the page whose next connection the server refused, None if there is none."""
    if event.reason != "refused" or event.page is None:
        return None
    openings = filter(None, map(ledger.opening_event, ledger.open_connections(event.user)))
    return next((one for one in openings if one.page == event.page and one.eio != event.eio), None)


def _belong_to_one_page(old: Connected, new: Connected) -> bool:
    return old.page is not None and old.page == new.page


def _opened_by_one_page(old: Connected, new: AttemptOutcome) -> str:
    openers = sorted(filter(None, distinct_openers(old, new)))  # the order of the two may differ from run to run
    if len(openers) == 2 and openers[0] != openers[1]:
        return f"one page opened 2 connections: one by {openers[0]}, one by {openers[1]}"
    if openers:
        return f"one page opened 2 connections, both by {openers[0]}"
    return "one page opened 2 connections"


def _open_at_once(count: int, openings: Sequence[Connected | None]) -> str:
    times = Counter(opener for event in openings if (opener := opener_label(event)))
    if len(times) == 1 and times.total() == count > 1:
        every = "both" if count == 2 else "all"
        return f"holds {count} connections at once, {every} opened by {next(iter(times))}{_on_pages(openings)}"
    named = sorted(times.items())[:MAX_NAMED_OPENERS]
    openers = ", ".join(opener if n == 1 else f"{opener} {n} times" for opener, n in named)
    rest = count - sum(n for _, n in named)
    return (
        f"holds {count} connections at once"
        + (f": {openers}" if openers else "")
        + (f" and {rest} more" if openers and rest else "")
        + _on_pages(openings)
    )


def _on_pages(openings: Sequence[Connected | None]) -> str:
    pages = {event.page for event in openings if event is not None and event.page is not None}
    return f" on {len(pages)} pages" if len(pages) > 1 else ""
