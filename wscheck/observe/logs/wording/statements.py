"""Statements of a log, and their readings.

A statement is one logging call in the source code of the server, and the lines that it wrote. All these lines have the
same fixed words. A reading states which event the statement reports, and where the ids are in its lines.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from wscheck.model.disconnect_reasons import reports_replacement
from wscheck.observe.logs.formats.envelopes import LogMessage
from wscheck.observe.logs.formats.key_values import value_or_none
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordStart
from wscheck.observe.logs.vocabulary import (
    ALLOWED,
    CONNECTED,
    DEVICE,
    DEVICE_KEYS,
    DISCONNECTED,
    ENDPOINT,
    NAMESPACE,
    OLD,
    PAGE,
    REASON,
    REPLACED,
    SID,
    USER,
    escape_braces,
    is_user_label,
)
from wscheck.observe.logs.wording.messages import ParsedMessage, parse
from wscheck.observe.logs.wording.pieces import SLOT, Slot, may_be_id, split_pieces
from wscheck.observe.logs.wording.words import EVENT_VERBS, VOCABULARY, word_parts

Statement = tuple[str, tuple[str, ...]]


class Reading(NamedTuple):
    """Decision about a statement: the kind of event that it reports, and the place of each id.

    A place is one of the names that `ParsedMessage.values` yields.

    certain   the words and ids leave no doubt; otherwise the reading is a guess
    lines     number of lines from which it was learned
    example   one of these lines
    template  the statement with placeholders for its values, in the syntax of `--marker`
    keys      the ids that are named fields, as pairs of role and name of the field
    ids       the ids in the example, by role
    needles   the spellings of one word, such as "Joined" and "JOINED"; every line of the statement contains one of them
    by_structure  the structure of the log shows the event (see the package `wording`), not the words of the statement
    spelling  regular expression of the statement, in which each value is any text without blanks
    shows_life  further lines show that earlier connections of users stay in use after newer ones have opened
    opens    lines about a replacement also report the start of the newer connection: no other line does
    """

    kind: str
    places: Mapping[str, str]
    certain: bool = True
    lines: int = 0
    example: str = ""
    template: str = ""
    keys: tuple[tuple[str, str], ...] = ()
    ids: tuple[tuple[str, str], ...] = ()
    needles: tuple[bytes, ...] = ()
    by_structure: bool = False
    spelling: str = ""
    shows_life: bool = False
    opens: bool = False

    def reports(self, parsed: ParsedMessage) -> bool:
        """Return whether a line of the statement reports the event of this reading.

        Its words must mean this event, unless the structure of the log showed the event (`by_structure`).
        """
        return self.by_structure or self.kind == parsed.meaning.kind

    @property
    def described(self) -> str:
        """Text and fields of the statement as reports show them, with placeholders for the ids."""
        return " ".join([self.template, *(f"{name}={{{role}}}" for role, name in self.keys)]).strip()


class Row(NamedTuple):
    """Line of a log with its parsed message.

    is_read  the event in the line is found by a known marker, so that the line serves only to recognise ids
    header   line above, if the line is indented: it may contain the time of both; "" if it is not indented
    """

    line: int
    message: ParsedMessage
    text: str
    is_read: bool = False
    header: str = ""


class Wording:
    """Statements of a log that report connections, each with its reading.

    words   words of the server that are not in the vocabulary, None if the vocabulary suffices
    beyond  further statements, which are tried for a line that belongs to none of the others
    """

    def __init__(
        self,
        readings: Mapping[Statement, Reading],
        words: Container[str] | None = None,
        beyond: "Wording | None" = None,
    ) -> None:
        self.readings, self.words, self.beyond = dict(readings), words, beyond
        self._reports_replacements = any(reading.kind == REPLACED for reading in readings.values())
        self._patterns = PatternTree()
        self._spelled: dict[str, list[tuple[re.Pattern[str], Reading]]] = {}
        for (prefix, pattern), reading in self.readings.items():
            self._patterns.add((prefix, pattern))
            if reading.spelling:
                self._spelled.setdefault(prefix, []).append((re.compile(reading.spelling), reading))

    def __bool__(self) -> bool:
        return bool(self.readings) or bool(self.beyond)

    def all_readings(self) -> list[Reading]:
        """Return the readings of all statements."""
        return [*self.readings.values(), *(self.beyond.all_readings() if self.beyond is not None else ())]

    def needles(self) -> list[bytes]:
        """Return the texts to search for: every line of a known statement contains one of them."""
        return list(dict.fromkeys(needle for reading in self.all_readings() for needle in reading.needles))

    def match(self, message: LogMessage) -> RecordStart | None:
        """Return the record that a message reports, None if the message belongs to no statement with a reading."""
        line = parse(message, self.words) if self.readings else None
        parsed, reading = self._reading(line) if line is not None else (line, None)
        if parsed is None or reading is None:
            found = self.beyond.match(message) if self.beyond is not None else None
            return self._with_unclear_id(line) if found is None and line is not None else found
        kind, ids = reading.kind, dict(ids_in(parsed, reading))
        if kind == DISCONNECTED and not self._reports_replacements and reports_replacement(ids.get(REASON)):
            kind = REPLACED
            ids = {role: ids[known] for role, known in ((USER, USER), (OLD, SID)) if known in ids}
        return RecordStart(
            kind,
            ids,
            prefix=parsed.stamp,
            unprefixed=not parsed.prefix,
            complete=True,
            is_learned=True,
            opens=reading.opens,
        )

    def _with_unclear_id(self, parsed: ParsedMessage) -> RecordStart | None:
        """Return the record of a line that has the text of a statement, but a value whose end is ambiguous."""
        for spelling, reading in self._spelled.get(parsed.prefix, ()):
            match = spelling.fullmatch(parsed.text.rstrip())
            if match is None or not any(map(is_composed, match.groups())):
                continue
            places = {str(at): value for at, value in enumerate(match.groups())}
            ids = {
                role: places[place]
                for role, place in reading.places.items()
                if place in places and role not in _FEATURES
            }
            unclear = {role for role, value in ids.items() if is_composed(value)}
            ids = {role: value for role, value in ids.items() if role not in unclear}
            return RecordStart(
                reading.kind,
                ids,
                prefix=parsed.stamp,
                complete=True,
                maybe_prose=not ids,
                has_unclear_id=bool(unclear),
                is_learned=True,
            )
        return None

    def _reading(self, parsed: ParsedMessage) -> tuple[ParsedMessage, Reading | None]:
        reading = self.readings.get(parsed.statement)
        if reading is not None:
            return parsed, reading if reading.reports(parsed) else None
        for statement in self._patterns.more_general(parsed.statement):
            if (fitted := fit(parsed, statement[1], self.words or ())) is not None:
                reading = self.readings[statement]
                return fitted, reading if reading.reports(parsed) else None
        return parsed, None


def fit(parsed: ParsedMessage, pattern: tuple[str, ...], words: Container[str] = ()) -> ParsedMessage | None:
    """Return the message, divided into words and slots as in `pattern`, None if it does not match the pattern.

    A word of the message may be a name, for example "Will", where the pattern has a slot. Directly in brackets, an
    ordinary word is a name too: "user[admin]".

    words  further words that are no names
    """
    for at, (own, other) in enumerate(zip(parsed.pattern, pattern, strict=True)):
        if own == other:
            continue
        is_ordinary = (own in _NO_NAMES or own in words) and (own in EVENT_VERBS or not _is_bracketed(pattern, at))
        if other != SLOT or is_ordinary or not own.isalpha():
            return None
    values = [piece for piece, place in zip(parsed.pieces, pattern, strict=True) if place == SLOT]
    old = iter(parsed.slots)
    slots = tuple(
        next(old) if own == SLOT else Slot(parsed.pieces[at - 1].lower() if at else "", parsed.pieces[at])
        for at, (own, place) in enumerate(zip(parsed.pattern, pattern, strict=True))
        if place == SLOT
    )
    return parsed._replace(pattern=pattern, slots=slots) if len(values) == len(slots) else None


_NO_NAMES = VOCABULARY
_BRACKETS = frozenset(("[]", "()", "<>", "{}"))


def _is_bracketed(pattern: Sequence[str], at: int) -> bool:
    """Return whether the piece at a position is alone in a pair of brackets."""
    return "".join((*pattern[at - 1 : at], *pattern[at + 1 : at + 2])) in _BRACKETS


class PatternTree:
    """Index of statements by the words and signs of their lines, to find those to which a line may belong."""

    def __init__(self) -> None:
        self._roots: dict[str, _Node] = {}
        self._count = 0

    def add(self, statement: Statement) -> None:
        """Add a statement that the tree does not contain."""
        prefix, pattern = statement
        node = self._roots.setdefault(prefix, _Node())
        for piece in pattern:
            node = node.next.setdefault(piece, _Node())
        node.statement, node.number = statement, self._count
        self._count += 1

    def more_general(self, statement: Statement) -> list[Statement]:
        """Return the statements that have a slot where `statement` has a word, in the order in which they were added.

        All other pieces (words and signs) are those of `statement`. `fit` decides whether these words may be names.
        """
        prefix, pattern = statement
        nodes = [self._roots[prefix]] if prefix in self._roots else []
        for piece in pattern:
            places = (piece, SLOT) if piece.isalpha() else (piece,)
            nodes = [node.next[place] for node in nodes for place in places if place in node.next]
        found = sorted((node.number, node.statement) for node in nodes if node.statement not in {None, statement})
        return [each for _, each in found if each is not None]


class _Node(msgspec.Struct):
    """Place in a `PatternTree`: the nodes of the next pieces, and the statement that ends here."""

    next: dict[str, "_Node"] = msgspec.field(default_factory=dict)
    statement: Statement | None = None
    number: int = 0


_FEATURES = frozenset((ALLOWED, ENDPOINT))
"""Roles whose values are no ids."""


def ids_in(parsed: ParsedMessage, reading: Reading) -> Iterator[tuple[str, str]]:
    values = dict(parsed.values)
    for role, place in reading.places.items():
        if role == ALLOWED and place in values:
            yield role, _limit_in(values[place].value)
        elif role == ENDPOINT and place in values:
            yield role, _endpoint_in(values[place].value)
        elif place in values and (reading.by_structure or may_be_id(values[place])):
            value = values[place].value
            yield role, user_in(value) if role == USER and values[place].label not in _OWN_LABELS else value
    if reading.kind == DISCONNECTED and parsed.reason:
        yield REASON, parsed.reason
    if reading.kind == CONNECTED:
        yield from (
            (NAMESPACE, slot.value) for slot in values.values() if slot.label in _NAMESPACES and slot.value[:1] == "/"
        )
        keyed = [
            (slot.label.rpartition(".")[2], slot.value)
            for place, slot in values.items()
            if slot.keyed and place not in reading.places.values()
        ]
        yield from islice(((PAGE, value) for key, value in keyed if key in _PAGES), 1)
        yield from islice(((DEVICE, value) for key, value in keyed if key in DEVICE_KEYS), 1)


_PAGES = frozenset(
    f"{noun}{ending}"
    for noun in ("tab", "page", "device", "seat", "station", "workstation", "terminal", "tablet", "kiosk", "screen")
    for ending in ("", "id", "name")
).difference(DEVICE_KEYS)
"""Keys for the place at which a user has a connection, beside the user and the connection."""
_NAMESPACES = frozenset(("nsp", "namespace", "nspname", "socket.nsp"))
_OWN_LABELS = frozenset(("user", "userid", "username", "uid"))
"""Names in front of a user, whose whole value is the user: "user user-7"."""
_CHANNEL = lazy_pattern(r"(?i)(?:.*[.:/_-]users?[.:/_-]|users?[.:/])([\w@-][\w.@-]{0,200})(?:/[\w-]+)?")


def user_in(value: str) -> str:
    """Return the user after whom a room or a channel is named ("private-App.User.7"), or the value itself."""
    channel = _CHANNEL.fullmatch(value)
    return channel[1] if channel is not None and any(map(str.isdigit, channel[1])) else value


class Group(msgspec.Struct):
    """Lines of one statement.

    columns  dict of place to the slot of each line, None for a line without a value there
    """

    statement: Statement
    rows: list[Row]
    columns: dict[str, list[Slot | None]]

    @property
    def kind(self) -> str:
        return self.rows[0].message.meaning.kind

    @property
    def is_plain(self) -> bool:
        return self.rows[0].message.meaning.is_plain

    @property
    def is_read(self) -> bool:
        return self.rows[0].is_read

    @property
    def words(self) -> frozenset[str]:
        """Parts of the words that all lines have in common, without the words in paths."""
        return spoken_words(self.statement[1])

    def values(self, place: str | None) -> list[str]:
        """Return the values at a place, one for each line that has one."""
        return [slot.value for slot in self.columns.get(place or "", ()) if slot is not None]

    def label(self, place: str) -> str:
        return next((slot.label for slot in self.columns[place] if slot is not None), "")

    def is_keyed(self, place: str) -> bool:
        return any(slot.keyed for slot in self.columns[place] if slot is not None)

    def places(self) -> list[str]:
        """Return the places at which most lines have a value that may be an id.

        A place whose label names a user is included even if only a few lines have a user there.
        """
        return [
            place
            for place, slots in self.columns.items()
            if (2 * sum(slot is not None for slot in slots) >= len(slots) and are_mostly(may_be_id, slots))
            or (self.is_keyed(place) and is_user_label(self.label(place)) and self._names_some(slots))
        ]

    def _names_some(self, slots: Sequence[Slot | None]) -> bool:
        named = [slot for slot in slots if slot is not None and value_or_none(slot.value) is not None]
        return len(named) > 1 and are_mostly(may_be_id, named)


MOSTLY = 0.95
"""Share of the values at one place that decides what the place contains: a random id may look like a size ("4378b")."""


MIN_MOSTLY = 5
"""Number of values from which on one of them may be different."""


def are_mostly(is_alike: Callable[[Slot], bool], slots: Iterable[Slot | None]) -> bool:
    """Return whether `is_alike` is true for nearly all values at one place. Of a few values, one may differ."""
    known = [is_alike(slot) for slot in slots if slot is not None]
    return sum(known) >= min(MOSTLY * len(known), len(known) - (len(known) >= MIN_MOSTLY))


def spoken_words(pattern: Sequence[str]) -> frozenset[str]:
    """Return the parts of the fixed words of a pattern, without the words in paths."""
    words = (piece for sign, piece in zip(("", *pattern), pattern, strict=False) if piece != SLOT and sign != "/")
    return frozenset(part for piece in words for part in word_parts(piece))


def make_reading(
    group: Group, kind: str, places: Mapping[str, str | None], *, certain: bool, by_structure: bool = False
) -> Reading:
    """Return a reading: the statement reports an event of `kind`.

    places  dict of role to the place of its value, None if the statement has no value for the role
    """
    known = {role: place for role, place in places.items() if place is not None}
    if kind == CONNECTED and (allowed := _place_of_limit(group)) is not None:
        known[ALLOWED] = allowed
    if kind == CONNECTED and (endpoint := _place_of_endpoint(group, known.get(USER), known.get(SID))) is not None:
        known[ENDPOINT] = endpoint
    example = group.rows[0]
    reading = Reading(
        kind,
        known,
        certain,
        len(group.rows),
        example.text,
        needles=_needles(group),
        by_structure=by_structure,
        spelling=spelling_of(example.message) if SLOT in group.statement[1] else "",
    )
    return reading._replace(
        template=_with_placeholders(example.message, reading),
        keys=tuple((role, place[1:]) for role, place in known.items() if place[0] == "." and role != ENDPOINT),
        ids=tuple(ids_in(example.message, reading)),
    )


_NUMBERED = lazy_pattern(r"(?:(?P<number>\d{1,2})/)?(?P<limit>\d{1,2})")
"""Number of a connection and the largest number, or only the latter: "2/5", "5"."""


def _limit_in(value: str) -> str:
    """Return the limit in "2/5" (number 2 of at most 5) or "5", here "5". Return "" for any other text."""
    numbered = _NUMBERED.fullmatch(value)
    return numbered["limit"] if numbered is not None else ""


def _place_of_limit(group: Group) -> str | None:
    """Return the place of the number of connections that each user may have, None if the lines do not contain it.

    Some servers number the connections of each user: "slot 2 of 5", "device 2/3". Many of these lines then contain the
    number 1. Otherwise the server numbers the connections of all users together, and the result is None.
    """
    pattern = group.statement[1]
    places = [at for at, piece in enumerate(pattern) if piece == SLOT]
    for slot, at in enumerate(places):
        if pattern[at + 1 : at + 3] in {("of", SLOT), ("/", SLOT)}:
            numbers, limits, place = group.values(str(slot)), group.values(str(slot + 1)), str(slot + 1)
        else:
            pairs = [_NUMBERED.fullmatch(value) for value in group.values(str(slot))]
            numbers = [pair["number"] or "" for pair in pairs if pair is not None]
            limits, place = [pair["limit"] for pair in pairs if pair is not None], str(slot)
        if _number_connections(numbers, limits, len(group.rows)):
            return place
    return None


_SERVICES = frozenset(("svc", "service", "servicename"))
"""Keys of the service that writes a line."""

_PATH = lazy_pattern(r"/[^/\s]")

MAX_ENDPOINTS, CONNECTIONS_PER_ENDPOINT = 8, 4
"""Largest number of endpoints, and smallest number of lines about a start per endpoint, on average."""


def _endpoint_in(value: str) -> str:
    return value if value[:1] == "/" else f"/{value}"


def _place_of_endpoint(group: Group, user: str | None, sid: str | None) -> str | None:
    """Return the place of the path or the service to which users connect, None if the lines do not contain it.

    A server with several endpoints may log the connections to all of them with one statement. Their paths are few, and
    several users connect to each. A path that contains a user or a connection id is no endpoint.

    user, sid  places of the user and of the connection id
    """
    if user is None or sid is None:
        return None
    complete = [place for place in group.columns if len(group.values(place)) == len(group.rows)]
    paths = [place for place in complete if all(_PATH.match(value) for value in group.values(place))]
    services = [place for place in complete if group.is_keyed(place) and group.label(place) in _SERVICES]
    return next((place for place in (*paths, *services) if _are_endpoints(group, place, user, sid)), None)


def _are_endpoints(group: Group, place: str, user: str, sid: str) -> bool:
    """Return whether the few values at a place are endpoints, to each of which several users connect.

    user, sid  places of the user and of the connection id
    """
    users: dict[str, set[str]] = {}
    for slot, name, number in zip(group.columns[place], group.columns[user], group.columns[sid], strict=True):
        if slot is not None and name is not None and number is not None:
            if name.value in slot.value or number.value in slot.value:
                return False
            users.setdefault(slot.value, set()).add(name.value)
    is_few = len(users) <= min(MAX_ENDPOINTS, len(group.rows) / CONNECTIONS_PER_ENDPOINT)
    return is_few and sum(len(names) > 1 for names in users.values()) > 1


def _number_connections(numbers: Sequence[str], limits: Sequence[str], lines: int) -> bool:
    """Return whether a server numbers the connections of each user, up to a limit: "2" and "5" in "slot 2 of 5".

    All lines must have the same limit, and at least half of them the number 1.

    numbers, limits  the first and the second number of each line
    lines            number of lines of the statement
    """
    if not len(numbers) == len(limits) == lines >= MIN_NUMBERED or not all(map(str.isdigit, (*numbers, *limits))):
        return False
    are_within = all(1 <= int(number) <= int(limit) for number, limit in zip(numbers, limits, strict=True))
    return are_within and len(set(limits)) == 1 and int(limits[0]) > 1 and 2 * numbers.count("1") >= lines


MIN_NUMBERED = 4
"""Number of openings from which on their numbers show that the server numbers the connections of each user."""


def _with_placeholders(parsed: ParsedMessage, reading: Reading) -> str:
    """Return the text of a message with a placeholder for each id, and `{}` for other values."""
    roles = {place: role for role, place in reading.places.items() if role not in _FEATURES}
    parts, end, slot = list[str](), 0, 0
    for (begin, stop), piece in zip(parsed.spans, parsed.pattern, strict=True):
        parts.append(escape_braces(parsed.text[end:begin]))
        parts.append(f"{{{roles.get(str(slot), '')}}}" if piece == SLOT else escape_braces(parsed.text[begin:stop]))
        slot += piece == SLOT
        end = stop
    tags = ((role, parsed.tags.get(place[1:])) for place, role in roles.items() if place[0] == "#")
    named = next((role for role, value in tags if parsed.stamp.rstrip(" :").endswith(f"[{value}]")), None)
    return "".join([f"[{{{named}}}] " if named is not None else "", *parts])


def spelling_of(message: ParsedMessage) -> str:
    """Return the pattern of the text of a message, with a group without blanks for each value.

    Return "" if a text without blanks contains more than `MAX_JOINED` values: hostile lines would be slow to match.
    """
    parts, end, joined = list[str](), 0, 0
    for (begin, stop), piece in zip(message.spans, message.pattern, strict=True):
        gap = message.text[end:begin]
        joined = (piece == SLOT) + (0 if gap.isspace() else joined)
        if joined > MAX_JOINED:
            return ""
        parts.append(r"\s+" if gap.isspace() else re.escape(gap))
        parts.append(r"(\S{1,128}?)" if piece == SLOT else f"(?i:{re.escape(message.text[begin:stop])})")
        end = stop
    return "".join(parts)


MAX_JOINED = 2


def is_composed(value: str) -> bool:
    """Return whether a text without blanks consists of several pieces: "[admin]ann", "a;b"."""
    return len(split_pieces(value)) != 1


def _needles(group: Group) -> tuple[bytes, ...]:
    """Return the texts to search a log for, to find the lines of a statement: the spellings of its longest word."""
    pattern = group.statement[1]
    fixed = [at for at, piece in enumerate(pattern) if piece != SLOT]
    if not fixed:
        return ()
    at = max(fixed, key=lambda place: (not EVENT_VERBS.isdisjoint(word_parts(pattern[place])), len(pattern[place])))
    return tuple(dict.fromkeys(row.message.pieces[at].encode() for row in group.rows))


def group_rows(rows: Iterable[Row], words: Container[str] = ()) -> list[Group]:
    """Return the rows in groups, one for each statement (logging call of the server).

    words  words that are no names, in addition to the vocabulary
    """
    by_statement: dict[Statement, list[Row]] = {}
    for row in rows:
        by_statement.setdefault(row.message.statement, []).append(row)
    _join_names(by_statement, words)
    _leave_out_unclear_values(by_statement)
    return [Group(statement, lines, _columns(lines)) for statement, lines in by_statement.items()]


def _join_names(by_statement: dict[Statement, list[Row]], words: Container[str]) -> None:
    """Merge statements that differ only in a user whose name is an ordinary word.

    For example, "Will connected" seems to have no value. It becomes a line of the statement of "u_17 connected".
    """
    patterns, alike = PatternTree(), dict[Statement, list[Statement]]()
    for statement in by_statement:
        if SLOT in statement[1]:
            patterns.add(statement)
            alike[statement] = []
    for other in by_statement:
        for statement in patterns.more_general(other):
            alike[statement].append(other)
    for statement, others in alike.items():
        if statement not in by_statement:
            continue
        pattern = statement[1]
        for other in (each for each in others if each in by_statement):
            differing = [at for at, (own, place) in enumerate(zip(other[1], pattern, strict=True)) if own != place]
            is_certain = all(_is_bracketed(pattern, at) for at in differing)
            if len(by_statement[other]) > len(by_statement[statement]) and not is_certain:
                continue
            fitted = [(row, fit(row.message, pattern, words)) for row in by_statement[other]]
            if all(one is not None for _, one in fitted):
                del by_statement[other]
                by_statement[statement] += [row._replace(message=one) for row, one in fitted if one is not None]


def _leave_out_unclear_values(by_statement: dict[Statement, list[Row]]) -> None:
    """Remove statements with few lines if they differ from a common one only in ids with signs, such as "[admin]ann".

    A reading of such a statement would contain only a part of the id. `Wording.match` reads these lines instead.
    """
    often = sorted((each for each in by_statement if SLOT in each[1]), key=lambda each: -len(by_statement[each]))
    spelled = {
        statement: (_fixed_words(statement), re.compile(pattern))
        for statement in often[:MAX_USUAL]
        if len(by_statement[statement]) >= MIN_USUAL and (pattern := spelling_of(by_statement[statement][0].message))
    }
    for statement in [each for each in by_statement if len(by_statement[each]) < MAX_UNUSUAL_LINES]:
        own = _fixed_words(statement)
        for usual, (words, spelling) in spelled.items():
            if usual == statement or usual[0] != statement[0] or not words <= own:
                continue
            texts = [spelling.fullmatch(row.message.text.rstrip()) for row in by_statement[statement]]
            values = {value for text in texts if text is not None for value in text.groups() if is_composed(value)}
            if None not in texts and values and MIN_USUAL * len(values) <= len(by_statement[usual]):
                del by_statement[statement]
                break


def _fixed_words(statement: Statement) -> set[str]:
    return set(statement[1]) - {SLOT}


MIN_USUAL = 4
"""Number of lines of a statement per id with signs, from which on such an id is an exception."""
MAX_USUAL, MAX_UNUSUAL_LINES = 200, 200
"""Largest number of statements with which others are compared, and of lines of such another statement."""


def _columns(rows: Sequence[Row]) -> dict[str, list[Slot | None]]:
    columns: dict[str, list[Slot | None]] = {}
    for at, row in enumerate(rows):
        for place, slot in row.message.values:
            columns.setdefault(place, [None] * len(rows))[at] = slot
    return columns
