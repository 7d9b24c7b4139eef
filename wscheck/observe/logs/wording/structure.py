"""Readings of statements by the structure of a log: which of them start, end and replace connections."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    REFUSED,
    REPLACED,
    SID,
    USER,
    is_user_label,
)
from wscheck.observe.logs.wording.columns import Column, are_addresses, users_by_id
from wscheck.observe.logs.wording.id_places import counts_up, is_weak_user_label, share
from wscheck.observe.logs.wording.pairing import (
    MOST,
    MOST_ONCE,
    OpeningStatement,
    Pairing,
    StatementPair,
)
from wscheck.observe.logs.wording.server_words import MIN_PAIRS
from wscheck.observe.logs.wording.statements import Group, Reading, Statement, make_reading
from wscheck.observe.logs.wording.words import CONNECTION_NOUNS, HOLDER_NOUNS, NEGATIONS

NEAR = 4
"""Largest distance of two lines about the same end of a connection of a user."""


def learn_structure(pairing: Pairing) -> dict[Statement, Reading]:
    """Return the readings of the statements that, by the structure of the log, start, end and replace connections."""
    chosen = _best_pair(pairing)
    if chosen is None:
        return pairing.living()
    pair, user, sure = chosen
    is_by_user = user == pair.start.place
    openings, ends = ([], pairing.ends(pair.start, pair.end)) if is_by_user else _openings(pairing, pair, user)
    certain = sure and (_tells_of_connections(pair) or (not is_by_user and pairing.is_decisive(openings, pair)))
    found = dict[Statement, Reading]()

    def add(group: Group, kind: str, places: Mapping[str, str | None]) -> None:
        opens = group.statement in found and kind == REPLACED
        reading = make_reading(group, kind, places, certain=certain, by_structure=True)
        found[group.statement] = reading._replace(opens=opens)

    if is_by_user:
        add(pair.start.group, CONNECTED, {USER: user})
    for sids, users in openings:
        add(sids.group, CONNECTED, {SID: sids.place, USER: users.place})
    ends = _without_errors(ends, pair, openings[0].users if openings else None)
    for group, places in pairing.replacements(openings, ends) if openings else ():
        add(group, REPLACED, places)
    for group, place in pairing.refusals(pair.start.group, user):
        add(group, REFUSED, {USER: place})
    ended = defaultdict[str, list[int]](list)
    for end in ends:
        fresh = [
            (value, at)
            for value, lines in end.lines.items()
            for at in lines
            if not any(not is_by_user or abs(at - other) <= NEAR for other in ended[value])
        ]
        if end.group.statement not in found and 2 * len(fresh) >= end.count:
            for value, at in fresh:
                ended[value].append(at)
            places = {USER if is_by_user else SID: end.place}
            add(end.group, DISCONNECTED, places)
            for group in pairing.with_reasons(end.group):
                if group.statement not in found:
                    add(group, DISCONNECTED, places)
    return found


def _openings(pairing: Pairing, pair: StatementPair, user: str) -> tuple[list[OpeningStatement], list[Column]]:
    """Return the statements that start connections, that of `pair` first, and the ids in those that may end them."""
    first = OpeningStatement(pair.start, pairing.column(pair.start.group, user))
    ends = {id(end.group): end for end in pairing.ends(pair.start, pair.end)}
    openings = [first]
    for opening in pairing.further_openings(first):
        openings.append(opening)
        for end in pairing.ends(opening.sids):
            ends.setdefault(id(end.group), end)
    starts = {id(sids.group) for sids, _ in openings}
    return openings, [end for end in ends.values() if id(end.group) not in starts]


def _best_pair(pairing: Pairing) -> tuple[StatementPair, str, bool] | None:
    """Return the pair that most probably starts and ends connections, with the place of the user in its start lines.

    The last value returned is True if this place is certain. Return None if there is no such pair.
    """
    best: tuple[tuple[int, ...], StatementPair, str, bool] | None = None
    shared = set[tuple[int, int]]()
    for pair in pairing.pairs:
        start, end = pair.start.group, pair.end.group
        if (start.kind == DISCONNECTED and start.is_plain) or (end.kind == CONNECTED and end.is_plain):
            continue
        user, sure = pairing.find_user(pair.start, pair.end)
        if user is not None and not _speaks(pair) and pairing.is_usually_shared(pair, user):
            shared.add((id(start), id(end)))
        if (id(start), id(end)) in shared:
            continue
        if user is not None and (pairing.is_same_user(pair.start, user) or _is_returning_user(pair.start)):
            user = None
        by_user = user is None and _may_be_user(pair.start)
        if by_user and pair.start.place.endswith("@") and pairing.names_user_at_end(pair.start, pair.end):
            continue
        if user is None and not by_user:
            continue
        told = 2 * (start.kind == CONNECTED) + 2 * (end.kind == DISCONNECTED)
        nouns = not (start.words | end.words).isdisjoint(CONNECTION_NOUNS | HOLDER_NOUNS)
        told += nouns - 2 * are_addresses(pairing.column(start, user or pair.start.place))
        rank = (told, not by_user, pair.ids, len(pair.start.lines), -_last(pair.start), _last(pair.end))
        if best is None or rank > best[0]:
            best = rank, pair, user or pair.start.place, pairing.is_sure_user(pair) if by_user else sure
    return best[1:] if best is not None else None


def _without_errors(ends: Sequence[Column], pair: StatementPair, users: Column | None) -> list[Column]:
    """Return `ends` without the statements that report errors: a connection may stay open after an error.

    Return all of `ends` if none of them says in its words that connections end. A statement about errors also stays if
    statements with such words name most of its users.

    users  column with the users in the statement that starts connections, None if the users are the ids of the pair
    """
    told = [end for end in ends if _tells_end(pair.start, end)]
    if not told:
        return list(ends)
    owner = users_by_id(pair.start, users) if users is not None else {value: value for value in pair.start.lines}
    leaving = {owner[value] for end in told for value in end.lines if value in owner}

    def is_end(end: Column) -> bool:
        its_users = [owner[value] for value in end.lines if value in owner]
        return end in told or end.group.words.isdisjoint(NEGATIONS) or share(its_users, leaving) >= MOST

    return [end for end in ends if is_end(end)]


def _tells_end(start: Column, end: Column) -> bool:
    """Return whether a word of `end` reports an end, or is the opposite of a word of `start`: "bound", "unbound"."""
    words = end.group.words
    return end.group.kind == DISCONNECTED or any(
        f"{sign}{word}" in words for sign in _OPPOSITES for word in start.group.words
    )


_OPPOSITES = ("un", "dis", "de")


def _may_be_user(column: Column) -> bool:
    """Return whether the values may be users who return, in a log that contains no ids of connections."""
    is_thread = column.place[0] == "#" and any(value[-1:].isdigit() for value in column.lines)
    if len(column.lines) <= 1 or column.count <= len(column.lines) or is_thread:
        return False
    label = column.group.label(column.place)
    return is_user_label(label) or is_weak_user_label(label) or not counts_up(column.group.values(column.place))


def _is_returning_user(column: Column) -> bool:
    """Return whether the label of the values names users, and values return: these are no ids of connections."""
    is_user = is_user_label(column.group.label(column.place))
    return is_user and column.count > MOST_ONCE * len(column.lines)


def _last(column: Column) -> int:
    return max(lines[0] for lines in column.lines.values())


def _speaks(pair: StatementPair) -> bool:
    """Return whether at least one word of the two statements is about connections or the users of connections."""
    start, end = pair.start.group, pair.end.group
    nouns = not (start.words | end.words).isdisjoint(CONNECTION_NOUNS | HOLDER_NOUNS)
    return nouns or start.kind == CONNECTED or end.kind == DISCONNECTED


def _tells_of_connections(pair: StatementPair) -> bool:
    """Return whether the two statements of a pair report connections according to their words.

    Otherwise only the order and the repetition of the ids show that they do.
    """
    start, end = pair.start.group, pair.end.group
    nouns = not (start.words | end.words).isdisjoint(CONNECTION_NOUNS | HOLDER_NOUNS)
    told = start.kind == CONNECTED or end.kind == DISCONNECTED
    plain = (start.kind == CONNECTED and start.is_plain) or (end.kind == DISCONNECTED and end.is_plain)
    return pair.ids > MIN_PAIRS and told and (plain or nouns)
