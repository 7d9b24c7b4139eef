"""Search for connections in a log whose words are unknown, by the order and the repetition of its ids.

A statement is one logging call of the server, and the lines that it wrote. One statement reports the start of
connections and another one their end. The words may be of any domain: an uplink is raised and torn down, a kiosk is
bound and released. The structure is always the same: each connection id occurs first in a line of the one statement
and later in a line of the other. These lines also contain the user: a value that occurs again with other ids.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, pairwise
from typing import NamedTuple

from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    NEW,
    OLD,
    REPLACED,
    SID,
    USER,
    is_user_label,
    label_stem,
)
from wscheck.observe.logs.wording.columns import (
    Column,
    are_addresses,
    is_about_other_things,
    is_number_tag,
    mentions_connection,
    names_connection_ids,
    names_users_at_end_only,
    users_by_id,
    values_beside,
)
from wscheck.observe.logs.wording.id_places import (
    counts_up,
    has_socket_form,
    is_sid_label,
    is_weak_sid_label,
    is_weak_user_label,
    names_connections,
    share,
)
from wscheck.observe.logs.wording.pieces import REASON_SIGNS, SLOT
from wscheck.observe.logs.wording.server_words import (
    ADDRESS,
    EMAIL,
    MIN_PAIRS,
    may_identify_client,
)
from wscheck.observe.logs.wording.statements import (
    Group,
    Reading,
    Row,
    Statement,
    are_mostly,
    group_rows,
    make_reading,
)
from wscheck.observe.logs.wording.words import (
    CONNECTION_NOUNS,
    FOREIGN_NOUNS,
    REFUSALS,
    WORK_NOUNS,
    replaces,
)

MIN_LIFE_S = 1.0
"""Half of the connections live at least this long (seconds). A shorter time is that of a request, or of one event told
twice."""

MIN_LASTING = 0.04
"""Share of connections from which on they live long enough, although those of a client in a loop do not."""

MIN_ORDERED = 0.9
"""Smallest share of ids whose start comes before their end."""

HANDOVER_S = 2.0
"""Longest time between the opening of a connection and the line that it took the place of an older one (seconds)."""

MAX_DEAD_S = 60.0
"""Longest time after which a server notices that a client is gone (seconds)."""

MIN_SIGNS = 2
"""Smallest number of lines per connection of a statement that shows signs of life: an end is reported once."""

MIN_ALTERNATING = 0.7
"""Smallest share of the steps from a start to an end and back, for users who return."""

MOST = 0.8
"""Share of the ids from which on a rule about ids holds for a statement."""

MAX_ORDINARY = 0.5
"""Largest share of the ends that follow the opening of a newer connection if the statement reports ordinary ends."""


class StatementPair(NamedTuple):
    """Two statements (logging calls): one reports the start of something that has an id, the other reports its end.

    start, end  values in the lines of each statement at the place that contains the id
    ids         number of ids that occur in both statements
    """

    start: Column
    end: Column
    ids: int


class OpeningStatement(NamedTuple):
    """Statement that reports the start of connections: the values at the places of connection id and user."""

    sids: Column
    users: Column


class Pairing:
    """Search of a log for pairs of statements: one reports the start of something, the other reports its end.

    times  time of each line, None if a line has none
    """

    def __init__(self, rows: Sequence[Row], times: Sequence[float | None], words: Container[str] = ()) -> None:
        order, self._refused = _in_order(times), set[str]()
        self._times = [times[at] for at in order]
        rows = [rows[at] for at in order]
        position = {row.line: at for at, row in enumerate(rows)}
        self.groups = [group for group in group_rows(rows, words) if not is_about_other_things(group)]
        self._at = {id(group): [position[row.line] for row in group.rows] for group in self.groups}
        self._refused = {
            value
            for group in self.groups
            if not group.words.isdisjoint(REFUSALS)
            for column in self._find_columns(group)
            if len(column.lines) >= MOST * column.count
            for value in column.lines
        }
        """Ids of attempts that were refused: such an attempt was never a connection, and ends at once."""
        self._by_group = {id(group): tuple(self._find_columns(group)) for group in self.groups}
        self._columns = [column for columns in self._by_group.values() for column in columns]
        self._first: dict[str, int] = {}
        for column in self._columns:
            for value, lines in column.lines.items():
                self._first[value] = min(lines[0], self._first.get(value, lines[0]))
        self.pairs = self._find_pairs()

    def id_columns(self, group: Group) -> tuple[Column, ...]:
        """Return a column (the values at one place) for each place in the lines of `group` that may contain ids."""
        return self._by_group[id(group)]

    def column(self, group: Group, place: str) -> Column:
        """Return the values at one place in the lines of `group`. The place must be one that may contain ids."""
        return next(one for one in self.id_columns(group) if one.place == place)

    def _find_columns(self, group: Group) -> Iterator[Column]:
        for place, slots in group.columns.items():
            if 2 * sum(slot is not None for slot in slots) < len(slots):
                continue
            if not are_mostly(may_identify_client, slots):
                continue
            lines: dict[str, list[int]] = {}
            for at, slot in zip(self._at[id(group)], slots, strict=True):
                if slot is not None and slot.value not in self._refused:
                    lines.setdefault(slot.value, []).append(at)
            if lines:
                yield Column(group, place, lines)

    def _find_pairs(self) -> list[StatementPair]:
        """Return the pairs of statements that may report starts and ends. The pair with most shared ids comes first."""
        holders = defaultdict[str, list[int]](list)
        for number, column in enumerate(self._columns):
            for value in column.lines:
                holders[value].append(number)
        shared = Counter(
            pair for numbers in holders.values() if len(numbers) <= 40 for pair in combinations(numbers, 2)
        )
        found = list[StatementPair]()
        for (one, other), ids in shared.items():
            if ids >= MIN_PAIRS and self._columns[one].group is not self._columns[other].group:
                found += self._as_pair(self._columns[one], self._columns[other], ids)
        return sorted(found, key=lambda pair: -pair.ids)

    def _as_pair(self, one: Column, other: Column, ids: int) -> Iterator[StatementPair]:
        for start, end in ((one, other), (other, one)):
            if self._is_ordered(start, end) and self._are_begun(end, start, ids) and self._lives(start, end):
                yield StatementPair(start, end, ids)

    def _are_begun(self, end: Column, start: Column, ids: int) -> bool:
        """Return whether half of the ids in `end` or more occur on an earlier line: in `start` or elsewhere.

        `ids` is the number of ids that occur in both columns.
        """
        if 2 * ids >= len(end.lines):
            return True
        earlier = sum(self._first[each] < lines[0] for each, lines in end.lines.items() if each not in start.lines)
        return 2 * (ids + earlier) >= len(end.lines)

    def _is_ordered(self, start: Column, end: Column) -> bool:
        """Return whether start and end lines alternate for most ids that occur in both columns, beginning with a start.

        Exceptions are allowed: a user who returns may have two connections for a while.
        """
        first, steps, common = 0, list[bool](), 0
        for value, begun in start.lines.items():
            if value in end.lines:
                lines = sorted([*((at, 0) for at in begun), *((at, 1) for at in end.lines[value])])
                common += 1
                first += lines[0][1] == 0
                steps += [before[1] != after[1] for before, after in pairwise(lines)]
        returns = len(steps) > 2 * common
        least = MIN_ALTERNATING if returns else MIN_ORDERED
        return first >= MIN_ORDERED * common and sum(steps) >= least * len(steps)

    def _lives(self, start: Column, end: Column) -> bool:
        """Return whether the time between the start and the end of an id is usually long enough for a connection.

        In a log without times, there must usually be another line between the start line and the end line. If the lines
        name connections, a few that live so long suffice: a client in a loop opens most of them, and only briefly.
        """
        spans = [
            (self._since(begun[0], end.lines[value][0]), end.lines[value][0] - begun[0])
            for value, begun in start.lines.items()
            if value in end.lines and end.lines[value][0] > begun[0]
        ]
        timed = [seconds for seconds, _ in spans if seconds is not None]
        lasting = [seconds >= MIN_LIFE_S for seconds in timed] if timed else [lines >= 2 for _, lines in spans]
        least = MIN_LASTING if names_connection_ids(start) else 0.5
        return sum(lasting) >= max(MIN_PAIRS if len(lasting) > MIN_PAIRS else 1, least * len(lasting))

    def _since(self, begin: int, end: int) -> float | None:
        one, other = self._times[begin], self._times[end]
        return other - one if one is not None and other is not None else None

    # --- users --------------------------------------------------------------------------------------------------------

    def find_user(self, sid: Column, end: Column | None) -> tuple[str | None, bool]:
        """Return the place of the user in the lines about the start of connections, and whether this place is certain.

        The place is None if these lines name no user.

        sid  column of the connection ids in the lines about the start
        end  column of the connection ids in the lines about the end, None if no lines report ends
        """
        ended = values_beside(end) if end is not None else {}
        named_at_end = {value for values in ended.values() for value in values}
        best = list[tuple[int, str]]()
        for column in self.id_columns(sid.group):
            place, label = column.place, sid.group.label(column.place)
            if place == sid.place or (len(column.lines) == 1 and column.count > 2) or is_number_tag(column):
                continue
            if len(column.lines) > len(sid.lines):
                continue  # a connection has one user
            own = sid.group.values(place)
            if names_connections(label, own):
                continue
            may_count = not is_weak_user_label(label) and counts_up(own)
            if not is_user_label(label) and (has_socket_form(own) or may_count):
                continue
            of = users_by_id(sid, column)
            repeats = [value for value, user in of.items() if user in ended.get(value, ())]
            points = 4 * is_user_label(label) + 2 * is_weak_user_label(label) - 3 * (is_sid_label(label))
            common = sum(value in ended for value in of)
            is_kept = len(repeats) >= max(MIN_PAIRS, MOST * common)
            # The name of a thread, for example, is also on lines about ends, but seldom the same one.
            varies = 2 * len(repeats) < common and not named_at_end.isdisjoint(column.lines)
            points += 3 * is_kept - 5 * varies + 2 * (len(column.lines) < column.count)
            if place[0] == "#" and not is_kept:
                continue
            points -= 3 * (ADDRESS.fullmatch(next(iter(column.lines))) is not None) + (place[0] == "#")
            is_other_thing = label in _PLACES_OF_SERVERS or label_stem(label) in FOREIGN_NOUNS | WORK_NOUNS
            if is_other_thing and (end is None or self.is_usually_shared(StatementPair(sid, end, len(repeats)), place)):
                points -= 4
            best.append((points, place))
        best.sort(key=lambda pair: -pair[0])
        if not best or best[0][0] < 1:
            return None, False
        is_address = best[0][1].endswith("@")
        if (
            end is not None
            and self.names_user_at_end(sid, end)
            and (is_address or names_users_at_end_only(end, best[0][1], sid))
        ):
            return None, False
        return best[0][1], best[0][0] >= 3 and (len(best) == 1 or best[0][0] > best[1][0])

    def ends(self, start: Column, *first: Column) -> list[Column]:
        """Return the columns whose ids may belong to ended connections that lines with ids of `start` opened.

        The columns `first` come first in the result.
        """
        return [*first, *(pair.end for pair in self.pairs if pair.start is start and pair.end not in first)]

    def further_openings(self, first: OpeningStatement) -> Iterator[OpeningStatement]:
        """Yield each further statement that starts connections.

        A server may report the start of some connections in other words, for example of those that take the place of an
        older one. Such a statement names connections of the same users in the same way, but no connection of `first`.
        """
        known, met, named = set(first.sids.lines), {id(first.sids.group)}, set(first.users.lines)
        label, users_label = (one.group.label(one.place) for one in first)
        for start in (pair.start for pair in self.pairs):
            is_new = start.count <= MOST_ONCE * len(start.lines) and share(list(start.lines), known) < 1 - MOST
            if id(start.group) in met or not is_new or start.group.label(start.place) != label:
                continue
            users = [
                one
                for one in self.id_columns(start.group)
                if one.place != start.place
                and (share(list(one.lines), named) >= MOST or one.group.label(one.place) == users_label != "")
            ]
            ended = {value for end in self.ends(start) for value in end.lines}
            if users and share(list(start.lines), ended) >= MOST_ENDED:
                met.add(id(start.group))
                known.update(start.lines)
                yield OpeningStatement(start, users[0])

    def is_same_user(self, start: Column, user: str) -> bool:
        """Return whether the values in `start` and the values at the place `user` are two names of the same users.

        The values in `start` are then no ids of connections. Most of them occur in several lines, always with the same
        second value: "[ann@site.example] registered (u-7)".
        """
        users = self.column(start.group, user)
        both = {
            (value, name) for value, at in start.lines.items() for name, its in users.lines.items() if {*at} & {*its}
        }
        returning = sum(len(at) > 1 for at in start.lines.values())
        return 2 * returning > len(both) == len(start.lines) == len(users.lines) > 1

    def names_user_at_end(self, start: Column, end: Column) -> bool:
        """Return whether only the lines that report the end of connections name the users.

        An address in the lines that report the start of connections is then not taken for a user.
        """
        begun = {value for column in self.id_columns(start.group) for value in column.lines}
        return any(
            1 < len(column.lines) <= column.count - MIN_PAIRS and begun.isdisjoint(column.lines)
            for column in self.id_columns(end.group)
            if column.place != end.place and column.place[0] != "#"
        )

    def is_sure_user(self, pair: StatementPair) -> bool:
        """Return whether the ids of a pair are certainly users who return, in a log without ids of connections.

        Both statements must name a connection, or a thing that connected, and report its start or its end. Then an
        e-mail address is a user. Other names are users if most of them never have two connections at once; otherwise
        they might be rooms of several users. A network address or a number is not certain to be a user: several clients
        may share the address, and the server may assign the number again.
        """
        start, end = pair.start, pair.end
        told = start.group.kind == CONNECTED and end.group.kind == DISCONNECTED
        if not told or not all(map(mentions_connection, (start.group, end.group))):
            return False
        if all(map(EMAIL.fullmatch, start.lines)):
            return True
        named = all(any(map(str.isalpha, value)) for value in start.lines) and not are_addresses(start)
        alternating = sum(self._is_alternating(value, start, end) for value in start.lines)
        return named and alternating >= MOST * len(start.lines)

    def is_decisive(self, openings: Sequence[OpeningStatement], pair: StatementPair) -> bool:
        """Return whether the structure alone leaves no doubt that statements start and end connections, in any words.

        The server gives each connection an id of its own, which begins once and ends at most once. Several users have
        such connections and come back with new ones. A label, a word or the name of the program's part says that the
        ids are of connections.

        openings  the statements that report the start of connections; the first is that of `pair`
        """
        started = {value for sids, _ in openings for value in sids.lines}
        users = {value for _, own in openings for value in own.lines}
        user = openings[0].users
        are_ids = all(one.count <= len(one.lines) * MOST_ONCE for one in (pair.end, *(sids for sids, _ in openings)))
        return (
            are_ids
            and len(started & pair.end.lines.keys()) >= MIN_DECISIVE
            and 1 < len(users) < len(started)
            and any(map(names_connection_ids, (pair.start, pair.end)))
            and all(one.group.words.isdisjoint(REFUSALS) for one in (pair.start, pair.end))
            and (is_user_label(user.group.label(user.place)) or not self.is_usually_shared(pair, user.place))
        )

    def _is_alternating(self, value: str, start: Column, end: Column) -> bool:
        lines = sorted([*((at, 0) for at in start.lines[value]), *((at, 1) for at in end.lines.get(value, ()))])
        return all(before[1] != after[1] for before, after in pairwise(lines))

    def is_usually_shared(self, pair: StatementPair, user: str) -> bool:
        """Return whether most users with several ids have two open at once. Such ids are of jobs, not connections."""
        users = self.column(pair.start.group, user)
        spans = defaultdict[str, list[tuple[int, int]]](list)
        for value, whose in users_by_id(pair.start, users).items():
            if value in pair.end.lines:
                spans[whose].append((pair.start.lines[value][0], pair.end.lines[value][0]))
        returning = [sorted(each) for each in spans.values() if len(each) > 1]
        shared = sum(any(self._overlap(one, other) for one, other in pairwise(each)) for each in returning)
        return 2 * shared > len(returning)

    def _overlap(self, one: tuple[int, int], other: tuple[int, int]) -> bool:
        """Return whether two spans of lines overlap for longer than one connection takes to replace another."""
        if other[0] >= one[1]:
            return False
        seconds = self._since(other[0], min(one[1], other[1]))
        return seconds is None or seconds > HANDOVER_S

    # --- signs of life ------------------------------------------------------------------------------------------------

    def living(self) -> dict[Statement, Reading]:
        """Return the reading of the statement that starts connections, for a log that reports no ends of connections.

        The result is empty unless the log shows that connections stay open ("living"): other lines name them again and
        again, for example at each heartbeat. Most users who opened a newer connection must have an earlier one that is
        still named `MAX_DEAD_S` seconds later. If the earlier one were dead, the server would have noticed this by
        then.
        """
        for group in self.groups:
            if group.kind != CONNECTED or not group.is_plain:
                continue
            for sid in self.id_columns(group):
                user, _ = self.find_user(sid, None)
                is_id = is_sid_label(group.label(sid.place)) or is_weak_sid_label(group.label(sid.place))
                if not is_id or len(sid.lines) < sid.count or user is None or not is_user_label(group.label(user)):
                    continue
                if self._stay_in_use(sid, self.column(group, user)):
                    places = {SID: sid.place, USER: user}
                    reading = make_reading(group, CONNECTED, places, certain=True, by_structure=True)
                    return {group.statement: reading._replace(shows_life=True)}
        return {}

    @cached_property
    def _repeating_columns(self) -> list[Column]:
        """Columns with several lines per value. Such lines may show that a connection is still in use."""
        return [column for column in self._columns if column.count >= MIN_SIGNS * len(column.lines)]

    def _stay_in_use(self, sid: Column, users: Column) -> bool:
        """Return whether most users who opened a newer connection go on to use an earlier one.

        `sid` and `users` are the columns of connection ids and users in the lines about the start of connections.
        """
        signs = [
            column
            for column in self._repeating_columns
            if column.group is not sid.group and share(list(column.lines), sid.lines) >= MOST
        ]
        if not signs:
            return False
        last = {value: max((at for one in signs for at in one.lines.get(value, ())), default=0) for value in sid.lines}
        by_user = defaultdict[str, list[str]](list)
        for value, user in users_by_id(sid, users).items():
            by_user[user].append(value)
        returning = [sorted(each, key=lambda value: sid.lines[value][0]) for each in by_user.values() if len(each) > 1]

        def is_used(earlier: str, newer: str) -> bool:
            seconds = self._since(sid.lines[newer][0], last[earlier]) if last[earlier] else None
            return seconds is not None and seconds > MAX_DEAD_S

        used = sum(any(is_used(one, other) for one, other in pairwise(each)) for each in returning)
        return used >= MIN_PAIRS and used >= MOST * len(returning)

    # --- refusals -----------------------------------------------------------------------------------------------------

    def refusals(self, start: Group, user: str) -> Iterator[tuple[Group, str]]:
        """Yield the statements that report refused attempts, each with the place of the user.

        Such a statement has the words of the statement `start` except for one, or it is about a connection and names
        the users of `start`.

        user  place of the user in `start`
        """
        prefix, pattern = start.statement
        users, label = set(start.values(user)), start.label(user)
        for group in self.groups:
            if group.words.isdisjoint(REFUSALS):
                continue
            its_prefix, its_pattern = group.statement
            if its_prefix == prefix and len(its_pattern) == len(pattern):
                other = [own for own, begun in zip(its_pattern, pattern, strict=True) if own != begun]
                if len(other) == 1 and other[0] != SLOT:
                    yield group, user
                    continue
            named = [place for place in group.columns if share(group.values(place), users) >= MOST]
            if named and not group.words.isdisjoint(_ATTEMPTED):
                yield group, next((place for place in named if group.label(place) == label), named[0])

    def with_reasons(self, end: Group) -> Iterator[Group]:
        """Yield the groups whose lines begin like those of `end`, followed by a reason that varies, such as a code."""
        prefix, pattern = end.statement
        for group in self.groups:
            its_prefix, its_pattern = group.statement
            begun, rest = its_pattern[: len(pattern)], its_pattern[len(pattern) :]
            if its_prefix == prefix and begun == pattern and rest and rest[0] in REASON_SIGNS:
                yield group

    # --- replacements -------------------------------------------------------------------------------------------------

    def replacements(
        self, openings: Sequence[OpeningStatement], ends: Sequence[Column]
    ) -> Iterator[tuple[Group, dict[str, str]]]:
        """Yield the statements that report that a newer connection replaced an older one.

        With the lines of each statement, yield a dict of role (OLD, NEW, USER) to the place of the id in these lines.

        A statement about the end of a connection reports a replacement if it contains the ids of both connections, or
        if it always follows the opening of the newer connection.

        openings  the statements that report the start of connections
        ends      ids in the lines of each statement that may report the end of connections
        """
        owner = {value: user for sids, users in openings for value, user in users_by_id(sids, users).items()}
        opened = {value: lines[0] for sids, _ in openings for value, lines in sids.lines.items()}
        by_user = defaultdict[str, list[tuple[int, str]]](list)
        for value, user in owner.items():
            by_user[user].append((opened[value], value))

        told = set[str]()
        """Ids of the connections whose replacement a statement reports in plain words, or with the newer one."""

        def follows_newer(old: Column, *, or_precedes: bool = False) -> float:
            lines = {value: lines[0] for value, lines in old.lines.items() if value not in told}
            near = [self._is_near_newer(each, at, owner, by_user, or_precedes) for each, at in lines.items()]
            return sum(near) / max(1, len(near))

        others = {id(end.group): follows_newer(end) <= MAX_ORDINARY for end in ends}
        for group in sorted(self.groups, key=lambda group: group.kind != REPLACED):
            columns = [one for one in self.id_columns(group) if share(list(one.lines), opened) >= MOST]
            found = self._old_and_new(columns, opened, owner) if group is not openings[0].sids.group else {}
            if any(group is sids.group for sids, _ in openings) and NEW not in found:
                continue
            is_told = replaces(group.words) or group.kind == REPLACED
            is_apart = any(other for each, other in others.items() if each != id(group))
            is_old = OLD in found and follows_newer(found[OLD], or_precedes=is_told) >= MOST
            if NEW in found or (is_old and (is_told or is_apart)):
                known = [one.place for one in self.id_columns(group) if share(list(one.lines), by_user) >= MOST]
                if is_told or NEW in found:
                    told.update(found[OLD].lines)
                yield group, {role: one.place for role, one in found.items()} | dict(zip([USER], known, strict=False))

    def _old_and_new(
        self, columns: Sequence[Column], opened: Mapping[str, int], owner: Mapping[str, str]
    ) -> dict[str, Column]:
        """Return a dict of OLD and NEW to the columns with the ids of the older and the newer connection of one user.

        A column contains the values at one place of the statement. A single column is taken for OLD. Return an empty
        dict if the columns are no such ids.

        opened  dict of connection id to the line that reports its start
        owner   dict of connection id to user
        """
        if len(columns) == 1:
            return {OLD: columns[0]}
        if len(columns) != 2:
            return {}
        lines = [{at: value for value, places in one.lines.items() for at in places} for one in columns]
        both = [(lines[0][at], lines[1][at]) for at in lines[0] if at in lines[1]]
        both = [(a, b) for a, b in both if a != b and a in opened and b in opened and owner.get(a) == owner.get(b)]
        if len(both) < MIN_PAIRS:
            return {}
        first_is_older = sum(opened[a] < opened[b] for a, b in both) >= len(both) / 2
        return {OLD: columns[not first_is_older], NEW: columns[first_is_older]}

    def _is_near_newer(
        self, old: str, at: int, owner: Mapping[str, str], by_user: Mapping[str, Sequence[tuple[int, str]]], after: bool
    ) -> bool:
        """Return whether the user of the connection `old` opened a newer one shortly before the line `at`.

        owner    dict of connection id to user
        by_user  dict of user to the pairs (line of the start, connection id) of the user's connections
        after    the newer connection may also open shortly after this line
        """
        own = by_user.get(owner.get(old, ""), ())
        opened = next((since for since, sid in own if sid == old), -1)
        others = [since for since, sid in own if sid != old and since > opened]
        newer = [each for each in others if each < at]
        later = [each for each in others if each > at] if after else []
        return self._is_short(max(newer, default=None), at) or self._is_short(at, min(later, default=None))

    def _is_short(self, first: int | None, last: int | None) -> bool:
        """Return whether the time between two lines is short enough for the opening of a connection to replace another.

        Without times, at most one line may be between them. None stands for a line that does not exist: the result is
        False.
        """
        if first is None or last is None:
            return False
        seconds = self._since(first, last)
        return seconds <= HANDOVER_S if seconds is not None else last - first <= 2


MOST_ENDED = 0.5
"""Share of the ids that end, for a further statement that starts connections."""

MIN_DECISIVE, MOST_ONCE = 4, 1.05
"""Number of ids with a start and an end, and lines per id, up to which the structure alone shows connections."""


_ATTEMPTED = CONNECTION_NOUNS - {"channel", "tab", "tabs", "peer"} | {"connect", "connecting", "reconnect", "handshake"}
"""Words for what is refused. A channel is refused within a connection that was accepted."""
_PLACES_OF_SERVERS = frozenset(
    ["node", "pod", "server", "region", "zone", "instance", "replica", "shard", "pid", "port", "ip", "addr", "address"]
)
"""Names of values that tell where a connection is, not whose it is."""


def _in_order(times: Sequence[float | None]) -> list[int]:
    """Return the positions of the lines in the order of time. A line without a time stays after the line before it."""
    filled, last = list[float](), None
    for at in times:
        last = at if at is not None else last
        filled.append(last if last is not None else float("-inf"))
    steps = [after - before for before, after in pairwise(filled) if before != after]
    backwards = 2 * sum(step < 0 for step in steps) > len(steps)
    order = range(len(times) - 1, -1, -1) if backwards else range(len(times))
    return sorted(order, key=lambda at: filled[at])
