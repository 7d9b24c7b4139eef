"""Words of a server in a log whose words are unknown, separated from the names of users and the values of ids."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.wording.messages import ParsedMessage
from wscheck.observe.logs.wording.pieces import SLOT, Slot, may_be_id
from wscheck.observe.logs.wording.words import is_ordinary

MIN_PAIRS = 2
"""Smallest number of ids with a start and an end that show a pair of statements."""

MAX_OCCURRENCES = 6
"""Number of lines up to which a value may be the id of one connection."""


class EveryWord:
    """Container of every word that does not end with "=", to parse a log before the words of its server are known."""

    def __contains__(self, word: object) -> bool:
        return not str(word).endswith("=")


def fixed_words(messages: Sequence[ParsedMessage]) -> frozenset[str]:
    """Return the words of the server in messages that were parsed with `EveryWord`, without the names of users.

    Two different words at one place mean events if they occur with the same id ("bound", "unbound"). They are names if
    they never do ("ann", "ben"). A word at a place where other lines have a value is a name too.
    """
    alternatives: dict[tuple[str, tuple[str, ...], int], dict[str, list[int]]] = {}
    words, valued = set[str](), set[tuple[str, tuple[str, ...], int]]()
    for number, message in enumerate(messages):
        for at, piece in enumerate(message.pattern):
            if piece == SLOT:
                valued.add((message.prefix, (*message.pattern[:at], *message.pattern[at + 1 :]), at))
            elif message.pieces[at][0].isalpha() and not is_ordinary(message.pieces[at]):
                words.add(piece)
                rest = (message.prefix, (*message.pattern[:at], *message.pattern[at + 1 :]), at)
                alternatives.setdefault(rest, {}).setdefault(piece, []).append(number)
    ids = _connection_ids(messages)
    names, places = set[str](), Counter(word for choice in alternatives.values() if len(choice) > 1 for word in choice)
    for rest, choice in alternatives.items():
        if rest in valued:
            names.update(choice)  # "QueenB" where other lines have "k1ng"
        elif len(choice) > 1:
            seen = {word: {each for n in lines for each in ids[n]} for word, lines in choice.items()}
            names |= _names_among(seen) if any(seen.values()) else _returning(choice, places)
    return frozenset(words - names) | _event_keys(messages, ids)


def _event_keys(messages: Sequence[ParsedMessage], ids: Sequence[Sequence[str]]) -> set[str]:
    """Return the keys whose values name events, and these values. For `state=LOCKED`, these are "state=" and "locked".

    A key names events if it has few different values, and if most ids occur with several of them.

    ids  for each message, the values in it that may identify a connection
    """
    seen = defaultdict[str, defaultdict[str, set[str]]](lambda: defaultdict(set))
    for message, own in zip(messages, ids, strict=True):
        for slot in (slot for _, slot in message.values if slot.keyed and slot.label):
            for each in own if _EVENT.fullmatch(slot.value) is not None else ():
                seen[slot.label][each].add(slot.value.lower())
    found = set[str]()
    for label, by_id in seen.items():
        events = {value for values in by_id.values() for value in values}
        if len(events) <= MAX_EVENTS and 2 * sum(len(values) > 1 for values in by_id.values()) > len(by_id):
            found |= {f"{label}=", *events}
    return found


_EVENT = lazy_pattern(r"[A-Za-z]{2,20}(?:[_.:-][A-Za-z]{2,20}){0,3}")
MAX_EVENTS = 12
"""Largest number of different values of a key that tells events."""


def _names_among(seen: Mapping[str, Collection[str]]) -> set[str]:
    """Return the words that are names, such as names of users, rather than words for events.

    The words for a start and for an end occur with the same ids. A name occurs with its own ids only.

    seen  dict of word to the ids on its lines
    """
    events = {
        word
        for one, other in combinations(seen, 2)
        if not set(seen[one]).isdisjoint(seen[other])
        for word in (one, other)
    }
    return set(seen) - events if len(seen) - len(events) > 1 else set()


def _returning(choice: Collection[str], places: Mapping[str, int]) -> set[str]:
    """Return the words of `choice` that alternate with other words at several places, so that they may be names.

    In a log without ids, the name of a user occurs in several messages: "ann came", "ben came", "ann left", "ben left".
    Return an empty set if there is only one such word.

    choice  words that alternate at one place of messages that are otherwise equal
    places  dict of word to the number of places in the log at which it alternates with other words
    """
    again = {word for word in choice if places[word] > 1}
    return again if len(again) > 1 else set()


def _connection_ids(messages: Sequence[ParsedMessage]) -> list[list[str]]:
    """Return for each message the values that may identify a connection: values that only some messages contain."""
    found = [
        [
            slot.value
            for place, slot in message.values
            if may_identify_client(slot) and not is_number_of_prefix(place, slot.value)
        ]
        for message in messages
    ]
    times = Counter(value for values in found for value in set(values))
    rare = {value for value, count in times.items() if 2 <= count <= MAX_OCCURRENCES}
    common = {value for value, count in times.items() if count > MAX_OCCURRENCES and 2 * count < len(messages)}
    known = rare if len(rare) >= MIN_PAIRS else common
    return [[value for value in values if value in known] for values in found]


ADDRESS = lazy_pattern(r"(?:\d{1,3}\.){3}\d{1,3}(?::\d{2,5})?")
EMAIL = lazy_pattern(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,4}")
_PROCESS = lazy_pattern(r"\d+\.\d+\.\d+")
"""Process of Erlang or Elixir, without its brackets."""


def may_identify_client(slot: Slot) -> bool:
    """Return whether a value may identify a connection or a client. A client may be known by its address alone."""
    return any((may_be_id(slot), ADDRESS.fullmatch(slot.value), _PROCESS.fullmatch(slot.value)))


def is_number_of_prefix(place: str, value: str) -> bool:
    return place[0] == "#" and value.isdigit()
