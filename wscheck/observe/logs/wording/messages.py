"""Messages of log lines, divided into fixed words and variable values (slots).

A message is the text of a line without the prefix of the logger and without the fields of a structured record. All
lines that one logging call of the server wrote (a statement) have the same fixed words.
"""

import csv
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from wscheck.model.disconnect_reasons import (
    CLIENT_DISCONNECT,
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    SERVER_DISCONNECT,
    SERVER_SPELLINGS,
)
from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS, LogMessage, parse_json_object
from wscheck.observe.logs.formats.key_values import find_key_values
from wscheck.observe.logs.formats.line_prefix import is_level
from wscheck.observe.logs.formats.timestamps import KEYS as TIME_KEYS
from wscheck.observe.logs.formats.timestamps import STAMP, STAMP_SOURCE
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import FOREIGN_KEYS, id_text
from wscheck.observe.logs.vocabulary import DISCONNECTED, REPLACED, normalize_key, word_set
from wscheck.observe.logs.wording.pieces import (
    AROUND_REASON,
    PIECE,
    SIGN,
    SLOT,
    VALUE,
    WORD,
    Piece,
    Slot,
    core_length,
    event_words,
    is_connection_count,
    reason_position,
    slot_at,
    split_pieces,
)
from wscheck.observe.logs.wording.words import (
    CONNECT_VERBS,
    CONNECTION_NOUNS,
    END_VERBS,
    EVENT_VERBS,
    FOREIGN_NOUNS,
    HOLDER_NOUNS,
    NO_MEANING,
    USER_NOUNS,
    VOCABULARY,
    Meaning,
    find_meaning,
    is_ordinary,
    reports_event,
    word_parts,
)

MAX_LENGTH = 2_000
"""Length in characters beyond which a text is no message of the server."""
MAX_REASON = 120
_PAIR = lazy_pattern(r"[A-Za-z_][\w.-]*=(?!=)")
"""Start of a key and a value, such as "user=None" or "total=8", which is no reason of a disconnect."""


class ParsedMessage(NamedTuple):
    """Message of a log line.

    prefix   kinds of the parts of the logger's prefix, such as "T L" for a time and a level
    pattern  words and signs in lower case, with SLOT for each value
    slots    the values, in order
    meaning  the event that the words report
    fields   dict of key to value of the structured record, with dots in nested keys
    reason   reason of a disconnect
    tags     dict of key or position in the prefix to a value there that may identify a request or a process
    stamp    text that contains the time
    pieces   the texts from which `pattern` was made
    text     the message
    spans    position of each piece in the text
    """

    prefix: str
    pattern: tuple[str, ...]
    slots: tuple[Slot, ...]
    meaning: Meaning
    fields: Mapping[str, str]
    reason: str
    tags: Mapping[str, str]
    stamp: str
    pieces: tuple[str, ...]
    text: str
    spans: tuple[tuple[int, int], ...]

    @property
    def statement(self) -> tuple[str, tuple[str, ...]]:
        """Prefix and pattern: the same for all lines that one logging call of the server (a statement) wrote."""
        return self.prefix, self.pattern

    @property
    def values(self) -> Iterator[tuple[str, Slot]]:
        """Pairs of place and value, for each value of the line. A place is a slot number, a field, or a prefix part."""
        for at, slot in enumerate(self.slots):
            yield str(at), slot
            if (address := _ENDPOINT.fullmatch(slot.value)) is not None:
                yield f"{at}@", Slot("", address["address"])
        for key, value in self.fields.items():
            yield f".{key}", Slot(normalize_key(key), value, keyed=True)
        for position, value in self.tags.items():
            yield f"#{position}", Slot("", value)


_REASONS = (*SERVER_SPELLINGS, IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, CLIENT_DISCONNECT, SERVER_DISCONNECT)
_KNOWN_REASON = lazy_pattern(
    rf"(?i)(?<![\w-])(?:{'|'.join(sorted(map(re.escape, _REASONS), key=len, reverse=True))}|going away)(?![\w-])"
)
_KEYED_REASON = lazy_pattern(
    r"""(?ix)[\s,|]*\b(?:disconnect|close)?_?(?:reason|cause)["']?\s*[:=]\s*
    (?P<reason>"[^"\n]*"|'[^'\n]*'|[^|,;(){}\[\]=\n]*?)(?=\s*$|\s*[|,;)}\]]|\s+[\w.-]+=)"""
)

_PREFIX = lazy_pattern(
    rf"""\s*(?:
    (?P<bracket>\[[^\[\]\n]{{0,80}}\]:?)
    |(?P<stamp>\(?(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?\s)?(?:{STAMP_SOURCE})(?:\s?GMT[+-]\d{{4}})?(?:\s\([\w ]+\))?
        \)?[,:]?(?=\s|[A-Z|]|$))
    |(?P<python>(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL):[\w.]+:)
    |(?P<ruby>[DIWEFA],?(?=\s\[))
    |(?P<priority><(?:\d{{1,3}}|[A-Z])>)
    |(?P<process>(?:[\w.-]+\s)?[\w./-]+\[[\w.-]+\]:)
    |(?P<bunyan>[\w.-]+/\d+\son\s[\w.-]+:)
    |(?P<column>[\w.|-]+\s+\|(?=\s))
    |(?P<caller>(?:(?<=\t)[\w.-]+(?=\t[\w./-]+\.[A-Za-z]+:\d+\s))|[\w.-]+(?:/[\w.-]+)*\.[A-Za-z]{{1,5}}:\d+(?=\s))
    |(?P<numbered>(?:VERBOSE|TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERRO|ERROR)\[\d+\](?=\s))
    |(?P<file>[\w.-]+(?:/[\w.-]+)*\.(?:c|cc|cpp|go|rs|py|js|ts|java|rb):(?=\s))
    |(?P<piped>(?<=\|)[\w.$/-]+(?=\|))
    |(?P<thread>\d+\s+[\w./-]+:\d+\](?=\s)|\([\w.:\#/-]{{1,60}}\)(?=\s+-\s)|\((?:[\w.@-]+/)?\d+(?:\son\s[\w.-]+)?\):(?=\s))
    |(?P<pid>\#?\d+\]?(?=\s+(?:[-–—]|[\[(]|[A-Z]{{3,8}}\b)))
    |(?P<pair>[A-Za-z_]\w*=(?:<[^<>\s]*>|[^\s\[\]"']+)(?=\s))
    |(?P<sid>(?:[\w-]{{20}}|[0-9a-f]{{32}}):(?=\s))
    |(?P<logger>[A-Za-z_$][\w.$/-]*(?:\[\d+\])?(?::[A-Za-z_$<][\w.$/>-]*)*(?::\d+(?=\s+[-–—]\s))?(?:\s*:{{1,2}}(?=\s|[A-Z✅-➿])|\s+[-–—]{{1,2}}(?=\s)))
    |(?P<dotted>(?!(?i:user|users|client|socket|session|connection|player|member|sid|id):)[A-Za-z_][\w$-]*(?:[.:][A-Za-z_$][\w$-]*)+(?=\s))
    |(?P<path>[\w.-]+(?:/[\w.-]+)+(?=\s))
    |(?P<level>[A-Za-z]{{3,11}}:?(?=\s))
    |(?P<sign>[^\w\s\[\](){{}}"'`<\#/\\]+(?=\s|\w))
    )""",
    re.VERBOSE,
)
_CLAUSE_ENDS = frozenset(".,;")
_TAG = lazy_pattern(r"(?=[\w<>.-]*\d)[\w<>.-]{8,40}|<[\d.]+>")
_ANY_TAG = lazy_pattern(r"[\w<>.@+-]{2,40}")
_NOUN_TAG = lazy_pattern(r"\[(?P<key>[A-Za-z]+)[ :#]+(?P<value>[\w@.-]+)\]:?")
"""Tag with a noun and its id: "[User 7]"."""
_CONTEXT = lazy_pattern(r"\[((?:[A-Za-z_][\w.-]*=[^\s,;=\[\]]*(?:[,;]\s*|\s+|(?=\])))+)\]:?")
_CONTEXT_PAIR = lazy_pattern(r"([A-Za-z_][\w.-]*)=([^\s,;=\[\]]+)")
"""Context of the logger in brackets: "[user=ann, conn=c7]"."""
_VIEWER = lazy_pattern(
    r"\A(?:[^\t\n]+\t){2}(?=\d{4}-)|\A[a-z0-9][\w.]*-[\w.-]+ [\w.-]+ (?=\[|\d{4}-|[A-Z]+\b)"
    r"|\A[A-Za-z][\w.-]*(?: {1,4}| \|)(?=\d{4}-\d\d-\d\d[ T]\d)"
)
"""Names that `gh run view --log`, stern and servers with several processes (Sanic) print in front of a line."""
_COLUMNS = lazy_pattern(r"""(?:[^,"\n]*,)+"(?:[^"]|"")*"(?:,(?:"(?:[^"]|"")*"|[^,"\n]*))*\s*$""")

_ENDPOINT = lazy_pattern(r"(?P<address>(?:\d{1,3}\.){3}\d{1,3}):\d{2,5}")
"""Address and port of a client, which identify a connection."""
_TIME_WITHIN = lazy_pattern(
    rf"""(?:\[(?:{STAMP_SOURCE})[^\]\n]{{0,20}}\])|(?:{re.sub(r"[?]P<[a-z]+>", "?:", STAMP_SOURCE)})""", re.VERBOSE
)
"""Time behind the address of the client, or in a column of its own."""
_TEMPLATE = lazy_pattern(r"\{[@$]?[A-Za-z_]\w*(?:[:,][^{}]*)?\}")
_LOGGER_KEYS = word_set(
    "level severity lvl pid tid thread threadname hostname host logger loggername logfmt context service "
    "servicename app name v module file line lineno function env environment version caller filename levelname "
    "levelno process processname sourcecontext severitytext traceid spanid dd tags label labels source stream type "
    "class method channel insertid ecs eventdataset"
)
"""Keys, in the form of `normalize_key`, under which loggers write their own data."""
_OWN_IDS = {
    "stream": lazy_pattern(r"(?!stdout$|stderr$).+"),
    "channel": lazy_pattern(r"[^\d\n]*+\d.*+"),
    "pid": lazy_pattern(r"[\d<>.]*+[^\d<>.].*+"),
    "line": lazy_pattern(r"\d*+\D.*+"),
}
"""Keys of loggers that servers use too, and the form of the values that are ids of connections."""


def parse(message: LogMessage, words: Container[str] | None = None) -> ParsedMessage | None:
    """Return a log message divided into words and values, None if no known words in it report an event.

    message  text of the line without the prefix of its logger and without an envelope, such as JSON of a container

    words  additional words of the server. If they are given, a message is returned even if its words report no event,
           and paths and quotations are divided into words
    """
    text, fields, stamp = message.text, dict[str, str](), ""
    if len(text) > MAX_LENGTH or (words is None and not reports_event(text)):
        return None
    if message.fields is not None:
        fields = dict(_flatten(message.fields))
        text = text or _longest_text(fields)
        text = _TEMPLATE.sub(" ", text) if "{" in text else text
    elif '"' in text and (columns := _csv_columns(text)) is not None:
        text, stamp = columns
        if (record := parse_json_object(text)) is not None:
            fields, text = dict(_flatten(record)), _message_in(record)
    elif words is not None and text.startswith("{") and (record := parse_json_object(text)) is not None:
        fields = dict(_flatten(record))
        text = _message_in(record) or _longest_text(fields)
    if message.fields is None and not fields:
        line = text
        text, fields = _split_pairs(line)
        before = STAMP.search(line, 0, line.find("=")) if fields and STAMP.search(text) is None else None
        stamp = before[0] if before is not None and not stamp else stamp  # a time in front of the first pair
    if words is not None:
        told = [key for key in fields if f"{normalize_key(key)}=" in words]
        text = " ".join([text, *(part for key in told for part in (key, fields.pop(key)))])
    if len(text) > MAX_LENGTH:  # the value of a field can be longer than the text around the fields
        return None
    stamp = f"{stamp} {_time_in(fields)}".strip()
    return _parsed(text, fields, stamp, words, structured=message.fields is not None)


def _meaning_of(pieces: Sequence[Piece]) -> Meaning:
    """Return the kind of event that a message reports.

    A later clause may name another thing that the server does then: "Client c7 connected, adding it to group g1".
    """
    words = event_words(pieces)
    meaning = find_meaning(words)
    if meaning is NO_MEANING and not CONNECTION_NOUNS.isdisjoint(words):
        keys = [at for at, piece in enumerate(pieces[:-1]) if piece.kind == WORD and pieces[at + 1].text == "="]
        spoken = event_words([piece for at, piece in enumerate(pieces) if at not in keys])
        without_keys = find_meaning(spoken)
        if without_keys.is_plain and not CONNECTION_NOUNS.isdisjoint(spoken):
            return without_keys  # "ws connected ticket_id=7"
    end = next((at for at, piece in enumerate(pieces) if piece.kind == SIGN and piece.text in _CLAUSE_ENDS), None)
    if meaning is not NO_MEANING or end is None or FOREIGN_NOUNS.isdisjoint(words):
        return meaning
    first = find_meaning(event_words(pieces[:end]))
    is_told = first.is_plain and any(piece.kind == VALUE for piece in pieces[:end])
    return (
        first if is_told and first == find_meaning([word for word in words if word not in FOREIGN_NOUNS]) else meaning
    )


def _parsed(
    text: str, fields: dict[str, str], stamp: str, words: Container[str] | None, *, structured: bool
) -> ParsedMessage | None:
    begin, form, tags = split_prefix(text, any_tag=words is not None)
    if words is None and not structured and not fields and (named := _name_in_brackets(text[:begin], text[begin:])):
        begin -= len(named)
        form = form.removesuffix("[]").rstrip()
        tags.pop(str(len(form.split())), None)
    head = text[:begin]
    body, reason = _without_reason(text[begin:].rstrip())
    reason = reason or next((value for key, value in fields.items() if _is_reason(key)), "")
    if not (stamp or STAMP.search(head)) and (time := _TIME_WITHIN.search(body)) is not None:
        stamp, body = f"{stamp} {time[0]}", f"{body[: time.start()]}{body[time.end() :]}"
    pieces = split_pieces(body, words)
    core = core_length(pieces)
    counted = any(piece.kind != SIGN for piece in pieces[core:]) and is_connection_count(pieces[core:])
    meaning = _meaning_of(pieces[:core] if counted else pieces)
    if meaning.kind == REPLACED and (begun := reason_position(pieces)) < len(pieces):
        end = find_meaning(event_words(pieces[:begun]))
        meaning = end if end.kind == DISCONNECTED else meaning  # the reason tells whether it was replaced
    if meaning is NO_MEANING and words is None:
        return None
    if meaning.kind == DISCONNECTED and not counted and (begun := reason_position(pieces)) < len(pieces):
        told = body[pieces[begun].begin :].strip(AROUND_REASON)
        reason = reason or (told if len(told) <= MAX_REASON else "")
        core = core_length(pieces[:begun])
    tail = pieces[core:]
    if tail and meaning.kind == DISCONNECTED:
        rest = body[tail[0].begin :].strip(AROUND_REASON)
        is_reason = len(rest) <= MAX_REASON and any(map(str.isalnum, rest)) and _PAIR.match(rest) is None
        reason = reason or (rest if is_reason else "")
        pieces = pieces[:core]
    elif counted:
        pieces = pieces[:core]
    pattern = tuple(SLOT if piece.kind == VALUE else piece.text.lower() for piece in pieces)
    slots = tuple(slot_at(pieces, at) for at, piece in enumerate(pieces) if piece.kind == VALUE)
    fields = {key: value for key, value in fields.items() if not _is_logger_key(key, value) and not _is_reason(key)}
    form = f"{'{} ' if structured else ''}{form}".strip()
    pairs = {key: value for key, value in tags.items() if not key.isdigit()}
    tags = {key: value for key, value in tags.items() if key.isdigit()}
    return ParsedMessage(
        form,
        pattern,
        slots,
        meaning,
        {**pairs, **fields},
        reason,
        tags,
        f"{stamp} {head}".strip(),
        tuple(piece.text for piece in pieces),
        body,
        tuple((piece.begin, piece.end) for piece in pieces),
    )


_ONLY_WORDS = lazy_pattern(r"[^\W\d_]+(?:[ -][^\W\d_]+){0,3}[.!]?\s*")
_LAST_BRACKETS = lazy_pattern(r"\[[^\[\]\s]{1,64}\]:?\s+\Z")


def _name_in_brackets(head: str, body: str) -> str:
    """Return the text in brackets at the end of the prefix `head` if it may name the user, otherwise "".

    It may if the message `body` has no id: "[ann]" of "[ann] connected".
    """
    last = _LAST_BRACKETS.search(head)
    if last is None or _ONLY_WORDS.fullmatch(body) is None or not all(map(is_ordinary, body.strip(" .!").split())):
        return ""
    name = last[0].strip("[]: \t")
    return "" if is_level(name) or STAMP.search(name) is not None or not last.start() else last[0]


def split_prefix(text: str, *, any_tag: bool = False) -> tuple[int, str, dict[str, str]]:
    """Return the offset of the message, the kinds of the parts of its prefix, and the ids in the prefix.

    The ids are in a dict: under their key (`user=ann`), or under their position in the prefix if they have no key.

    any_tag  return every value in brackets or in front of a colon, not only those that look like ids
    """
    form_of_tag = _ANY_TAG if any_tag else _TAG
    kinds_of_tag = {"bracket", "sid", "logger", "dotted"} if any_tag else {"bracket", "sid", "logger"}
    at, forms, tags = 0, list[str](), dict[str, str]()
    viewer = _VIEWER.match(text)
    if viewer is not None and not reports_event(viewer[0].split()[-1]):  # else the sentence of a user with such a name
        at = viewer.end()
    while (match := _PREFIX.match(text, at)) is not None and match.end() > at:
        kind, piece = match.lastgroup or "", match[0].strip()
        kind = next(name for name in _FORMS if match[name] is not None)
        if kind == "level" and not is_level(piece):
            break
        if kind == "logger" and _is_own_word(piece.rstrip(" :-–—"), text[match.end() :]):
            break
        if kind == "dotted" and _begins_sentence(forms, piece, text[match.end() :]):
            break
        if kind == "bracket" and is_message_start(forms, piece):
            break
        if kind == "pair":
            key, _, value = piece.partition("=")
            tags[key] = value
        elif kind == "bracket" and (pairs := _CONTEXT.fullmatch(piece)) is not None:
            tags |= {pair[1]: pair[2] for pair in _CONTEXT_PAIR.finditer(pairs[1])}
        elif kind == "bracket" and (noun := _NOUN_TAG.fullmatch(piece)) is not None and _names_id(noun["key"]):
            tags[noun["key"]] = noun["value"]
        elif (tag := form_of_tag.fullmatch(piece.strip("[]:#"))) is not None and kind in kinds_of_tag:
            tags[str(len(forms))] = tag[0]
        forms.append("T" if kind == "bracket" and STAMP.search(piece) is not None else _FORMS[kind])
        at = match.end()
    while at < len(text) and text[at].isspace():
        at += 1
    return at, " ".join(forms), tags


def _names_id(noun: str) -> bool:
    return noun.lower() in USER_NOUNS or noun.lower() in CONNECTION_NOUNS


_FORMS = {
    "stamp": "T",
    "python": "L:n:",
    "ruby": "L",
    "bracket": "[]",
    "priority": "<>",
    "process": "p[]:",
    "bunyan": "p/h:",
    "column": "c|",
    "numbered": "L0",
    "file": "n:",
    "piped": "c|",
    "caller": "n",
    "thread": "0",
    "pid": "0",
    "pair": "k=",
    "logger": "n:",
    "sid": "i:",
    "dotted": "n",
    "path": "n",
    "level": "L",
    "sign": "-",
}


def is_message_start(forms: Sequence[str], piece: str) -> bool:
    """Return whether `piece` is a pair of empty brackets after a prefix. The message then starts with these brackets.

    forms  kinds of the parts of the prefix in front of `piece`, empty if there are none
    """
    return piece in {"[]", "[]:"} and bool(forms)


def _is_own_word(name: str, behind: str) -> bool:
    """Return whether a word in front of ":" or "-" belongs to the message ("User: ann", "Connected - ann").

    Otherwise it is a part of the logger's prefix.

    behind  text behind the ":" or "-"
    """
    parts = word_parts(name)
    if not parts or any(sign in name for sign in "./:[") or is_level(name):
        return False
    last = parts[-1] if parts[-1] not in {"id", "name"} or len(parts) == 1 else parts[-2]
    if last in HOLDER_NOUNS or last in EVENT_VERBS:
        return all(part in VOCABULARY for part in parts)
    value = PIECE.match(behind.lstrip())
    return last in CONNECTION_NOUNS and value is not None and any(map(str.isdigit, value[0]))


_INITIAL = lazy_pattern(r"[a-z]\.[a-z]{2,}|[a-z]{2,}\.[a-z]")
"""Name of a person with an initial."""


def _begins_sentence(forms: Sequence[str], name: str, behind: str) -> bool:
    """Return whether a name with a dot is a user at the start of a sentence, and not the name of a logger.

    forms   kinds of the parts of the prefix in front of the name
    behind  text behind the name
    """
    word = next(iter(behind.split(maxsplit=1)), "").rstrip(",.;:!")
    is_sentence = word.lower() in CONNECT_VERBS or word.lower() in END_VERBS
    return (is_sentence and forms[-1:] == ["n:"]) or (word.isalpha() and _INITIAL.fullmatch(name) is not None)


# --- pieces -----------------------------------------------------------------------------------------------------------


_CODE_IN_FRONT = lazy_pattern(r"(?<=[\s(])[1-4]\d{3}\W*$")


def _without_reason(text: str) -> tuple[str, str]:
    """Return a message without the reason of a disconnect, and the reason."""
    if (keyed := _KEYED_REASON.search(text)) is not None:
        return f"{text[: keyed.start()]}{text[keyed.end() :]}", keyed["reason"].strip("\"'")
    if (known := _KNOWN_REASON.search(text)) is not None and known.start():
        before = _CODE_IN_FRONT.sub("", text[: known.start()]).rstrip(" -–—:;,.(")
        return f"{before}{text[known.end() :].lstrip(')')}", known[0]
    return text, ""


# --- fields -----------------------------------------------------------------------------------------------------------


def _flatten(fields: Mapping[str, Any], path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield the scalar values of a structured record, with dots in the names of nested keys."""
    for key, value in fields.items():
        name, value = f"{path}{key}", value[0] if isinstance(value, list) and len(value) == 1 else value  # noqa: PLW2901
        if isinstance(value, dict) and depth < 3 and key.lower() not in FOREIGN_KEYS:
            yield from _flatten(value, f"{name}.", depth + 1)
        elif (text := id_text(value)) is not None and len(text) <= 512:
            yield name, text


def _split_pairs(text: str) -> tuple[str, dict[str, str]]:
    """Return the message and the fields of a line of text: logfmt, or with an object at its end."""
    if "=" in text and _LOGFMT.search(text) is not None:
        pairs = [pair for pair in find_key_values(text) if not pair.depth]
        message = next((pair.value for pair in pairs if pair.key in MESSAGE_KEYS), "")
        if message:
            return message, {pair.key: pair.value for pair in pairs if pair.key not in MESSAGE_KEYS}
    if "=" in text and _ONLY_PAIRS.fullmatch(text) is not None:
        fields = {pair.key: pair.value for pair in find_key_values(text) if not pair.depth}
        event = next((key for key, value in fields.items() if _is_event_name(value)), "")
        return fields.pop(event, ""), fields
    text = _ROCKET.sub(r"\2: ", text) if "=>" in text else text
    object_at = _OBJECT.search(text)
    if object_at is None:
        return text, {}
    found = find_key_values(text[object_at.start("object") :])
    fields = {
        ".".join([*filter(None, pair.parents), pair.key]): pair.value
        for pair in found
        if FOREIGN_KEYS.isdisjoint(pair.parents)
    }
    return (text[: object_at.start("object")].rstrip(" -"), fields) if fields else (text, {})


_ROCKET = lazy_pattern(r"""(?<=[{,\s]):?(["']?)([A-Za-z_]\w*)\1\s*=>\s*(?=["'\d:])""")
"""Key of a hash of Ruby or an array of PHP: `:user => "ann"`."""
_ONLY_PAIRS = lazy_pattern(r"""\s*(?:[A-Za-z_][\w.-]{0,40}=(?:"(?:[^"\\]|\\.)*"|[^\s"=]*)(?:\s+|$)){3,}""")
_EVENT_NAME = lazy_pattern(r"[a-zA-Z]{2,20}(?:[._:-][a-zA-Z]{2,20}){1,3}|[a-z]{2,20}(?:[A-Z][a-z]{1,20}){1,3}")
_LOGFMT = lazy_pattern(r"(?:^|\s)(?:msg|message|event)=")
_OBJECT = lazy_pattern(r"""(?<=\s)(?P<object>\{\s*["']?[A-Za-z_$@][\w$.@-]*["']?\s*[:=].*\})\s*(?:\[\]|\{\})?\s*$""")


def _is_event_name(value: str) -> bool:
    """Return whether the value of a key is the name of an event in known words: "ws.open", "user_left", "tabClosed"."""
    is_name = _EVENT_NAME.fullmatch(value) is not None and is_ordinary(value)
    return is_name and not EVENT_VERBS.isdisjoint(word_parts(value))


def _csv_columns(text: str) -> tuple[str, str] | None:
    """Return the message of a line of CSV, and the other columns of the line; None if the line is not CSV."""
    if _COLUMNS.fullmatch(text) is None:
        return None
    try:
        columns = next(csv.reader([text], strict=True), [])
    except csv.Error:
        return None
    told = [column for column in columns if reports_event(column)]
    if len(told) != 1:
        return None
    return told[0], " ".join(column for column in columns if column is not told[0])


def _message_in(record: Mapping[str, Any]) -> str:
    return next((value for key in MESSAGE_KEYS if isinstance(value := record.get(key), str)), "")


def _longest_text(fields: Mapping[str, str]) -> str:
    """Return the message of a nested record, or the longest value with several words if no key names the message."""
    nested = (value for key, value in fields.items() if "." in key and key.rpartition(".")[2] in MESSAGE_KEYS)
    if (message := next(nested, None)) is not None:
        return message
    texts = (value for value in fields.values() if " " in value and STAMP.fullmatch(value) is None)
    return max(texts, key=len, default="")


def _time_in(fields: Mapping[str, str]) -> str:
    known = next((fields[key] for key in TIME_KEYS if key in fields), None)
    return known or next((value for value in fields.values() if STAMP.fullmatch(value) is not None), "")


def _is_reason(key: str) -> bool:
    return normalize_key(key.rpartition(".")[2]) in _REASON_KEYS


_REASON_KEYS = word_set("reason disconnectreason closereason cause because why err error errmsg explanation")


def _is_logger_key(key: str, value: str) -> bool:
    name = normalize_key(key)
    if name in _OWN_IDS and _OWN_IDS[name].fullmatch(value) is not None:
        return False
    return key in TIME_KEYS or key in MESSAGE_KEYS or name in _LOGGER_KEYS
