"""Learning of the wording of a log: which statements report connections, and where their ids are.

A statement is read if its words report an event and its ids are certain: by their labels, by their characters, or
because other statements contain the same values. All other statements are at most suggested to the user.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    ENDPOINT,
    NEW,
    OLD,
    REFUSED,
    REPLACED,
    SID,
    USER,
    is_user_label,
    word_set,
)
from wscheck.observe.logs.wording.id_places import (
    Ids,
    has_socket_form,
    is_sid_label,
    share,
    sid_place,
    user_place,
)
from wscheck.observe.logs.wording.pieces import SLOT
from wscheck.observe.logs.wording.statements import Group, Reading, Row, Statement, group_rows, make_reading, user_in
from wscheck.observe.logs.wording.words import (
    CLOSING_ANOTHER,
    CONNECTION_NOUNS,
    EVENT_VERBS,
    HOLDER_NOUNS,
    NEWER_WORDS,
    OLDER_WORDS,
    WORK_NOUNS,
    word_parts,
)


def learn(
    rows: Sequence[Row], read_kinds: Collection[str] = (), known: Ids | None = None, *, newest_first: bool = False
) -> dict[Statement, Reading]:
    """Return the readings of the statements in `rows` that contain no known marker.

    read_kinds  kinds of events that known markers report in this log; no further statement is searched for these kinds,
                except for replacements
    known       ids and keys that the caller knows already, for example from the client of a verify run
    newest_first  the rows are in the reverse order of time
    """
    groups = [group for group in _without_impostors(group_rows(rows)) if not _is_about_work(group)]
    connects = [group for group in groups if group.kind == CONNECTED]
    departures = [group for group in groups if group.kind == DISCONNECTED]
    ids, found = known or Ids(), dict[Statement, Reading]()
    ids_are_known = bool(ids.sids or ids.users)
    opened = _openings(connects, departures, ids)
    departures = [group for group in departures if not _precedes_openings(group, opened, newest_first=newest_first)]
    ended = _ends(departures, ids, opened)
    for each in (opened, ended, _replacements(groups, ids, rows), _failed_attempts(connects, departures, opened)):
        found |= {
            group.statement: reading
            for group, reading in each
            if not group.is_read and (reading.kind not in read_kinds or reading.kind == REPLACED)
        }
    if ids_are_known:
        # A client reports the endpoints of the same connections as whole URLs, which do not equal the paths in a log.
        found = {statement: _without_endpoint(reading) for statement, reading in found.items()}
    else:
        found = _held_back(found, opened, read_kinds)
    named = {group.statement: group for group in groups}
    return {each: reading for each, reading in found.items() if not _names_other_thing(named[each], reading)}


def _without_endpoint(reading: Reading) -> Reading:
    return reading._replace(places={role: place for role, place in reading.places.items() if role != ENDPOINT})


def _is_about_work(group: Group) -> bool:
    """Return whether a statement reports the start or the end of work, such as of an HTTP request."""
    columns = (group.values(place) for place in group.columns if place.isdigit())
    words = group.words | {values[0].lower() for values in columns if len(set(values)) == 1}
    return not group.is_plain and not words.isdisjoint(WORK_NOUNS) and words.isdisjoint(CONNECTION_NOUNS)


def _precedes_openings(group: Group, opened: "_Read", *, newest_first: bool) -> bool:
    """Return whether a statement usually names a connection before the connection opens, so that it reports no end.

    group         the lines of the statement
    opened        the statements that report the start of connections, with their readings
    newest_first  the lines are in the reverse order of time
    """
    begun = dict[str, int]()
    for other, reading in opened:
        for row, slot in zip(other.rows, other.columns.get(reading.places.get(SID, ""), ()), strict=False):
            if slot is not None:
                begun.setdefault(slot.value, row.line)
    for place in group.places():
        pairs = [
            (begun[slot.value], row.line)
            for row, slot in zip(group.rows, group.columns[place], strict=True)
            if slot is not None and slot.value in begun
        ]
        early = sum(begin < at if newest_first else at < begin for begin, at in pairs)
        if len(pairs) >= MIN_REPEATED and early >= MOSTLY_EARLY * len(pairs):
            return True
    return False


MOSTLY_EARLY = 0.8

MIN_ATTEMPTS, MOST_FAILED = 10, 0.8
"""Smallest number of lines about attempts, and share of them after which the user tries again without success."""


def _failed_attempts(connects: Sequence[Group], departures: Sequence[Group], opened: "_Read") -> "_Read":
    """Return the readings of the statements that report attempts to connect that the server refused.

    Each of their ids is new, and no other statement about a start or an end contains it. The next line about the user
    usually reports another attempt, and not a connection: the client tries again and again.

    connects    statements whose words report a start
    departures  statements whose words report an end
    opened      the statements that certainly or probably report the start of connections, with their readings
    """
    chosen = [group for group, reading in opened if reading.certain]
    used = {id(group) for group, _ in opened}
    found = _Read()
    for group in connects if chosen else ():
        sid, sure = sid_place(group, (), ())
        user, named = user_place(group, sid, ())
        if id(group) in used or sid is None or user is None or not (sure and named) or len(group.rows) < MIN_ATTEMPTS:
            continue
        sids = group.values(sid)
        others = {
            slot.value
            for other in (*connects, *departures)
            if other is not group
            for column in other.columns.values()
            for slot in column
            if slot is not None
        }
        is_new = len(set(sids)) == len(sids) and others.isdisjoint(sids)
        if is_new and not group.words.isdisjoint(CONNECTION_NOUNS) and _fail_again(group, user, opened):
            found.append((group, make_reading(group, REFUSED, {USER: user}, certain=True, by_structure=True)))
    return found


def _fail_again(group: Group, user: str, opened: "_Read") -> bool:
    """Return whether the next line about the same user usually reports another attempt, and not an open connection.

    group   the lines about attempts
    user    place of the user in these lines
    opened  the statements that report the start of connections, with their readings
    """
    lines = [(row.line, slot.value, True) for row, slot in zip(group.rows, group.columns[user], strict=True) if slot]
    for other, reading in opened:
        column = other.columns.get(reading.places.get(USER, ""), ())
        lines += [(row.line, slot.value, False) for row, slot in zip(other.rows, column, strict=False) if slot]
    last, again, total = dict[str, bool](), 0, 0
    for _, name, is_attempt in sorted(lines):
        if last.get(name):
            total += 1
            again += is_attempt
        last[name] = is_attempt
    return total >= MIN_ATTEMPTS - 1 and again >= MOST_FAILED * total


MIN_KNOWN = 0.5
"""Smallest share of known ids that confirms words which alone do not tell that a connection ended."""


def _names_other_thing(group: Group, reading: Reading) -> bool:
    """Return whether a statement is about something other than a connection: "accepted invitation", "Job 7".

    A word that is not in the vocabulary and that all lines of the statement contain may be the name of another thing,
    such as "invitation". If the reading is certain, only such a word directly in front of a connection id shows another
    thing. Any such word does if the reading is a guess, if it is a replacement that names only the user, or if it is an
    opening without a known verb: the word may then be the verb ("finishing WS connection").
    """
    slots = [at for at, piece in enumerate(group.statement[1]) if piece == SLOT]
    own = {str(number) for number, _ in enumerate(slots)} - set(reading.places.values())
    words = {
        place
        for place in own
        if len(values := group.values(place)) > 1 and len(set(values)) == 1 and values[0].isalpha()
    }
    lacks_verb = reading.kind == CONNECTED and group.words.isdisjoint(EVENT_VERBS)
    if not reading.certain or lacks_verb or (reading.kind == REPLACED and reading.places.keys() <= {USER}):
        return bool(words)
    ids = [int(place) for role, place in reading.places.items() if role in {SID, OLD, NEW} and place.isdigit()]
    return any(at and str(at - 1) in words and slots[at] == slots[at - 1] + 1 for at in ids)


def _without_impostors(groups: Sequence[Group]) -> list[Group]:
    """Return the groups without those whose lines may be text that a user sent.

    Such a group has the same words as another group. Its lines have a name in front of these words, or have no line
    prefix (time, level) although the lines of the other group have one.
    """
    prefixes: dict[tuple[str, ...], list[str]] = {}
    for group in groups:
        prefixes.setdefault(group.statement[1], []).append(group.statement[0])
    return [
        group
        for group in groups
        if not any(
            other != group.statement[0] and (not group.statement[0] or group.statement[0] == f"{other} n:")
            for other in prefixes[group.statement[1]]
            if other or group.statement[0]
        )
        or not group.statement[1]
    ]


_Read = list[tuple[Group, Reading]]


def _openings(connects: Sequence[Group], departures: Sequence[Group], ids: Ids) -> _Read:
    """Return the readings of the statements that report the start of connections.

    connects    statements whose words report a start
    departures  statements whose words report an end
    ids         ids that are known already; those that are found with certainty are added
    """
    ends = Counter(
        slot.value for group in departures for column in group.columns.values() for slot in column if slot is not None
    )
    plain, faint = _Read(), _Read()
    for group in connects:
        sid, sure = _known_place(group, SID, ids.sids, ids) or sid_place(group, ends, ())
        user, named = _known_place(group, USER, ids.users, ids) or user_place(group, sid, (), ends)
        if user is not None and _are_users_named_at_end(group, sid, user, departures):
            user, named = None, True
        certain = sure and named and (sid is not None or _tells_connections(group, user))
        if sid is None and user is None:
            continue
        (plain if group.is_plain else faint).append(
            (group, make_reading(group, group.kind, {SID: sid, USER: user}, certain=certain))
        )
    plain += [
        (group, reading._replace(certain=reading.certain and _is_confirmed(group, reading, plain, ends)))
        for group, reading in faint
    ]
    reliable = [pair for pair in plain if pair[1].certain] or plain
    with_sid = [pair for pair in reliable if SID in pair[1].places]
    ending = [pair for pair in with_sid if any(sid in ends for sid in pair[0].values(pair[1].places[SID]))]
    chosen = ending or with_sid or _without_topics([pair for pair in reliable if pair[0].is_plain] or reliable)
    if not any(reading.certain for _, reading in chosen):
        chosen = [pair for pair in chosen if not _id_values(pair).isdisjoint(ends)] or chosen
    chosen = _without_second_reports(chosen, departures)
    for group, reading in (pair for pair in chosen if pair[1].certain):
        ids.sids.update(group.values(reading.places.get(SID)))
        ids.users.update(map(user_in, group.values(reading.places.get(USER))))
    if not chosen:
        chosen = [
            (group, make_reading(group, group.kind, {}, certain=True))
            for group in connects
            if group.is_plain and is_bare(group.statement[1])
        ]
    return chosen


_PRESENCE, _MEMBERSHIP = (
    word_set("online offline"),
    word_set("join joins joined leave leaves left enters entered exited"),
)


def _tells_connections(group: Group, user: str | None) -> bool:
    """Return whether lines that name no connection id are about connections of the user.

    "User 7 is online" is about the first and the last connection only, whatever their number. "Player 7 joined table
    t3" is about one of several things that the player may join.
    """
    verbs = group.words & EVENT_VERBS
    if verbs <= _PRESENCE:
        return False
    others = [
        place for place in group.places() if place != user and place[0] != "#" and len(set(group.values(place))) > 1
    ]
    return not verbs <= _MEMBERSHIP or not any(_are_shared(group, user, place) for place in others)


def _are_shared(group: Group, user: str | None, place: str) -> bool:
    """Return whether the values at a place return, and one of them is on lines of several users."""
    users: dict[str, set[str]] = {}
    for name, slot in zip(group.columns.get(user or "", ()), group.columns[place], strict=False):
        if name is not None and slot is not None:
            users.setdefault(slot.value, set()).add(name.value)
    return any(len(names) > 1 for names in users.values())


def _are_users_named_at_end(group: Group, sid: str | None, user: str, departures: Sequence[Group]) -> bool:
    """Return whether only the lines about ends name users, so that the place `user` in `group` contains something else.

    For example, `Pad "notes": client c7 entered` opens a connection, and `author a.G1 on client c7 left` ends it.

    group       lines of a statement about the start of connections
    sid         place of the connection id in these lines, None if they contain none
    departures  statements whose words report an end
    """
    if sid is None or is_user_label(group.label(user)):
        return False
    sids, values = set(group.values(sid)), set(group.values(user))
    for other in departures:
        if any(share(other.values(place), sids) >= MIN_KNOWN for place in other.places()):
            labelled = [
                place
                for place in other.places()
                if is_user_label(other.label(place)) and sids.isdisjoint(other.values(place))
            ]
            if labelled and all(values.isdisjoint(other.values(place)) for place in labelled):
                return True
    return False


NEAR, MOSTLY_NEAR = 4, 0.8
"""Largest distance in lines, and share of the lines, from which on two statements are about the same connections."""


def _without_topics(found: _Read) -> _Read:
    """Return the readings without guesses that find different users on neighbouring lines.

    For example, one client writes "JOINED inbox:7" and "JOINED arena:3" when it connects. A guess about the first
    statement takes inbox:7 for the user, a guess about the second one takes arena:3. These are topics, not users.
    """
    topics = [pair for pair in found if not pair[1].certain and USER in pair[1].places]
    doubtful = {
        id(group)
        for group, reading in topics
        for other, its_reading in topics
        if other is not group
        and _are_near(group, other)
        and group.values(reading.places[USER]) != other.values(its_reading.places[USER])
    }
    return [pair for pair in found if id(pair[0]) not in doubtful]


def _without_second_reports(opened: _Read, departures: Sequence[Group]) -> _Read:
    """Return the readings without statements that report the openings of the next statement a second time.

    For example, a server writes "connection upgraded for User 7" and then "client registered for User 7". Such lines
    name only the user, stand next to each other, and there are no more ends than lines of one of the statements.

    opened      the statements that report the start of connections, with their readings
    departures  statements whose words report an end
    """

    def repeats(group: Group, other: Group, user: str, its_user: str) -> bool:
        users, others = Counter(group.values(user)), Counter(other.values(its_user))
        ends = sum(row_values.isdisjoint(users) is False for row_values in ended)
        is_alike = (users & others).total() >= MOSTLY_NEAR * max(users.total(), others.total())
        return is_alike and 0 < ends <= MOST_OPENINGS * users.total() and _are_near(group, other)

    ended = [
        {slot.value for slot in values if slot is not None}
        for group in departures
        for values in zip(*group.columns.values(), strict=True)
    ]
    named = [
        (group, reading.places[USER], group.rows[0].line)
        for group, reading in opened
        if USER in reading.places and SID not in reading.places
    ]
    second = {
        id(group)
        for group, user, line in named
        for other, its_user, later in named
        if line < later and repeats(group, other, user, its_user)
    }
    return [pair for pair in opened if id(pair[0]) not in second]


def _are_near(one: Group, other: Group) -> bool:
    """Return whether nearly every line of one statement is next to a line of the other, and the other way round."""
    lines = [{row.line for row in group.rows} for group in (one, other)]
    return all(
        sum(not near.isdisjoint(range(line - NEAR, line + NEAR + 1)) for line in own) >= MOSTLY_NEAR * len(own)
        for own, near in (lines, lines[::-1])
    )


def _known_place(group: Group, role: str, values: Collection[str], ids: Ids) -> tuple[str, bool] | None:
    """Return (place, True) for the place that certainly contains the ids of `role`, None if no single place does.

    It is the place under a key that the user configured, otherwise the place at which all values are already known.
    If there are several, it is the only one among them whose label means a user or a socket.
    """
    keyed = [place for place in group.places() if ids.keys.get(group.label(place)) == role]
    found = keyed or [place for place in group.places() if values and share(group.values(place), values) == 1]
    named = [place for place in found if is_user_label(group.label(place)) or is_sid_label(group.label(place))]
    return (found[0], True) if len(found) == 1 else (named[0], True) if len(named) == 1 else None


def _id_values(read: tuple[Group, Reading]) -> set[str]:
    group, reading = read
    places = (place for role, place in reading.places.items() if role in (SID, USER))
    return {value for place in places for value in group.values(place)}


def _is_confirmed(group: Group, reading: Reading, plain: _Read, ends: Counter[str]) -> bool:
    """Return whether other statements confirm a statement with ambiguous words, because they contain its ids.

    A statement that names only the user, such as "authenticated user 7", must not be much more frequent than the ends.

    plain  readings of the statements with unambiguous words
    ends   values in the statements that report the end of connections, each with its number of lines
    """
    sids, users = group.values(reading.places.get(SID)), group.values(reading.places.get(USER))
    told = {sid for other, one in plain for sid in other.values(one.places.get(SID))}
    if sids:
        return bool(users) and not {*ends, *told}.isdisjoint(sids)
    ended = sum(ends[user] for user in set(users))
    is_balanced = ended > 0 and len(users) <= MOST_OPENINGS * ended + len(set(users))
    return is_balanced and not any(other.is_plain for other, _ in plain)


MOST_OPENINGS = 1.3
"""Largest number of starts per end, apart from one connection of each user that stays open."""


def is_bare(pattern: Sequence[str]) -> bool:
    """Return whether a message consists only of words about connections."""
    words = [part for piece in pattern if piece != SLOT for part in word_parts(piece)]
    return SLOT not in pattern and any(word in CONNECTION_NOUNS or word in HOLDER_NOUNS for word in words)


def _ends(departures: Sequence[Group], ids: Ids, opened: _Read) -> _Read:
    """Return the readings of the statements that report the end of connections.

    departures  statements whose words report an end
    ids         ids that are known already
    opened      the statements that report the start of connections, with their readings
    """
    found = _Read()
    likely = {user for group, reading in opened for user in group.values(reading.places.get(USER))}
    for group in departures:
        known = [place for place in group.places() if ids.sids and share(group.values(place), ids.sids) > 0]
        sid, sure = (known[0], True) if len(known) == 1 else sid_place(group, (), ids.sids)
        user, named = user_place(group, sid, ids.users)
        if (sid is None and user is None) or _repeats_ids(group, sid, opened):
            continue
        confirmed = bool(known) or not ids.users.isdisjoint(map(user_in, group.values(user)))
        certain = (
            sure and (named or sid is not None) and (confirmed or (group.is_plain and not (ids.sids or ids.users)))
        )
        if not certain and sid is not None and group.is_plain and not known and named:
            certain = sure  # these connections opened before the log started
        certain = certain and (sid is not None or _tells_connections(group, user))
        is_likely = user is not None and share(group.values(user), likely) >= 0.5  # only with --guess
        places = {SID: sid, USER: user if named or is_likely else None}
        found.append(
            (group, make_reading(group, group.kind, places, certain=certain and (group.is_plain or confirmed)))
        )
    found = _without_repeats(found, opened)
    if any(reading.certain for _, reading in found):
        return _without_faint_ends([pair for pair in found if pair[1].certain])
    bare = [
        (group, make_reading(group, group.kind, {}, certain=True))
        for group in departures
        if group.is_plain and is_bare(group.statement[1])
    ]
    return found or bare


def _without_faint_ends(found: _Read) -> _Read:
    """Return the readings without those that may report the end of something else: "token removed" of a user.

    Such a reading names only the user, and its words are ambiguous. It is left out only if another reading names the
    connections that end, or has words that clearly report an end.
    """
    is_told = any(SID in reading.places or group.is_plain for group, reading in found)
    return [pair for pair in found if pair[0].is_plain or SID in pair[1].places or not is_told]


MIN_REPEATED = 2
"""Smallest number of connections that seem to end several times, which shows that something else ends."""
MIN_REPEATED_SHARE = 0.2


def _repeats_ids(group: Group, sid: str | None, opened: _Read) -> bool:
    """Return whether a statement names many ids more often as ended than other statements name them as opened.

    A connection ends once. Such a statement therefore reports the end of something within a connection, for example of
    a subscription. The result is False if the words of the statement are unambiguous.

    sid     place of the connection id in the lines of the statement
    opened  the statements that report the start of connections, with their readings
    """
    openings = Counter(each for other, reading in opened for each in other.values(reading.places.get(SID)))
    if group.is_plain or sid is None or not openings:
        return False
    ends = Counter(group.values(sid))
    repeated = sum(times > max(1, openings[each]) for each, times in ends.items())
    return repeated >= max(MIN_REPEATED, MIN_REPEATED_SHARE * len(ends))


def _without_repeats(found: _Read, opened: _Read) -> _Read:
    """Return the readings without those that report the end of a connection a second time.

    The lines of such a statement name only the user. They stand next to the lines that name the connection which ended.

    found   the statements that report ends, with their readings
    opened  the statements that report the start of connections, with their readings
    """
    owner = {
        sid: user
        for group, reading in opened
        for sid, user in zip(
            group.values(reading.places.get(SID)), group.values(reading.places.get(USER)), strict=False
        )
    }
    told = {
        row.line: sid
        for group, reading in found
        if SID in reading.places
        for row, sid in zip(group.rows, group.values(reading.places[SID]), strict=False)
    }

    def repeats(group: Group, reading: Reading) -> bool:
        users = group.values(reading.places.get(USER))
        before = [told.get(row.line - 1) or told.get(row.line + 1) for row in group.rows]
        return SID not in reading.places and all(
            sid is not None and owner.get(sid, user) == user for sid, user in zip(before, users, strict=False)
        )

    return [pair for pair in found if not repeats(*pair)] if told else found


def _replacements(groups: Sequence[Group], ids: Ids, rows: Sequence[Row]) -> _Read:
    """Return the readings of the statements that report that a newer connection replaced an older one.

    groups  the lines of each statement
    ids     ids that are known already
    rows    all lines, in the order of the log
    """
    found = _Read()
    for group in groups:
        if group.kind != REPLACED:
            continue
        sids = [place for place in group.places() if _is_sid_column(group, place, ids)]
        user, named = user_place(group, sids[0] if len(sids) == 1 else None, ids.users)
        user = user if user not in sids else None
        roles = _old_and_new(group, sids[:2], rows)
        places = {USER: user if named else None, **roles}
        values = {*group.values(user), *(value for place in sids for value in group.values(place))}
        strange = bool(ids.users or ids.sids) and values.isdisjoint(ids.users | ids.sids)
        certain = (bool(roles) or (user is not None and named)) and not strange
        if not group.is_plain:
            certain = certain and any(share(group.values(place), ids.sids) >= MIN_KNOWN for place in roles.values())
        if certain or user is not None:
            found.append((group, make_reading(group, group.kind, places, certain=certain)))
    return found


def _is_sid_column(group: Group, place: str, ids: Ids) -> bool:
    values = group.values(place)
    if is_user_label(group.label(place)):
        return False
    known = bool(ids.sids) and share(values, ids.sids) > 0
    if not known and values and share(values, ids.users) == 1:
        return False
    keyed = group.is_keyed(place) and group.label(place).startswith(("old", "new"))
    labelled = is_sid_label(group.label(place)) or keyed
    return known or has_socket_form(values) or (labelled and _context(group, place) != "")


def _context(group: Group, place: str) -> str:
    """Return OLD or NEW if the words in front of an id say that the connection is old or new, otherwise ""."""
    words = set(word_parts(group.label(place)))
    label = group.label(place)
    if place.isdigit():
        pattern, at = group.statement[1], -1
        for _ in range(int(place) + 1):
            before, at = at, pattern.index(SLOT, at + 1)
        words |= set(_last_clause([part for piece in pattern[before + 1 : at] for part in word_parts(piece)]))
        words |= {"new"} if "->" in pattern[before + 1 : at] else set()
    if words <= CLOSING_ANOTHER | CONNECTION_NOUNS and not words.isdisjoint(CLOSING_ANOTHER):
        return OLD
    newer = not words.isdisjoint(NEWER_WORDS) or label.startswith("new")
    older = not words.isdisjoint(OLDER_WORDS) or label.startswith(("old", "prev", "exist"))
    return NEW if newer and not (older and "with" in words) else OLD if older else ""


def _last_clause(words: Sequence[str]) -> Sequence[str]:
    """Return the words from the last verb for closing onwards ("closing socket"), all words if no such verb occurs."""
    closing = [at for at, word in enumerate(words) if word in CLOSING_ANOTHER]
    return words[closing[-1] :] if closing else words


def _old_and_new(group: Group, sids: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """Return the place of the old connection's id and the place of the new connection's id."""
    told = {place: _context(group, place) for place in sids}
    if len(sids) == 2:
        first, second = sids
        backwards = told[first] == NEW and told[second] != NEW
        return {OLD: second, NEW: first} if backwards else {OLD: first, NEW: second}
    if len(sids) == 1:
        return {told[sids[0]] or OLD: sids[0]}
    return {}


def _held_back(found: dict[Statement, Reading], opened: _Read, read_kinds: Collection[str]) -> dict[Statement, Reading]:
    """Return the readings, marked as guesses if some user opens several connections and no statement reports an end.

    Such a log probably reports the ends in unknown words. If the readings stayed certain, all connections
    would seem to stay open.

    found       the readings of all statements
    opened      the statements that report the start of connections, with their readings
    read_kinds  kinds of events that known markers report in this log
    """
    told = {*read_kinds, *(reading.kind for reading in found.values())}
    users = Counter(user for group, reading in opened for user in group.values(reading.places.get(USER)))
    if told != {CONNECTED} or not users or max(users.values()) < 2:
        return found
    return {statement: reading._replace(certain=False) for statement, reading in found.items()}
